"""Splits, drawn within every rank or by whole groups, or taken from a table."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from l2rclip_lite.data.base import SPLITS
from l2rclip_lite.data.table import refuse_others
from l2rclip_lite.errors import InputError, plural

Ints = Sequence[int] | np.ndarray
Names = Sequence[str] | np.ndarray


def stratified(
    targets: Ints,
    seeds: Sequence[int],
    val: float = 0.15,
    test: float = 0.15,
    groups: Names | None = None,
) -> list[str]:
    """Return a split of the same shares of every rank, of whole groups where they are known.

    Without groups, a rank with n images gives max(1, round(test n)) to test and max(1, round(val
    n)) to val, as long as one image is left for train. Each rank is shuffled by its own generator,
    so that images added to one rank leave the others where they were. If ranks of two images leave
    none for val, every second image of test goes there. With groups, see `deal`.

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
        >>> parts = stratified([0, 0, 1, 1, 2, 2], [0])
        >>> [parts.count(name) for name in ("train", "val", "test")]
        [3, 1, 2]
    """
    if groups is not None:
        shares = [1 - val - test, val, test] if test else [1 - val, val]
        return [SPLITS[part] for part in deal(groups, targets, shares, seeds)]

    parts = np.full(len(targets), "train", dtype=object)
    for rank in np.unique(targets).tolist():
        members = np.flatnonzero(np.asarray(targets) == rank)

        n_test = 0
        if test > 0:
            n_test = min(max(1, round(test * len(members))), len(members) - 1)
        n_val = min(max(1, round(val * len(members))), len(members) - 1 - n_test)

        order = np.random.default_rng([*seeds, rank]).permutation(members)
        parts[order[:n_test]] = "test"
        parts[order[n_test : n_test + n_val]] = "val"

    if val > 0 and "val" not in parts:
        parts[np.flatnonzero(parts == "test")[1::2]] = "val"
    return parts.tolist()


def draw_validation(
    table: pd.DataFrame, share: float, seed: int, groups: np.ndarray | None = None
) -> str:
    """Make a share of the training images validation where a table has none.

    Args:
        table: Columns `target` and `split`, which is changed.
        share: How much.
        seed: Decides the draw.
        groups: See `stratified`.

    Returns:
        What was drawn, in words; nothing where there is validation already.

    Example:
        >>> table = pd.DataFrame({"target": [0, 1] * 5, "split": "train"})
        >>> print(draw_validation(table, 0.2, seed=0), table["split"].eq("val").sum())
        ; validation: 2 of the 10 training images 2
    """
    train = table["split"] == "train"
    if not train.any() or (table["split"] == "val").any():
        return ""

    train_groups = None if groups is None else groups[train]
    parts = stratified(table["target"].to_numpy()[train], [seed], share, 0, train_groups)
    table.loc[train, "split"] = parts

    return f"; validation: {parts.count('val'):,} of the {train.sum():,} training images"


def deal(groups: Names, targets: Ints, shares: Sequence[float], seeds: Sequence[int]) -> np.ndarray:
    """Deal whole groups to parts, so that each part gets about its share of every rank and of all.

    Groups come in shuffled order. One that brings a rank which the first part lacks goes to the
    first part. Any other goes to the part that is filled least, measured by its share, in the ranks
    of the group and in all.

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
    names, group_of_image = np.unique(np.asarray(groups), return_inverse=True)

    # one row a group: the part of every rank, and last of all images, that it holds
    content = np.zeros((len(names), max(targets) + 2))
    np.add.at(content, (group_of_image, np.asarray(targets)), 1)
    content[:, -1] = content.sum(1)
    content /= np.maximum(content.sum(0), 1)

    filled = np.zeros((len(shares), content.shape[1]))
    part_of_group = np.zeros(len(names), int)
    for group in np.random.default_rng(seeds).permutation(len(names)).tolist():
        training_has_its_ranks = filled[0][content[group] > 0].all()
        if training_has_its_ranks:
            part_of_group[group] = np.argmin(filled @ content[group] / shares)
        filled[part_of_group[group]] += content[group]
    return part_of_group[group_of_image]


def draw_splits(table: pd.DataFrame, folds: int, fold: int, val_share: float, seed: int) -> str:
    """Fill the column `split` where the table leaves it open.

    Args:
        table: Columns `target` and `where`, and if there are any `subject` and `split`.
        folds: Draw so many test parts; 0 takes the table's split, or cuts once.
        fold: Which of them, from 1.
        val_share: How much becomes validation.
        seed: Decides every draw.

    Returns:
        What was done, in words.

    Raises:
        InputError: A cell that is no split, or more folds than can be filled.
    """
    targets = table["target"].to_numpy()
    groups = None
    manner = "within every"
    if "subject" in table:
        groups = table["subject"].to_numpy()
        manner = f"by group ({len(set(groups)):,} of them) and"

    if folds:
        message = f"fold {fold} of {folds} {manner} rank, seed {seed}"
        units = np.arange(len(table)) if groups is None else groups
        parts = deal(units, targets, [1 / folds] * folds, [seed])
        if len(np.unique(parts)) < folds:
            most = min(len(np.unique(units)), np.bincount(targets).max())
            problem = f"{folds} folds are more than there are images to fill them"
            raise InputError(f"csv: {problem}; draw at most {most} (--folds).")
        table["split"] = np.where(parts == fold - 1, "test", "train")
    elif "split" in table:
        refuse_others(table, "split", SPLITS)
        message = "split by the table"
    else:
        table["split"] = stratified(targets, [seed], val_share, groups=groups)
        shares = f"{85 - 100 * val_share:g}/{100 * val_share:g}/15"
        message = f"split {shares} {manner} rank, seed {seed}"

    validation = draw_validation(table, val_share, seed, groups)
    if validation:
        message += f"{validation}, seed {seed}"

    if groups is not None:
        n_split = int((table.groupby("subject")["split"].nunique() > 1).sum())
        if n_split:
            message += f"; {plural(n_split, 'group')} in more than one split: --leakage counts them"
    return message
