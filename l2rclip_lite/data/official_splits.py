"""Published splits: the part of each row, taken from the lists or drawn as the protocol says."""

import math
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from l2rclip_lite.data.benchmarks import Protocol
from l2rclip_lite.data.splits import check_splits, stratified
from l2rclip_lite.data.table import first_row
from l2rclip_lite.errors import InputError


def parts_of(
    table: pd.DataFrame, protocol: Protocol, name: str | None, fold: int, seed: int
) -> Sequence[str]:
    """Return the part of each row: train, val, test, or "" for none.

    Args:
        table: What `read_lists` returns.
        protocol: How the parts follow from the lists.
        name: Of the protocol.
        fold: One of the protocol's folds; 0 where it has none.
        seed: Decides what is drawn.
    """
    if protocol.cut == "column":
        return _parts_of_column(table, name)
    if protocol.cut == "fifths":
        if "fold" in table and seed == 0:
            fifth = listed_fifths(table, protocol.folds)
        else:
            fifth = dealt_fifths(table, seed)
        place = protocol.folds.index(fold)
        return _split(len(table), fifth == (place + 1) % 5, fifth == place)
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


def _parts_of_column(table: pd.DataFrame, reported: str | None) -> list[str]:
    """Return the parts by the column `database`, where the published part `reported` is test."""
    check_splits(table, "database")
    learned = ["train", "val"] if reported == "test" else ["train"]

    in_test = np.where(table["database"] == reported, "test", "")
    parts = np.where(table["database"].isin(learned), "train", in_test)
    return [str(part) for part in parts]


def five_folds(count: int, fold: int, seed: int) -> list[str]:
    """Return one of five random cuts 75/5/20; the five test parts are disjoint and hold everything.

    Args:
        count: How many images there are, five at least.
        fold: 0 to 4.
        seed: Decides the order, which serves all folds.

    Returns:
        "train", "val" or "test" for each image.

    Example:
        >>> parts = five_folds(100, 2, 0)
        >>> parts.count("train"), parts.count("val"), parts.count("test")
        (75, 5, 20)
    """
    pieces = np.array_split(np.random.default_rng([seed]).permutation(count), 5)
    # begins behind the test part, so that each fold has its own val, too
    others = np.concatenate(pieces[fold + 1 :] + pieces[:fold])
    n_val = max(1, round(0.05 * count))
    return _split(count, others[:n_val], pieces[fold])


def listed_fifths(table: pd.DataFrame, folds: Sequence[int]) -> "pd.Series[int]":
    """Return the fifth of each row, 0 to 4, as the column `fold` says.

    Args:
        table: Columns `fold` and `where`, and `subject` where subjects are known.
        folds: The five folds.

    Raises:
        InputError: A cell that is none of them, or a subject in two folds.

    Example:
        >>> table = pd.DataFrame({"fold": ["2", "1"], "where": ["row 2", "row 3"]})
        >>> listed_fifths(table, [1, 2, 3, 4, 5]).tolist()
        [1, 0]
    """
    names = [str(fold) for fold in folds]
    row = first_row(table, ~table["fold"].isin(names))
    if row:
        raise InputError(
            f"{row['where']}: the fold {row['fold']!r:.80} is none of {', '.join(names)}; "
            "correct it."
        )

    if "subject" in table:
        first = table.groupby("subject")["fold"].transform("first")
        row = first_row(table.assign(first=first), table["fold"] != first)
        if row:
            raise InputError(
                f"{row['where']}: {row['subject']!r:.80} is in fold {row['fold']}, and in fold "
                f"{row['first']} further up; give all its images one fold."
            )
    return table["fold"].map(names.index)


def dealt_fifths(table: pd.DataFrame, seed: int) -> "pd.Series[int]":
    """Return the fifth of each row, 0 to 4.

    Subjects, sorted and shuffled, are dealt out in turn. Without subjects, every five neighbours in
    the order of their labels go to different fifths.

    Args:
        table: The column `subject`, or `number`, the label.
        seed: Decides the fifths.

    Example:
        >>> dealt_fifths(pd.DataFrame({"subject": ["a", "b", "a", "c", "d", "e"]}), 0).tolist()
        [2, 1, 2, 0, 4, 3]
    """
    if "subject" in table:
        subjects = sorted(set(table["subject"]))
        random.Random(seed).shuffle(subjects)  # with seed 0, as the published folds were dealt
        fifth_of = {subject: place % 5 for place, subject in enumerate(subjects)}
        return table["subject"].map(fifth_of)

    n_rows = math.ceil(len(table) / 5)
    fives = np.tile(np.arange(5), (n_rows, 1))
    dealt = np.random.default_rng(seed).permuted(fives, axis=1).ravel()[: len(table)]
    by_label = table["number"].sort_values(kind="stable").index
    return pd.Series(dealt, index=by_label).sort_index()


def _split(count: int, val: Any, test: Any) -> list[str]:
    """Return a split in which these places are val and test, the others train."""
    parts = np.full(count, "train", dtype=object)
    parts[val] = "val"
    parts[test] = "test"
    return [*parts]


def authors_folds(count: int, fold: int) -> list[str]:
    """Return the split of BRACOL's authors: shuffle with seed 150, rotate, cut at 70 % and 85 %.

    For fold f the shuffled order starts at (f - 1) * int(n / 5); the first ceil(0.7 n) are train
    and those up to ceil(0.85 n) are val. Source: `classification/utils/customdatasets.py` of
    github.com/esgario/lara2018.

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
    # the generator of 2019: a new one gives other folds
    order = np.random.RandomState(150).permutation(count)
    order = np.roll(order, -(fold - 1) * (count // 5))

    val_start = math.ceil(0.7 * count)
    test_start = math.ceil(0.85 * count)
    return _split(count, order[val_start:test_start], order[test_start:])
