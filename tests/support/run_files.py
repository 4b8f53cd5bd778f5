"""The command line driven in this process, and small edits of the files of a run."""

import io
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

from l2rclip_lite import cli

Change = Callable[[list[str]], list[str]]


class Said(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str


def run(*words: str | Path) -> Said:
    """Drive the command line."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = cli.main([str(word) for word in words])
    return Said(code, out.getvalue(), err.getvalue())


def refused(said: Said, *parts: str) -> None:
    """Check for exit code 2 and one sentence on stderr with these words."""
    assert (said.code, said.err.count("\n")) == (2, 1), said.err
    assert all(part in said.err for part in parts), said.err


def edit(file: Path, change: Change) -> None:
    """Change the lines of a file."""
    lines = file.read_text(encoding="utf-8").splitlines()
    file.write_text("\n".join(change(lines)) + "\n", encoding="utf-8")


def cell(row: int, column: str, value: str) -> Change:
    """Put a value in a cell; row 1 is the header."""

    def change(lines: list[str]) -> list[str]:
        place = lines[0].split(",").index(column)
        cells = lines[row - 1].split(",")
        cells[place] = value
        return [*lines[: row - 1], ",".join(cells), *lines[row:]]

    return change


def renamed(old: str, new: str) -> Change:
    """Rename a column."""
    return lambda lines: [lines[0].replace(old, new), *lines[1:]]
