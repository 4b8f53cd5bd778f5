"""Bootstrap resamples of a sample of images, many at once: what they drew, how many pairs are in order, rank correlations.

A resample is held as how often it drew each image, a column of `often`. A sum over its images is then a weighted sum
over all images, and what needs an order (AUC, Kendall, Spearman) sorts the images once for all resamples. Counts and
pairs are whole numbers and stay exact. A function that returns a function has done what does not depend on the draws;
the function it returns takes `often`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import embedding_bag

from l2rclip_lite.metric_inputs import Array
from l2rclip_lite.ordinality import PerResample, ratio

Often: TypeAlias = Float[Tensor, "image resample"]
Counts: TypeAlias = Float[Tensor, "bag resample"]

BLOCK = 2**21  # images × resamples held at once: 8 MiB of counts, which the bags read from the cache


def draw_counts(images: int, resamples: int, seed: int, block: int = BLOCK) -> Iterator[Often]:
    """How often each resample drew each image, some resamples at a time.

    Args:
        images: Images to draw from, and drawn by each resample.
        resamples: All resamples.
        seed: Of `numpy.random.default_rng`; the draws are those of one call of its `integers`, whatever the block.
        block: Counts held at once.

    Returns:
        Float32 counts, exact up to 2^24 images.

    Example:
        >>> np.random.default_rng(0).integers(4, size=(2, 4)).tolist()
        [[3, 2, 2, 1], [1, 0, 0, 0]]
        >>> torch.cat(list(draw_counts(4, 2, seed=0, block=1)), dim=1).T.tolist()
        [[0.0, 1.0, 2.0, 1.0], [3.0, 1.0, 0.0, 0.0]]
    """
    generator, width = np.random.default_rng(seed), max(1, block // images)
    for start in range(0, resamples, width):
        rows = generator.integers(images, size=(min(width, resamples - start), images))
        rows += images * np.arange(len(rows))[:, None]
        counts = np.bincount(rows.ravel(), minlength=rows.size).reshape(rows.shape)
        yield torch.from_numpy(counts).T.to(torch.float32, memory_format=torch.contiguous_format)


def bag_counts(rows: Array, ends: Array) -> Callable[[Often], Counts]:
    """Counts of consecutive parts of a list of images: up to ends[0], from there up to ends[1], and so on.

    Example:
        >>> often = torch.tensor([[1.0], [5.0], [7.0], [3.0]])
        >>> bag_counts(np.array([3, 0, 1]), np.array([2, 2, 3]))(often).T.tolist()
        [[4.0, 0.0, 5.0]]
    """
    images, starts = torch.from_numpy(rows[: ends[-1]]), torch.from_numpy(np.r_[0, ends[:-1]])
    return lambda often: embedding_bag(images, often, starts, mode="sum")


def sorted_bags(key: Array, images: Array, levels: Array) -> Callable[[Often], Counts]:
    """Counts of some images by their key, which is one of the sorted `levels`."""
    rows = images[np.argsort(key[images])]
    return bag_counts(rows, np.searchsorted(key[rows], levels, "right"))


def pairs_won(score: Array, upper: Array, lower: Array) -> Callable[[Often], PerResample]:
    """How many pairs of an upper and a lower image have the higher score in the upper one; a tie is half a pair.

    Σ_s u_s · (L(< s) + L(≤ s)) / 2 over the scores s of upper images: u_s counts the upper images of score s, L the
    lower ones below it. AUC = pairs won / pairs, and Kendall's C − D = 2 · pairs won − pairs.

    Args:
        score: One an image.
        upper: Which images should win, as booleans.
        lower: Which images should lose.

    Example:
        >>> first = np.array([True, False, False])
        >>> won = pairs_won(np.array([3.0, 1.0, 3.0]), first, ~first)
        >>> won(
        ...     torch.tensor([[1.0], [2.0], [4.0]])
        ... ).tolist()  # 3 beats 1 two times and ties with 3 four times
        [4.0]
    """
    above, below = np.flatnonzero(upper), np.flatnonzero(lower)
    steps = np.unique(score[above])
    held = sorted_bags(score, above, steps)
    below = below[np.argsort(score[below])]
    sides = [np.searchsorted(score[below], steps, side) for side in ("left", "right")]
    # in turn: lower than s_1, equal to s_1, between s_1 and s_2, equal to s_2, …
    between = bag_counts(below, np.stack(sides, axis=1).ravel())

    def count(often: Often) -> PerResample:
        lost = between(often).cumsum_(0)
        won = lost[0::2].double().add_(lost[1::2]).mul_(held(often)).sum(0) / 2
        return np.asarray(won.numpy())

    return count


def rank_order(true: Array, value: Array) -> Callable[[Often], dict[str, PerResample]]:
    """Spearman's ρ and Kendall's τ_b; `ordinality` has them for one sample.

    Mid-ranks come from cumulated counts. The pairs of two different ranks are split in halves: first a rank of the
    upper half of the scale against one of the lower half, then the same inside each half, so an image is counted
    log₂ K times.

    Example:
        >>> found = rank_order(np.array([0, 1, 2]), np.array([0.1, 0.9, 0.5]))(torch.ones(3, 1))
        >>> {name: round(float(value[0]), 4) for name, value in found.items()}
        {'spearman': 0.5, 'kendall': 0.3333}
    """
    images, ranks, levels = np.arange(len(true)), np.unique(true), np.unique(value)
    sizes_of, ties_of = sorted_bags(true, images, ranks), sorted_bags(value, images, levels)
    row, column = (torch.from_numpy(np.searchsorted(*pair)) for pair in ((ranks, true), (levels, value)))
    duels = [
        pairs_won(value, np.isin(true, ranks[mid:end]), np.isin(true, ranks[start:mid]))
        for start, mid, end in _halves(0, len(ranks))
    ]

    def measure(often: Often) -> dict[str, PerResample]:
        sizes, ties = sizes_of(often).double(), ties_of(often).double()
        n = sizes.sum(0)
        # mid-ranks less their mean: Σ of the groups below + (own + 1) / 2 − (n + 1) / 2
        left, right = (part.cumsum(0).sub_(part, alpha=0.5).sub_(n / 2) for part in (sizes, ties))
        product = left[row].mul_(often).mul_(right[column]).sum(0)
        spread = (sizes * left**2).sum(0) * (ties * right**2).sum(0)
        apart, different = (n**2 - (part**2).sum(0) for part in (sizes, ties))  # ordered pairs without ties
        surplus = 4 * np.sum([won(often) for won in duels], axis=0) - apart.numpy()  # 2 (C − D)
        return {
            "spearman": ratio(product.numpy(), np.sqrt(spread.numpy())),
            "kendall": ratio(surplus, np.sqrt((apart * different).numpy())),
        }

    return measure


def _halves(start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """A range cut in two, and each part again: start, middle and end of each range of two or more."""
    if end - start > 1:
        mid = (start + end) // 2
        yield start, mid, end
        yield from _halves(start, mid)
        yield from _halves(mid, end)
