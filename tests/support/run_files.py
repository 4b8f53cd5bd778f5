"""The command line driven in this process, and small edits of the files of a run."""

import csv
import io
import json
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

from l2rclip_lite.__main__ import main

Change = Callable[[list[str]], list[str]]


class Outcome(NamedTuple):
    """Exit code and both streams of a command."""

    code: int
    out: str
    err: str


def run(*words: str | Path) -> Outcome:
    """Run a command line in this process."""
    out = io.StringIO()
    err = io.StringIO()

    with redirect_stdout(out), redirect_stderr(err):
        code = main([str(word) for word in words])

    return Outcome(code, out.getvalue(), err.getvalue())


def refused(outcome: Outcome, *parts: str) -> None:
    """Check for exit code 2, nothing on stdout, and one sentence on stderr with these parts."""
    assert (outcome.code, outcome.out) == (2, ""), outcome
    assert outcome.err.startswith("error: "), outcome.err
    assert outcome.err.count("\n") == 1, outcome.err  # so no traceback either

    for part in parts:
        assert part in outcome.err, outcome.err


def json_lines(text: str) -> list[dict[str, Any]]:
    """Return one object per line of JSON, as `predict` prints them."""
    return [json.loads(line) for line in text.splitlines()]


def read_rows(file: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file, a dict each."""
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


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
