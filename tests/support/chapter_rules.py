"""The rules for a chapter: its parts, and where its numbers come from."""

from __future__ import annotations

import itertools
import re

from nbformat import NotebookNode
from page_rules import CAPTION, FOOTER_TAG, tags, texts

QUOTED_TAG = "quoted"  # a Markdown cell with other people's numbers; it must cite them
LABEL = re.compile(r"\bFigure (\d+\.\d+)|\(\[?(\d+\.\d+)(?=[\])])")  # of a figure, of an equation
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
