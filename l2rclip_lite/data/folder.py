"""Your own images: a folder, and a table with a grade for each image or a sub-folder for each rank."""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from l2rclip_lite.data.base import IMAGE_SUFFIXES, SPLITS, Card, OrdinalDataset, Seed, validated
from l2rclip_lite.data.tables import as_dataset, draw_splits, files_inside, read_table, refuse
from l2rclip_lite.errors import InputError
from l2rclip_lite.ranks import Ranks, number_words

TABLES = (".csv", ".tsv", ".txt", ".parquet")  # any other file is not opened: its first line may be a secret
MOST = 200  # different numbers that pass for ranks if nobody names them
Labels = str | Path | pd.DataFrame
Kind = Literal["names", "index", "position"]
Given = str | Sequence[str | int | float] | None  # how a user names the ranks


@validated
def load_csv(
    root: str | Path | None = None,
    labels: Labels | None = None,
    ranks: Given = None,
    template: str | None = None,
    unit: str = "grade",
    labels_are: Kind = "names",
    path_column: str = "path",
    label_column: str = "label",
    group_column: str = "group",
    split_column: str = "split",
    folds: Annotated[int, Field(ge=2, le=100)] | None = None,
    fold: Annotated[int, Field(ge=1)] | None = None,
    val_share: Annotated[float, Field(gt=0, le=0.5)] = 0.15,
    seed: Seed = 0,
    allow_empty_ranks: bool = False,
    allow_missing: bool = False,
) -> OrdinalDataset:
    """Anybody's images, graded in a table or sorted into a folder per rank.

    **Labels.** A label is the name of a rank. Where all names are numbers, names and labels are values: "03", "3.0" and
    3 are the number 3, never an index. `labels_are="index"` counts the ranks from 0 instead, "position" from 1. A
    number under names that are words may be either, and is refused until `labels_are` decides.

    **Groups.** Images of one group (a patient, a plant) stay in one split when splits or folds are drawn.

    **Splits.** Those of the table; if it has none, 70/15/15 within every rank. If it has no `val`, a part of its `train`.

    Args:
        root: The folder that the paths start from.
        labels: A CSV, TSV or Parquet file, its path from `root` or from here, or a table of pandas. None takes labels.csv in
            `root`; if there is none, each sub-folder is a rank, also below folders called train, val and test.
        ranks: The ranks, lowest first, as a sequence, as "fresh,ripe,overripe", or as "0:9" for every whole number from 0
            to 9. None takes the numbers found as labels, in their order.
        template: A sentence with exactly one `{rank}`; None takes "a photo of a {rank} object", for numbers "a photo of
            grade {rank}".
        unit: What the numbers of the ranks count, such as "weeks".
        labels_are: "names" (of ranks), "index" (from 0) or "position" (from 1).
        path_column: Which column names the image.
        label_column: Which column holds the label.
        group_column: Which column names the group; `group` need not be there.
        split_column: Which column names the split: train, val or test; `split` need not be there.
        folds: Draw so many test parts that together hold every image; the table's splits are not used.
        fold: Which of them, from 1.
        val_share: How much becomes validation where it is drawn.
        seed: Decides the splits and folds that are drawn.
        allow_empty_ranks: Whether a rank may have no training image.
        allow_missing: Whether to go on without the listed images that are not there.

    Returns:
        Three splits in the order of the table, with the group of each image as its `subjects`.

    Raises:
        InputError: Anything that cannot be used, with the file, the row and the fix.

    Example:
        >>> load_csv(labels="bananas.csv")
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: csv: pass root=... (--root DIR), the folder of the images, not None.
    """
    if root is None or not os.path.isdir(root):
        raise InputError(f"csv: pass root=... (--root DIR), the folder of the images, not {root!r:.99}.")
    if fold is not None and fold > (folds or 0):
        raise InputError(f"csv: there is no fold {fold}; they count from 1 to folds=... (--folds).")
    columns = {"path": path_column, "label": label_column, "subject": group_column, "split": split_column}
    if labels is None and not os.path.isfile(Path(root, "labels.csv")):
        table, source = images_by_folder(Path(root))
    else:
        table, source = own_table(Path(root), "labels.csv" if labels is None else labels, columns)
    table["file"] = files_inside(root, table)
    space, said = label_space(table, ranks, template, labels_are)
    said += draw_splits(table, folds or 0, fold or 1, val_share, seed)
    card = Card("csv", f"{len(table)} images of {source}", str(root), notes=f"{'; '.join(said)}.")
    fields = {"allow_missing": allow_missing, "allow_empty_ranks": allow_empty_ranks, "upright": True}
    return as_dataset(card, replace(space, unit=unit), table, root, **fields, protocol=tuple(said))


def own_table(root: Path, labels: Labels, columns: dict[str, str]) -> tuple[pd.DataFrame, str]:
    """Somebody's table with our names of columns, and what it is called.

    Args:
        root: What a relative file starts from; it may not lead out of it.
        labels: A file, or a table of pandas.
        columns: For `path`, `label`, `subject` and `split` the name in the table.

    Raises:
        InputError: Another kind of file, one that lies elsewhere, or one that cannot be used.
    """
    name = "a DataFrame"
    if not isinstance(labels, pd.DataFrame):
        given = Path(str(labels).replace("\0", "?"))
        labels = root / given  # an absolute one wins
        if given.is_file() and not labels.is_file():
            labels = given.absolute()
        name, below = labels.name, os.path.isfile(labels) and labels.is_relative_to(root)
        outside = below and not Path(os.path.realpath(labels)).is_relative_to(os.path.realpath(root))
        if outside or labels.suffix.lower() not in TABLES:
            said = f"name a {', '.join(TABLES)} file in {root}, or one elsewhere by its path"
            raise InputError(f"{labels}: is no table of labels; {said}.")
    advice = ", or name yours: --path-column, --label-column, --group-column, --split-column"
    needed = [column for column in columns.values() if column not in ("group", "split")]
    found = read_table(labels, needed, advice=advice)
    table = pd.DataFrame({key: found[column] for key, column in columns.items() if column in found})
    return table.assign(where=found["where"]), name


def images_by_folder(root: Path) -> tuple[pd.DataFrame, str]:
    """One row for each image in a folder per rank, also below train, val and test, and what the rows are called.

    Raises:
        InputError: There is no such image.
    """
    folders = sorted(path for path in root.glob("*") if path.is_dir() and path.name[0] != ".")
    split = all(path.name in SPLITS for path in folders)
    inside = [path for folder in folders for path in sorted(folder.glob("*/*" if split else "*"))]
    images = [path for path in inside if path.suffix.lower() in IMAGE_SUFFIXES and path.name[0] != "."]
    if not images:
        lacks = "has neither labels.csv, with the columns path and label, nor a folder of images per rank"
        raise InputError(f"{root}: {lacks}; pass --labels FILE, or another --root.")
    table = pd.DataFrame({"path": [path.relative_to(root).as_posix() for path in images]})
    table["where"], table["label"] = table["path"], [path.parent.name for path in images]
    if split:
        table["split"] = [path.parent.parent.name for path in images]
    return table, f"a folder per rank, {len(inside) - len(images):,} other files left out"


def numbers(texts: Iterable[str]) -> "pd.Series[float]":
    """What is written as a finite number; NaN for words.

    Example:
        >>> numbers(["03", "3.0", "ripe", "inf"]).tolist()
        [3.0, 3.0, nan, nan]
    """
    found = pd.to_numeric(pd.Series([*texts], dtype=object), errors="coerce").astype(float)
    return found.where(np.isfinite(found))


def in_words(values: Iterable[float]) -> list[str]:
    """Numbers as a sentence says them.

    Example:
        >>> in_words([21, 0.5])
        ['twenty one', '0.5']
    """
    return [number_words(int(value)) if value % 1 == 0 else f"{value:g}" for value in values]


def label_space(
    table: pd.DataFrame, ranks: Given | Ranks, template: str | None, kind: Kind
) -> tuple[Ranks, list[str]]:
    """The ranks, and what there is to say about them; the table gets a column `target`.

    Args:
        table: Columns `label` and `where`.
        ranks: As `load_csv` takes them, or the ranks themselves.
        template: As `load_csv` takes it.
        kind: What a label is: "names", "index" or "position".

    Raises:
        InputError: A label that is no rank, or that could be read in two ways.

    Example:
        >>> table = pd.DataFrame(
        ...     {"label": ["03", "1", "3.0", "3"], "where": ["row 2", "row 3", "row 4", "row 5"]}
        ... )
        >>> space, said = label_space(table, None, None, "names")
        >>> space.names, space.values, table["target"].tolist(), said
        (('one', 'three'), (1.0, 3.0), [1, 0, 1, 1], ['ranks: the 2 numbers found as labels, 1 to 3'])
        >>> label_space(table, space, None, "names")[0].values  # a new table, by the ranks of a run
        (1.0, 3.0)
    """
    refuse(table, table["label"] == "", "the label is blank; fill it in, or remove the row.")
    number, said = numbers(table["label"]), list[str]()
    if ranks is None:
        words = "the label {label!r:.80} is a word; write all in their order, lowest first: --ranks {found!r:.900}"
        refuse(table, number.isna(), words, found=",".join(sorted(set(table["label"]))))
        ranks, kind = sorted(set(number)), "names"
        said = [f"ranks: the {len(ranks)} numbers found as labels, {ranks[0]:g} to {ranks[-1]:g}"]
        if len(ranks) > min(MOST, len(table) / 2):
            raise InputError(f"csv: {len(ranks):,} different labels are too many; round them, or pass ranks.")
    elif isinstance(ranks, Ranks):
        ranks = ranks.values if list(ranks.names) == in_words(ranks.values) else ranks.names
    elif isinstance(ranks, str):
        ends = re.fullmatch(r"\s*(-?\d{1,6})\s*:\s*(-?\d{1,6})\s*", ranks)
        ranks = range(int(ends[1]), int(ends[2]) + 1) if ends else ranks.split(",")
    names = [str(name).strip() for name in ranks]
    values, written, sentence = numbers(names), names, "a photo of a {rank} object"
    if numeric := bool(values.notna().all()):
        written, sentence = in_words(values), "a photo of grade {rank}"
    space = Ranks(tuple(written), tuple(values if numeric else range(len(names))), template or sentence)
    table["target"] = targets(table, names, kind)
    return space, said


def targets(table: pd.DataFrame, names: Sequence[str], kind: Kind) -> "pd.Series[int]":
    """The rank index of each label.

    Args:
        table: Columns `label` and `where`.
        names: The ranks as the user wrote them.
        kind: What a label is.

    Raises:
        InputError: A label that is no rank, or that could be read in two ways.

    Example:
        >>> table = pd.DataFrame({"label": ["0", "1"], "where": ["row 2", "row 3"]})
        >>> targets(table, ["1", "2"], "names")
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: row 2: the label '0' is none of the numbers 1 to 2; correct it or --ranks, or say
        what labels are: --labels-are names, index (from 0) or position (from 1).
    """
    spelt = names if kind == "names" else [str(rank + (kind == "position")) for rank in range(len(names))]
    number, values = numbers(table["label"]), numbers(spelt)
    said = {"low": spelt[0], "high": spelt[-1], "names": ", ".join(spelt)}
    if values.notna().all():
        target = number.map({value: rank for rank, value in enumerate(values)})
        wrong = "is none of the numbers {low} to {high}; correct it or --ranks, or say what labels are: "
        wrong += "--labels-are names, index (from 0) or position (from 1)."
    else:
        target = table["label"].map({name: rank for rank, name in enumerate(spelt)})
        wrong = "is no name, but may count the ranks: pass --labels-are index (0 is {low}) or position (1 is {low})."
        refuse(table, target.isna() & number.notna(), f"the label {{label!r:.80}} {wrong}", **said)
        wrong = "is no rank; write one of {names}."
    refuse(table, target.isna(), f"the label {{label!r:.80}} {wrong}", **said)
    return target.astype(int)
