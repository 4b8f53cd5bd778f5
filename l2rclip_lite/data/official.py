"""Published benchmarks: their lists, the images that these name, and their splits.

How each list is read is declared in `benchmarks.toml`.
"""

import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from l2rclip_lite.data.base import SPLITS, OrdinalDataset, Seed, validated
from l2rclip_lite.data.benchmarks import DATA_SETS, DataSet, Protocol
from l2rclip_lite.data.reading import scan_folder
from l2rclip_lite.data.splits import draw_validation, stratified
from l2rclip_lite.data.table import (
    read_columns,
    refuse,
    refuse_others,
    refuse_repeats,
    splits_of_present,
)
from l2rclip_lite.errors import InputError


@validated
def load_benchmark(  # noqa: PLR0913  (an entry point)
    name: str,
    root: str | Path | None = None,
    lists: str | Path | None = None,
    category: str | None = None,
    protocol: str | None = None,
    fold: int | None = None,
    seed: Seed = 0,
    allow_missing: bool = False,
) -> OrdinalDataset:
    """Return a benchmark with published labels.

    Where they hold no validation part, about a tenth of training becomes it.

    Protocols: github.com/changsukim-ku/order-learning, github.com/nhshin-mcl/MWR (MORPH, CLAP2015),
    Ord2Seq (HCI, and five folds of aesthetics); the lists are those of
    github.com/raywang335/L2RCLIP, commit 168fd4b. BRACOL's five folds are those of its authors.

    Args:
        name: A key of `DATA_SETS` with published lists, such as "bracol" or "morph".
        root: A folder that holds the images, anywhere below it; None gives counts, but no image.
        lists: The folder of the official lists; None takes `root/datalists`,
            or `root` where the labels lie beside the images.
        category: Of aesthetics: "animals", "nature", "people" or "urban".
        protocol: One of the benchmark's; None takes the first.
        fold: One of the protocol's; None takes the first.
        seed: Decides what becomes validation, and every draw of HCI, of five-fold aesthetics and of
            new folds.
        allow_missing: Go on without listed images that are not there.

    Returns:
        Three splits, with the subject or the deviation of each image where the lists have them.

    Raises:
        InputError: An unknown protocol or fold, a list or an image that is missing, a bad row.

    Example:
        >>> load_benchmark("morph", protocol="C")
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: morph: protocol must be one of rs-partial, three-fold,
        random, subject-exclusive, not 'C'.
    """
    facts = DATA_SETS[name]
    category = _choice(name, "category", category, facts.categories)
    protocol = _choice(name, "protocol", protocol, [each for each in facts.protocols if each])
    published = facts.protocols[protocol or ""]
    fold = _choice(name, "fold", fold, published.folds)

    files = [file.format(category=category, fold=fold) for file in published.files]
    table = read_lists(_list_files(facts, files, root, lists), facts)
    table["split"] = parts_of(table, published, protocol, fold or 0, seed)
    table = table[table["split"] != ""].reset_index(drop=True)

    # a tenth of the published training part: the official lists hold no validation
    subjects = table["subject"].to_numpy() if published.by_subject else None
    validation = draw_validation(table, 0.1, seed, subjects)

    if root is None:
        table["file"] = table["path"]
        table["where"] = f"{name}: pass root=..., the folder of the images"  # if one is asked for
    else:
        table["file"] = find_images(root, table["path"].tolist())
    parts, messages = splits_of_present(table, name, root or "", allow_missing)

    title = " ".join(word for word in (name, category, protocol) if word)
    if fold is not None:
        title += f", fold {fold}"
    return OrdinalDataset(
        name,
        **parts,
        ranks=facts.ranks,
        card=facts.card,
        allow_empty_ranks=True,
        upright=facts.upright,
        protocol=(f"{title}: {published.summary}{validation}; seed {seed}", *messages),
    )


def _choice(name: str, option: str, value: Any, choices: Sequence[Any]) -> Any:
    """Return the value if it is one of the choices, the first of them for None."""
    if value is None:
        return next(iter(choices), None)

    if value not in choices:
        names = ", ".join(map(str, choices)) or "none"
        raise InputError(f"{name}: {option} must be one of {names}, not {value!r}.")
    return value


def _list_files(
    facts: DataSet, files: Sequence[str], root: str | Path | None, lists: str | Path | None
) -> list[Path]:
    """Return where the list files of a protocol are; refuse if the first of them is not there."""
    top = Path(lists or root or "")
    for folder in (top / "datalists" / facts.lists, top / facts.lists, top):
        if (folder / files[0]).is_file():
            return [folder / file for file in files]

    option = "lists=... (--lists DIR)" if facts.lists else "root=... (--root DIR)"
    problem = f"{facts.card.name}: there is no {top / files[0]}"
    raise InputError(f"{problem}; pass {option}; {facts.hint}.")


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
        InputError: A file that cannot be read, or a row that is not as it should be or is there
            twice.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "hci.txt"
        ...     _ = file.write_text("./images/a.jpg 1930s\r\n\r\n./images/b.jpg 1940s")
        ...     read_lists([file], DATA_SETS["hci"])[["path", "target", "where"]]
            path  target          where
        0  a.jpg       0  hci.txt row 1
        1  b.jpg       1  hci.txt row 3
    """
    tables = [
        read_columns(file, facts.columns, ["fold"], header=None).assign(list=place)
        for place, file in enumerate(files)
    ]
    table = pd.concat(tables, ignore_index=True)
    name_column, label_column = facts.columns[:2]

    components = (table[name_column] + facts.suffix).str.split(r"[/\\]", regex=True)
    table["path"] = components.str[-facts.keep :].str.join("/")
    unlike = ~table["path"].str.fullmatch(facts.pattern)
    refuse(table, unlike, "path", f"is not made as {facts.example}; correct it.")
    refuse_repeats(table, table["path"].str.casefold())

    if "(?P<" in facts.pattern:
        table = table.assign(**table["path"].str.extract(facts.pattern))
    if facts.neighbours > 1:
        table["subject"] = (table["subject"].astype(int) // facts.neighbours).astype(str)
    if facts.group:
        table["subject"] = table[facts.group]

    table["label"] = table[label_column]  # such as "1930s"
    table["number"] = pd.to_numeric(table["label"].str.removesuffix("s"), errors="coerce")
    table["target"] = _targets(table, facts)

    if "stdv" in table:
        table["deviation"] = pd.to_numeric(table["stdv"], errors="coerce")
        refuse(table, table["deviation"].isna(), "stdv", "is no number; correct it.")
    return table


def _targets(table: pd.DataFrame, facts: DataSet) -> "pd.Series[int]":
    """Return the rank index of each label in the span, or in the ranks, where there is no span."""
    last = len(facts.ranks) - 1
    low, high = facts.span or (facts.first, facts.first + facts.step * last)
    numbers = table["number"].round() if facts.span else table["number"]
    steps = (numbers - facts.first) / facts.step
    valid = numbers.between(low, high)
    if not facts.span:
        valid &= steps % 1 == 0
    refuse(table, ~valid, "label", f"is none of this data set ({low} to {high}); correct it.")
    # labels within the span but beyond the end ranks join these
    return np.floor(steps).clip(0, last).astype(int)


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
        InputError: A name that two files have, a link that leads out of the folder, or a folder
            that cannot be read.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     (Path(folder) / "anna").mkdir()
        ...     (Path(folder) / "anna" / "1.JPG").touch()
        ...     files = find_images(folder, ["anna/1.jpg", "ben/1.jpg"])
        >>> [Path(file).name for file in files]
        ['1.JPG', '']
    """
    images, problems = scan_folder(root)
    if problems:
        raise problems[0]

    n_components = 1 + names[0].count("/")
    wanted = {name.casefold() for name in names}
    files: dict[str, str] = {}
    for image in images:
        name = "/".join(image.parts[-n_components:]).casefold()
        if name in wanted and name in files:
            raise InputError(
                f"{name} is in two places, {files[name]} and {image}; name a narrower root."
            )
        files[name] = str(image)
    return [files.get(name.casefold(), "") for name in names]


def parts_of(
    table: pd.DataFrame, protocol: Protocol, name: str | None, fold: int, seed: int
) -> Sequence[str]:
    """Return the part of each row of lists: train, val, test, or "" for none.

    `name` is that of the protocol, `fold` one of its folds or 0; `seed` decides what is drawn.
    """
    if protocol.cut == "fifths":
        fifth = fifths(table, protocol.folds, seed)
        place = protocol.folds.index(fold)
        return _split(len(table), fifth == (place + 1) % 5, fifth == place)
    if protocol.cut == "five":
        return five_folds(len(table), fold, seed)
    if protocol.cut == "authors":
        return authors_folds(len(table), fold)
    if protocol.cut == "decades":
        return stratified(table["target"].tolist(), (seed, fold), 5 / 265, 50 / 265)

    in_train = pd.Series(True, index=table.index)
    if protocol.cut == "column":  # the published part of the protocol's name is for testing
        refuse_others(table, "database", SPLITS)
        in_test = table["database"] == name
        in_train = table["database"].isin({"train", "val"} - {name})
    elif protocol.cut == "others":
        in_test = table["list"] != fold - 1
    elif protocol.cut == "fold":
        in_test = table["list"] == fold
    else:
        in_test = table["list"] == 1
    return np.select([in_test, in_train], ["test", "train"], "").tolist()


def five_folds(count: int, fold: int, seed: int) -> list[str]:
    """Return one of five random cuts 75/5/20; their test parts are disjoint and hold everything.

    Args:
        count: How many images there are, five at least.
        fold: 0 to 4.
        seed: Decides the order, which serves all folds.

    Example:
        >>> parts = five_folds(100, 2, 0)
        >>> [parts.count(name) for name in ("train", "val", "test")], parts[:4]
        ([75, 5, 20], ['test', 'test', 'test', 'test'])
    """
    pieces = np.array_split(np.random.default_rng([seed]).permutation(count), 5)
    # begins behind the test part, so that each fold has its own val, too
    others = np.concatenate(pieces[fold + 1 :] + pieces[:fold])
    n_val = max(1, round(0.05 * count))
    return _split(count, others[:n_val], pieces[fold])


def fifths(table: pd.DataFrame, folds: Sequence[int], seed: int) -> "pd.Series[int]":
    """Return the fifth of each row, 0 to 4; of seed 0 as a column `fold` says, if there is one.

    Subjects, sorted and shuffled, are dealt out in turn. Without subjects, every five neighbours in
    the order of their labels go to different fifths.

    Args:
        table: The column `subject`, or `number`, the label; `fold` and `where` if there are any.
        folds: The five folds, as the column calls them.
        seed: Decides the fifths.

    Example:
        >>> table = pd.DataFrame({"subject": ["a", "b", "a", "c", "d", "e"]})
        >>> fifths(table, range(5), seed=0).tolist()
        [2, 1, 2, 0, 4, 3]
        >>> fifths(pd.DataFrame({"number": [3, 1, 2, 5, 4, 0]}), range(5), seed=0).tolist()
        [0, 4, 3, 4, 1, 2]
        >>> table["fold"] = ["5", "2", "5", "1", "1", "1"]
        >>> fifths(table, range(1, 6), seed=0).tolist()
        [4, 1, 4, 0, 0, 0]
    """
    if "fold" in table and seed == 0:
        names = [str(fold) for fold in folds]
        refuse_others(table, "fold", names)
        return table["fold"].map(names.index)

    if "subject" in table:
        subjects = sorted(set(table["subject"]))
        random.Random(seed).shuffle(subjects)  # with seed 0, as the published folds were dealt
        fifth_of = {subject: place % 5 for place, subject in enumerate(subjects)}
        return table["subject"].map(fifth_of)

    fives = np.tile(np.arange(5), (math.ceil(len(table) / 5), 1))
    dealt = np.random.default_rng(seed).permuted(fives, axis=1).ravel()[: len(table)]
    by_label = table["number"].sort_values(kind="stable").index
    return pd.Series(dealt, index=by_label).sort_index()


def authors_folds(count: int, fold: int) -> list[str]:
    """Return the split of BRACOL's authors: shuffle with seed 150, rotate, cut at 70 % and 85 %.

    For fold f the shuffled order starts at (f - 1) * int(n / 5); the first ceil(0.7 n) are train
    and those up to ceil(0.85 n) are val. Source: `classification/utils/customdatasets.py` of
    github.com/esgario/lara2018.

    Args:
        count: The number of rows n of dataset.csv.
        fold: 1 to 5.

    Example:
        >>> parts = authors_folds(1685, fold=2)
        >>> [parts.count(name) for name in ("train", "val", "test")], parts[9:12], parts[15]
        ([1180, 253, 252], ['train', 'test', 'test'], 'val')
    """
    # the generator of 2019: a new one gives other folds
    order = np.random.RandomState(150).permutation(count)
    order = np.roll(order, -(fold - 1) * (count // 5))

    val_start = math.ceil(0.7 * count)
    test_start = math.ceil(0.85 * count)
    return _split(count, order[val_start:test_start], order[test_start:])


def _split(count: int, val: Any, test: Any) -> list[str]:
    """Return a split in which these places are val and test, the others train."""
    parts = np.full(count, "train", dtype=object)
    parts[val] = "val"
    parts[test] = "test"
    return parts.tolist()
