"""A table with one row per image: read, checked, its labels understood, turned into splits."""

import csv
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from l2rclip_lite.config import LabelsAre
from l2rclip_lite.data.base import SPLITS, Split
from l2rclip_lite.data.reading import ImageFile, status_of
from l2rclip_lite.errors import InputError, in_one_sentence
from l2rclip_lite.files import CANNOT_READ
from l2rclip_lite.method.ranks import Ranks, check_count, composed, number_words

# how a user names the ranks
UserRanks = str | Sequence[str | int | float] | np.ndarray | pd.Series | range


def read_columns(
    source: Path | pd.DataFrame,
    needed: Sequence[str],
    optional: Sequence[str] = (),
    header: bool | None = True,
    advice: str = "",
) -> pd.DataFrame:
    """Return columns of a table as text without spaces around it.

    Cells of a text file are separated by tabs, semicolons, commas or spaces, whichever of them the
    first row has first. A byte-order mark, Windows line ends, quoted cells and blank lines are
    fine. Rows of text are counted as a spreadsheet counts them, from 1, those of Parquet and pandas
    from 0. Upper and lower case of a column's name do not matter. Other columns are not kept.

    Args:
        source: A UTF-8 text file, a Parquet file, or a table of pandas.
        needed: The columns that must be there; without a header, all columns.
        optional: The columns that may be there.
        header: Whether the first row names the columns; None looks whether it holds the first of
            `needed`.
        advice: What else to do about a column that is not there.

    Returns:
        The columns that are there and `where`, such as "labels.csv row 7".

    Raises:
        InputError: No such file, not UTF-8, a column that is missing or there twice, a row with too
            many cells, or no row at all.

    Example:
        >>> table = pd.DataFrame({"path": ["a.png "], "label": [3], "Group": ["anna"]})
        >>> read_columns(table, ["path", "label"], ["group", "split"]).iloc[0].tolist()
        ['a.png', '3', 'anna', 'DataFrame row 0']
    """
    file = Path("DataFrame") if isinstance(source, pd.DataFrame) else source
    with in_one_sentence(
        file, CANNOT_READ, f"give a CSV file in UTF-8 with the columns {', '.join(needed)}"
    ):
        names, rows, first = _rows_of(source, needed, header)

    keys = [name.casefold() for name in names]
    places: dict[str, int] = {}
    for wanted in (*needed, *optional):
        key = wanted.strip().casefold()
        if keys.count(key) > 1 or (wanted in needed and key not in keys):
            fix = f"write the column {wanted!r} once, in {names!r:.200}{advice}"
            raise InputError(f"{file}: {fix}.")
        if key in keys:
            places[wanted] = keys.index(key)

    texts = []
    for number, cells in enumerate(rows, first):
        where = f"{file.name} row {number}"
        if len(cells) > len(names) and any(cells[len(names) :]):
            problem = f"has {len(cells)} cells, and the header {len(names)}"
            raise InputError(f"{where}: {problem}; put a text that holds a separator in quotes.")
        row = [str(cells[place]).strip() if place < len(cells) else "" for place in places.values()]
        if any(row):
            texts.append((*row, where))
    if not texts:
        raise InputError(f"{file}: there is no row below the header; write one row per image.")
    return pd.DataFrame(texts, columns=[*places, "where"], dtype=object)


def _rows_of(
    source: Path | pd.DataFrame, needed: Sequence[str], header: bool | None
) -> tuple[list[str], Sequence[Sequence[Any]], int]:
    """Return the names of the columns, the rows, and the number of the first of them.

    Rows of text are as long as they are written, and those of blank lines are empty: pandas would
    make a column of objects for each of a million.
    """
    if not isinstance(source, pd.DataFrame) and source.suffix.lower() == ".parquet":
        source = pd.read_parquet(source)
    if isinstance(source, pd.DataFrame):
        names = [str(name).strip() for name in source.columns]
        cells = source.astype(object).where(source.notna(), "")
        return names, [*cells.itertuples(index=False, name=None)], 0

    status_of(source)
    with source.open(encoding="utf-8-sig", newline="") as stream:
        first_line = stream.readline()
        stream.seek(0)
        separator = re.search("[\t;,]", re.sub('"[^"]*"', "", first_line))
        delimiter = separator[0] if separator else " "
        table = csv.reader(stream, delimiter=delimiter, skipinitialspace=True, strict=True)
        rows = [*map(tuple, table)]  # Python's collector of garbage goes over a million lists
    if rows and (header or (header is None and needed[0].casefold() in first_line.casefold())):
        return [name.strip() for name in rows[0]], rows[1:], 2
    return list(needed), rows, 1


def refuse(table: pd.DataFrame, bad: "pd.Series[bool]", column: str, problem: str) -> None:
    """Refuse the first of the bad rows of a table, if there is one.

    Args:
        table: It has a column `where`.
        bad: Which rows are bad.
        column: What is wrong in them.
        problem: What the cell is, and what to do.

    Raises:
        InputError: A row is bad.

    Example:
        >>> table = pd.DataFrame({"age": ["3", "-1", "-2"], "where": ["row 2", "row 3", "row 4"]})
        >>> refuse(table, table["age"].str.startswith("-"), "age", "is below 0; correct it.")
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: row 3 (the first of 2): the age '-1' is below 0; correct it.
    """
    rows = table[bad]
    if rows.empty:
        return

    where = rows["where"].iloc[0]
    if len(rows) > 1:
        where += f" (the first of {len(rows):,})"
    cell = rows[column].iloc[0]
    shown = f" {cell!r:.80}" if cell else ""  # of a blank cell the problem says enough
    raise InputError(f"{where}: the {column}{shown} {problem}")


def refuse_others(table: pd.DataFrame, column: str, choices: Sequence[str]) -> None:
    """Refuse a cell that is none of the choices, with its row."""
    problem = f"is none of {', '.join(choices)}; correct it."
    refuse(table, ~table[column].isin(choices), column, problem)


def refuse_repeats(table: pd.DataFrame, image: "pd.Series[str]") -> None:
    """Refuse a second row of one image.

    Args:
        table: Columns `path` and `where`.
        image: What makes two rows mean one image.

    Raises:
        InputError: Two rows of one image.
    """
    repeated = image.duplicated()
    if repeated.any():
        earlier = table["where"][image == image[repeated].iloc[0]].iloc[0]
        refuse(table, repeated, "path", f"is listed in {earlier} already; remove one of them.")


def splits_of_present(
    table: pd.DataFrame, name: str, root: str | Path, allow_missing: bool
) -> tuple[dict[str, Any], list[str]]:
    """Return the splits of the rows whose image is there, and a sentence about the others.

    Args:
        table: As for `as_split`, with `file` "" if it is not there, and `split`.
        name: The name of the data set, for an error.
        root: The folder of the images, for an error.
        allow_missing: Whether to go on without the images that are not there.

    Returns:
        `train`, `val` and `test`, and `missing`, the paths of the others.

    Raises:
        InputError: Missing images that are not allowed, or none that is there.
    """
    absent = table["file"] == ""
    messages = []
    if absent.any():
        lost = table[absent]
        if not allow_missing or absent.all():
            raise InputError(
                f"{name}: {len(lost):,} of the {len(table):,} listed images are not under {root}, "
                f"the first is {lost['path'].iloc[0]} ({lost['where'].iloc[0]}); "
                "correct it, name another --root, or pass --allow-missing."
            )
        counts = [f"{(lost['split'] == split).sum():,} of {split}" for split in SPLITS]
        messages = [f"{len(lost):,} listed images are missing and left out: {', '.join(counts)}"]

    parts: dict[str, Any] = {"missing": tuple(table["path"][absent])}
    for split in SPLITS:
        parts[split] = as_split(table[~absent & (table["split"] == split)])
    return parts, messages


def as_split(table: pd.DataFrame) -> Split:
    """Return all rows as one split, in their order; its images are read when asked for.

    Args:
        table: One row an image: columns `path`, `file`, `target`, `where`, and if there are any
            `subject` and `deviation`.
    """
    return Split(
        paths=table["path"].tolist(),
        targets=table["target"].tolist(),
        images=[*map(ImageFile, table["file"].tolist(), table["where"].tolist())],
        subjects=table["subject"].tolist() if "subject" in table else None,
        deviations=table["deviation"].tolist() if "deviation" in table else None,
    )


def as_numbers(texts: "Sequence[str] | np.ndarray | pd.Series[str]") -> "pd.Series[float]":
    """Return what is written as a number; NaN for words.

    Example:
        >>> as_numbers(["03", "3.0", "ripe"]).tolist()
        [3.0, 3.0, nan]
    """
    return pd.to_numeric(pd.Series(texts, dtype=object), errors="coerce").astype(float)


def in_words(values: Iterable[float]) -> list[str]:
    """Return numbers as a sentence says them.

    Example:
        >>> in_words([21, 0.5])
        ['twenty one', '0.5']
    """
    words = []
    for value in values:
        is_whole = value % 1 == 0
        words.append(number_words(int(value)) if is_whole else f"{value:g}")
    return words


def label_space(
    table: pd.DataFrame,
    ranks: UserRanks | Ranks | None,
    template: str | None,
    labels_are: LabelsAre,
) -> tuple[Ranks, list[str]]:
    """Return the ranks and sentences about them, and give the table a column `target`.

    Args:
        table: Columns `label` and `where`.
        ranks: As `load_csv` takes them; or ranks, of which the names and numbers are taken, and not
            the template.
        template: As `load_csv` takes it.
        labels_are: What a label is: "names", "index" or "position".

    Raises:
        InputError: A label that is no rank, or that could be read in two ways.

    Example:
        >>> table = pd.DataFrame(
        ...     {"label": ["03", "1", "3.0", "3"], "where": ["row 2", "row 3", "row 4", "row 5"]}
        ... )
        >>> space, messages = label_space(table, None, None, "names")
        >>> space.names, space.values, table["target"].tolist()
        (('one', 'three'), (1.0, 3.0), [1, 0, 1, 1])
        >>> messages
        ['ranks: the 2 numbers found as labels, 1 to 3']
        >>> label_space(table, space, None, "names")[0].values  # a new table, by the ranks of a run
        (1.0, 3.0)
    """
    blank = table["label"] == ""
    refuse(table, blank, "label", "is blank; fill it in, or remove the row.")

    messages = []
    if ranks is None:
        names = _numbers_of_labels(table)
        ends = f"{float(names[0]):g} to {float(names[-1]):g}"
        messages = [f"ranks: the {len(names)} numbers found as labels, {ends}"]
    elif not isinstance(ranks, Ranks):
        names = _names(ranks)
    elif list(ranks.names) == in_words(ranks.values):
        names = [str(value) for value in ranks.values]
    else:
        names = list(ranks.names)

    space = ranks_of_names(names, template)
    table["target"] = _targets(table, names, labels_are)
    return space, messages


def ranks_of_names(names: UserRanks, template: str | None) -> Ranks:
    """Return the ranks that a user names, lowest first; numbers are their own values.

    Args:
        names: As `load_csv` takes the ranks.
        template: As `load_csv` takes it.

    Raises:
        InputError: See `Ranks`; also a text that names none.

    Example:
        >>> ranks_of_names("7:9", "{rank} spots").sentences
        ['seven spots', 'eight spots', 'nine spots']
        >>> ranks_of_names("fresh, ripe", None).sentences
        ['a photo of a fresh object', 'a photo of a ripe object']
    """
    names = _names(names)
    numbers = as_numbers(names)
    if numbers.notna().all():
        names = in_words(numbers)
        values = tuple(numbers)
        default = "a photo of grade {rank}"
    else:
        values = tuple(range(len(names)))
        default = "a photo of a {rank} object"
    return Ranks(tuple(names), values, default if template is None else template)


def _names(ranks: UserRanks) -> list[str]:
    """Return the ranks as a user wrote them: a sequence, "fresh,ripe", or "0:9"."""
    if isinstance(ranks, str):
        ends = re.fullmatch(r"\s*(-?\d{1,9})\s*:\s*(-?\d{1,9})\s*", ranks)
        if ends is None:
            return [name.strip() for name in ranks.split(",")]
        ranks = range(int(ends[1]), int(ends[2]) + 1)
        check_count(len(ranks))
    return [str(name).strip() for name in ranks]


def _numbers_of_labels(table: pd.DataFrame) -> list[str]:
    """Return the different labels in their order, if all are numbers."""
    labels = as_numbers(table["label"])
    words = ", ".join(sorted(set(table["label"])))
    fix = f"if it names a rank, list all by --ranks, lowest first; the file has {words:.900}"
    refuse(table, labels.isna(), "label", f"is no number; correct it, or, {fix}")
    return [str(value) for value in sorted(set(labels))]


def _targets(table: pd.DataFrame, names: Sequence[str], labels_are: LabelsAre) -> "pd.Series[int]":
    """Return the rank index of each label.

    Where all ranks are numbers, labels are numbers, too: "03" and "3.0" are 3. Words are compared
    letter by letter, in composed form: macOS names a folder "e" and an accent, others "é".
    """
    spellings = list(names)
    if labels_are != "names":
        start = 1 if labels_are == "position" else 0
        spellings = [str(start + rank) for rank in range(len(names))]

    values = as_numbers(spellings)
    if values.notna().all():
        target = as_numbers(table["label"]).map({value: rank for rank, value in enumerate(values)})
    else:
        rank_of = {composed(name): rank for rank, name in enumerate(spellings)}
        target = table["label"].map(composed).map(rank_of)

    fix = "say what labels are: --labels-are names, index (from 0) or position (from 1)."
    problem = f"is no rank; write one of {', '.join(spellings):.200}, or {fix}"
    refuse(table, target.isna(), "label", problem)
    return target.astype(int)
