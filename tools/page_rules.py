"""The rules for an executed page: what may be published, the parts of a chapter, its numbers."""

from __future__ import annotations

import getpass
import itertools
import re
import socket
from collections.abc import Iterator
from typing import Any

import nbformat
from nbformat import NotebookNode

STAMP = "l2rclip_lite"  # key in the notebook's metadata
FOOTER_TAG = "provenance"
QUOTED_TAG = "quoted"  # a Markdown cell with other people's numbers; it must cite them
SIZE_CAP = 4 * 2**20
# nbval lets an unknown magic pass and never runs the rest of its cell.
MAGIC = re.compile(r"^%.*", re.MULTILINE)
KNOWN_MAGICS = ("%matplotlib inline", "%config InlineBackend.")
UNREAD = re.compile(r"\$[^$]+\$")  # printed Markdown knows no formulas
TABLE_BY_HAND = re.compile(r"\|\s*:?---")
BITMAPS = ("image/png", "image/jpeg")
IMAGES = (*BITMAPS, "image/svg+xml")
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
    r"(?<![\w.:/])/(?:home|root|Users|tmp|var|work|private|mnt|opt|content)/\w|\b[A-Z]:\\\w"
    r"|\b(?:site|dist)-packages\b|\bfile:///?\w|(?<![\w~])~/\w"
)
PROMPT = re.compile(r"\b[\w.-]+@[\w.-]+:[~/]")  # user@host:~
PROCESS = re.compile(
    r"^[ \t]*(?:!|%%?(?:bash|sh|script|cmd|perl|ruby|system|sx|sc)\b).*|\bget_ipython\(\)\.\w+"
    r"|\bsubprocess\b|\bpty\.spawn\b|\bos\.(?:system|popen|exec\w+|spawn\w+|posix_spawn\w*)\b",
    re.MULTILINE,
)
ACTIVE = re.compile(
    r"<(?:script|iframe|object|embed|form|link|meta|base)\b|<[^>]*\son\w+\s*=|javascript:",
    re.IGNORECASE,
)
MARKUP = ("text/html", "image/svg+xml", "text/markdown")
SCRIPTS = ("application/javascript", "text/javascript")


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


def leak(text: str) -> str | None:
    """Return the first path of a machine, or name of it or of its user, in a text to be published.

    Example:
        >>> leak("saved to /home/someone/runs"), leak("at https://example.org/home/page")
        ('/home/someone/runs', None)
    """
    # `root` is everybody's, and a word of mathematics
    names = {socket.gethostname(), getpass.getuser()} - {"", "localhost", "root"}
    own_names = [re.compile(rf"(?<!\w){re.escape(name)}(?!\w)") for name in sorted(names)]
    for pattern in (MACHINE_PATH, PROMPT, *own_names):
        match = pattern.search(text)
        if match:
            return text[match.start() :].split("\n")[0][:60]
    return None


def code_problems(cell: NotebookNode) -> Iterator[str]:
    """Yield what is wrong with the source and the outputs of a code cell."""
    if "injected-parameters" in tags(cell):
        yield "injected parameters were left in the page"
    if cell.source.strip() and cell.execution_count is None:
        yield "was not executed"

    started = PROCESS.search(cell.source)
    if started and "setup" not in tags(cell):  # which tools/setup_cell.py writes
        yield f"starts a process: {started[0]!r}"
    for line in MAGIC.findall(cell.source):
        if not line.startswith(KNOWN_MAGICS):
            yield f"the magic {line!r} is not one of {', '.join(KNOWN_MAGICS)}"
    if TABLE_BY_HAND.search(cell.source):
        yield "writes the bars of a table itself, where a cell may break it (markdown_table)"

    for output in cell.outputs:
        yield from output_problems(output)
    leaked = leak("\n".join(texts([cell.metadata, cell.outputs])))
    if leaked:
        yield f"shows a path or name of this machine: {leaked!r}"


def output_problems(output: NotebookNode) -> Iterator[str]:
    """Yield what is wrong with an output of a code cell, but for names and paths of a machine."""
    if output.output_type == "error":
        yield f"ends in {output.ename}"
    if output.output_type == "stream" and output.name == "stderr":
        yield f"prints on stderr: {output.text.strip()[:200]}"

    data = output.get("data", {})
    for mime, value in data.items():
        if mime in SCRIPTS or (mime in MARKUP and ACTIVE.search(value)):
            yield f"its {mime} runs or loads something in the reader's browser"
    unread = UNREAD.search(data.get("text/markdown", ""))
    if unread:
        yield f"{unread[0]!r} stays as it is in printed Markdown: write α, not a formula"


def figure_problems(cell: NotebookNode) -> Iterator[str]:
    """Yield what is wrong with a figure: no alt text, or an SVG with its date, unlike any other."""
    outputs = [output.get("data", {}) for output in cell.outputs]
    figures = [data for data in outputs if set(IMAGES) & set(data)]
    if not figures:
        return

    if not cell.metadata.get("mystnb", {}).get("image", {}).get("alt"):
        yield "its figure has no alt text"
    if any("<dc:date>" in str(data.get("image/svg+xml", "")) for data in figures):
        yield "its SVG carries the date (metadata={'Date': None})"


def problems(page: NotebookNode) -> list[str]:
    """List what is wrong with an executed page; an empty list means it may be published."""
    faults = []
    if page.metadata.get("kernelspec", {}).get("name") != "python3":
        faults.append("the kernel is not python3")
    profile = page.metadata.get(STAMP, {}).get("profile")
    if profile != "page":
        faults.append(f"the profile is {profile!r}, not 'page'")
    leaked = leak("\n".join(texts(page.metadata)))
    if leaked:
        faults.append(f"the metadata of the page shows a path or name of this machine: {leaked!r}")

    code = [cell for cell in page.cells if cell.cell_type == "code"]
    if not any(cell.outputs for cell in code):
        faults.append("no cell has an output")
    for number, cell in enumerate(code, start=1):
        for text in (*code_problems(cell), *figure_problems(cell)):
            faults.append(f"code cell {number}: {text}")

    size = len(nbformat.writes(page))
    if size > SIZE_CAP:
        size_mib = size / 2**20
        cap_mib = SIZE_CAP // 2**20
        faults.append(f"{size_mib:.1f} MiB is more than the {cap_mib} MiB a page may have")
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
