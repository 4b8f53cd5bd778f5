"""Let a page load and run itself and what lies beside it, by a policy in each page.

The book is static files on any host, so the policy is part of the page (`<meta http-equiv>`). What
only a host can say, that no other site may show a page in a frame, is in `book/_extra/_headers`.
"""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from theme_fixes import mended

POLICY = {
    "default-src": ["'self'"],
    "script-src": ["'self'"],  # and the hash of each script in the page itself
    # MathJax and the icons write style elements when they run, whose text depends on the page: no
    # hash can be known.
    "style-src": ["'self'", "'unsafe-inline'"],
    "img-src": ["'self'", "data:"],  # the theme's style sheets hold small drawings
    "object-src": ["'none'"],
    "base-uri": ["'self'"],
    "form-action": ["'self'"],
}
SCRIPT = re.compile(r"<script\b([^>]*)>(.*?)</script>", re.DOTALL | re.IGNORECASE)
DATA = re.compile(r"\ssrc=|\stype=(?![\"']?(?:text/javascript|module))", re.IGNORECASE)
HEAD = re.compile(r"<meta charset=[^>]*>", re.IGNORECASE)
LINK = re.compile(r"<a\b[^>]*\bhref=\"(?:https?:)?//[^>]*>", re.IGNORECASE)
REL = re.compile(r"\brel=\"([^\"]*)\"")
# The theme's handlers are attributes, which no policy worth its name lets run;
# book/_static/press.js does what they did.
HANDLERS = {
    'onclick="window.print()"': 'data-press="print"',
    'onclick="toggleFullScreen()"': 'data-press="full-screen"',
}
# Jupyter Book prepares every page for running cells on a foreign server, which this book does not
# offer.
THEBE = re.compile(
    r"<script type=\"text/x-thebe-config\">.*?</script>|<script>kernelName = '[^']*'</script>",
    re.DOTALL,
)


def digest(script: str) -> str:
    """The hash by which a policy names a script.

    Example:
        >>> digest("alert('Hello, world.');")
        "'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='"
    """
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def policy(html: str, page: str) -> str:
    """The policy for a finished page, with the hashes of its own scripts.

    Example:
        >>> policy("<p>text</p>", "a.html").split("; ")[1]
        "script-src 'self'"
        >>> policy("<script>f()</script>", "book/browser.html").split("; ")[1][:47]
        "script-src 'self' 'wasm-unsafe-eval' 'sha256-Gc"
    """
    own = {digest(body) for attributes, body in SCRIPT.findall(html) if not DATA.search(attributes)}
    scripts = list(POLICY["script-src"])
    if page == "book/browser.html":  # leave to compile WebAssembly, which is not leave for `eval`
        scripts.append("'wasm-unsafe-eval'")
    parts = POLICY | {"script-src": scripts + sorted(own)}
    return "; ".join(f"{name} {' '.join(values)}" for name, values in parts.items())


def outward(link: re.Match[str]) -> str:
    """Return the opening tag of a link to another site, which learns nothing of this window."""
    tag = link[0].replace('href="http://', 'href="https://')
    rel = REL.search(tag)
    if rel is None:
        return tag.replace("<a", '<a rel="noopener"', 1)
    return tag if "noopener" in rel[1].split() else tag.replace(rel[0], f'rel="{rel[1]} noopener"')


def guarded(html: str, page: str) -> str:
    """A finished page with its policy, its links outwards mended, and no script in an attribute.

    Raises:
        ValueError: the page has no `<meta charset>`, which the policy has to follow.
    """
    html = THEBE.sub("", html)
    for old, new in HANDLERS.items():
        html = html.replace(old, new)
    html = LINK.sub(outward, html)
    head = HEAD.search(html)
    if head is None:
        raise ValueError(f"{page} has no <meta charset>: its policy would come too late")
    tag = f'<meta http-equiv="Content-Security-Policy" content="{policy(html, page)}" />'
    return f"{html[: head.end()]}\n    {tag}{html[head.end() :]}"


def _drop_thebe(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    """Leave the scripts for a foreign server out of the head."""
    scripts = context.get("script_files", [])
    context["script_files"] = [script for script in scripts if "thebe" not in str(script).lower()]


def _guard(app: Sphinx, error: Exception | None) -> None:
    """Mend and guard every page, after everything else has written it."""
    if error is not None:
        return
    out = Path(app.outdir)
    for path in out.rglob("*.html"):
        page = path.relative_to(out).as_posix()
        if not page.startswith("_static/"):  # templates of the theme, no pages
            html = mended(path.read_text(encoding="utf-8"))
            path.write_text(guarded(html, page), encoding="utf-8")


def setup(app: Sphinx) -> None:
    """Register the hooks with Sphinx."""
    app.connect("html-page-context", _drop_thebe, priority=900)
    app.connect("build-finished", _guard, priority=900)
