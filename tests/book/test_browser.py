"""tools/check_pages.mjs: it passes a sound little site and names every fault that was put into another one."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import chapters
import pytest

sys.path.insert(0, str(chapters.ROOT / "book" / "_ext"))
import security

SCRIPT = chapters.ROOT / "tools" / "check_pages.mjs"
NODE = shutil.which("node")

PAGE = """<!doctype html>
<html lang="en" data-theme="light">
  <head><meta charset="utf-8" /><meta name="viewport" content="width=device-width" /><title>{title}</title>
  <link rel="icon" href="data:," />
  <script>
    document.documentElement.dataset.theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  </script>{head}</head>
  <body style="margin: 0"><main><article><h1>{title}</h1>{body}</article></main></body>
</html>"""
PICTURE = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><circle r="4" cx="4" cy="4"/></svg>'
RESULTS = '<ul id="search-results"><li><a href="book/one.html#here">one</a></li></ul>'
REDIRECT = '<meta http-equiv="refresh" content="0; url=book/one.html" />'
FAULTS = {
    '<p><a href="gone.html">a page that is not there</a></p>': "broken link: gone.html",
    '<p><a href="one.html#nowhere">a place that is not there</a></p>': "broken anchor: one.html#nowhere",
    '<img src="dot.svg" width="9" />': "1 images without alt text: dot.svg",
    '<img src="lost.svg" alt="a lost picture" />': "1 images that did not load: lost.svg",
    '<div class="wide" style="width: 2000px">wide</div>': "the window scrolls sideways, 2000 px in 390: <div.wide>",
    '<script>console.error("a complaint")</script>': "console error: a complaint",
    "<script>undefined_name</script>": "page error: undefined_name is not defined",
    '<script src="https://fonts.example.org/a.js"></script>': "stopped by the policy: script-src-elem, https://fonts.exam",
    '<p style="color: #999; background: #fff">pale</p>': "axe serious, color-contrast, 1 elements",
    '<p><span class="math">\\(x\\)</span></p>': "1 equations not rendered: \\(x\\)",
    "<script>delete document.documentElement.dataset.theme; document.documentElement.dataset.theme = 'blue'</script>": (
        "theme is blue, not dark"
    ),
}
# What a page without a policy lets through; and a policy that comes too late and stops too little.
OPEN = {
    '<script src="https://fonts.example.org/a.js"></script>': "foreign request: https://fonts.example.org/a.js",
    '<p onclick="print()">print</p>': "a script in an attribute: <p onclick>",
    '<a href="http://example.org/">out</a>': "a link outwards without https or rel=noopener: <a href=",
    "": "no content security policy",
}
LAX = """<meta http-equiv="Content-Security-Policy" content="default-src 'self'; script-src 'self' 'unsafe-inline'" />"""


def write(site: Path, **pages: str) -> None:
    """A guarded site whose start page leads to book/one.html; `pages` says what head and bodies hold instead or besides."""
    (site / "book").mkdir(parents=True)
    (site / "book" / "dot.svg").write_text(PICTURE, encoding="utf-8")
    sound = (
        '<h2 id="here">Here</h2><p><img src="dot.svg" alt="a dot" /> <a href="../search.html">search</a></p>'
    )
    texts = {
        "index.html": PAGE.format(title="Start", head=pages.get("head", REDIRECT), body=""),
        "search.html": PAGE.format(title="Search", head="", body=pages.get("search", RESULTS)),
        "book/one.html": PAGE.format(title="One", head="", body=sound + pages.get("one", "")),
    }
    for path, text in texts.items():
        (site / path).write_text(security.guarded(text, path), encoding="utf-8")


def check(site: Path) -> tuple[int, str]:
    """Exit code and output of the script; a skip where there is no browser."""
    if NODE is None:
        pytest.skip("no node")
    command = [NODE, str(SCRIPT), str(site)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=chapters.ROOT, timeout=240
    )
    if done.stdout.startswith("SKIP"):
        pytest.skip(done.stdout.strip())
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_a_sound_site_passes(tmp_path: Path) -> None:
    """Each page in two themes and two widths, the redirect followed, three searches answered: status 0."""
    write(tmp_path / "html")
    code, said = check(tmp_path / "html")
    assert code == 0, said
    assert "OK   index.html" in said
    assert said.count("OK   search for") == 3


@pytest.mark.slow
def test_every_fault_is_named(tmp_path: Path) -> None:
    """All faults on one page, a redirect to nowhere, two open pages, an empty search: one line each, status 1."""
    lost = '<meta http-equiv="refresh" content="0; url=book/moved.html" />'
    write(tmp_path / "html", one="\n".join(FAULTS), search='<ul id="search-results"></ul>', head=lost)
    for name, head, body in (("bare", "", "\n".join(OPEN)), ("lax", LAX, "")):
        text = PAGE.format(title=name, head=head, body=body)
        (tmp_path / "html" / f"{name}.html").write_text(text, encoding="utf-8")
    code, said = check(tmp_path / "html")
    missing = [wanted for wanted in (*FAULTS.values(), *OPEN.values()) if wanted not in said]
    assert (code, missing) == (1, []), said
    assert "FAIL index.html\n     broken link: book/moved.html" in said
    assert "its policy is lax: default-src 'self'; script-src 'self' 'unsafe-inline'" in said
    assert said.count("     no result") == 3
