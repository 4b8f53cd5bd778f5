"""What a page says of itself to a chat, a search engine and a browser's frame: title, summary, picture, colour."""

from __future__ import annotations

from html import escape
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

CARD = "_static/social.png"  # drawn by tools/draw_card.mjs
CARD_ALT = "Five ranks from no to very high as dots on an arc, tied to the sentence: a leaf with … damage"
COLOURS = {"light": "#ffffff", "dark": "#12161b"}  # the ground of each theme in book.css


def summary(doctree: nodes.document, limit: int = 200) -> str:
    """The first paragraph of the running text, cut after a word."""
    for paragraph in doctree.findall(nodes.paragraph):
        if isinstance(paragraph.parent, nodes.section | nodes.document):
            text = " ".join(paragraph.astext().split())
            return text if len(text) <= limit else text[:limit].rsplit(" ", 1)[0].rstrip(",;:") + " …"
    return ""


def tags(title: str, book: str, text: str, page: str, card: str) -> str:
    """The elements for the head of a page; `page` and `card` are absolute addresses."""
    values = {
        ("property", "og:type"): "website",
        ("property", "og:site_name"): book,
        ("property", "og:title"): title,
        ("property", "og:description"): text,
        ("property", "og:url"): page,
        ("property", "og:image"): card,
        ("property", "og:image:width"): "1200",
        ("property", "og:image:height"): "630",
        ("property", "og:image:alt"): CARD_ALT,
        ("name", "twitter:card"): "summary_large_image",
        ("name", "description"): text,
    }
    lines = [
        f'<meta {kind}="{name}" content="{escape(value)}" />'
        for (kind, name), value in values.items()
        if value
    ]
    lines += [
        f'<meta name="theme-color" content="{colour}" media="(prefers-color-scheme: {theme})" />'
        for theme, colour in COLOURS.items()
    ]
    return "\n    ".join(lines) + "\n"


def _add(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Put the elements into the head of a page that has text."""
    if doctree is None:
        return
    title = app.env.titles[page].astext()
    base = app.config.html_baseurl
    context["metatags"] = context.get("metatags", "") + tags(
        title, app.config.html_title, summary(doctree), f"{base}{page}.html", base + CARD
    )


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the hook with Sphinx."""
    app.connect("html-page-context", _add)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
