"""The command line with hostile words, in this process; no command trains here."""

from __future__ import annotations

import io
import os
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from fuzz_inputs import WRONG, Case, Draw
from fuzz_worker import Target
from hypothesis import strategies as st

from l2rclip_lite import cli
from l2rclip_lite.config import Config
from l2rclip_lite.data.catalogue import catalogue
from l2rclip_lite.errors import InputError
from l2rclip_lite.options import DATA_OPTIONS, NAMES

# Without those that start processes, fetch from the network, or draw pictures.
FIT = [f"--{name.replace('_', '-')}" for name in Config.__dataclass_fields__]
DATA = [f"--{name.replace('_', '-')}" for name in DATA_OPTIONS if name not in ("root", "lists", "size")]
ODD = (
    "",
    " ",
    "-",
    "--",
    "-1",
    "0",
    "1e400",
    "nan",
    "9" * 5_000,
    "[" * 100_000,
    "{",
    "{}",
    "[]",
    "null",
    "~",
    "&a",
    "*a",
)
ODD += (
    "!!python/object:os.system x",
    "\0",
    "\udcff",
    "\ud800",
    "\x1b[2J",
    "a\nb",
    "../..",
    "/etc/passwd",
    "/dev/zero",
)
ODD += (
    "x" * 300,
    "x" * 100_000,
    "@file",
    "--help",
    "--x",
    "=",
    "a=b",
    "true",
    "٣",
    "²",
    "1_0",
    "0x10",
    "1:",
    "a,a",
    ",,",
)
LONGEST = 2_000  # characters of an error on the terminal


def targets() -> list[Target]:
    """All commands."""
    return [Target("command line", words_case, read_words)]


def words_case(draw: Draw) -> Case:
    """A command that works, or one with words that do not belong."""
    if draw(st.integers(0, 3)) == 0:
        name = draw(st.sampled_from(NAMES))
        valid = [
            ["data"],
            ["data", name],
            ["data", "leaves", "--size", "60"],
            ["data", "leaves", "--ranks", "3", "--size", "9"],
        ]
        valid += [
            ["data", "leaves", "--size", "60", "--few-shot", "2"],
            ["--version"],
            ["data", "--help"],
            ["fit", "--help"],
        ]
        valid += [["data", "leaves", "--leakage", "--size", "60"], ["predict", "--help"], ["--help"]]
        words = draw(st.sampled_from(valid))
        return Case(True, words, catalogue()[name].card.title if words == ["data", name] else None)
    odd = st.sampled_from((*ODD, *(str(value) for value in WRONG)))
    starts = [
        ["predict", "nowhere", "a.jpg"],
        ["evaluate", "nowhere"],
        ["calibrate", "nowhere"],
        ["export", "nowhere", "x.onnx"],
    ]
    starts += [
        ["data", draw(st.sampled_from(NAMES)), *(["--size", "60"] if draw(st.booleans()) else [])],
        [draw(odd)],
    ]
    if draw(st.booleans()):  # this one ends before it trains: there is no such folder
        words = ["fit", "--dataset", "csv", "--root", "nowhere", "--ranks", "a,b", "--out", draw(odd)]
        options = FIT + DATA
    else:
        words, options = (
            list(draw(st.sampled_from(starts))),
            [*DATA, "--root", "--lists", "--split", "--device", "--debugg"],
        )
    for _ in range(draw(st.integers(0, 3))):
        value = draw(odd)
        extra = (
            [f"{draw(st.sampled_from(options))}={value}"]
            if draw(st.booleans())
            else [draw(st.sampled_from(options)), value]
        )
        words += extra if draw(st.integers(0, 3)) else [value]
    return Case(False, words)


def read_words(folder: Path, case: Case) -> None:
    """`cli.main`: 0, or 2 and one line on stderr."""
    out, err = _terminal("strict"), _terminal("backslashreplace")
    home = os.getcwd()
    os.chdir(folder)
    try:
        with redirect_stdout(out), redirect_stderr(err):
            try:
                code: Any = cli.main(list(case.content))
            except SystemExit as done:
                code = done.code
    finally:
        os.chdir(home)
    printed, said = _said(out), _said(err)
    if case.intact:
        assert (code, said) == (0, "")
        assert (case.meant or "") in " ".join(printed.split()), case.meant
    if code in (0, None):
        return
    lines = said.splitlines()
    assert (code, said[:7]) == (2, "error: "), (code, said[:300])
    assert len(lines) == 1, f"{len(lines)} lines on stderr: {said[:300]}"
    assert len(said) <= LONGEST, f"an error of {len(said)} characters"
    assert all(c.isprintable() for c in said.rstrip("\n")), (
        f"characters that steer a terminal: {said[:300]!r}"
    )
    raise InputError(said)


def _terminal(errors: str) -> io.TextIOWrapper:
    """A stream as strict about characters as Python's own."""
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors=errors)


def _said(stream: io.TextIOWrapper) -> str:
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode("utf-8", "replace")
