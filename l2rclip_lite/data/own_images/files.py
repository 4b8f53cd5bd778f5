"""The files that the paths of your own table mean; none of them is opened."""

import os
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from l2rclip_lite.data.table import first_row, refuse_repeats
from l2rclip_lite.errors import InputError, unreadable
from l2rclip_lite.files import is_file
from l2rclip_lite.method.ranks import has_control


def files_inside(root: str | Path, table: pd.DataFrame) -> list[str]:
    """Return the file that each `path` of a table means, links followed; "" where there is none.

    Args:
        root: The folder that the paths start from.
        table: Columns `path` and `where`.

    Raises:
        InputError: A path that is blank, has a control character or leads out of the folder, that
            may mean two files, or two rows that mean one file.

    Example:
        >>> files_inside(
        ...     "data", pd.DataFrame({"path": ["../secret.png"], "where": ["labels.csv row 2"]})
        ... )
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: labels.csv row 2: the path '../secret.png' leads out of the
        folder data, as it is or by a link; copy the image itself there.
    """
    row = first_row(table, table["path"] == "")
    if row:
        raise InputError(f"{row['where']}: the path is blank; fill it in, or remove the row.")

    # A line end or an escape code would break the files and the terminal that repeat it; half of a
    # surrogate pair, what is left of a name that is not UTF-8, cannot be written at all.
    row = first_row(table, table["path"].map(has_control))
    if row:
        raise InputError(
            f"{row['where']}: the path {row['path']!r:.200} has a control character; "
            "rename the file and correct the path."
        )

    top = os.path.realpath(root)
    folders: dict[str, _Folder] = {}  # each is listed once: to look up a million files takes long
    files = []
    absent = set()
    for path in table["path"].tolist():
        folder, name = os.path.split(path)
        if folder not in folders:
            folders[folder] = _Folder(folder, top)

        file, is_regular = folders[folder].find(name)
        files.append(file)
        if not is_regular:
            absent.add(file)

    column = pd.Series(files, index=table.index, dtype=object)
    inside = os.path.join(top, "")
    row = first_row(table, column.map(lambda file: not file.startswith(inside)))
    if row:
        raise InputError(
            f"{row['where']}: the path {row['path']!r:.200} leads out of the folder {root}, "
            "as it is or by a link; copy the image itself there."
        )

    _refuse_spaces(table, folders)
    refuse_repeats(table, column)
    return ["" if file in absent else file for file in files] if absent else files


class _Folder:
    """A folder that paths of a table name, and its regular files.

    Args:
        path: Its path from `top`; links are followed.
        top: The folder of all images; what lies outside is not listed.

    Raises:
        InputError: A folder that may not be listed.
    """

    def __init__(self, path: str, top: str) -> None:
        self.inside = os.path.join(top, "")
        self.place = os.path.realpath(os.path.join(top, path))
        self.prefix = os.path.join(self.place, "")
        self.regular: set[str] = set()
        self.spaced: list[str] = []  # names with spaces around them
        if not self.prefix.startswith(self.inside) or not os.path.isdir(self.place):
            return

        try:
            with os.scandir(self.place) as entries:
                for entry in entries:
                    if entry.is_file(follow_symlinks=False):
                        self.regular.add(entry.name)
                    if entry.name != entry.name.strip():
                        self.spaced.append(entry.name)
        except PermissionError as error:
            raise unreadable(self.place, error) from error

    def find(self, name: str) -> tuple[str, bool]:
        """Return the file that a name means here, links followed, and whether it is one."""
        if name in self.regular:
            return self.prefix + name, True

        # nothing, a link, or a name in other letters on a disk that does not tell them apart
        file = os.path.normpath(os.path.join(self.place, name))
        if os.path.islink(file):
            file = os.path.realpath(file)
        return file, file.startswith(self.inside) and is_file(file)


def _refuse_spaces(table: pd.DataFrame, folders: Mapping[str, _Folder]) -> None:
    """Refuse a path that may mean a file with spaces around its name, too.

    A table is read without the spaces around its cells.

    Args:
        table: Columns `path` and `where`.
        folders: The folders of the paths.

    Raises:
        InputError: Such a path.
    """
    if not any(folder.spaced for folder in folders.values()):
        return

    names = table["path"].map(os.path.split)
    listed = set(names)
    unclear = set[tuple[str, str]]()
    for path, folder in folders.items():
        spaced = [name for name in folder.spaced if (path, name) not in listed]
        unclear |= {(path, name.strip()) for name in spaced}

    row = first_row(table, names.isin(unclear))
    if row:
        raise InputError(
            f"{row['where']}: the path {row['path']!r:.200} may also mean a file with spaces "
            "around its name; rename that file."
        )
