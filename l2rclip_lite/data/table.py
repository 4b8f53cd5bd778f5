"""A table with one row per image: read, checked row by row, and turned into a data set."""

import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from l2rclip_lite.data.base import SPLITS, Card, OrdinalDataset, Split
from l2rclip_lite.data.images import ImageFiles
from l2rclip_lite.errors import InputError, unreadable
from l2rclip_lite.files import is_file
from l2rclip_lite.method.ranks import Ranks

Source = Path | pd.DataFrame


def read_table(
    source: Source, needed: Sequence[str], header: bool | None = True, advice: str = ""
) -> pd.DataFrame:
    """Return the columns of a table as text, without the spaces around it.

    Cells of a text file are separated by tabs, semicolons, commas or spaces, whichever of them the
    first row has first. A byte-order mark, Windows line ends, quoted cells and blank lines are
    fine. Rows of text are counted as a spreadsheet counts them, from 1, those of Parquet and pandas
    from 0.

    Args:
        source: A UTF-8 text file, a Parquet file, or a table of pandas.
        needed: The columns that must be there; without a header, all columns.
        header: Whether the first row names the columns; None looks whether it holds the first of
            `needed`.
        advice: What else to do about a column that is not there.

    Returns:
        The columns `needed` and `where`, such as "labels.csv row 7"; one row per line that is not
        blank.

    Raises:
        InputError: No such file, not UTF-8, a column that is missing or there twice, a row with too
            many cells, a cell that is no text or number, or no row at all.

    Example:
        >>> read_table(pd.DataFrame({"path": ["a.png "], "label": [3]}), ["path"]).to_dict(
        ...     "records"
        ... )
        [{'path': 'a.png', 'where': 'DataFrame row 0'}]
    """
    table, _ = read_columns(source, needed, header=header, advice=advice)
    return table


def read_columns(
    source: Source,
    needed: Sequence[str],
    optional: Sequence[str] = (),
    header: bool | None = True,
    advice: str = "",
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return a table as `read_table` does, and how it writes the name of each column.

    Upper and lower case of a column's name do not matter. All other columns are left alone.

    Args:
        source: See `read_table`.
        needed: The columns that must be there.
        optional: The columns that may be there.
        header: See `read_table`.
        advice: See `read_table`.

    Raises:
        InputError: See `read_table`.

    Example:
        >>> table = pd.DataFrame({"path": ["a.png"], "Group": ["anna"]})
        >>> read_columns(table, ["path"], ["group", "split"])[1]
        {'path': 'path', 'group': 'Group'}
    """
    if isinstance(source, pd.DataFrame):
        file = Path("DataFrame")
    elif is_file(source):
        file = source
    else:
        raise InputError(
            f"{source}: there is no such file; give one with the columns {', '.join(needed)}."
        )

    cells, start = _read_cells(source, file, needed, header)
    spellings = [str(name).strip() for name in cells.columns]
    places = _places(spellings, needed, optional)
    absent = [name for name in needed if name not in places]
    repeated = [name for name in optional if len(_spelt(spellings, name)) > 1]
    if absent or repeated:
        once = f"write the column {' and '.join(map(repr, absent + repeated))} once"
        raise InputError(f"{file}: {once}, in {spellings!r:.200}{advice}.")

    where = [f"{file.name} row {row}" for row in range(start, start + len(cells))]
    texts = {name: _texts(cells.iloc[:, place], name, where) for name, place in places.items()}
    table = pd.DataFrame(texts)
    blank = _blank_rows(table, cells)
    table["where"] = where

    if blank.any():
        table = table[~blank].reset_index(drop=True)
    if table.empty:
        raise InputError(f"{file}: there is no row below the header; write one row per image.")
    return table, {name: spellings[place] for name, place in places.items()}


@contextmanager
def _unchanged(source: Source) -> Iterator[None]:
    """Refuse a file that somebody writes while it is read: its last row may be cut off.

    Raises:
        InputError: Its size or time of change is another one afterwards.
    """
    if isinstance(source, pd.DataFrame):
        yield
        return

    before = source.stat()
    yield
    after = source.stat()
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise InputError(f"{source}: was changed while it was read; run again when it is complete.")


def _read_cells(
    source: Source, file: Path, needed: Sequence[str], header: bool | None
) -> tuple[pd.DataFrame, int]:
    """Return what `_cells_of` does; what pandas and the system raise becomes one sentence."""
    try:
        with _unchanged(source):
            return _cells_of(source, needed, header)
    except ImportError as error:
        raise InputError(
            f"{file}: Parquet needs pyarrow; pip install pyarrow, or save as CSV."
        ) from error
    except InputError:
        raise
    except PermissionError as error:
        raise unreadable(file, error) from error
    except (ValueError, OSError) as error:  # of pandas, and of text that is not UTF-8
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{file}: {reason}; save it as CSV in UTF-8, check quotes and commas."
        ) from error


def _cells_of(
    source: Source, needed: Sequence[str], header: bool | None
) -> tuple[pd.DataFrame, int]:
    """Return the cells under the names that the source has, and the number of their first row."""
    if isinstance(source, pd.DataFrame):
        return source.reset_index(drop=True), 0
    if source.suffix.lower() == ".parquet":
        return pd.read_parquet(source).reset_index(drop=True), 0

    with open(source, "rb") as stream:
        if stream.read(2) in (BOM_UTF16_LE, BOM_UTF16_BE):
            raise InputError(f"{source}: is UTF-16; save it as CSV in UTF-8.")
    with open(source, encoding="utf-8-sig") as stream:
        line = stream.readline()
    unquoted = re.sub('"[^"]*"', "", line)
    separator = next((mark for mark in "\t;," if mark in unquoted), " ")
    if header is None:
        header = needed[0].casefold() in line.casefold()
    if not line or (header and not line.strip()):
        raise InputError(
            f"{source}: is empty or begins with a blank line; "
            f"begin with the columns {', '.join(needed)}."
        )
    if not header:
        return _read_text(source, separator, names=needed), 1

    names = _read_text(source, separator, rows=1).iloc[0]
    cells = _read_text(source, separator, header=True)
    if not isinstance(cells.index, pd.RangeIndex):  # pandas makes an index of surplus cells
        raise ValueError("its first row has too many cells")
    # pandas calls the second of two columns `path` "path.1"
    return cells.set_axis(names.fillna("").tolist(), axis=1), 2


def _read_text(
    file: Path,
    separator: str,
    header: bool = False,
    names: Sequence[str] | None = None,
    rows: int | None = None,
) -> pd.DataFrame:
    """Return the first rows of a text file, or all of them, as text."""
    return pd.read_csv(
        file,
        sep=separator,
        header=0 if header else None,
        names=None if names is None else list(names),
        nrows=rows,
        encoding="utf-8-sig",
        dtype=str,
        na_filter=False,
        skip_blank_lines=False,
        skipinitialspace=True,
    )


def _spelt(names: Sequence[str], wanted: str) -> list[int]:
    """Return where a column of this name stands, in upper or lower case."""
    wanted = wanted.strip().casefold()
    return [place for place, name in enumerate(names) if name.casefold() == wanted]


def _places(names: Sequence[str], needed: Sequence[str], optional: Sequence[str]) -> dict[str, int]:
    """Return where each wanted column stands, if it is there exactly once."""
    places = {}
    for wanted in (*needed, *optional):
        spelt = _spelt(names, wanted)
        if len(spelt) == 1:
            places[wanted] = spelt[0]
    return places


def _texts(column: "pd.Series[Any]", name: str, where: Sequence[str]) -> list[str]:
    """Return the cells of a column as text.

    Raises:
        InputError: A cell that is an array or a list, or bytes that are not UTF-8.
    """
    if isinstance(column.dtype, pd.StringDtype) and not column.hasnans:  # as of a text file
        return [cell.strip() for cell in column.tolist()]

    texts = []
    present = column.notna().tolist()
    for row, cell in enumerate(column.astype(object).tolist()):
        if not present[row]:
            cell = ""
        if isinstance(cell, bytes):
            try:
                cell = cell.decode()
            except UnicodeDecodeError as error:
                raise InputError(
                    f"{where[row]}: the {name} is bytes that are not UTF-8; write it as text."
                ) from error
        if not isinstance(cell, str) and hasattr(cell, "__len__"):
            raise InputError(
                f"{where[row]}: the {name} is of type {type(cell).__name__}, {cell!r:.80}; "
                "write one word or number."
            )
        texts.append(str(cell).strip())
    return texts


def _blank_rows(wanted: pd.DataFrame, cells: pd.DataFrame) -> np.ndarray:
    """Return which rows have no text in any column, also in those that nobody wants."""
    blank = (wanted == "").all(axis=1).to_numpy(copy=True)
    others = cells[blank].astype(object)
    filled = others.notna() & others.map(lambda cell: str(cell).strip() != "")
    blank[blank] = ~filled.any(axis=1).to_numpy()
    return blank


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
    count = int(chosen.sum())
    if count == 0:
        return {}

    row = {str(name): cell for name, cell in table[chosen].iloc[:1].to_dict("records")[0].items()}
    if count > 1:
        row["where"] += f" (the first of {count:,})"
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
    if not repeated.any():
        return

    earlier = table.assign(earlier=table.groupby(image)["where"].transform("first"))
    row = first_row(earlier, repeated)
    if row:
        raise InputError(
            f"{row['where']}: the image {row['path']} is listed in {row['earlier']} already; "
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
        fix = "correct it, name another --root, or pass --allow-missing"
        if allow_missing:
            fix = "correct it, or name another --root"
        raise InputError(
            f"{name}: {absent.sum():,} of the {len(table):,} listed images are not under {root}, "
            f"the first is {first['path']} ({first['where']}); {fix}."
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
    return OrdinalDataset(
        name=card.name,
        train=as_split(table[table["split"] == "train"]),
        val=as_split(table[table["split"] == "val"]),
        test=as_split(table[table["split"] == "test"]),
        ranks=ranks,
        card=card,
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
