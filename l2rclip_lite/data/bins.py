"""Ranks merged into bins, which is one way to coarser labels."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import numpy as np
from pydantic import Field, SkipValidation

from l2rclip_lite.data.base import OrdinalDataset, Split
from l2rclip_lite.data.options import validated
from l2rclip_lite.errors import InputError

Data = Annotated[OrdinalDataset, SkipValidation]


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

    bins = [members.tolist() for members in np.array_split(np.arange(len(old)), count)]
    names = []
    values = []
    bin_of_rank = []
    for place, members in enumerate(bins):
        names.append(_bin_name(old.names[members[0]], old.names[members[-1]]))
        values.append(sum(old.values[rank] for rank in members) / len(members))
        bin_of_rank += [place] * len(members)

    widths = sorted({len(members) for members in bins})
    step = (
        f"{len(old)} ranks merged into {count} bins of {' or '.join(map(str, widths))}; "
        "errors are between the means of bins"
    )
    return replace(
        data,
        train=_relabelled(data.train, bin_of_rank),
        val=_relabelled(data.val, bin_of_rank),
        test=_relabelled(data.test, bin_of_rank),
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


def _relabelled(split: Split, bin_of_rank: Sequence[int]) -> Split:
    """Return a split whose targets are bins, without the deviations of its old labels."""
    targets = [bin_of_rank[target] for target in split.targets]
    return replace(split, targets=targets, deviations=None)
