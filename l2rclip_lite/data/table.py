"""A table with one row per image: read, checked row by row, and turned into a data set."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from l2rclip_lite.data.base import SPLITS, Card, Computed, OrdinalDataset, Split
from l2rclip_lite.errors import InputError
from l2rclip_lite.images import read_image
from l2rclip_lite.ranks import Ranks

TEXT: dict[str, Any] = {
    "dtype": str,
    "na_filter": False,
    "skip_blank_lines": False,
    "skipinitialspace": True,
}


def read_table(
    source: Path | pd.DataFrame, needed: Sequence[str], header: bool | None = True, advice: str = ""
) -> pd.DataFrame:
    """A table of text cells, without the spaces around them, and a column `where` such as "labels.csv row 7".

    Cells of a text file are separated by tabs, semicolons, commas or spaces, whichever of them the first row has first. A
    byte-order mark, Windows line ends, quoted cells and blank lines are fine. Rows of text are counted as a spreadsheet
    counts them, from 1, those of Parquet and pandas from 0.

    Args:
        source: A UTF-8 text file, a Parquet file, or a table of pandas.
        needed: The columns that must be there; without a header, all columns.
        header: Whether the first row names the columns; None looks whether it holds the first of `needed`.
        advice: What else to do about a column that is not there.

    Returns:
        One row per line that is not blank.

    Raises:
        InputError: No such file, not UTF-8, a missing column, a row with too many cells, or no row at all.

    Example:
        >>> read_table(pd.DataFrame({"path": ["a.png "], "label": [3]}), ["path"]).to_dict(
        ...     "records"
        ... )
        [{'path': 'a.png', 'label': '3', 'where': 'DataFrame row 0'}]
    """
    file, first = Path("DataFrame") if isinstance(source, pd.DataFrame) else source, 0
    if not (isinstance(source, pd.DataFrame) or os.path.isfile(source)):
        raise InputError(
            f"{file}: there is no such file; give one with the columns {', '.join(needed)}."
        )
    try:
        if isinstance(source, pd.DataFrame):
            table: pd.DataFrame = source
        elif source.suffix == ".parquet":
            table = pd.read_parquet(source)
        else:
            with open(source, encoding="utf-8-sig") as stream:
                line = stream.readline()
            header = needed[0] in line if header is None else header
            separator, first = next((mark for mark in "\t;," if mark in line), " "), 1 + header
            names: dict[str, Any] = {} if header else {"header": None, "names": list(needed)}
            table = pd.read_csv(source, sep=separator, encoding="utf-8-sig", **names, **TEXT)
            if not isinstance(table.index, pd.RangeIndex):  # pandas makes an index of surplus cells
                raise ValueError("its first row has too many cells")
    except ImportError as error:
        raise InputError(
            f"{file}: Parquet needs pyarrow; pip install pyarrow, or save as CSV."
        ) from error
    except (ValueError, OSError) as error:  # of pandas, and of text that is not UTF-8
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{file}: {reason}; save it as CSV in UTF-8, check quotes and commas."
        ) from error
    columns = [str(name).strip() for name in table.columns]
    lacking = [name for name in needed if columns.count(name) != 1 or f"{name}.1" in columns]
    if lacking:
        once = f"write the column {' and '.join(map(repr, lacking))} once"
        raise InputError(f"{file}: {once}, in {columns!r:.200}{advice}.")
    table = (
        table.set_axis(columns, axis=1)
        .astype(object)
        .where(table.notna().to_numpy(), "")
        .astype(str)
    )
    table = table.apply(lambda column: column.str.strip())
    table["where"] = [f"{file.name} row {row}" for row in range(first, len(table) + first)]
    table = table.loc[(table.drop(columns="where") != "").any(axis=1)].reset_index(drop=True)
    if table.empty:
        raise InputError(f"{file}: there is no row below the header; write one row per image.")
    return table


def refuse(table: pd.DataFrame, bad: "pd.Series[bool]", sentence: str, **values: Any) -> None:
    """Raise an `InputError` that names the first bad row, and says how many there are.

    Args:
        table: It has a column `where`.
        bad: Which rows are bad.
        sentence: A template that may name columns of the table and `values`.
        values: More to fill in.

    Example:
        >>> table = pd.DataFrame({"age": [3, -1], "where": ["a.csv row 2", "a.csv row 3"]})
        >>> refuse(table, table["age"] < 0, "the age {age} is below {least}; correct it.", least=0)
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: a.csv row 3: the age -1 is below 0; correct it.
    """
    for row in table[bad].head(1).to_dict("records"):
        cells = {str(name): cell for name, cell in row.items()}
        where = f"{row['where']}{f' (the first of {bad.sum():,})' if bad.sum() > 1 else ''}"
        raise InputError(f"{where}: {sentence.format(**cells | values)}")


def files_inside(root: str | Path, table: pd.DataFrame) -> list[str]:
    """The file that each `path` of a table means, links followed; "" where there is none.

    Args:
        root: The folder that the paths start from.
        table: Columns `path` and `where`.

    Raises:
        InputError: A path that leads out of the folder, or two rows that mean one file.

    Example:
        >>> files_inside(
        ...     "data", pd.DataFrame({"path": ["../secret.png"], "where": ["labels.csv row 2"]})
        ... )
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: labels.csv row 2: the path '../secret.png' leads out of the folder data, as it is
        or by a link; copy the image itself there.
    """
    top = os.path.realpath(root)
    parts = [os.path.split(path) for path in table["path"].str.replace("\0", "?")]
    homes = {
        home: os.path.realpath(os.path.join(top, home)) for home in {home for home, _ in parts}
    }
    files = [os.path.normpath(os.path.join(homes[home], name)) for home, name in parts]
    files = [os.path.realpath(file) if os.path.islink(file) else file for file in files]
    column = pd.Series(files, index=table.index)
    leads = "the path {path!r:.200} leads out of the folder {root}, as it is or by a link; copy the image itself there."
    refuse(table, ~column.str.startswith(os.path.join(top, "")), leads, root=root)
    again = table.assign(before=table.groupby(column)["where"].transform("first"))
    refuse(
        again,
        column.duplicated(),
        "the image {path} is listed in {before} already; remove one of them.",
    )
    return [file if os.path.isfile(file) else "" for file in files]


def as_dataset(
    card: Card,
    ranks: Ranks,
    table: pd.DataFrame,
    root: str | Path,
    *,
    allow_missing: bool,
    **fields: Any,
) -> OrdinalDataset:
    """A data set from a table with one row per image; no image is opened.

    Args:
        card: Source, licence, citation; its name is the data set's.
        ranks: What the targets point into.
        table: Columns `path`, `file` ("" if it is not there), `target`, `split`, `where`, and if known `subject` and
            `deviation`.
        root: The folder of the images, for an error.
        allow_missing: Whether to go on without the images that are not there.
        fields: Other fields of `OrdinalDataset`.

    Returns:
        Three splits in the order of the rows, with a record of what is missing.

    Raises:
        InputError: Missing images that are not allowed, or a split of which every image is missing.
    """
    absent = table["file"] == ""
    if absent.any():
        first = table[absent].iloc[0]
        if not allow_missing or absent.all():
            said = f"{card.name}: {absent.sum():,} of the {len(table):,} listed images are not under {root}"
            advice = "correct it, name another --root, or pass --allow-missing"
            raise InputError(f"{said}, the first is {first['path']} ({first['where']}); {advice}.")
        lost = ", ".join(
            f"{(absent & (table['split'] == split)).sum():,} of {split}" for split in SPLITS
        )
        fields["protocol"] += (f"{absent.sum():,} listed images are missing and left out: {lost}",)
    there = table[~absent]
    splits: dict[str, Any] = {split: as_split(there[there["split"] == split]) for split in SPLITS}
    fields["missing"] = tuple(table["path"][absent])
    return OrdinalDataset(card.name, **splits, ranks=ranks, card=card, **fields)


def as_split(table: pd.DataFrame) -> Split:
    """All rows as one split, see `as_dataset`; its images are read when they are asked for."""
    known = [name for name in ("subject", "deviation") if name in table]
    columns: dict[str, Any] = {f"{name}s": table[name].tolist() for name in known}
    images = Computed(read_image, table["file"].tolist(), table["where"].tolist())
    return Split(table["path"].tolist(), table["target"].tolist(), images, **columns)
