"""Put right what the theme gets wrong, set captions and numbers apart, and fold what answers a bet.

tools/check_pages.mjs sees where a fix has no effect.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

# Exact text of the theme -> what should stand there. A name for screen readers must contain what is
# written on the button.
REPLACED = {
    '<summary aria-label="Toggle hidden content">': "<summary>",
    'search-button-field search-button__button pst-js-only" title="Search" aria-label="Search"': (
        'search-button-field search-button__button pst-js-only" title="Search"'
    ),
    ' data-mode="light" title="Light"': ' data-mode="light"',
    ' data-mode="dark"  title="Dark"': ' data-mode="dark"',
    ' data-mode="auto"  title="System Settings"': ' data-mode="auto"',
    # its children are no list items
    '<div role="list" class="citation-list">': '<div class="citation-list">',
}


# Browsers may break a line before and after an inline equation, even before a full stop.
INLINE = re.compile(r'([(“]*)(<span class="math[^"]*">[^<]*</span>)([.,;:!?)”’]*)')


REVEAL = "Your bet: "  # what a cell prints before it answers


CAPTION = re.compile(r"Figure \d+\.\d+\.$")
TAG = re.compile(r"\s*\\tag\{([\d.]+)\}")


class Numbered(SphinxTransform):
    """Set apart captions of figures and numbers of equations, which a chapter writes itself."""

    default_priority = 500

    def apply(self, **_: Any) -> None:
        """Give captions a class and Sphinx the tags, since MathJax has none in a split equation."""
        for bold in self.document.findall(nodes.strong):
            if CAPTION.match(bold.astext()):
                bold.parent["classes"].append("caption")
        for equation in self.document.findall(nodes.math_block):
            if tag := TAG.search(equation.astext()):
                equation[0] = nodes.Text(TAG.sub("", equation.astext()))
                equation["number"] = tag[1]
                equation["ids"].append(f"equation-{tag[1]}")


class Answers(SphinxTransform):
    """Fold what a chapter shows after a bet, up to its next text."""

    default_priority = 510  # captions are known

    def apply(self, **_: Any) -> None:
        """Fold the output of the cell that prints the bet with the cells and captions after it."""
        for cell in list(self.document.findall(nodes.container)):
            if "cell" not in cell["classes"] or REVEAL not in cell[0].astext():
                continue
            parent = cell.parent
            start = parent.index(cell) + 1
            end = start
            while end < len(parent) and {"cell", "caption"} & set(parent[end].get("classes", [])):
                end += 1

            outputs = nodes.container("", *cell[1:], classes=["cell"])
            opening = nodes.raw("", "<details><summary>Show the answer</summary>", format="html")
            closing = nodes.raw("", "</details>", format="html")
            parent[start:end] = [opening, outputs, *parent[start:end], closing]
            del cell[1:]


def mended(html: str) -> str:
    """A page with the fixes.

    Example:
        >>> mended('of rank <span class="math">k</span>.')
        'of rank <span class="together"><span class="math">k</span>.</span>'
    """
    for old, new in REPLACED.items():
        html = html.replace(old, new)
    return INLINE.sub(
        lambda m: f'<span class="together">{m[0]}</span>' if m[1] or m[3] else m[0], html
    )


def for_colab(page: Path) -> str:
    """Return the path of what Colab opens, from the page's folder: a copy that answers no bet."""
    copy = page.parent / "colab" / page.name
    return f"colab/{page.name}" if copy.exists() else page.name


def for_readers(buttons: list[dict[str, Any]], source: Path) -> list[dict[str, Any]]:
    """Return the buttons of a page: Colab without a menu, and an edit button for the source.

    Args:
        buttons: As the theme made them.
        source: The page's file. A notebook is made from the .py beside it, so that is what to edit.
    """
    made = []
    for button in buttons:
        if button.get("label") == "launch-buttons" and len(button["buttons"]) == 1:
            only = button["buttons"][0]
            url = only["url"].replace(f"/{source.name}", f"/{for_colab(source)}")
            tooltip = f"Open this page in {only['text']}"
            made.append({**only, "url": url, "tooltip": tooltip, "label": "colab"})
            continue
        for inner in button.get("buttons", []):
            if inner.get("label") == "source-edit-button" and source.with_suffix(".py").exists():
                inner["url"] = inner["url"].removesuffix(".ipynb").removesuffix(".py") + ".py"
        made.append(button)
    return made


def _fix_context(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    """Before a page is written."""
    context["header_buttons"] = for_readers(
        context.get("header_buttons", []), Path(app.env.doc2path(page))
    )


def _fix_html(app: Sphinx, error: Exception | None) -> None:
    """After all pages are written."""
    if error is not None or app.builder.format != "html":
        return
    for path in Path(app.outdir).rglob("*.html"):
        path.write_text(mended(path.read_text(encoding="utf-8")), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the hooks with Sphinx."""
    app.add_transform(Numbered)
    app.add_transform(Answers)
    app.connect("html-page-context", _fix_context, priority=900)
    app.connect("build-finished", _fix_html)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
