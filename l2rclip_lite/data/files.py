"""Pictures and labels that lie in files: what cannot be used is refused, with the row and the fix."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path, PureWindowsPath
from typing import NamedTuple

from l2rclip_lite.data.pictures import on_white as on_white
from l2rclip_lite.data.pictures import read_image as read_image
from l2rclip_lite.errors import InputError


class Row(NamedTuple):
    """One line of a labels file: the path as written, the file it leads to, and what an error should call it."""

    path: str
    file: str
    target: int
    split: str
    where: str


class Folder:
    """A data folder, and which file in it a path of a labels file means.

    Links are followed once a sub-folder, not once a row, so that long files are read at once.

    Args:
        root: The folder; it need not exist.

    Example:
        >>> Folder("data").file("../secret.png", "labels.csv row 2")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: labels.csv row 2: the path '../secret.png' leaves the data folder; ...
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self._top = os.path.realpath(root)
        self._real_folders: dict[str, str] = {}

    def file(self, relative: str, where: str) -> str:
        """The file itself, links followed: two paths to one file give the same. It need not exist.

        Args:
            relative: The path as written.
            where: What to call it in an error, such as "labels.csv row 7".

        Raises:
            InputError: An empty or absolute path, one with "..", or a link that leaves the folder.
        """
        if not relative or "\0" in relative or relative.rsplit("/", 1)[-1] in ("", "."):
            raise InputError(
                f"{where}: the path {relative!r} names no file; write a path relative to the data folder."
            )
        windows = PureWindowsPath(relative) if "\\" in relative or ":" in relative else None
        absolute = relative.startswith("/") or (windows is not None and bool(windows.drive or windows.root))
        parts = windows.parts if windows else relative.split("/")
        path = self._real(os.path.join(self._top, relative))
        if absolute or ".." in parts or not path.startswith(os.path.join(self._top, "")):
            raise InputError(
                f"{where}: the path {relative!r} leaves the data folder; write it relative to the folder, "
                "without '..'."
            )
        return path

    def _real(self, path: str) -> str:
        """The path without links; each folder is looked at once."""
        if os.path.islink(path):
            return os.path.realpath(path)
        folder, name = os.path.split(path)
        if folder not in self._real_folders:
            self._real_folders[folder] = os.path.realpath(folder)
        return os.path.join(self._real_folders[folder], name)


def read_table(file: str | Path, needed: tuple[str, ...]) -> list[tuple[dict[str, str], str]]:
    """The rows of a CSV file, without the spaces around cells, each with what an error should call it.

    A byte-order mark, Windows line ends, quoted cells and blank lines are fine. Rows are counted as a
    spreadsheet counts them: the header is row 1.

    Args:
        file: A UTF-8 CSV file with a header.
        needed: The columns that must be there.

    Returns:
        Pairs of {column: cell} and "labels.csv row 7".

    Raises:
        InputError: No such file, not UTF-8, a missing or repeated column, a row with too few or too many
            cells, or no row at all.
    """
    file = Path(file)
    if not os.path.isfile(file):  # nor if its name is too long, or a pipe stands there
        raise InputError(
            f"{file}: there is no such file; give a CSV file with the columns {', '.join(needed)}."
        )
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            reader = csv.reader(opened, strict=True, skipinitialspace=True)
            lines = [([cell.strip() for cell in cells], reader.line_num) for cells in reader]
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}); make it readable.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: the file is not UTF-8; save it as 'CSV UTF-8'.") from error
    except csv.Error as error:
        raise InputError(
            f"{file.name} row {reader.line_num}: {error}; check the quotes of this row."
        ) from error
    lines = [(cells, number) for cells, number in lines if any(cells)]
    header = lines[0][0] if lines else []
    for column in needed:
        if header.count(column) != 1:
            raise InputError(
                f"{file}: the header {','.join(header)!r} needs the column {column!r} once; "
                f"write {','.join(needed)} and separate cells by commas."
            )
    table = []
    for cells, number in lines[1:]:
        where = f"{file.name} row {number}"
        if len(cells) != len(header):
            raise InputError(
                f"{where}: {len(cells)} cells, but the header has {len(header)}; put quotes around a "
                "cell that holds a comma."
            )
        table.append((dict(zip(header, cells, strict=True)), where))
    if not table:
        raise InputError(f"{file}: there is no row below the header; add one row an image.")
    return table


def refuse_repeats(rows: Sequence[Row]) -> None:
    """The same file twice could stand in train and test at once.

    Args:
        rows: The labels file, line by line.

    Raises:
        InputError: Two rows that mean one file, also through a link or another spelling.
    """
    first: dict[str, Row] = {}
    for row in rows:
        before = first.setdefault(row.file, row)
        if before is not row:
            raise InputError(
                f"{row.where}: the image {row.path} stands in {before.where} already; remove one of them."
            )
