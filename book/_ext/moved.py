"""Addresses that are no pages: a page that moved sends its readers on, and 404.html helps at any other one."""

from __future__ import annotations

from html import escape
from pathlib import Path
from string import Template
from urllib.parse import urlsplit

import yaml
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

TABLE = "book/redirects.yml"

REDIRECT = """<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <title>{title}</title>
    <link rel="canonical" href="{address}" />
    <script>location.replace("{target}" + (location.hash || "{anchor}"));</script>
    <meta http-equiv="refresh" content="0; url={target}{anchor}" />
{head}  </head>
  <body><p>This page is now at <a href="{target}{anchor}">{title}</a>.</p></body>
</html>
"""

NOT_FOUND = Path(__file__).with_name("404.html")


def read_table(path: Path, pages: set[str]) -> dict[str, str]:
    """Old page -> new page, possibly with an anchor.

    Raises:
        ExtensionError: an old page still exists, or a new one does not.
    """
    table: dict[str, str] = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    for old, new in table.items():
        if old in pages:
            raise ExtensionError(f"{path.name}: {old} is a page, it cannot lead elsewhere")
        if new.split("#")[0] not in pages:
            raise ExtensionError(f"{path.name}: {old} leads to {new}, which is no page")
    return table


def redirect(old: str, new: str, base: str, title: str, head: str = "") -> str:
    """The HTML of an old page. `base` is the address of the book; an anchor that a reader brings along is kept."""
    page, _, anchor = new.partition("#")
    target = "../" * old.count("/") + f"{page}.html"
    return REDIRECT.format(
        title=escape(title),
        address=f"{base}{page}.html",
        target=target,
        anchor=f"#{anchor}" if anchor else "",
        head=head,
    )


def not_found(titles: dict[str, str], base: str, book: str) -> str:
    """The HTML of 404.html: shown at any address, so its own links are absolute paths."""
    root = urlsplit(base).path
    items = [
        f'        <li><a href="{root}{page}.html">{escape(title)}</a></li>' for page, title in titles.items()
    ]
    template = Template(NOT_FOUND.read_text(encoding="utf-8"))
    return template.substitute(root=root, book=escape(book), pages="\n".join(items))


def _write(app: Sphinx, error: Exception | None) -> None:
    """Write the redirects and 404.html beside the pages."""
    if error is not None or app.builder.format != "html":
        return
    out, base, book = Path(app.outdir), app.config.html_baseurl, app.config.html_title
    titles = {page: title.astext() for page, title in sorted(app.env.titles.items())}
    for old, new in read_table(Path(app.srcdir) / TABLE, set(titles)).items():
        path = out / f"{old}.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        page = new.split("#")[0]
        written = (out / f"{page}.html").read_text(encoding="utf-8").splitlines(keepends=True)
        head = "".join(line for line in written if '<meta property="og:' in line)
        path.write_text(redirect(old, new, base, titles[page], head), encoding="utf-8")
    (out / "404.html").write_text(not_found(titles, base, book), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the hook with Sphinx."""
    app.connect(
        "build-finished", _write, priority=400
    )  # before others, who would make an index.html of their own
    return {"parallel_read_safe": True, "parallel_write_safe": True}
