"""Changes to a data set that make it an experiment, such as few-shot or unseen ranks.

Each function takes a data set and returns a new one. No image is opened, every choice follows from
a seed, and what was done is one more sentence in `protocol`, which a run writes into its
config.json.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, TypedDict, Unpack

import numpy as np
from pydantic import Field, SkipValidation

from l2rclip_lite.data.base import SPLITS, OrdinalDataset, Seed, validated
from l2rclip_lite.data.splits import stratified
from l2rclip_lite.errors import InputError

Data = Annotated[OrdinalDataset, SkipValidation]
# Each step draws from a generator of its own, so that one step after another stays a fair draw.
_FEW_SHOT, _LABEL_SHIFT, _LONG_TAIL, _SUBJECTS = range(4)


@validated
def few_shot(data: Data, shots: Annotated[int, Field(ge=1)], seed: Seed = 0) -> OrdinalDataset:
    """Keep at most `shots` training images of every rank; val and test stay.

    With one seed, the images of fewer shots are among those of more. Source: CoOp (Zhou et al.,
    IJCV 2022), and for ages OrdinalCLIP (Li et al., NeurIPS 2022) with 1, 2, 4, 8, 16, 32 and 64
    shots.

    Args:
        data: Any data set.
        shots: The largest number of training images per rank, at least 1.
        seed: Decides which.

    Returns:
        The data set with min(shots, available) training images per rank, in their old order.

    Raises:
        InputError: `shots` or `seed` is no whole number in its range.

    Example:
        >>> from l2rclip_lite.data import load_dataset
        >>> few = few_shot(load_dataset("leaves", size=60), shots=2)
        >>> few.counts("train"), few.protocol[-1]
        ([2, 2, 2, 2, 2], 'few-shot: at most 2 training images per rank, 10 of 40 kept; seed 0')
    """
    step = f"few-shot: at most {shots} training images per rank"
    return _thinned(data, dict.fromkeys(data.train.targets, shots), step, [seed, _FEW_SHOT])


@validated
def label_shift(data: Data, shift: str, seed: Seed = 0) -> OrdinalDataset:
    """Thin out the training images of the most frequent ranks; val and test stay.

    A thinned rank of n images keeps max(1, floor(keep * n)). Source: the distribution shift of
    OrdinalCLIP (Li et al., NeurIPS 2022), which thins the 10, 20, 30 or 40 most frequent ages to
    0.1 or 0.2; its code rounds down.

    Args:
        data: Any data set.
        shift: "10:0.1" cuts the 10 most frequent ranks to a tenth; of two equally frequent ones the
            lower comes first.
        seed: Decides which images stay.

    Returns:
        The data set with the thinned training split, in its old order.

    Raises:
        InputError: Another text, more ranks than the training split has, or a share that is not
            between 0 and 1.

    Example:
        >>> from l2rclip_lite.data import load_dataset
        >>> label_shift(load_dataset("leaves", size=60), "2:0.25").counts("train")
        [2, 2, 8, 8, 8]
    """
    counts = _by_frequency(data)
    match = re.fullmatch(r"([1-9][0-9]{0,4}):(0?\.[0-9]*[1-9][0-9]*)", shift)
    if match is None or int(match[1]) > len(counts):
        raise InputError(
            f"label_shift: write how many of the {len(counts)} ranks with training images are cut, "
            f"and what share they keep, such as 2:0.1, not {shift!r}."
        )

    n_ranks = int(match[1])
    keep = float(match[2])
    quota = dict(counts)
    for rank, count in counts[:n_ranks]:
        quota[rank] = max(1, int(keep * count))

    step = f"label shift: the {n_ranks} most frequent ranks keep {keep:g} of their training images"
    return _thinned(data, quota, step, [seed, _LABEL_SHIFT])


@validated
def long_tail(
    data: Data, ratio: Annotated[float, Field(ge=1, allow_inf_nan=False)], seed: Seed = 0
) -> OrdinalDataset:
    """Let the number of training images fall exponentially from rank to rank; val and test stay.

    The K' ranks that have images are sorted by their number (of two equally frequent ones the lower
    first). The i-th of them, i = 0 … K' - 1, keeps n_i = floor(n_0 * ratio ** (-i / (K' - 1))),
    where n_0 is the largest head for which every rank has as many as it is asked for. Source: the
    profile of long-tailed CIFAR (Cui et al., CVPR 2019; Cao et al., NeurIPS 2019).

    Args:
        data: Any data set.
        ratio: n_0 / n_(K' - 1), up to the rounding, at least 1 (1 gives every rank the same
            number).
        seed: Decides which images stay.

    Returns:
        The data set with the thinned training split, in its old order.

    Raises:
        InputError: The data has too few images for this ratio.

    Example:
        >>> from l2rclip_lite.data import load_dataset
        >>> long_tail(load_dataset("leaves", size=60), ratio=8).counts("train")
        [8, 4, 2, 1, 1]
    """
    ranked = _by_frequency(data)
    available = np.array([count for _, count in ranked])

    shares = ratio ** -np.linspace(0, 1, len(available))
    for head in range(available[0], 0, -1):
        sizes = np.floor(head * shares + 1e-9).astype(int)  # a power may be off by so much
        if (sizes <= available).all() and sizes[-1] >= 1:
            break
    else:
        raise InputError(
            f"long_tail: {data.name} has too few images for {ratio:g}; choose a smaller ratio."
        )

    quota = {rank: size for (rank, _), size in zip(ranked, sizes.tolist(), strict=True)}
    return _thinned(data, quota, f"long tail of ratio {ratio:g}", [seed, _LONG_TAIL])


@validated
def subject_disjoint(data: Data, seed: Seed = 0) -> OrdinalDataset:
    """Pool the splits and cut them anew, 70/15/15, by whole subjects, see `splits.deal`.

    Args:
        data: A data set that names its subjects.
        seed: Decides the order.

    Returns:
        All images in their old order. As a rare rank may lose its training images,
        `allow_empty_ranks` is set.

    Raises:
        InputError: The data set does not name its subjects, or has too few.

    Example:
        >>> from l2rclip_lite.data import Split, load_dataset
        >>> friends = list("abcdefghij") * 2
        >>> us = Split(friends, [0, 1, 2, 3, 4] * 4, friends, subjects=friends)
        >>> faces = replace(
        ...     load_dataset("leaves", size=60), train=us[:12], val=us[12:16], test=us[16:]
        ... )
        >>> print(subject_disjoint(faces).protocol[-1])
        subject-disjoint: all 20 images split again by subject; seed 0
    """
    pool = data.train + data.val + data.test
    if pool.subjects is None:
        raise InputError(
            f"subject_disjoint: {data.name} does not say who is shown; choose another data set."
        )

    parts = np.array(stratified(pool.targets, [seed, _SUBJECTS], groups=pool.subjects))
    splits: dict[str, Any] = {}
    for name in SPLITS:
        splits[name] = pool.subset(np.flatnonzero(parts == name).tolist())

    step = f"subject-disjoint: all {len(pool):,} images split again by subject; seed {seed}"
    return replace(data, **splits, protocol=(*data.protocol, step), allow_empty_ranks=True)


@validated
def hold_out(data: Data, every: Annotated[int, Field(ge=2)] = 3, seed: Seed = 0) -> OrdinalDataset:
    """Make ranks unseen: one in `every` between the two ends keeps its test images only.

    Ranks are numbered from 0. Of the inner ranks 1 … K - 2 those at o, o + every, o + 2 every, …
    are held out, with o = (floor(every / 2) + seed) mod every. So nothing is drawn, `every` seeds
    in a row hold out each inner rank once, and between two held-out ranks there are `every` - 1
    others. Validation loses them too, or epochs would be chosen on what is meant to be unseen.

    Args:
        data: Any data set.
        every: 3 holds out a third; at least 2.
        seed: Which of the `every` sets of ranks.

    Returns:
        The data set with `allow_empty_ranks`; the ends are always left as they are.

    Raises:
        InputError: No rank between the ends is met, or nothing would be left to validate on.

    Example:
        >>> from l2rclip_lite.data import load_dataset
        >>> data = hold_out(load_dataset("leaves", size=60))
        >>> data.counts("train"), data.counts("val"), data.counts("test")
        ([8, 8, 0, 8, 8], [2, 2, 0, 2, 2], [2, 2, 2, 2, 2])
        >>> print(data.protocol[-1])
        held out: 1 of 5 ranks (2), one in 3 between the ends; seed 0
    """
    inner = range(1, len(data.ranks) - 1)
    unseen = inner[(every // 2 + seed) % every :: every]
    if not unseen:
        raise InputError(
            f"hold_out: one in {every} holds out none of the {len(data.ranks)} ranks of "
            f"{data.name} with seed {seed}; choose another seed or a smaller number."
        )

    splits = []
    for split in (data.train, data.val):
        is_seen = ~np.isin(split.targets, [*unseen])
        splits.append(split.subset(np.flatnonzero(is_seen).tolist()))
    train, val = splits
    step = (
        f"held out: {len(unseen)} of {len(data.ranks)} ranks ({', '.join(map(str, unseen))}), "
        f"one in {every} between the ends; seed {seed}"
    )
    return replace(
        data, train=train, val=val, protocol=(*data.protocol, step), allow_empty_ranks=True
    )


@validated
def rebin(data: Data, count: Annotated[int, Field(ge=2)]) -> OrdinalDataset:
    """Merge neighbouring ranks into fewer, in all three splits.

    The bins have equally many ranks, the first ones one more where that does not come out even. A
    bin is called "first to last", and its value is the mean of the merged values. That labels of an
    ordered quantity may be cut into bins and learned as classes is common for ages (Rothe et al.,
    IJCV 2018); bins of equal width in ranks are our choice. Label deviations are dropped.

    Args:
        data: Any data set.
        count: The number of bins, from 2 to K - 1.

    Returns:
        The same images over `count` ranks.

    Raises:
        InputError: A number of bins that merges nothing or everything.

    Example:
        >>> from l2rclip_lite.data import load_dataset
        >>> two = rebin(load_dataset("leaves", size=60), count=2)
        >>> two.ranks.names, two.ranks.values, two.counts("train")
        (('no to low', 'high to very high'), (1.0, 3.5), [24, 16])
    """
    old = data.ranks
    if count >= len(old):
        raise InputError(
            f"rebin: {data.name} has {len(old)} ranks; merge them into fewer, not {count}."
        )

    bins = np.array_split(np.arange(len(old)), count)
    names = [_bin_name(old.names[members[0]], old.names[members[-1]]) for members in bins]
    values = [float(np.mean(np.array(old.values)[members])) for members in bins]

    bin_of_rank = np.repeat(np.arange(count), list(map(len, bins)))
    step = f"{len(old)} ranks merged into {count} bins; errors are between the means of bins"
    splits: dict[str, Any] = {}
    for name in SPLITS:
        split = data.split(name)
        binned = bin_of_rank[[*split.targets]].tolist()
        splits[name] = replace(split, targets=binned, deviations=None)
    return replace(
        data,
        **splits,
        ranks=replace(old, names=tuple(names), values=tuple(values)),
        protocol=(*data.protocol, step),
    )


def _bin_name(first: str, last: str) -> str:
    """Return what a bin from one rank to another is called; of ranges the outer ends count.

    Example:
        >>> _bin_name("four", "six"), _bin_name("four to six", "seven to nine")
        ('four to six', 'four to nine')
    """
    if first == last:
        return first
    return f"{first.partition(' to ')[0]} to {last.rpartition(' to ')[2]}"


CHANGES: dict[str, Any] = {  # in the order in which they are made
    change.__name__: change
    for change in (subject_disjoint, rebin, hold_out, label_shift, long_tail, few_shot)
}


class Changes(TypedDict, total=False):
    """The number or text of each change that is to be made."""

    subject_disjoint: bool
    rebin: int
    hold_out: int
    label_shift: str
    long_tail: float
    few_shot: int


def apply_protocols(
    data: OrdinalDataset, seed: int = 0, **changes: Unpack[Changes]
) -> OrdinalDataset:
    """Make the chosen changes in the order of `CHANGES`, whatever the order they are written in.

    Args:
        data: Any data set.
        seed: Decides every draw, and which ranks are held out.
        changes: See the functions of this module: `few_shot=4` calls `few_shot` with 4.

    Returns:
        The changed data set, or `data` itself if nothing was chosen.

    Raises:
        InputError: A change that cannot be made.

    Example:
        >>> from l2rclip_lite.data import load_dataset
        >>> data = load_dataset("leaves", size=60)
        >>> apply_protocols(data, label_shift="1:0.1", few_shot=4).counts("train")
        [1, 4, 4, 4, 4]
        >>> apply_protocols(data) is data
        True
    """
    for name, change in CHANGES.items():
        value = changes.get(name)
        if value is None or value is False:
            continue

        arguments = [] if value is True else [value]
        seeds = {} if name == "rebin" else {"seed": seed}  # bins are not drawn
        data = change(data, *arguments, **seeds)
    return data


def _by_frequency(data: OrdinalDataset) -> list[tuple[int, int]]:
    """Return ranks and their training images, most frequent first, of equal ones the lower."""
    return Counter(sorted(data.train.targets)).most_common()


def _thinned(
    data: OrdinalDataset, quota: Mapping[int, int], step: str, seeds: Sequence[int]
) -> OrdinalDataset:
    """Return the data with at most `quota[rank]` random training images of each rank.

    A smaller quota keeps a subset of what a larger one keeps. `step` is a sentence for the
    protocol, to which the counts are added; `seeds` are the seed and the number of the step.
    """
    targets = np.array(data.train.targets)
    kept: list[int] = []
    for rank, count in quota.items():
        members = np.flatnonzero(targets == rank)
        order = np.random.default_rng([*seeds, rank]).permutation(members)
        kept += order[:count].tolist()

    step += f", {len(kept):,} of {len(targets):,} kept; seed {seeds[0]}"
    return replace(data, train=data.train.subset(sorted(kept)), protocol=(*data.protocol, step))
