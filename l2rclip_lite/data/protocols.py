"""Changes to a data set that make it an experiment: few-shot, label shift, long tail, unseen ranks, and others.

Each function takes a data set and gives a new one. No image is opened, every choice follows from a seed, and what was
done is one more sentence in `protocol`, which a run writes into its config.json.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

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
    """At most `shots` training images of every rank; val and test stay.

    With one seed, the images of fewer shots are among those of more. Source: CoOp (Zhou et al., IJCV 2022), and
    for ages OrdinalCLIP (Li et al., NeurIPS 2022) with 1, 2, 4, 8, 16, 32 and 64 shots.

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
    said = f"few-shot: at most {shots} training images per rank"
    return _thinned(data, dict.fromkeys(data.train.targets, shots), said, _FEW_SHOT, seed)


@validated
def label_shift(data: Data, shift: str, seed: Seed = 0) -> OrdinalDataset:
    """The most frequent ranks lose most of their training images; val and test stay.

    A thinned rank of n images keeps max(1, floor(keep * n)). Source: the distribution shift of OrdinalCLIP (Li et
    al., NeurIPS 2022), which thins the 10, 20, 30 or 40 most frequent ages to 0.1 or 0.2; its code rounds down.

    Args:
        data: Any data set.
        shift: "10:0.1" cuts the 10 most frequent ranks to a tenth; of two equally frequent ones the lower comes first.
        seed: Decides which images stay.

    Returns:
        The data set with the thinned training split, in its old order.

    Raises:
        InputError: Another text, more ranks than the training split has, or a share that is not between 0 and 1.

    Example:
        >>> from l2rclip_lite.data import load_dataset
        >>> label_shift(load_dataset("leaves", size=60), "2:0.25").counts("train")
        [2, 2, 8, 8, 8]
    """
    order = Counter(
        sorted(data.train.targets)
    ).most_common()  # of equally frequent ranks the lower first
    match = re.fullmatch(r"([1-9][0-9]{0,4}):(0?\.[0-9]+)", shift)
    if match is None or int(match[1]) > len(order):
        what = f"how many of the {len(order)} ranks with training images are cut, and what share they keep"
        raise InputError(f"label_shift: write {what}, such as 2:0.1, not {shift!r}.")
    ranks, keep = int(match[1]), float(match[2])
    quota = dict(order) | {rank: max(1, int(keep * count)) for rank, count in order[:ranks]}
    said = f"label shift: the {ranks} most frequent ranks keep {keep:g} of their training images"
    return _thinned(data, quota, said, _LABEL_SHIFT, seed)


@validated
def long_tail(
    data: Data, ratio: Annotated[float, Field(ge=1, allow_inf_nan=False)], seed: Seed = 0
) -> OrdinalDataset:
    """An exponentially falling number of training images from rank to rank; val and test stay.

    The K' ranks that have images are sorted by their number (of two equally frequent ones the lower first). The
    i-th of them, i = 0 … K' - 1, keeps n_i = floor(n_0 * ratio ** (-i / (K' - 1))), where n_0 is the largest head
    for which every rank has as many as it is asked for. Source: the profile of long-tailed CIFAR (Cui et al.,
    CVPR 2019; Cao et al., NeurIPS 2019).

    Args:
        data: Any data set.
        ratio: n_0 / n_(K' - 1), up to the rounding, at least 1 (1 gives every rank the same number).
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
    order = Counter(sorted(data.train.targets)).most_common()
    counts = np.array([count for _, count in order])
    heads = np.arange(counts[0], 0, -1)[:, None]
    # 1e-9 is what a power may be off before it is rounded; a ratio above the largest head has no tail anyway.
    tails = np.floor(heads * min(ratio, counts[0] + 1.0) ** -np.linspace(0, 1, len(counts)) + 1e-9)
    fitting = tails[(tails <= counts).all(axis=1) & (tails[:, -1] >= 1)]
    if not len(fitting):
        raise InputError(
            f"long_tail: {data.name} has too few images for {ratio:g}; choose a smaller ratio."
        )
    sizes = fitting[0].astype(int).tolist()
    quota = {rank: size for (rank, _), size in zip(order, sizes, strict=True)}
    said = f"long tail of ratio {ratio:g}: {len(order)} ranks from {sizes[0]:,} down to {sizes[-1]:,} training images"
    return _thinned(data, quota, said, _LONG_TAIL, seed)


@validated
def rebin(data: Data, count: Annotated[int, Field(ge=2)]) -> OrdinalDataset:
    """Neighbouring ranks merged into fewer, in all three splits.

    The bins have equally many ranks, the first ones one more where that does not come out even. A bin is called
    "first to last", and its value is the mean of the merged values. That labels of an ordered quantity may be cut
    into bins and learned as classes is common for ages (Rothe et al., IJCV 2018); bins of equal width in ranks are
    our choice. Label deviations, which belong to the old labels, are dropped.

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
    bins = [part.tolist() for part in np.array_split(np.arange(len(old)), count)]
    place = [number for number, members in enumerate(bins) for _ in members]
    names = []
    for part in bins:
        first, last = old.names[part[0]], old.names[part[-1]]
        if first == last:
            names.append(first)
        else:  # of bins that are merged again, the outer ends: "four to six"
            names.append(f"{first.split(' to ')[0]} to {last.split(' to ')[-1]}")
    values = tuple(sum(old.values[rank] for rank in part) / len(part) for part in bins)
    merged: dict[str, Any] = {"ranks": replace(old, names=tuple(names), values=values)}
    for name in SPLITS:
        part = data.split(name)
        merged[name] = replace(
            part, targets=[place[target] for target in part.targets], deviations=None
        )
    widths = " or ".join(map(str, sorted({len(part) for part in bins})))
    said = f"{len(old)} ranks merged into {count} bins of {widths}; errors are between the means of bins"
    return replace(data, protocol=(*data.protocol, said), **merged)


@validated
def subject_disjoint(data: Data, seed: Seed = 0) -> OrdinalDataset:
    """The three splits pooled and cut again 70/15/15 by whole subjects, see `tables.deal`: nobody is in two of them.

    Args:
        data: A data set that names its subjects.
        seed: Decides the order.

    Returns:
        All images in their old order. As a rare rank may lose its training images, `allow_empty_ranks` is set.

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
        subject-disjoint: all 20 images split again by subject, train 10 (5 subjects), val 6 (3 subjects), test 4
        (2 subjects); seed 0
    """
    pool, splits = data.train + data.val + data.test, dict[str, Any]()
    if pool.subjects is None:
        raise InputError(
            f"subject_disjoint: {data.name} does not say who is shown; choose another data set."
        )
    dealt = np.array(stratified(pool.targets, [seed, _SUBJECTS], groups=pool.subjects))
    said = f"subject-disjoint: all {len(pool):,} images split again by subject"
    for name in SPLITS:
        part = splits[name] = pool.subset(np.flatnonzero(dealt == name).tolist())
        said += f", {name} {len(part):,} ({len(set(part.subjects or ())):,} subjects)"
    return replace(
        data, protocol=(*data.protocol, f"{said}; seed {seed}"), allow_empty_ranks=True, **splits
    )


@validated
def hold_out(data: Data, every: Annotated[int, Field(ge=2)] = 3, seed: Seed = 0) -> OrdinalDataset:
    """Unseen ranks: every third one between the two ends loses its training and validation images; test stays.

    Ranks are numbered from 0. Of the inner ranks 1 … K - 2 those at o, o + every, o + 2 every, … are held out, with
    o = (floor(every / 2) + seed) mod every. So nothing is drawn, `every` seeds in a row hold out each inner rank
    once, and between two held-out ranks there are `every` - 1 others. Validation loses them too, or epochs would be
    chosen on what is meant to be unseen.

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
        held out: 1 of 5 ranks (2), one in 3 between the ends; 8 training and 2 validation images removed; seed 0
    """
    ranks = list(range(1, len(data.ranks) - 1))[(every // 2 + seed) % every :: every]
    if not ranks:
        what = f"one in {every} holds out none of the {len(data.ranks)} ranks of {data.name} with seed {seed}"
        raise InputError(f"hold_out: {what}; choose another seed or a smaller number.")
    parts: dict[str, Any] = {}
    for name in ("train", "val"):
        part = data.split(name)
        parts[name] = part.subset(
            [i for i, target in enumerate(part.targets) if target not in ranks]
        )
    gone = [f"{len(data.split(name)) - len(part):,}" for name, part in parts.items()]
    said = f"held out: {len(ranks)} of {len(data.ranks)} ranks ({', '.join(map(str, ranks))}), one in {every} between the"
    said += f" ends; {gone[0]} training and {gone[1]} validation images removed; seed {seed}"
    return replace(data, protocol=(*data.protocol, said), allow_empty_ranks=True, **parts)


_ORDER: tuple[Any, ...] = (subject_disjoint, rebin, hold_out, label_shift, long_tail, few_shot)
CHANGES: dict[str, Any] = {change.__name__: change for change in _ORDER}


def apply_protocols(data: OrdinalDataset, seed: int = 0, **options: Any) -> OrdinalDataset:
    """The chosen changes, in the order of `CHANGES`, whatever the order they are written in.

    Args:
        data: Any data set.
        seed: Decides every draw, and which ranks are held out.
        options: The names of changes with their number or text, such as `few_shot=4`; True for `subject_disjoint`,
            None and False for nothing.

    Returns:
        The changed data set, or `data` itself if nothing was chosen.

    Raises:
        InputError: A change that cannot be made.

    Example:
        >>> from l2rclip_lite.data import load_dataset
        >>> data = load_dataset("leaves", size=60)
        >>> (
        ...     apply_protocols(data, label_shift="1:0.1", few_shot=4).counts("train"),
        ...     apply_protocols(data) is data,
        ... )
        ([1, 4, 4, 4, 4], True)
    """
    for name, change in CHANGES.items():
        value = options.get(name)
        if value is not None and value is not False:
            draws = {} if name == "rebin" else {"seed": seed}  # to merge ranks, nothing is drawn
            data = (
                change(data, **draws)
                if name == "subject_disjoint"
                else change(data, value, **draws)
            )
    return data


def _thinned(
    data: Data, quota: Mapping[int, int], said: str, step: int, seed: int
) -> OrdinalDataset:
    """At most `quota[rank]` random training images of each rank; a smaller quota gives a subset of a larger one."""
    targets = np.array(data.train.targets)
    kept: list[int] = []
    for rank, count in quota.items():
        members = np.flatnonzero(targets == rank)
        kept += np.random.default_rng([seed, step, rank]).permutation(members)[:count].tolist()
    said += f", {len(kept):,} of {len(targets):,} kept; seed {seed}"
    return replace(data, protocol=(*data.protocol, said), train=data.train.subset(sorted(kept)))
