"""Splits: drawn within every rank or by whole groups, or taken from a table."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from l2rclip_lite.data.base import SPLITS
from l2rclip_lite.data.table import refuse

Ints = Sequence[int] | np.ndarray
Names = Sequence[str] | np.ndarray


def check_splits(table: pd.DataFrame, column: str = "split") -> None:
    """Refuse a cell of the split column that is no split, with its row."""
    wrong = f"the {column} {{{column}!r:.80}} is none of {', '.join(SPLITS)}; correct it."
    refuse(table, ~table[column].isin(SPLITS), wrong)


def stratified(
    targets: Ints,
    seeds: Sequence[int],
    val: float = 0.15,
    test: float = 0.15,
    groups: Names | None = None,
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


def draw_validation(
    table: pd.DataFrame, share: float, seed: int, groups: np.ndarray | None = None
) -> str:
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
    return (
        f"; validation: {parts.count('val'):,} of the {train.sum():,} training images {drawn} rank"
    )


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


def draw_splits(
    table: pd.DataFrame, folds: int, fold: int, val_share: float, seed: int
) -> list[str]:
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
    ranks, groups = (
        table["target"].to_numpy(),
        table["subject"].to_numpy() if "subject" in table else None,
    )
    refuse(
        table, table.get("subject", table["where"]) == "", "the group is blank; name who is shown."
    )
    how = "within every" if groups is None else f"by group ({len(set(groups)):,} of them) and"
    if folds:
        dealt = deal(
            np.arange(len(table)) if groups is None else groups, ranks, [1 / folds] * folds, [seed]
        )
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
    return [said, f"{apart:,} groups are in more than one split: --leakage counts them"][
        : 1 + bool(apart)
    ]
