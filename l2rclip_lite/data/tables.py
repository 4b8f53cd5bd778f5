"""Tables with one row per image: anybody's own, and how any is read, checked row by row, and dealt to splits."""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from l2rclip_lite.data import base
from l2rclip_lite.data.base import (
    IMAGE_SUFFIXES,
    SPLITS,
    Card,
    Computed,
    OrdinalDataset,
    Seed,
    Split,
    validated,
)
from l2rclip_lite.errors import InputError
from l2rclip_lite.ranks import Ranks, number_words

TABLES = (".csv", ".tsv", ".txt", ".parquet")  # any other file is not opened: its first line may be a secret
TEXT: dict[str, Any] = {"dtype": str, "na_filter": False, "skip_blank_lines": False, "skipinitialspace": True}
MOST = 200  # different numbers that pass for ranks if nobody names them
Labels = str | Path | pd.DataFrame
Kind = Literal["names", "index", "position"]
Given = str | Sequence[str | int | float] | None  # how a user names the ranks
Ints = Sequence[int] | np.ndarray
Names = Sequence[str] | np.ndarray


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
        InputError: Another kind of file, one that lies elsewhere or cannot be used, or a column with two roles.
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
    if len({*columns.values(), "where"}) <= len(columns):  # the name of our own column
        raise InputError(f"csv: rename the column that is twice in {', '.join(columns.values())}, or where.")
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
    if ranks is None and kind != "names":
        raise InputError("csv: --labels-are index or position counts the ranks; give them by --ranks.")
    if ranks is None:
        words = "the label {label!r:.80} is a word; write all in their order, lowest first: --ranks {found!r:.900}"
        refuse(table, number.isna(), words, found=",".join(sorted(set(table["label"]))))
        ranks = sorted(set(number))
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
        >>> read_table(pd.DataFrame({"path": ["a.png "], "label": [3]}), ["path"]).to_dict("records")
        [{'path': 'a.png', 'label': '3', 'where': 'DataFrame row 0'}]
    """
    file, first = Path("DataFrame") if isinstance(source, pd.DataFrame) else source, 0
    if not (isinstance(source, pd.DataFrame) or os.path.isfile(source)):
        raise InputError(f"{file}: there is no such file; give one with the columns {', '.join(needed)}.")
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
        raise InputError(f"{file}: Parquet needs pyarrow; pip install pyarrow, or save as CSV.") from error
    except (ValueError, OSError) as error:  # of pandas, and of text that is not UTF-8
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{file}: {reason}; save it as CSV in UTF-8, check quotes and commas.") from error
    columns = [str(name).strip() for name in table.columns]
    lacking = [name for name in needed if columns.count(name) != 1 or f"{name}.1" in columns]
    if lacking:
        once = f"write the column {' and '.join(map(repr, lacking))} once"
        raise InputError(f"{file}: {once}, in {columns!r:.200}{advice}.")
    table = table.set_axis(columns, axis=1).astype(object).where(table.notna().to_numpy(), "").astype(str)
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
        >>> files_inside("data", pd.DataFrame({"path": ["../secret.png"], "where": ["labels.csv row 2"]}))
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: labels.csv row 2: the path '../secret.png' leads out of the folder data, as it is
        or by a link; copy the image itself there.
    """
    top = os.path.realpath(root)
    parts = [os.path.split(path) for path in table["path"].str.replace("\0", "?")]
    homes = {home: os.path.realpath(os.path.join(top, home)) for home in {home for home, _ in parts}}
    files = [os.path.normpath(os.path.join(homes[home], name)) for home, name in parts]
    files = [os.path.realpath(file) if os.path.islink(file) else file for file in files]
    column = pd.Series(files, index=table.index)
    leads = "the path {path!r:.200} leads out of the folder {root}, as it is or by a link; copy the image itself there."
    refuse(table, ~column.str.startswith(os.path.join(top, "")), leads, root=root)
    again = table.assign(before=table.groupby(column)["where"].transform("first"))
    refuse(again, column.duplicated(), "the image {path} is listed in {before} already; remove one of them.")
    return [file if os.path.isfile(file) else "" for file in files]


def check_splits(table: pd.DataFrame, column: str = "split") -> None:
    """Refuse a cell of the split column that is no split, with its row."""
    wrong = f"the {column} {{{column}!r:.80}} is none of {', '.join(SPLITS)}; correct it."
    refuse(table, ~table[column].isin(SPLITS), wrong)


def stratified(
    targets: Ints, seeds: Sequence[int], val: float = 0.15, test: float = 0.15, groups: Names | None = None
) -> list[str]:
    """The same shares of every rank, and whole groups where they are known.

    Without groups, a rank with n images gives max(1, round(test n)) to test and max(1, round(val n)) to val, as long as
    one image is left for train. Each rank is shuffled by its own generator, so that images added to one rank leave the
    others where they were. With groups, see `deal`.

    Args:
        targets: One rank index per image.
        seeds: Decide the shuffle.
        val: The share of val.
        test: The share of test; 0 gives none.
        groups: What each image shows, such as a patient, if the images of one must stay together.

    Returns:
        "train", "val" or "test" for each image.

    Example:
        >>> parts = stratified([0] * 20 + [1] * 4, [0])
        >>> [parts.count(name) for name in ("train", "val", "test")], parts[20:].count("test")
        ([16, 4, 4], 1)
    """
    parts = np.full(len(targets), "train", dtype=object)
    if groups is not None:
        shares = [1 - val - test, val, test] if test else [1 - val, val]
        return [("train", "val", "test")[part] for part in deal(groups, targets, shares, seeds)]
    for rank in np.unique(targets).tolist():
        members = np.flatnonzero(np.asarray(targets) == rank)
        first = min(max(1, round(test * len(members))) if test else 0, len(members) - 1)
        second = min(max(1, round(val * len(members))), len(members) - 1 - first)
        order = np.random.default_rng([*seeds, rank]).permutation(members)
        parts[order[:first]], parts[order[first : first + second]] = "test", "val"
    return [*parts]


def draw_validation(table: pd.DataFrame, share: float, seed: int, groups: np.ndarray | None = None) -> str:
    """Make a share of the training images validation where a table has none; says so, or nothing.

    Args:
        table: Columns `target` and `split`, which is changed.
        share: How much.
        seed: Decides the draw.
        groups: See `stratified`.

    Example:
        >>> table = pd.DataFrame({"target": [0, 1] * 5, "split": "train"})
        >>> print(draw_validation(table, 0.2, seed=0), table["split"].eq("val").sum())
        ; validation: 2 of the 10 training images within every rank 2
    """
    train = table["split"] == "train"
    if "val" in set(table["split"]) or not train.any():
        return ""
    groups = None if groups is None else groups[train]
    parts = stratified(table["target"].to_numpy()[train], [seed], share, 0, groups)
    table.loc[train, "split"] = parts
    drawn = "within every" if groups is None else "by group and"
    return f"; validation: {parts.count('val'):,} of the {train.sum():,} training images {drawn} rank"


def deal(groups: Names, targets: Ints, shares: Sequence[float], seeds: Sequence[int]) -> np.ndarray:
    """Whole groups dealt to parts, so that each part gets about its share of every rank and of all images.

    Groups come in shuffled order. One that brings a rank which the first part lacks goes to the first part. Any other goes
    to the part that is filled least, measured by its share, in the ranks of the group and in all.

    Args:
        groups: Which group each image belongs to.
        targets: One rank index per image.
        shares: The share of each part, training first.
        seeds: Decide the order.

    Returns:
        The number of the part of each image.

    Example:
        >>> deal([*"aabbccdd"], [0, 1] * 4, (0.5, 0.25, 0.25), [0])
        array([1, 1, 2, 2, 0, 0, 0, 0])
    """
    names, owner = np.unique(np.asarray(groups), return_inverse=True)
    counts = np.zeros((len(names), max(targets) + 2))
    np.add.at(counts, (owner, np.asarray(targets)), 1)
    counts[:, -1] = counts.sum(1)
    counts /= np.maximum(counts.sum(0), 1)
    filled, home = np.zeros((len(shares), counts.shape[1])), np.zeros(len(names), int)
    for group in np.random.default_rng(seeds).permutation(len(names)).tolist():
        if filled[0][counts[group] > 0].all():
            home[group] = np.argmin(filled @ counts[group] / shares)
        filled[home[group]] += counts[group]
    return np.asarray(home[owner])


def draw_splits(table: pd.DataFrame, folds: int, fold: int, val_share: float, seed: int) -> list[str]:
    """Fill the column `split` where the table leaves it open; says what was done.

    Args:
        table: Columns `target` and `where`, and if known `subject` and `split`.
        folds: Draw so many test parts; 0 takes the table's split, or cuts once.
        fold: Which of them, from 1.
        val_share: How much becomes validation.
        seed: Decides every draw.

    Raises:
        InputError: A blank group, or a cell that is no split.
    """
    ranks, groups = table["target"].to_numpy(), table["subject"].to_numpy() if "subject" in table else None
    refuse(table, table.get("subject", table["where"]) == "", "the group is blank; name who is shown.")
    how = "within every" if groups is None else f"by group ({len(set(groups)):,} of them) and"
    if folds:
        dealt = deal(np.arange(len(table)) if groups is None else groups, ranks, [1 / folds] * folds, [seed])
        said = f"fold {fold} of {folds} {how} rank, seed {seed}{', not the splits of the table' if 'split' in table else ''}"
        table["split"] = np.where(dealt == fold - 1, "test", "train")
    elif "split" in table:
        check_splits(table)
        said = "split by the table"
    else:
        table["split"] = stratified(ranks, [seed], val_share, groups=groups)
        said = f"split {85 - 100 * val_share:g}/{100 * val_share:g}/15 {how} rank, seed {seed}"
    if validation := draw_validation(table, val_share, seed, groups):
        said += f"{validation}, seed {seed}"
    apart = 0 if groups is None else (table.groupby("subject")["split"].nunique() > 1).sum()
    return [said, f"{apart:,} groups are in more than one split: --leakage counts them"][: 1 + bool(apart)]


def as_dataset(
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
        lost = ", ".join(f"{(absent & (table['split'] == split)).sum():,} of {split}" for split in SPLITS)
        fields["protocol"] += (f"{absent.sum():,} listed images are missing and left out: {lost}",)
    there = table[~absent]
    splits: dict[str, Any] = {split: as_split(there[there["split"] == split]) for split in SPLITS}
    fields["missing"] = tuple(table["path"][absent])
    return OrdinalDataset(card.name, **splits, ranks=ranks, card=card, **fields)


def as_split(table: pd.DataFrame) -> Split:
    """All rows as one split, see `as_dataset`; its images are read when they are asked for."""
    known = [name for name in ("subject", "deviation") if name in table]
    columns: dict[str, Any] = {f"{name}s": table[name].tolist() for name in known}
    images = Computed(base.read_image, table["file"].tolist(), table["where"].tolist())
    return Split(table["path"].tolist(), table["target"].tolist(), images, **columns)
