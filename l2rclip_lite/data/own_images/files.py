"""The files that the paths of your own table mean; none of them is opened."""

import os
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from l2rclip_lite.data.table import first_row, refuse_repeats
from l2rclip_lite.errors import InputError, unreadable
from l2rclip_lite.files import is_file
from l2rclip_lite.ranks import has_control


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
    resolved: dict[str, str] = {}  # once for each folder, as links are slow to follow
    files = []
    for path in table["path"]:
        folder, name = os.path.split(path)
        if folder not in resolved:
            resolved[folder] = os.path.realpath(os.path.join(top, folder))

        file = os.path.normpath(os.path.join(resolved[folder], name))
        if os.path.islink(file):
            file = os.path.realpath(file)
        files.append(file)

    column = pd.Series(files, index=table.index)
    row = first_row(table, ~column.str.startswith(os.path.join(top, "")))
    if row:
        raise InputError(
            f"{row['where']}: the path {row['path']!r:.200} leads out of the folder {root}, "
            "as it is or by a link; copy the image itself there."
        )

    _refuse_spaces(table, resolved)
    refuse_repeats(table, column)
    return [file if is_file(file) else "" for file in files]


def _refuse_spaces(table: pd.DataFrame, resolved: Mapping[str, str]) -> None:
    """Refuse a path that may mean a file with spaces around its name, too.

    A table is read without the spaces around its cells.

    Args:
        table: Columns `path` and `where`.
        resolved: Where each folder of the paths is.

    Raises:
        InputError: Such a path.
    """
    listed = set(map(os.path.split, table["path"]))
    unclear = set[tuple[str, str]]()
    for folder, place in resolved.items():
        try:
            names = os.listdir(place) if os.path.isdir(place) else []
        except PermissionError as error:
            raise unreadable(place, error) from error
        spaced = [name for name in names if name != name.strip()]
        unclear |= {(folder, name.strip()) for name in spaced if (folder, name) not in listed}

    row = first_row(table, table["path"].map(os.path.split).isin(unclear))
    if row:
        raise InputError(
            f"{row['where']}: the path {row['path']!r:.200} may also mean a file with spaces "
            "around its name; rename that file."
        )
