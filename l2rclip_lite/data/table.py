"""A table with one row per image: read, checked row by row, and turned into a data set."""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from l2rclip_lite.data.base import SPLITS, Card, OrdinalDataset, Split
from l2rclip_lite.data.images import ImageFiles
from l2rclip_lite.errors import InputError, reason, unreadable
from l2rclip_lite.method.ranks import Ranks


def read_columns(
    source: Path | pd.DataFrame,
    needed: Sequence[str],
    optional: Sequence[str] = (),
    header: bool | None = True,
    advice: str = "",
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return columns of a table as text without spaces around it, and how it writes their names.

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
        The columns that are there and `where`, such as "labels.csv row 7", and the name of each
        column in the table.

    Raises:
        InputError: No such file, not UTF-8, a column that is missing or there twice, a row with too
            many cells, a cell that is no text or number, or no row at all.

    Example:
        >>> table = pd.DataFrame({"path": ["a.png "], "label": [3], "Group": ["anna"]})
        >>> rows, names = read_columns(table, ["path", "label"], ["group", "split"])
        >>> rows.iloc[0].tolist(), names["group"]
        (['a.png', '3', 'anna', 'DataFrame row 0'], 'Group')
    """
    file = Path("DataFrame") if isinstance(source, pd.DataFrame) else source
    try:
        names, numbered_rows = _rows_of(source, needed, header)
        places = _places(names, needed, optional, file, advice)
        rows = _texts_of(numbered_rows, places, len(names), file.name)
    except InputError:
        raise
    except FileNotFoundError as error:
        fix = f"give one with the columns {', '.join(needed)}"
        raise InputError(f"{file}: there is no such file; {fix}.") from error
    except PermissionError as error:
        raise unreadable(file, error) from error
    except ImportError as error:
        fix = "pip install pyarrow, or save as CSV"
        raise InputError(f"{file}: Parquet needs pyarrow; {fix}.") from error
    except (ValueError, OSError, csv.Error) as error:  # also of text that is not UTF-8
        fix = "save it as CSV in UTF-8, check quotes and commas"
        raise InputError(f"{file}: {reason(error):.200}; {fix}.") from error

    if not rows:
        raise InputError(f"{file}: there is no row below the header; write one row per image.")
    table = pd.DataFrame(rows, columns=[*places, "where"], dtype=object)
    return table, {name: names[place] for name, place in places.items()}


def _places(
    names: Sequence[str], needed: Sequence[str], optional: Sequence[str], file: Path, advice: str
) -> dict[str, int]:
    """Return where each wanted column stands, if it is there; refuse one that is there twice."""
    places: dict[str, int] = {}
    keys = [name.casefold() for name in names]
    for wanted in (*needed, *optional):
        key = wanted.strip().casefold()
        count = keys.count(key)
        if count > 1 or (count == 0 and wanted in needed):
            raise InputError(
                f"{file}: write the column {wanted!r} once, in {list(names)!r:.200}{advice}."
            )
        if count == 1:
            places[wanted] = keys.index(key)
    return places


def _rows_of(
    source: Path | pd.DataFrame, needed: Sequence[str], header: bool | None
) -> tuple[list[str], Iterable[tuple[int, Sequence[Any]]]]:
    """Return the names of the columns of a table, and its rows with their numbers."""
    if not isinstance(source, pd.DataFrame) and source.suffix.lower() == ".parquet":
        source = pd.read_parquet(source)
    if isinstance(source, pd.DataFrame):
        names = [str(name).strip() for name in source.columns]
        return names, enumerate(source.itertuples(index=False, name=None))

    text = source.read_bytes().decode("utf-8-sig")
    first_line, _, _ = text.partition("\n")
    separator = re.search("[\t;,]", re.sub('"[^"]*"', "", first_line))
    rows = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=separator[0] if separator else " ",
        skipinitialspace=True,
        strict=True,
    )
    if header or (header is None and needed[0].casefold() in first_line.casefold()):
        return [name.strip() for name in next(rows, [])], enumerate(rows, 2)
    return list(needed), enumerate(rows, 1)


def _texts_of(
    rows: Iterable[tuple[int, Sequence[Any]]], places: Mapping[str, int], width: int, file: str
) -> list[list[str]]:
    """Return the wanted cells of each row as text, and where it stands; no blank line."""
    texts = []
    for number, cells in rows:
        where = f"{file} row {number}"
        if any(cells[width:]):
            raise InputError(
                f"{where}: has {len(cells)} cells, and the header {width}; "
                "put a text that holds a separator in quotes."
            )
        if cells == [""] * len(cells):  # a blank line
            continue
        if len(cells) < width:
            cells = [*cells, *[""] * (width - len(cells))]
        row = [_text(cells[place], where, name) for name, place in places.items()]
        texts.append([*row, where])
    return texts


def _text(cell: Any, where: str, name: str) -> str:
    """Return a cell as text, "" where it is missing; refuse an array, a list or bytes."""
    if isinstance(cell, str):
        return cell.strip()
    if hasattr(cell, "__len__"):
        problem = f"the {name} is of type {type(cell).__name__}, {cell!r:.80}"
        raise InputError(f"{where}: {problem}; write one word or number.")
    return "" if pd.isna(cell) else str(cell).strip()


def first_row(table: pd.DataFrame, chosen: "pd.Series[bool]") -> dict[str, Any]:
    """Return the first of the chosen rows of a table, or nothing.

    Args:
        table: It has a column `where`.
        chosen: Which rows.

    Returns:
        The cells by column; `where` also says how many rows are chosen. Empty if none is.

    Example:
        >>> table = pd.DataFrame({"age": [3, -1, -2], "where": ["row 2", "row 3", "row 4"]})
        >>> first_row(table, table["age"] < 0)
        {'age': -1, 'where': 'row 3 (the first of 2)'}
        >>> first_row(table, table["age"] > 99)
        {}
    """
    rows = table[chosen]
    if rows.empty:
        return {}

    row = {str(name): cell for name, cell in rows.iloc[:1].to_dict("records")[0].items()}
    if len(rows) > 1:
        row["where"] += f" (the first of {len(rows):,})"
    return row


def refuse_repeats(table: pd.DataFrame, image: "pd.Series[str]") -> None:
    """Refuse a second row of one image.

    Args:
        table: Columns `path` and `where`.
        image: What makes two rows mean one image.

    Raises:
        InputError: Two rows of one image.
    """
    repeated = image.duplicated()
    row = first_row(table.assign(image=image), repeated)
    if row:
        earlier = table["where"][image == row["image"]].iloc[0]
        raise InputError(
            f"{row['where']}: the image {row['path']} is listed in {earlier} already; "
            "remove one of them."
        )


def keep_present(
    table: pd.DataFrame, name: str, root: str | Path, allow_missing: bool
) -> tuple[pd.DataFrame, tuple[str, ...], list[str]]:
    """Return the rows whose image is there, the paths of the others, and a sentence about them.

    Args:
        table: Columns `path`, `file` ("" if it is not there), `split` and `where`.
        name: The name of the data set, for an error.
        root: The folder of the images, for an error.
        allow_missing: Whether to go on without the images that are not there.

    Raises:
        InputError: Missing images that are not allowed, or none that is there.
    """
    absent = table["file"] == ""
    if not absent.any():
        return table, (), []

    if not allow_missing or absent.all():
        first = table[absent].iloc[0]
        raise InputError(
            f"{name}: {absent.sum():,} of the {len(table):,} listed images are not under {root}, "
            f"the first is {first['path']} ({first['where']}); "
            "correct it, name another --root, or pass --allow-missing."
        )

    counts = [f"{(absent & (table['split'] == split)).sum():,} of {split}" for split in SPLITS]
    message = f"{absent.sum():,} listed images are missing and left out: {', '.join(counts)}"
    return table[~absent], tuple(table["path"][absent]), [message]


def as_dataset(
    card: Card,
    ranks: Ranks,
    table: pd.DataFrame,
    *,
    protocol: Sequence[str],
    missing: Sequence[str],
    upright: bool,
    allow_empty_ranks: bool,
) -> OrdinalDataset:
    """Return a data set from a table with one row per image; no image is opened.

    Args:
        card: Source, licence, citation; its name is the data set's.
        ranks: What the targets point into.
        table: Columns `path`, `file`, `target`, `split`, `where`, and if known `subject` and
            `deviation`.
        protocol: See `OrdinalDataset`.
        missing: See `OrdinalDataset`.
        upright: See `OrdinalDataset`.
        allow_empty_ranks: See `OrdinalDataset`.

    Returns:
        Three splits in the order of the rows.

    Raises:
        InputError: A split without an image.
    """
    train, val, test = (as_split(table[table["split"] == split]) for split in SPLITS)
    return OrdinalDataset(
        card.name,
        train,
        val,
        test,
        ranks,
        card,
        allow_empty_ranks=allow_empty_ranks,
        upright=upright,
        missing=tuple(missing),
        protocol=tuple(protocol),
    )


def as_split(table: pd.DataFrame) -> Split:
    """Return all rows as one split, see `as_dataset`; its images are read when asked for."""
    return Split(
        paths=table["path"].tolist(),
        targets=table["target"].tolist(),
        images=ImageFiles(table["file"].tolist(), table["where"].tolist()),
        subjects=table["subject"].tolist() if "subject" in table else None,
        deviations=table["deviation"].tolist() if "deviation" in table else None,
    )
