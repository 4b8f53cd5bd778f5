"""Put right what the theme gets wrong, set captions and numbers apart, and fold what answers a bet.

tools/check_pages.mjs sees where a fix has no effect.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from docutils import nodes
from myst_nb.sphinx_ import HideCodeCellNode
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.transforms.post_transforms import SphinxPostTransform

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


class FirstBar(SphinxPostTransform):
    """Fold the code cells that open a chapter into one; what they print stays in view."""

    default_priority = 198  # before every cell gets a bar of its own
    formats = ("html",)

    def run(self, **_: Any) -> None:
        """Move the sources of the first cells, up to the first figure or the next text."""
        for cell in list(self.document.findall(nodes.container)):
            if "tag_setup" in cell["classes"]:
                fold(cell)
                return


def fold(first: nodes.container) -> None:
    """Put the sources of a cell and of those behind it under one bar in its place."""
    siblings = first.parent.children
    opening = []
    for node in siblings[siblings.index(first) :]:
        if not isinstance(node, nodes.container) or node.get("nb_element") != "cell_code":
            break
        opening.append(node)
        if next(node.findall(nodes.image), None) is not None:
            break

    bar = HideCodeCellNode(
        prompt_show="Show the code, with set-up and parameters",
        prompt_hide="Hide the code",
        classes=["above-input"],
    )
    first.parent.insert(siblings.index(first), nodes.container("", bar, classes=["cell"]))
    for cell in opening:
        source = cell.children[0]
        if source.get("nb_element") != "cell_code_source":
            continue
        cell.remove(source)
        bar += source
        cell["hide_mode"] = ""
        if not cell.children:
            cell.parent.remove(cell)


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
            url = only["url"]
            if (source.parent / "colab" / source.name).exists():  # the copy that answers no bet
                url = url.replace(f"/{source.name}", f"/colab/{source.name}")
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
    """Give a page its buttons before it is written."""
    source = Path(app.env.doc2path(page))
    context["header_buttons"] = for_readers(context.get("header_buttons", []), source)


def setup(app: Sphinx) -> None:
    """Register the hooks with Sphinx."""
    app.add_transform(Numbered)
    app.add_transform(Answers)
    app.add_post_transform(FirstBar)
    app.connect("html-page-context", _fix_context, priority=900)
