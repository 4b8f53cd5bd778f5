"""Fold set-up, parameters, imports and the first figure's code of a chapter into one bar."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from myst_nb.sphinx_ import HideCodeCellNode
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform


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


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the transform."""
    app.add_post_transform(FirstBar)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
