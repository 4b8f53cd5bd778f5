"""The loaders of the published data sets: their split lists, and the images that these name.

What they read is declared in `benchmarks.toml`.
"""

import hashlib
import math
import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from l2rclip_lite.data.base import SPLITS, OrdinalDataset, Seed, Split, validated
from l2rclip_lite.data.benchmarks import DATA_SETS, DataSet, Protocol
from l2rclip_lite.data.splits import check_splits, draw_validation, stratified
from l2rclip_lite.data.table import (
    as_dataset,
    first_row,
    keep_present,
    read_table,
    refuse_repeats,
)
from l2rclip_lite.errors import InputError


@validated
def load_benchmark(
    name: str,
    root: str | Path | None = None,
    lists: str | Path | None = None,
    category: str | None = None,
    protocol: str | None = None,
    fold: int | None = None,
    seed: Seed = 0,
    allow_missing: bool = False,
) -> OrdinalDataset:
    """A benchmark with published labels. Where they hold no validation part, about a tenth of training becomes it.

    Protocols: github.com/changsukim-ku/order-learning, github.com/nhshin-mcl/MWR (MORPH, CLAP2015), Ord2Seq (HCI, and
    five folds of aesthetics); the lists are those of github.com/raywang335/L2RCLIP, commit 168fd4b. BRACOL's five folds
    are those of its authors.

    Args:
        name: "bracol", "bracol-area", "apples81", "hc18", "morph", "clap2015", "adience", "hci" or "aesthetics".
        root: A folder that holds the images, anywhere below it; None gives counts, but no image.
        lists: The folder of the official lists; `root/datalists` if None, of the first four `root`.
        category: Of aesthetics: "animals", "nature", "people" or "urban".
        protocol: One of the benchmark's; None takes the first.
        fold: One of the protocol's; None takes the first.
        seed: Decides what becomes validation, and every draw of HCI, of five-fold aesthetics and of new folds.
        allow_missing: Go on without listed images that are not there.

    Returns:
        Three splits, with the subject or the deviation of each image where the lists have them.

    Raises:
        InputError: An unknown protocol or fold, a list or an image that is missing, a bad row.

    Example:
        >>> load_benchmark("morph", protocol="C")
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: morph: protocol must be one of rs-partial, three-fold, random, subject-exclusive,
        not 'C'.
    """
    facts = DATA_SETS[name]
    category = _choice(name, "category", category, facts.categories)
    protocol = _choice(name, "protocol", protocol, [each for each in facts.protocols if each])
    cut = facts.protocols[protocol or ""]
    fold = _choice(name, "fold", fold, cut.folds)

    table = read_lists(_list_files(name, cut, root, lists, category, fold), facts)
    table["split"] = _parts(table, cut, protocol, fold or 0, seed)
    table = table[table["split"] != ""].reset_index(drop=True)

    # a tenth of the published training part: the official lists hold no validation
    subjects = table["subject"].to_numpy() if cut.by_subject else None
    validation = draw_validation(table, 0.1, seed, subjects)

    if root is None:
        table["file"] = table["path"]
        table["where"] = f"{name}: pass root=..., the folder of the images"  # if one is asked for
    else:
        table["file"] = find_images(root, table["path"].tolist())
    present, missing, messages = keep_present(table, name, root or "", allow_missing)

    title = " ".join(filter(None, (name, category, protocol)))
    if fold is not None:
        title += f", fold {fold}"
    return as_dataset(
        facts.card,
        facts.ranks,
        present,
        protocol=[f"{title}: {cut.said}{validation}; seed {seed}", *messages],
        missing=missing,
        upright=facts.upright,
        allow_empty_ranks=True,
    )


def _list_files(
    name: str,
    cut: Protocol,
    root: str | Path | None,
    lists: str | Path | None,
    category: str | None,
    fold: int | None,
) -> list[Path]:
    """Return the list files of a protocol.

    Raises:
        InputError: The first of them is not there.
    """
    facts = DATA_SETS[name]
    if lists is not None:
        folder = Path(lists)
    elif facts.lists:
        folder = Path(root or "") / "datalists"
    else:
        folder = Path(root or "")
    if os.path.isdir(folder / facts.lists):
        folder = folder / facts.lists

    files = [folder / file.format(category=category, fold=fold) for file in cut.files]
    if (root is None and lists is None) or not os.path.isfile(files[0]):
        option = "lists=... (--lists DIR)" if facts.lists else "root=... (--root DIR)"
        hint = "python tools/owners_labels.py" if facts.original else "l2rclip data --download DIR"
        raise InputError(
            f"{name}: there is no {files[0]}; pass {option}; `{hint} {name}` makes it."
        )
    return files


def read_lists(files: Sequence[Path], facts: DataSet) -> pd.DataFrame:
    r"""The rows of lists that belong together.

    Cells are separated by tabs, commas or spaces; there may be a header. Only the last `facts.keep` components of a
    path are kept, so what the list's author had before them ("../../", "./images/") is of no matter.

    Args:
        files: The list files, in order.
        facts: How the lists are made and the labels are counted. With a `span` labels are rounded, and those between its
            ends and the ranks join the first and the last rank.

    Returns:
        Columns `path`, `target` (the rank index), `where`, `list` (which of the files), `subject` and `deviation` if
        known, and those of a header.

    Raises:
        InputError: A file that cannot be read, or a row that is not as it should be, or listed twice.

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
        read_table(file, facts.columns, header=None).assign(list=place)
        for place, file in enumerate(files)
    ]
    table = pd.concat(tables, ignore_index=True)

    paths = table[facts.columns[0]].str.replace("\\", "/") + facts.suffix
    table["path"] = ["/".join(path.split("/")[-facts.keep :]) for path in paths]
    if row := first_row(table, ~table["path"].str.fullmatch(facts.pattern)):
        raise InputError(
            f"{row['where']}: the name {row['path']!r:.80} is not made as {facts.example}; "
            "correct it."
        )
    refuse_repeats(table, table["path"].str.casefold())

    if "(?P<" in facts.pattern:
        table = table.assign(**table["path"].str.extract(facts.pattern))
    table["label"] = table[facts.columns[1]]
    table["number"] = pd.to_numeric(
        table["label"].str.removesuffix("s"), errors="coerce"
    )  # "1930s"
    table["target"] = _targets(table, facts)

    if "named" in table:
        differs = table["named"].astype(float) != table["number"]
        if row := first_row(table, differs):
            raise InputError(
                f"{row['where']}: the label is {row['label']}, but {row['named']} in the name "
                f"{row['path']!r}; correct one of them."
            )
    if "stdv" in table:
        table["deviation"] = pd.to_numeric(table["stdv"], errors="coerce")
        valid = table["deviation"].between(0, np.inf, inclusive="left")
        if row := first_row(table, ~valid):
            raise InputError(
                f"{row['where']}: the stdv {row['stdv']!r:.80} is no number from 0; correct it."
            )
    return table


def _targets(table: pd.DataFrame, facts: DataSet) -> "pd.Series[int]":
    """Return the rank index of each row.

    Raises:
        InputError: A label beyond the ranks, or between two of them.
    """
    last = len(facts.ranks or ()) - 1
    if facts.span:
        low, high = facts.span
        expected = f"no number from {low} to {high}"
        steps = (table["number"].round() - facts.first) / facts.step
    else:
        low, high = facts.first, facts.first + facts.step * last
        expected = f"no whole number from {low} to {high} in steps of {facts.step}"
        steps = (table["number"] - facts.first) / facts.step

    valid = table["number"].round().between(low, high) & (steps % 1 == 0)
    if row := first_row(table, ~valid):
        raise InputError(
            f"{row['where']}: the label {row['label']!r:.80} is {expected}; correct it."
        )
    return steps.clip(0, last).astype(int)


def find_images(root: str | Path, names: Sequence[str]) -> list[str]:
    """The files of these names, anywhere under a folder; none of them is opened.

    A name of two components matches a file by its folder and its name. Upper and lower case do not matter. Folders that
    are links are not entered.

    Args:
        root: The folder to search.
        names: Names as `read_lists` gives them, all of as many components.

    Returns:
        The path of each name, "" where there is none.

    Raises:
        InputError: A name that is found twice, or a link that leads out of the folder.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     (Path(folder) / "anna").mkdir()
        ...     (Path(folder) / "anna" / "1.JPG").touch()
        ...     [
        ...         os.path.basename(file)
        ...         for file in find_images(folder, ["anna/1.jpg", "ben/1.jpg"])
        ...     ]
        ['1.JPG', '']
    """
    above = names[0].count("/")
    top = os.path.join(os.path.realpath(root), "")
    wanted = {name.casefold() for name in names}

    files = dict[str, str]()
    for folder, _, names_here in os.walk(
        root
    ):  # pathlib takes three times as long for 55,134 images
        prefix = [*Path(folder).parts[-above:]] if above else []
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


def _choice(name: str, option: str, value: Any, choices: Sequence[Any]) -> Any:
    """Return the value if it is one of the choices, the first of them for None."""
    if value is None:
        return choices[0] if choices else None
    if value not in choices:
        problem = "is nothing to choose here"
        if choices:
            problem = f"must be one of {', '.join(map(str, choices))}"
        raise InputError(f"{name}: {option} {problem}, not {value!r}.")
    return value


def _parts(
    table: pd.DataFrame, protocol: Protocol, name: str | None, fold: int, seed: int
) -> Sequence[str]:
    """Return the part of each row: train, val, test, or "" for none."""
    if protocol.cut == "column":
        check_splits(table, "database")
        learned = ["train", "val"] if name == "test" else ["train"]
        rest = np.where(table["database"] == name, "test", "")
        return [str(part) for part in np.where(table["database"].isin(learned), "train", rest)]
    if protocol.cut == "fifths":
        return fifths(table, protocol.folds.index(fold), seed)
    if protocol.cut == "five":
        return five_folds(len(table), fold, seed)
    if protocol.cut == "authors":
        return authors_folds(len(table), fold)
    if protocol.cut == "decades":
        return stratified(table["target"].tolist(), (seed, fold), 5 / 265, 50 / 265)

    if protocol.cut == "second":
        in_test = table["list"] == 1
    elif protocol.cut == "fold":
        in_test = table["list"] == fold
    else:  # "others"
        in_test = table["list"] != fold - 1
    return [str(part) for part in np.where(in_test, "test", "train")]


def five_folds(count: int, fold: int, seed: int) -> list[str]:
    """One of five random cuts 75/5/20; the five test parts are disjoint and hold everything.

    Args:
        count: How many images there are, five at least.
        fold: 0 to 4.
        seed: Decides the order, which serves all folds.

    Returns:
        "train", "val" or "test" for each image.

    Example:
        >>> [five_folds(100, 2, 0).count(name) for name in SPLITS]
        [75, 5, 20]
    """
    pieces = np.array_split(np.random.default_rng([seed]).permutation(count), 5)
    others = np.concatenate(
        pieces[fold + 1 :] + pieces[:fold]
    )  # so that each fold has its own val, too
    return _cut(count, others[: max(1, round(0.05 * count))], pieces[fold])


def fifths(table: pd.DataFrame, fold: int, seed: int) -> list[str]:
    """One of five cuts 60/20/20: this fifth is test, the next one val.

    Subjects, sorted and shuffled, are dealt out in turn. Without subjects, every five neighbours in the order of their
    labels go to different fifths.

    Args:
        table: The column `subject`, or `number`, the label.
        fold: 0 to 4.
        seed: Decides the fifths.

    Returns:
        "train", "val" or "test" for each row.

    Example:
        >>> fifths(pd.DataFrame({"subject": ["a", "b", "a", "c", "d", "e"]}), 0, 0)
        ['train', 'val', 'train', 'test', 'train', 'train']
    """
    if "subject" in table:
        subjects = sorted(set(table["subject"]))
        random.Random(seed).shuffle(subjects)  # with seed 0, as the published folds were dealt
        fifth_of = {subject: place % 5 for place, subject in enumerate(subjects)}
        fifth = table["subject"].map(fifth_of)
    else:
        n_rows = math.ceil(len(table) / 5)
        fives = np.tile(np.arange(5), (n_rows, 1))
        dealt = np.random.default_rng(seed).permuted(fives, axis=1).ravel()[: len(table)]
        by_label = table["number"].sort_values(kind="stable").index
        fifth = pd.Series(dealt, index=by_label).sort_index()
    return _cut(len(table), fifth == (fold + 1) % 5, fifth == fold)


def _cut(count: int, val: Any, test: Any) -> list[str]:
    """Return a split in which these places are val and test, the others train."""
    parts = np.full(count, "train", dtype=object)
    parts[val] = "val"
    parts[test] = "test"
    return [*parts]


def authors_folds(count: int, fold: int) -> list[str]:
    """The split of BRACOL's authors: shuffle with seed 150, rotate, cut at 70 % and 85 %.

    For fold f the shuffled order starts at (f - 1) * int(n / 5); the first ceil(0.7 n) are train and those up
    to ceil(0.85 n) are val. Source: `classification/utils/customdatasets.py` of github.com/esgario/lara2018.

    Args:
        count: The number of rows n of dataset.csv.
        fold: 1 to 5.

    Returns:
        "train", "val" or "test" for each row.

    Example:
        >>> parts = authors_folds(1685, fold=1)
        >>> [parts.count(name) for name in ("train", "val", "test")], parts[:3]
        ([1180, 253, 252], ['train', 'train', 'train'])
    """
    order = np.random.RandomState(150).permutation(
        count
    )  # of 2019: a new generator gives other folds
    order = np.roll(order, -(fold - 1) * (count // 5))
    first, second = math.ceil(0.7 * count), math.ceil(0.85 * count)
    return _cut(count, order[first:second], order[second:])


@validated
def load_retinamnist(root: str | Path = "retinamnist") -> OrdinalDataset:
    """Fundus photographs, diabetic retinopathy grade 0 to 4, in the split that MedMNIST publishes.

    The npz is read here: the package medmnist would bring more packages than it saves lines. Images of 28 pixels suggest
    an input of 112: nothing is gained by enlarging them further. A logistic regression on frozen features of `mini`, in
    five folds of train + val, has accuracy 0.534 and MAE 0.818 at 112 pixels, 0.507 and 0.887 at 224, for four times
    the work. Larger published images suggest nothing.

    Args:
        root: A folder with `retinamnist.npz`, or that file.

    Returns:
        1,080 training, 120 validation and 400 test images.

    Raises:
        InputError: No root, no such file there, or a file that is not the published one.

    Example:
        >>> load_retinamnist("nowhere.npz")
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: nowhere.npz: [Errno 2] No such file or directory: 'nowhere.npz'; get it by
        `l2rclip data retinamnist --download DIR`.
    """
    file = Path(root) / "retinamnist.npz" if os.path.isdir(root) else Path(root)
    facts = DATA_SETS["retinamnist"]
    splits = dict[str, Split]()
    try:
        if hashlib.sha256(file.read_bytes()).hexdigest() != facts.sha256:
            raise ValueError("it is not the published file of 28 pixels")
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            for split in SPLITS:
                images = [Image.fromarray(image) for image in archive[f"{split}_images"]]
                labels = archive[f"{split}_labels"][:, 0].tolist()
                paths = [f"{split}/{row:04d}" for row in range(len(labels))]
                splits[split] = Split(paths, labels, images)
    except Exception as error:  # on broken bytes, zip and NumPy raise nearly anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{file}: {reason}; get it by `l2rclip data retinamnist --download DIR`."
        ) from error
    return OrdinalDataset(
        "retinamnist",
        train=splits["train"],
        val=splits["val"],
        test=splits["test"],
        ranks=facts.ranks,
        card=facts.card,
        image_size=112,
        protocol=("the published split, images of 28 pixels",),
    )
