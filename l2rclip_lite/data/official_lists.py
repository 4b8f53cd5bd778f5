"""Published split lists: what their rows say, and where the images are that they name."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from l2rclip_lite.data.benchmarks import DataSet
from l2rclip_lite.data.splits import check_group_names
from l2rclip_lite.data.table import first_row, read_columns, refuse_repeats
from l2rclip_lite.errors import InputError, unreadable


def read_lists(files: Sequence[Path], facts: DataSet) -> pd.DataFrame:
    r"""Return the rows of lists that belong together.

    Cells are separated by tabs, commas or spaces; there may be a header. Only the last `facts.keep`
    components of a path are kept, so what the list's author had before them ("../../", "./images/")
    is of no matter.

    Args:
        files: The list files, in order.
        facts: How the lists are made and the labels are counted. With a `span` labels are rounded,
            and those between its ends and the ranks join the first and the last rank.

    Returns:
        Columns `path`, `target` (the rank index), `where`, `list` (which of the files), `subject`,
        `fold` and `deviation` if known, and those of a header.

    Raises:
        InputError: A file that cannot be read, or a row that is not as it should be, or listed
            twice.

    Example:
        >>> import tempfile
        >>> from l2rclip_lite.data.benchmarks import DATA_SETS
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "hci.txt"
        ...     _ = file.write_text("./images/a.jpg 1930s\r\n\r\n./images/b.jpg 1940s")
        ...     read_lists([file], DATA_SETS["hci"])[["path", "target", "where"]]
            path  target          where
        0  a.jpg       0  hci.txt row 1
        1  b.jpg       1  hci.txt row 3
    """
    tables = []
    for place, file in enumerate(files):
        rows, _ = read_columns(file, facts.columns, ["fold"], header=None)
        tables.append(rows.assign(list=place))
    table = pd.concat(tables, ignore_index=True)
    name_column, label_column = facts.columns[:2]

    paths = table[name_column].str.replace("\\", "/") + facts.suffix
    table["path"] = ["/".join(path.split("/")[-facts.keep :]) for path in paths]
    row = first_row(table, ~table["path"].str.fullmatch(facts.pattern))
    if row:
        raise InputError(
            f"{row['where']}: the name {row['path']!r:.80} is not made as {facts.example}; "
            "correct it."
        )
    refuse_repeats(table, table["path"].str.casefold())

    if "(?P<" in facts.pattern:
        table = table.assign(**table["path"].str.extract(facts.pattern))
    _set_subjects(table, facts)

    table["label"] = table[label_column]
    digits = table["label"].str.removesuffix("s")  # of "1930s"
    table["number"] = pd.to_numeric(digits, errors="coerce")
    table["target"] = _targets(table, facts)

    if "named" in table:
        _check_names(table)
    if "stdv" in table:
        table["deviation"] = _deviations(table)
    return table


def _set_subjects(table: pd.DataFrame, facts: DataSet) -> None:
    """Set the column `subject` where a column of the list, or a block of numbers, is the subject.

    Raises:
        InputError: A cell of that column that is blank, or two spellings of one subject.
    """
    if facts.neighbours > 1:
        blocks = table["subject"].astype(int) // facts.neighbours
        table["subject"] = blocks.astype(str)
    if facts.group:
        table["subject"] = table[facts.group]
        check_group_names(table)


def _check_names(table: pd.DataFrame) -> None:
    """Refuse a label that differs from the one in the name of the image."""
    row = first_row(table, table["named"].astype(float) != table["number"])
    if row:
        raise InputError(
            f"{row['where']}: the label is {row['label']}, but {row['named']} in the name "
            f"{row['path']!r}; correct one of them."
        )


def _deviations(table: pd.DataFrame) -> "pd.Series[float]":
    """Return the standard deviation of each label.

    Raises:
        InputError: One that is no number from 0.
    """
    deviation = pd.to_numeric(table["stdv"], errors="coerce")
    valid = deviation.between(0, np.inf, inclusive="left")
    row = first_row(table, ~valid)
    if row:
        raise InputError(
            f"{row['where']}: the stdv {row['stdv']!r:.80} is no number from 0; correct it."
        )
    return deviation


def _targets(table: pd.DataFrame, facts: DataSet) -> "pd.Series[int]":
    """Return the rank index of each row.

    Raises:
        InputError: A label outside the span (or the ranks, where there is no span), or between two
            ranks.
    """
    last = len(facts.ranks or ()) - 1
    if facts.span:
        low, high = facts.span
        problem = f"no number from {low} to {high}"
        steps = (table["number"].round() - facts.first) // facts.step
    else:
        low = facts.first
        high = facts.first + facts.step * last
        problem = f"no whole number from {low} to {high} in steps of {facts.step}"
        steps = (table["number"] - facts.first) / facts.step

    valid = table["number"].round().between(low, high) & (steps % 1 == 0)
    row = first_row(table, ~valid)
    if row:
        raise InputError(
            f"{row['where']}: the label {row['label']!r:.80} is {problem}; correct it."
        )
    # labels within the span but beyond the end ranks join these
    return steps.clip(0, last).astype(int)


def find_images(root: str | Path, names: Sequence[str]) -> list[str]:
    """Return the files of these names, anywhere under a folder; none of them is opened.

    A name of two components matches a file by its folder and its name. Upper and lower case do not
    matter. Folders that are links are not entered.

    Args:
        root: The folder to search.
        names: Names as `read_lists` gives them, all of as many components.

    Returns:
        The path of each name, "" where there is none.

    Raises:
        InputError: A name that is found twice, a link that leads out of the folder, or a folder
            that cannot be read.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     (Path(folder) / "anna").mkdir()
        ...     (Path(folder) / "anna" / "1.JPG").touch()
        ...     files = find_images(folder, ["anna/1.jpg", "ben/1.jpg"])
        >>> [os.path.basename(file) for file in files]
        ['1.JPG', '']
    """
    n_folders = names[0].count("/")  # in front of the file's own name
    top = os.path.join(os.path.realpath(root), "")
    wanted = {name.casefold() for name in names}

    files: dict[str, str] = {}
    # pathlib takes three times as long for 55,134 images
    for folder, _, names_here in os.walk(root, onerror=_refuse):
        prefix: list[str] = []
        if n_folders > 0:
            prefix = [*Path(folder).parts[-n_folders:]]

        for file in names_here:
            name = "/".join([*prefix, file]).casefold()
            if name not in wanted:
                continue

            path = os.path.join(folder, file)
            if name in files:
                raise InputError(
                    f"{name} is in two places, {files[name]} and {path}; name a narrower root."
                )
            if os.path.islink(path) and not os.path.realpath(path).startswith(top):
                raise InputError(
                    f"{path}: the link leads out of {root}; copy the image there instead."
                )
            files[name] = path
    return [files.get(name.casefold(), "") for name in names]


def _refuse(error: OSError) -> None:
    """Refuse a folder that cannot be read; in one that is not there is no image."""
    if not isinstance(error, FileNotFoundError):
        raise unreadable(error.filename, error) from error
