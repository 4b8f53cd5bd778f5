"""The rules for an executed page: what may be published, what a chapter must have, where its numbers come from."""

from __future__ import annotations

import base64
import getpass
import io
import json
import re
import socket
from collections.abc import Iterator

import nbformat
from nbformat import NotebookNode
from PIL import Image

STAMP = "l2rclip_lite"  # key in the notebook's metadata
FOOTER_TAG = "provenance"
QUOTED_TAG = "quoted"  # a Markdown cell with other people's numbers; it must cite them
SIZE_CAP = 4 * 2**20
# nbval lets an unknown magic pass and never runs the rest of its cell.
MAGIC = re.compile(r"^%.*", re.MULTILINE)
KNOWN_MAGICS = ("%matplotlib inline", "%config InlineBackend.")
UNREAD = re.compile(
    r"\$[^$]+\$|\{\w+\}`[^`]+`"
)  # printed Markdown knows neither formulas nor roles
TABLE_BY_HAND = re.compile(r"\|\s*:?---")
IMAGES = ("image/png", "image/jpeg", "image/svg+xml")
# In this order: the parts of every chapter.
CONTRACT = {
    "a title": r"^# \S",
    "prerequisites": r"\*\*You need\.\*\*|\| you should know \|",
    "time and hardware": r"\*\*Time and hardware\.\*\*",
    "exercises": r"^## Exercises",
    "a solution to unfold": r":::\{dropdown\} Solution",
    "a summary": r"^## Summary",
    "sources": r"^## Sources",
}
# Decimals and per cents are claims; whole numbers count things that the reader can see.
NUMBER = re.compile(r"(?<![\w.,])[−-]?\d[\d,]*\.\d+|\b\d+(?= ?%)")
NOT_PROSE = re.compile(
    r"^```.*?^```|\$\$.*?\$\$|\$[^$]*\$|`[^`]*`|\{\w+(?::\w+)?\}`[^`]*`|\]\([^)]*\)|https?://\S+",
    re.MULTILINE | re.DOTALL,
)
EXERCISE = re.compile(r"^\*\*(\d+\. [^*]+)\*\*", re.MULTILINE)
MACHINE_PATH = re.compile(
    r"(?<![\w.:/])/(?:home|root|Users|tmp|var|work|private|mnt|opt|content)/\w|\b[A-Z]:\\\w"
    r"|\b(?:site|dist)-packages\b|\bfile:///?\w|(?<![\w~])~/\w"
)
PROMPT = re.compile(r"\b[\w.-]+@[\w.-]+:[~/]")  # user@host:~
PROCESS = re.compile(
    r"^[ \t]*!.*|^[ \t]*%%?(?:bash|sh|script|cmd|perl|ruby|system|sx|sc)\b.*"
    r"|\bget_ipython\(\)\.(?:system|getoutput|run_\w*magic)\b|\bcreate_subprocess_\w+|\bpty\.spawn\b"
    r"|\bos\.(?:system|popen|exec\w+|spawn\w+|posix_spawn\w*)\b"
    r"|^[ \t]*import[ \t].*\bsubprocess\b|^[ \t]*from[ \t]+subprocess\b.*|\bsubprocess\.\w+",
    re.MULTILINE,
)
OWN_COMMAND = '[sys.executable, "-m", "l2rclip_lite'
ACTIVE = re.compile(
    r"<(?:script|iframe|object|embed|form|link|meta|base)\b|<[^>]*\son\w+\s*=|javascript:",
    re.IGNORECASE,
)
MARKUP = ("text/html", "image/svg+xml", "text/markdown")
SCRIPTS = ("application/javascript", "text/javascript")


def tags(cell: NotebookNode) -> list[str]:
    """A cell's tags."""
    return list(cell.metadata.get("tags", []))


def texts(cell: NotebookNode) -> Iterator[str]:
    """Every text that a code cell shows (bitmaps are left out: base64 looks like a path now and then)."""
    for output in cell.get("outputs", []):
        yield from (str(output[key]) for key in ("text", "ename", "evalue") if key in output)
        yield from output.get("traceback", [])
        for mime, value in output.get("data", {}).items():
            if mime.startswith("text/") or mime == "image/svg+xml":
                yield value if isinstance(value, str) else json.dumps(value)


def leak(text: str) -> str | None:
    """The first path of a machine, or name of it or of its user, in a text that will be published.

    Example:
        >>> leak("saved to /home/someone/runs"), leak("at https://example.org/home/page")
        ('/home/someone/runs', None)
    """
    # `root` is everybody's, and a word of mathematics.
    names = {socket.gethostname(), getpass.getuser()} - {"", "localhost", "root"}
    whose = rf"(?<!\w)(?:{'|'.join(map(re.escape, sorted(names)))})(?!\w)" if names else r"(?!)"
    for pattern in (MACHINE_PATH, PROMPT, re.compile(whose)):
        if match := pattern.search(text):
            return text[match.start() :].split("\n")[0][:60]
    return None


def processes(cell: NotebookNode) -> list[str]:
    """What a code cell starts besides Python's own work.

    Two cells may start one: the set-up cell (tools/setup_cell.py writes it), and one that calls
    `l2rclip` itself without a shell.
    """
    matches = [match[0].strip() for match in PROCESS.finditer(cell.source)]
    own = "setup" in tags(cell) or (OWN_COMMAND in cell.source and "shell=" not in cell.source)
    return (
        [one for one in matches if "subprocess" not in one and "line_magic" not in one]
        if own
        else matches
    )


def hidden_texts(cell: NotebookNode) -> Iterator[str]:
    """What a reader does not see: metadata of the outputs, and the texts inside a bitmap (PNG chunks, comments, Exif)."""
    for output in cell.outputs:
        yield json.dumps(output.get("metadata", {}))
        for mime in {"image/png", "image/jpeg"} & set(output.get("data", {})):
            with Image.open(io.BytesIO(base64.b64decode(output.data[mime]))) as image:
                image.load()  # PNG may keep texts behind its pixels
                for name, value in [*image.info.items(), *image.getexif().items()]:
                    if isinstance(value, bytes):
                        value = value.decode("latin-1")
                    yield f"{name}: {value}"


def code_problems(cell: NotebookNode) -> Iterator[str]:
    """What is wrong with the source and the outputs of a code cell."""
    if "injected-parameters" in tags(cell):
        yield "injected parameters were left in the page"
    if cell.source.strip() and cell.execution_count is None:
        yield "was not executed"
    for started in processes(cell):
        yield f"starts a process: {started!r}"
    for line in MAGIC.findall(cell.source):
        if not line.startswith(KNOWN_MAGICS) and line not in processes(cell):
            yield f"the magic {line!r} is not one of {', '.join(KNOWN_MAGICS)}"
    if TABLE_BY_HAND.search(cell.source):
        yield "writes the bars of a table itself, where a cell may break it (markdown_table)"
    for output in cell.outputs:
        if output.output_type == "error":
            yield f"ends in {output.ename}"
        if output.output_type == "stream" and output.name == "stderr":
            yield f"prints on stderr: {output.text.strip()[:200]}"
        for mime, value in output.get("data", {}).items():
            if mime in SCRIPTS or (mime in MARKUP and ACTIVE.search(value)):
                yield f"its {mime} runs or loads something in the reader's browser"
        if match := UNREAD.search(output.get("data", {}).get("text/markdown", "")):
            yield f"{match[0]!r} stays as it is in printed Markdown: write α, not a formula or a role"
    if found := leak(json.dumps(cell.metadata)):
        yield f"its metadata shows a path or name of this machine: {found!r}"
    if found := next(filter(None, map(leak, [*texts(cell), *hidden_texts(cell)])), None):
        yield f"shows a path or name of this machine: {found!r}"


def figure_problems(cell: NotebookNode) -> Iterator[str]:
    """A figure has alt text, a caption and a name; an SVG has no date, so that it can be compared."""
    shown = [
        data
        for output in cell.outputs
        if (data := output.get("data", {}))
        if set(IMAGES) & set(data)
    ]
    render = cell.metadata.get("mystnb", {})
    figure = render.get("figure", {})
    for what, value in {
        "alt text": render.get("image", {}).get("alt"),
        "caption": figure.get("caption"),
        "name that starts with fig-": str(figure.get("name", "")).startswith("fig-"),
    }.items():
        if shown and not value:
            yield f"its figure has no {what}"
    if any("<dc:date>" in str(data.get("image/svg+xml", "")) for data in shown):
        yield "its SVG carries the date (metadata={'Date': None})"


def problems(page: NotebookNode) -> list[str]:
    """List what is wrong with an executed page; an empty list means it may be published."""
    faults = []
    if page.metadata.get("kernelspec", {}).get("name") != "python3":
        faults.append("the kernel is not python3")
    if (profile := page.metadata.get(STAMP, {}).get("profile")) != "page":
        faults.append(f"the profile is {profile!r}, not 'page'")
    if leaked := leak(json.dumps(page.metadata)):
        faults.append(f"the metadata of the page shows a path or name of this machine: {leaked!r}")
    code = [cell for cell in page.cells if cell.cell_type == "code"]
    if not any(cell.outputs for cell in code):
        faults.append("no cell has an output")
    for number, cell in enumerate(code, start=1):
        faults += [
            f"code cell {number}: {text}" for text in (*code_problems(cell), *figure_problems(cell))
        ]
    if (size := len(nbformat.writes(page))) > SIZE_CAP:
        faults.append(
            f"{size / 2**20:.1f} MiB is more than the {SIZE_CAP // 2**20} MiB a page may have"
        )
    return faults


def broken_contract(page: NotebookNode) -> list[str]:
    """What every chapter has and this one lacks, and whether its first figure comes before its second heading.

    The parts must come in the order of `CONTRACT`; each exercise is judged by a function `check_…`.
    """
    prose = "\n".join(cell.source for cell in page.cells if cell.cell_type == "markdown")
    at = 0
    faults = []
    for what, pattern in CONTRACT.items():
        match = re.compile(pattern, re.MULTILINE).search(prose, at)
        if match is None:
            faults.append(f"it lacks {what}, or has it in another place")
        at = match.start() if match else at
    faults += [f"no function check_… judges exercise {name}" for name in unjudged(page)]
    headings = 0
    for cell in page.cells:
        if cell.cell_type == "markdown":
            headings += len(re.findall(r"^## ", cell.source, re.MULTILINE))
        elif cell.metadata.get("mystnb", {}).get("figure"):
            break
    if headings > 1:
        faults.append(
            f"its first figure comes after {headings} headings, not within the first screen"
        )
    return faults


def unjudged(page: NotebookNode) -> list[str]:
    """The exercises, `**1. Title.**`, after which no cell calls a function `check_…`; `?` where there is no exercise."""
    judged: dict[str, bool] = {}
    for cell in page.cells:
        if cell.cell_type == "markdown":
            judged |= dict.fromkeys(EXERCISE.findall(cell.source), False)
        elif judged and re.search(r"^(print\()?check_\w+\(", cell.source, re.MULTILINE):
            judged[next(reversed(judged))] = True
    return [name for name, has_check in judged.items() if not has_check] if judged else ["?"]


def unbound_numbers(page: NotebookNode) -> list[str]:
    """Decimals and per cents in prose that neither an output nor the code of the page shows.

    Code, formulas, links and cells tagged `quoted` are left out; a `quoted` cell must cite its
    source.
    """
    code = [cell for cell in page.cells if cell.cell_type == "code"]
    shown = "\n".join(
        [*(text for cell in code for text in texts(cell)), *(cell.source for cell in code)]
    )
    numbers = {number.replace("−", "-") for number in NUMBER.findall(shown)}
    numbers |= set(re.findall(r"\d[\d,]*\.?\d*", shown))
    numbers |= {
        f"{100 * float(share):g}" for share in re.findall(r"\b0\.\d+", shown)
    }  # 0.975 is 97.5 %
    unbound = []
    for cell in page.cells:
        if cell.cell_type != "markdown" or FOOTER_TAG in tags(cell):
            continue
        if QUOTED_TAG in tags(cell):
            if not re.search(r"\{cite\b|\]\(|\{doc\}", cell.source):
                unbound.append(f"a cell of quoted numbers names no source: {cell.source[:60]!r}")
            continue
        for number in NUMBER.findall(NOT_PROSE.sub(" ", cell.source)):
            if number.replace("−", "-") not in numbers:
                unbound.append(
                    f"no output and no code shows {number}: {cell.source.strip()[:60]!r}"
                )
    return unbound
