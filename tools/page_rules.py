"""The rules for an executed page: what may be published; the copy that answers no bet."""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from nbformat import NotebookNode

STAMP = "l2rclip_lite"  # key in the notebook's metadata
FOOTER_TAG = "provenance"
BET = "bet = "  # begins the cell in which a reader commits
RELATIVE_LINK = re.compile(r"\]\((?!https?:|mailto:|#)")
# nbval lets an unknown magic pass and never runs the rest of its cell.
MAGIC = re.compile(r"^%.*", re.MULTILINE)
KNOWN_MAGICS = ("%matplotlib inline", "%config InlineBackend.")
UNREAD = re.compile(r"\$[^$]+\$")  # printed Markdown knows no formulas
BITMAPS = ("image/png", "image/jpeg")
CAPTION = re.compile(r"\*\*Figure \d+\.\d+\.\*\* (.+?)(?:\n\n|\Z)", re.DOTALL)
FOLDED = {"hide-input", "hide-cell", "remove-cell"}
MACHINE_PATH = re.compile(
    r"(?:(?<![\w.:/])/(?:home|root|Users|tmp|var|work|private|mnt|opt|content)/\w|\b[A-Z]:\\\w"
    r"|\b(?:site|dist)-packages\b|\bfile:///?\w|(?<![\w~])~/\w).{0,50}"
)


def tags(cell: NotebookNode) -> list[str]:
    """Return the tags of a cell."""
    return list(cell.metadata.get("tags", []))


def fold(cell: NotebookNode) -> None:
    """Fold in JupyterLab and in Colab the code that the book folds or leaves out."""
    folded = FOLDED & set(tags(cell))
    if folded:
        cell.metadata["cellView"] = "form"
        cell.metadata["jupyter"] = {"source_hidden": True}
        if "hide-cell" in folded:
            cell.metadata["jupyter"]["outputs_hidden"] = True


def without_answers(page: NotebookNode) -> NotebookNode | None:
    """Return the copy that Colab opens, or None for a page without a bet.

    It shows nothing behind the first bet, so that nobody sees an answer before it is run. It lies
    a folder below the page, and links lead from there.
    """
    bets = [at for at, cell in enumerate(page.cells) if cell.source.startswith(BET)]
    if not bets:
        return None

    copy = deepcopy(page)
    for cell in copy.cells[bets[0] :]:
        if cell.cell_type == "code":
            cell.outputs = []
            cell.execution_count = None
    for cell in copy.cells:
        if cell.cell_type == "markdown":
            cell.source = RELATIVE_LINK.sub("](../", cell.source)
    return copy


def texts(part: Any) -> Iterator[str]:
    """Yield every text in a part of a notebook.

    Bitmaps are left out: base64 may look like a path.
    """
    if isinstance(part, str):
        yield part
    elif isinstance(part, list):
        for inner in part:
            yield from texts(inner)
    elif isinstance(part, dict):
        for name, inner in part.items():
            if name not in BITMAPS:
                yield from texts(inner)


def code_problems(cell: NotebookNode) -> Iterator[str]:
    """Yield what is wrong with the source and the outputs of a code cell."""
    if cell.source.strip() and cell.execution_count is None:
        yield "was not executed"
    for line in MAGIC.findall(cell.source):
        if not line.startswith(KNOWN_MAGICS):
            yield f"the magic {line!r} is not one of {', '.join(KNOWN_MAGICS)}"

    for output in cell.outputs:
        if output.output_type == "stream" and output.name == "stderr":
            yield f"prints on stderr: {output.text.strip()[:200]}"

        data = output.get("data", {})
        unread = UNREAD.search(data.get("text/markdown", ""))
        if unread:
            yield f"{unread[0]!r} stays as it is in printed Markdown: write α, not a formula"
        alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt")
        if not alt and set(BITMAPS) & set(data):
            yield "its figure has no alt text"


def problems(page: NotebookNode) -> list[str]:
    """List what is wrong with an executed page; an empty list means it may be published."""
    faults = []
    published = [page.metadata, [[cell.metadata, cell.get("outputs")] for cell in page.cells]]
    leaked = MACHINE_PATH.search("\n".join(texts(published)))
    if leaked:
        faults.append(f"shows a path of this machine: {leaked[0]!r}")

    code = [cell for cell in page.cells if cell.cell_type == "code"]
    for number, cell in enumerate(code, start=1):
        faults += [f"code cell {number}: {text}" for text in code_problems(cell)]
    return faults
