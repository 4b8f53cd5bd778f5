"""The rules for an executed page: what may be published, the parts of a chapter, its numbers."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from nbformat import NotebookNode

STAMP = "l2rclip_lite"  # key in the notebook's metadata
FOOTER_TAG = "provenance"
QUOTED_TAG = "quoted"  # a Markdown cell with other people's numbers; it must cite them
BET = "bet = "  # begins the cell in which a reader commits
RELATIVE_LINK = re.compile(r"\]\((?!https?:|mailto:|#)")
# nbval lets an unknown magic pass and never runs the rest of its cell.
MAGIC = re.compile(r"^%.*", re.MULTILINE)
KNOWN_MAGICS = ("%matplotlib inline", "%config InlineBackend.")
UNREAD = re.compile(r"\$[^$]+\$")  # printed Markdown knows no formulas
BITMAPS = ("image/png", "image/jpeg")
CAPTION = re.compile(r"\*\*Figure \d+\.\d+\.\*\* (.+?)(?:\n\n|\Z)", re.DOTALL)
LABEL = re.compile(r"\bFigure (\d+\.\d+)|\(\[?(\d+\.\d+)(?=[\])])")  # of a figure, of an equation
FOLDED = {"hide-input", "hide-cell", "remove-cell"}
# In this order: the parts of every chapter.
CONTRACT = {
    "a title": r"^# \S",
    "prerequisites": r"\*\*You need\.\*\*|\| you should know \|",
    "time and hardware": r"\*\*Time and hardware\.\*\*",
    "exercises": r"^## Exercises",
    "a solution to unfold": r"<summary>Solution</summary>",
    "a summary": r"^## Summary",
    "sources": r"^## Sources",
}
# Decimals and per cents are claims; whole numbers count things that the reader can see.
NUMBER = re.compile(r"(?<![\w.,])[−-]?\d[\d,]*\.\d+|\b\d+(?= ?%)")
NOT_PROSE = re.compile(
    r"^```.*?^```|\$\$.*?\$\$|\$[^$]*\$|`[^`]*`|\]\([^)]*\)|https?://\S+",
    re.MULTILINE | re.DOTALL,
)
EXERCISE = re.compile(r"^\*\*(\d+\. [^*]+)\*\*", re.MULTILINE)
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


def broken_contract(page: NotebookNode) -> list[str]:
    """List what every chapter has and this one lacks.

    The parts must come in the order of `CONTRACT`, each exercise is judged by a function `check_…`,
    the first figure comes before the second heading, and below each figure stands its caption.
    """
    prose = "\n".join(cell.source for cell in page.cells if cell.cell_type == "markdown")
    faults = []
    position = 0
    for part, pattern in CONTRACT.items():
        match = re.compile(pattern, re.MULTILINE).search(prose, position)
        if match is None:
            faults.append(f"it lacks {part}, or has it in another place")
        else:
            position = match.start()

    for name in unjudged(page):
        faults.append(f"no function check_… judges exercise {name}")

    figures = [place for place, cell in enumerate(page.cells) if "mystnb" in cell.metadata]
    opening = "\n".join(cell.source for cell in page.cells[: figures[0]]) if figures else prose
    headings = len(re.findall(r"^## ", opening, re.MULTILINE))
    if headings > 1:
        faults.append(
            f"its first figure comes after {headings} headings, not within the first screen"
        )

    for cell, below in itertools.pairwise(page.cells):
        if "mystnb" in cell.metadata and not CAPTION.match(below.source):
            faults.append(f"no caption below the figure of {cell.source[:60]!r}")
    return faults


def unjudged(page: NotebookNode) -> list[str]:
    """List the exercises, `**1. Title.**`, after which no cell calls a function `check_…`.

    A page without an exercise gives `?`.
    """
    judged: dict[str, bool] = {}
    for cell in page.cells:
        if cell.cell_type == "markdown":
            judged |= dict.fromkeys(EXERCISE.findall(cell.source), False)
        elif judged and re.search(r"^(print\()?check_\w+\(", cell.source, re.MULTILINE):
            latest = next(reversed(judged))
            judged[latest] = True

    if not judged:
        return ["?"]
    return [name for name, has_check in judged.items() if not has_check]


def unbound_numbers(page: NotebookNode) -> list[str]:
    """List decimals and per cents in prose that neither an output nor the code of the page shows.

    Code, formulas, links, labels and cells tagged `quoted` are left out; a `quoted` cell must cite
    its source.
    """
    shown = _shown_numbers(page)
    unbound = []
    for cell in page.cells:
        if cell.cell_type != "markdown" or FOOTER_TAG in tags(cell):
            continue

        if QUOTED_TAG in tags(cell):
            if "](" not in cell.source:
                unbound.append(f"a cell of quoted numbers names no source: {cell.source[:60]!r}")
            continue

        start = cell.source.strip()[:60]
        for number in NUMBER.findall(NOT_PROSE.sub(" ", LABEL.sub(" ", cell.source))):
            if number.replace("−", "-") not in shown:
                unbound.append(f"no output and no code shows {number}: {start!r}")
    return unbound


def _shown_numbers(page: NotebookNode) -> set[str]:
    """Return all numbers in the outputs and the code of a page; a share also as a percentage."""
    code = [cell for cell in page.cells if cell.cell_type == "code"]
    text = "\n".join(texts([[cell.outputs, cell.source] for cell in code]))
    numbers = {number.replace("−", "-") for number in NUMBER.findall(text)}
    numbers |= set(re.findall(r"\d[\d,]*\.?\d*", text))
    for share in re.findall(r"\b0\.\d+", text):
        numbers.add(f"{100 * float(share):g}")  # 0.975 is 97.5 %
    return numbers
