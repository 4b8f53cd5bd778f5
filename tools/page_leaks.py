"""What an executed page must not: start processes, run scripts in the reader's browser, tell whose machine made it."""

from __future__ import annotations

import base64
import getpass
import io
import json
import re
import socket
from collections.abc import Iterator

from nbformat import NotebookNode
from PIL import Image

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
OWN_COMMAND = '[sys.executable, "-m", "l2rclip_lite.cli"'
ACTIVE = re.compile(
    r"<(?:script|iframe|object|embed|form|link|meta|base)\b|<[^>]*\son\w+\s*=|javascript:", re.IGNORECASE
)
MARKUP = ("text/html", "image/svg+xml", "text/markdown")
ACTIVE_KINDS = ("application/javascript", "text/javascript")
PICTURES = ("image/png", "image/jpeg")


def processes(cell: NotebookNode) -> list[str]:
    """What a code cell starts besides Python's own work.

    Two cells may: the setup cell, which installs the package on Colab (tools/setup_cell.py writes it), and one that calls
    `l2rclip` itself in a process of its own, without a shell.
    """
    found = [match[0].strip() for match in PROCESS.finditer(cell.source)]
    own = OWN_COMMAND in cell.source and "shell=" not in cell.source
    if own or "setup" in cell.metadata.get("tags", []):
        return [started for started in found if "subprocess" not in started]
    return found


def _whose() -> re.Pattern[str] | None:
    """The names of this machine and of its user; `root` is everybody's, and a word of mathematics."""
    names = {socket.gethostname(), getpass.getuser()} - {"", "localhost", "root"}
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, sorted(names)))})(?!\w)") if names else None


def leak(text: str) -> str | None:
    """The first path of a machine, or name of it or of its user, in a text that will be published.

    Example:
        >>> leak("saved to /home/someone/runs"), leak("at https://example.org/home/page")
        ('/home/someone/runs', None)
    """
    for pattern in (MACHINE_PATH, PROMPT, _whose()):
        if pattern and (match := pattern.search(text)):
            return text[match.start() :].split("\n")[0][:60]
    return None


def _picture_texts(data: str) -> Iterator[str]:
    """The texts that a picture carries beside its pixels: PNG text chunks, comments, Exif."""
    with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
        picture.load()  # PNG may keep texts behind its pixels
        for name, value in [*picture.info.items(), *picture.getexif().items()]:
            yield f"{name}: {value.decode('latin-1') if isinstance(value, bytes) else value}"


def _output_texts(output: NotebookNode) -> Iterator[str]:
    """Every text of one output, seen or not."""
    for key in ("text", "ename", "evalue"):
        yield str(output.get(key, ""))
    yield from output.get("traceback", [])
    yield json.dumps(output.get("metadata", {}))
    for mime, value in output.get("data", {}).items():
        if mime in PICTURES:
            yield from _picture_texts(value)
        else:
            yield value if isinstance(value, str) else json.dumps(value)


def problems(page: NotebookNode) -> Iterator[str]:
    """What is wrong with a page, one sentence each."""
    if found := leak(json.dumps(page.metadata)):
        yield f"the metadata of the page shows a path or name of this machine: {found!r}"
    code = [cell for cell in page.cells if cell.cell_type == "code"]
    for number, cell in enumerate(code, start=1):
        where = f"code cell {number}"
        for started in processes(cell):
            yield f"{where}: starts a process: {started!r}"
        if found := leak(json.dumps(cell.metadata)):
            yield f"{where}: its metadata shows a path or name of this machine: {found!r}"
        for output in cell.outputs:
            if found := next(filter(None, map(leak, _output_texts(output))), None):
                yield f"{where}: shows a path or name of this machine: {found!r}"
            for mime, value in output.get("data", {}).items():
                if mime in ACTIVE_KINDS or (mime in MARKUP and ACTIVE.search(value)):
                    yield f"{where}: its {mime} runs or loads something in the reader's browser"
