"""Your own images: a folder and a CSV file `path,label[,split][,subject]`."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field

from l2rclip_lite.data import base
from l2rclip_lite.data.base import SPLITS, Card, Computed, OrdinalDataset, Split, validated
from l2rclip_lite.errors import InputError
from l2rclip_lite.ranks import Ranks

FIXTURE_FILE = "FIXTURE.json"  # lies in a folder of drawn images
TEXT: dict[str, Any] = {"dtype": str, "na_filter": False, "skip_blank_lines": False, "skipinitialspace": True}
TEXT |= {"encoding": "utf-8-sig"}
Seed = Annotated[int, Field(ge=0)]


@validated
def load_csv(
    root: str | Path | None = None,
    labels: str | Path = "labels.csv",
    ranks: str | Sequence[str] | None = None,
    template: str = "a photo of a {rank} object",
    seed: Seed = 0,
    allow_empty_ranks: bool = False,
    allow_missing: bool = False,
) -> OrdinalDataset:
    """Anybody's images, graded in a CSV file.

    The file has a header and the columns `path` (relative to `root`), `label` (the name of a rank, or its index,
    lowest first from 0) and optionally `split` (train, val, test) and `subject` (who or what is shown). If the name
    of a rank is itself a number, labels are names only. Without `split` the file is cut 70/15/15 within every rank.

    Args:
        root: The folder that the paths start from.
        labels: The CSV file: absolute, or relative to `root`.
        ranks: The names of the ranks, lowest first, as a sequence or as "fresh,ripe,overripe".
        template: A sentence with exactly one `{rank}`.
        seed: Decides the split where the file does not.
        allow_empty_ranks: Whether a rank may have no training image.
        allow_missing: Whether to go on without the listed images that are not there.

    Returns:
        Three splits in the order of the file.

    Raises:
        InputError: Anything that cannot be used, with the file, the row and the fix.

    Example:
        >>> load_csv(root="bananas")
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: csv: pass root=..., the folder of the images, and ranks="low,high", lowest first.
    """
    if root is None or ranks is None:
        raise InputError('csv: pass root=..., the folder of the images, and ranks="low,high", lowest first.')
    names = [name.strip() for name in (ranks.split(",") if isinstance(ranks, str) else ranks)]
    label_space = Ranks(tuple(names), tuple(map(float, range(len(names)))), template)
    file, notes = Path(root) / labels, "split by the labels file"  # an absolute `labels` wins
    table = read_table(file, ("path", "label"))
    advice, indices = "", {name: rank for rank, name in enumerate(names)}
    if not any(name.isdecimal() for name in names):
        indices = {str(rank): rank for rank in range(len(names))} | indices
        advice = f", or an index from 0 to {len(names) - 1}"
    table["file"], table["target"] = files_inside(root, table), table["label"].map(indices)
    wrong = "the label {label!r:.80} is no rank; write one of {names}{advice}."
    refuse(table, table["target"].isna(), wrong, names=", ".join(names), advice=advice)
    if "split" not in table:
        table["split"] = stratified(table["target"].tolist(), [seed])
        notes = f"split 70/15/15 within every rank, seed {seed}"
    check_splits(table)
    card = Card("csv", f"{len(table)} images of {file.name}", str(file), notes=f"{notes.capitalize()}.")
    fields = {"allow_missing": allow_missing, "allow_empty_ranks": allow_empty_ranks, "upright": True}
    return dataset_of_table(card, label_space, table, root, **fields, protocol=(notes,))


def read_table(file: Path, needed: Sequence[str], header: bool | None = True) -> pd.DataFrame:
    """A table of text cells, without the spaces around them, and a column `where` such as "labels.csv row 7".

    Cells are separated by tabs, commas or spaces, whichever of them the first row has first. A byte-order mark,
    Windows line ends, quoted cells and blank lines are fine. Rows are counted as a spreadsheet counts them, from 1.

    Args:
        file: A UTF-8 text file.
        needed: The columns that must be there; without a header, all columns.
        header: Whether the first row names the columns; None looks whether it holds the first of `needed`.

    Returns:
        One row per line that is not blank.

    Raises:
        InputError: No such file, not UTF-8, a missing column, a row with too many cells, or no row at all.
    """
    if not os.path.isfile(file):
        raise InputError(f"{file}: there is no such file; give one with the columns {', '.join(needed)}.")
    try:
        with open(file, encoding="utf-8-sig") as stream:
            first = stream.readline()
        header = needed[0] in first if header is None else header
        separator = next((mark for mark in "\t," if mark in first), " ")
        names: dict[str, Any] = {} if header else {"header": None, "names": list(needed)}
        table: pd.DataFrame = pd.read_csv(file, sep=separator, **names, **TEXT)
        if not isinstance(table.index, pd.RangeIndex):  # pandas takes surplus cells on the left for an index
            raise ValueError("its first row has too many cells")
    except (ValueError, OSError) as error:  # of pandas, and of text that is not UTF-8
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{file}: {reason}; save it as CSV in UTF-8, check quotes and commas.") from error
    table.columns = [str(name).strip() for name in table.columns]
    lacking = [name for name in needed if name not in table or f"{name}.1" in table]
    if lacking:
        raise InputError(f"{file}: write the column {lacking[0]!r} once, in {[*table.columns]!r:.200}.")
    table = table.apply(lambda column: column.str.strip())
    table["where"] = [f"{file.name} row {row}" for row in range(1 + header, len(table) + 1 + header)]
    table = table.loc[(table.drop(columns="where") != "").any(axis=1)].reset_index(drop=True)
    if table.empty:
        raise InputError(f"{file}: there is no row below the header; write one row per image.")
    return table


def refuse(table: pd.DataFrame, bad: pd.Series[bool], sentence: str, **values: Any) -> None:
    """Raise an `InputError` that names the first bad row.

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
        raise InputError(f"{row['where']}: {sentence.format(**cells | values)}")


def files_inside(root: str | Path, table: pd.DataFrame) -> list[str]:
    """The file that each `path` of a table means, links followed; "" where there is none.

    Args:
        root: The folder that the paths start from.
        table: Columns `path` and `where`.

    Raises:
        InputError: A path that leads out of the folder, or two rows that mean one file.

    Example:
        >>> files_inside("data", pd.DataFrame({"path": ["../secret.png"], "where": ["labels.csv row 2"]}))
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: labels.csv row 2: the path '../secret.png' leads out of the folder data; copy
        the image there and write a relative path.
    """
    top = os.path.realpath(root)
    files = [os.path.realpath(os.path.join(top, path)) for path in table["path"].str.replace("\0", "?")]
    column = pd.Series(files, index=table.index)
    leads = "the path {path!r:.200} leads out of the folder {root}; copy the image there and write a relative path."
    refuse(table, ~column.str.startswith(os.path.join(top, "")), leads, root=root)
    again = table.assign(before=table.groupby(column)["where"].transform("first"))
    refuse(again, column.duplicated(), "the image {path} is listed in {before} already; remove one of them.")
    return [file if os.path.isfile(file) else "" for file in files]


def check_splits(table: pd.DataFrame, column: str = "split") -> None:
    """Refuse a cell of the split column that is no split, with its row."""
    wrong = f"the {column} {{{column}!r:.80}} is none of {', '.join(SPLITS)}; correct it."
    refuse(table, ~table[column].isin(SPLITS), wrong)


def dataset_of_table(
    card: Card, ranks: Ranks, table: pd.DataFrame, root: str | Path, *, allow_missing: bool, **fields: Any
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
        Three splits in the order of the rows, with a record of what is missing and of images that are drawn.

    Raises:
        InputError: Missing images that are not allowed, or a split of which every image is missing.
    """
    absent = table["file"] == ""
    if absent.any():
        first = table[absent].iloc[0]
        if not allow_missing:
            said = f"{card.name}: {absent.sum():,} of the {len(table):,} listed images are not under {root}"
            advice = "correct it, name another --root (links are not followed), or pass --allow-missing"
            raise InputError(f"{said}, the first is {first['path']} ({first['where']}); {advice}.")
        lost = ", ".join(f"{(absent & (table['split'] == split)).sum():,} of {split}" for split in SPLITS)
        fields["protocol"] += (f"{absent.sum():,} listed images are missing and left out: {lost}",)
    there, splits = table[~absent], dict[str, Any]()
    for split in SPLITS:
        part = there[there["split"] == split]
        known = [name for name in ("subject", "deviation") if name in part]
        columns: dict[str, Any] = {f"{name}s": part[name].tolist() for name in known}
        images = Computed(base.read_image, part["file"].tolist(), part["where"].tolist())
        splits[split] = Split(part["path"].tolist(), part["target"].tolist(), images, **columns)
    fields["missing"] = tuple(table["path"][absent])
    data = OrdinalDataset(card.name, **splits, ranks=ranks, card=card, **fields)
    return mark_fixture(data) if is_fixture(map(os.path.dirname, there["file"])) else data


@contextmanager
def new_folder(name: str, folder: Path) -> Iterator[Path]:
    """A temporary folder beside `folder` that takes its name if nothing is raised.

    Raises:
        InputError: `folder` already holds something.
    """
    if os.path.lexists(folder) and not (folder.is_dir() and not any(folder.iterdir())):
        raise InputError(f"{name}: {folder} already holds something; name a folder that does not exist yet.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as working:
        fresh = Path(working) / "fresh"
        fresh.mkdir()
        yield fresh
        fresh.replace(folder)


def is_fixture(folders: Iterable[str]) -> bool:
    """Whether one of the folders, or one above it, holds drawn images in place of the real ones.

    Example:
        >>> is_fixture({"no-such-folder"})
        False
    """
    absolute = {Path(folder).absolute() for folder in set(folders)}
    above = {parent for folder in absolute for parent in folder.parents}
    return any(os.path.isfile(folder / FIXTURE_FILE) for folder in absolute | above)


def mark_fixture(data: OrdinalDataset) -> OrdinalDataset:
    """The data set with a card and a record that say that its images are drawn.

    Example:
        >>> from l2rclip_lite.data import load_dataset
        >>> mark_fixture(load_dataset("leaves", size=60)).caveat
        'SYNTHETIC FIXTURE'
    """
    card = replace(data.card, title=f"{data.card.title} ({base.FIXTURE}, not the real images)")
    said = f"{base.FIXTURE}: the images are drawn, the results say nothing about {data.name}"
    return replace(data, card=card, protocol=(*data.protocol, said))


def stratified(
    targets: Sequence[int], seeds: Sequence[int], val: float = 0.15, test: float = 0.15
) -> list[str]:
    """The same shares of every rank, so that each split sees each rank of three images or more.

    A rank with n images gives max(1, round(test n)) to test and max(1, round(val n)) to val. Each rank is shuffled by its
    own generator, so that images added to one rank leave the others where they were.

    Args:
        targets: One rank index per image.
        seeds: Decide the shuffle.
        val: The share of val.
        test: The share of test.

    Returns:
        "train", "val" or "test" for each image.

    Example:
        >>> parts = stratified([0] * 20 + [1] * 4, [0])
        >>> [parts.count(name) for name in SPLITS], parts[20:].count("test")
        ([16, 4, 4], 1)
    """
    parts = np.full(len(targets), "train", dtype=object)
    for rank in np.unique(targets).tolist():
        members = np.flatnonzero(np.asarray(targets) == rank)
        first, second = (max(1, round(share * len(members))) for share in (test, val))
        order = np.random.default_rng([*seeds, rank]).permutation(members)
        parts[order[:first]], parts[order[first : first + second]] = "test", "val"
    return [*parts]
