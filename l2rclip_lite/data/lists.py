"""Split lists as the benchmarks publish them: one picture and its label a line, in half a dozen dialects."""

from __future__ import annotations

import csv
import math
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from l2rclip_lite.errors import InputError

_LINE_END = re.compile("\r\n|\n|\r")  # str.splitlines would also cut at characters that names may hold
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_DECADE = re.compile(r"[0-9]{4}s")


class Entry(NamedTuple):
    """One row of a list.

    Args:
        name: What remains of the path: its last components, joined by "/".
        label: The label as a number; "1930s" is 1930.0.
        where: What an error should call the row, such as "animals_test.txt row 7".
        cells: All named columns where the list has a header, else nothing.
    """

    name: str
    label: float
    where: str
    cells: Mapping[str, str]


def read_list(file: str | Path, *, keep: int = 1, name: str = "filename", label: str = "age") -> list[Entry]:
    r"""The rows of a split list, whatever separates its cells.

    Cells are separated by tabs, commas or spaces, lines end in LF, CRLF or CR, a byte-order mark and blank
    lines are fine. A first row that holds the columns `name` and `label` is a header: other columns may stand
    beside them. Without a header every row has two cells, name and label. Rows are counted as an editor
    counts lines. Only the last `keep` components of a path are kept, so what the list's author had before
    them ("../../", "./images/", "C:\data\") is of no matter.

    Args:
        file: A UTF-8 text file.
        keep: How many components of a path name a picture: 2 where the folder counts.
        name: The column of the paths, where there is a header.
        label: The column of the labels, where there is a header.

    Returns:
        One entry a row, in the order of the file.

    Raises:
        InputError: No such file, not UTF-8, no row, too few or too many cells, a path that names no file, a
            label that is no number, or the same name twice.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "hci.txt"
        ...     _ = file.write_text("./images/a.jpg 1930s\r\n\r\n./images/b.jpg 1940s")
        ...     [(entry.name, entry.label, entry.where) for entry in read_list(file)]
        [('a.jpg', 1930.0, 'hci.txt row 1'), ('b.jpg', 1940.0, 'hci.txt row 3')]
    """
    if keep < 1:
        raise ValueError(f"keep must be 1 or more, not {keep}")
    file = Path(file)
    lines = [(text, row) for row, text in enumerate(_LINE_END.split(_text(file)), start=1) if text.strip()]
    if not lines:
        raise InputError(f"{file}: the list is empty; write one row a picture, its name and its label.")
    separator, header = _dialect(lines[0][0], f"{file.name} row {lines[0][1]}", (name, label))
    entries: list[Entry] = []
    rows: dict[str, str] = {}
    for text, row in lines[1:] if header else lines:
        where = f"{file.name} row {row}"
        entry = _entry(_cells(text, separator, where), where, header, (name, label), keep)
        before = rows.setdefault(entry.name, where)
        if before != where:
            raise InputError(f"{where}: {entry.name} stands in {before} already; remove one of them.")
        entries.append(entry)
    if not entries:
        raise InputError(f"{file}: there is no row below the header; write one row a picture.")
    return entries


def _text(file: Path) -> str:
    """The file without its byte-order mark."""
    if not os.path.isfile(file):  # nor if its name is too long, or a pipe stands there
        raise InputError(f"{file}: there is no such file; give the folder of the official lists.")
    try:
        return file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}); make it readable.") from error
    except UnicodeDecodeError as error:
        row = len(_LINE_END.split(error.object[: error.start].decode("utf-8-sig")))
        raise InputError(f"{file.name} row {row}: the text is not UTF-8; save the file as UTF-8.") from error


def _dialect(first: str, where: str, columns: tuple[str, str]) -> tuple[str, list[str]]:
    """The separator and the header (empty if there is none), as the first row shows them."""
    candidates = [separator for separator in "\t, " if separator in first.strip()] or [" "]
    for separator in candidates:
        header = _cells(first, separator, where)
        if all(column in header for column in columns):
            for column, times in Counter(column for column in header if column).items():
                if times > 1:
                    raise InputError(f"{where}: the header has the column {column!r} twice; rename one.")
            return separator, header
    for separator in candidates:
        cells = _cells(first, separator, where)
        if len(cells) == 2 and _number(cells[1]) is not None:
            return separator, []
    return candidates[0], []


def _cells(text: str, separator: str, where: str) -> list[str]:
    """One line cut at the separator; a quoted cell may hold it."""
    text = text.rstrip(" ")
    if separator == " " and "  " in text:
        text = re.sub(" +", " ", text)
    cells = text.split(separator)
    if '"' in text:
        try:
            (cells,) = csv.reader([text], delimiter=separator, strict=True)
        except csv.Error as error:
            raise InputError(f"{where}: {error}; check the quotes of this row.") from error
    return [cell.strip() for cell in cells]


def _entry(
    cells: Sequence[str], where: str, header: Sequence[str], columns: tuple[str, str], keep: int
) -> Entry:
    """One checked row."""
    name, label = columns
    if header:
        if len(cells) != len(header):
            raise InputError(
                f"{where}: {len(cells)} cells, but the header has {len(header)}; "
                "put quotes around a cell that holds the separator."
            )
        named = {column: cell for column, cell in zip(header, cells, strict=True) if column}
        path, text = named[name], named[label]
    elif len(cells) == 2:
        named = {}
        path, text = cells
    else:
        raise InputError(
            f"{where}: {len(cells)} cell(s), but a list without a header has two, name and label; correct the "
            f"row, or start the file with a header that has the columns {name} and {label}."
        )
    number = _number(text)
    if number is None:
        hint = "" if header else f", or start the file with a header that has the columns {name} and {label}"
        raise InputError(f"{where}: the label {text!r} is no finite number; correct it{hint}.")
    return Entry("/".join(_tail(path, keep, where)), number, where, named)


def _number(text: str) -> float | None:
    """The label as a number; None if it is none. A decade counts from its first year."""
    if _DECADE.fullmatch(text):
        return float(text[:-1])
    value = float(text) if _NUMBER.fullmatch(text) else math.inf  # float() alone would take "nan" and "1_0"
    return value if math.isfinite(value) else None


def _tail(path: str, keep: int, where: str) -> list[str]:
    """The last `keep` components of a path in POSIX or Windows spelling."""
    parts = path.replace("\\", "/").split("/")[-keep:]
    if len(parts) < keep or "\0" in path or any(part in ("", ".", "..") for part in parts):
        wanted = "a file name" if keep == 1 else f"{keep} components, folder and file name"
        raise InputError(f"{where}: the path {path!r} does not end in {wanted}; correct it.")
    return parts
