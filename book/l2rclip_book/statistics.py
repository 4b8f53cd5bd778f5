"""Statistics of the chapters: order of text features, paired comparisons, near-duplicate images."""

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple, TypeAlias

import numpy as np
import pandas as pd
from jaxtyping import Float, Real
from numpy.typing import ArrayLike
from PIL import Image
from scipy.stats import bootstrap, rankdata, wilcoxon

from l2rclip_lite.errors import InputError

Rows: TypeAlias = Real[np.ndarray, "#resample batch"]  # one row is compared with every other


def spearman_rho(left: Rows, right: Rows) -> Float[np.ndarray, " resample"]:
    """Compute Spearman's ρ of every row with the same row of the other table.

    It is the Pearson correlation of mid-ranks. SciPy's `spearmanr` correlates every column with
    every other one; a permutation test needs thousands of pairs.

    Args:
        left: Numbers.
        right: Numbers.

    Returns:
        Values in [−1, 1]; 0.0 where either side is constant.

    Example:
        >>> left = np.array([[0, 1, 2], [0, 0, 0]])
        >>> right = np.array([[1, 2, 9], [1, 2, 9]])
        >>> spearman_rho(left, right).tolist()
        [1.0, 0.0]
    """
    return _correlation(centred_ranks(left), centred_ranks(right), np.ones(1))


def _correlation(a: Rows, b: Rows, counts: Rows) -> Float[np.ndarray, " resample"]:
    """Compute Pearson's correlation of centred numbers, in which each counts so often."""
    scale = np.sqrt((counts * a * a).sum(-1) * (counts * b * b).sum(-1))
    rho = (counts * a * b).sum(-1) / np.where(scale > 0, scale, 1)
    return np.clip(rho, -1, 1)


def centred_ranks(rows: Rows) -> Rows:
    """Rank the numbers of each row, and subtract the mean rank; equal numbers share a rank.

    Numbers are equal that have the same nine decimals: the rest is float noise.

    Example:
        >>> centred_ranks(np.array([[7, 9, 9, 8]]))
        array([[-1.5,  1. ,  1. , -0.5]])
    """
    mean_rank = (rows.shape[-1] + 1) / 2
    rounded = np.round(np.asarray(rows, dtype=float), 9)
    return np.asarray(rankdata(rounded, axis=-1) - mean_rank)


def draw_counts(
    n_drawn: int, size: int, n_draws: int, generator: np.random.Generator
) -> Float[np.ndarray, "draw unit"]:
    """Return how often each unit is drawn, in bootstrap draws with replacement.

    Args:
        n_drawn: Units of each draw.
        size: Units to draw from.
        n_draws: How many draws.
        generator: Of the draws.

    Example:
        >>> draw_counts(4, 2, 3, np.random.default_rng(0)).tolist()
        [[1.0, 3.0], [4.0, 0.0], [1.0, 3.0]]
    """
    draw = generator.integers(size, size=(n_draws, n_drawn))
    draw += size * np.arange(n_draws)[:, None]  # each draw counts its own units
    counts = np.bincount(draw.ravel(), minlength=n_draws * size)
    return counts.reshape(n_draws, size).astype(float)


def resampled_rho(
    left: Float[np.ndarray, " batch"],
    right: Float[np.ndarray, " batch"],
    counts: Float[np.ndarray, "draw batch"],
) -> Float[np.ndarray, " draw"]:
    """Compute Spearman's ρ in each of many draws, in which an image counts so often.

    Example:
        >>> counts = np.array([[1.0, 1.0, 1.0], [2.0, 0.0, 1.0]])
        >>> resampled_rho(np.array([0, 1, 2]), np.array([1, 9, 2]), counts).round(2).tolist()
        [0.5, 1.0]
    """
    a = _centred_ranks_in_draws(left, counts)
    b = _centred_ranks_in_draws(right, counts)
    return _correlation(a, b, counts)


def _centred_ranks_in_draws(
    values: Float[np.ndarray, " batch"], counts: Float[np.ndarray, "draw batch"]
) -> Float[np.ndarray, "draw batch"]:
    """Return the mid-ranks of numbers in each draw, their mean subtracted; see `centred_ranks`."""
    _, place = np.unique(np.round(np.asarray(values, dtype=float), 9), return_inverse=True)
    frequency = counts @ np.eye(place.max() + 1)[place]
    ranks = (frequency.cumsum(axis=1) - frequency / 2)[:, place]
    mean = (counts * ranks).sum(1, keepdims=True) / counts.sum(1, keepdims=True)
    return np.asarray(ranks - mean)


def ordinality(text_features: ArrayLike) -> dict[str, float]:
    """Score the order in K rank features in three ways; d is the cosine distance 1 − cos.

    Args:
        text_features: One row per rank, lowest rank first. Rows are scaled to unit length; centre
            them first if you use them so.

    Returns:
        `gap`: Spearman's ρ of the rank gap j − i against d(i, j) over all pairs i < j; in [−1, 1],
        chance 0. `triplets`: the share of the comparisons d(i, j) < d(i, k) and d(j, k) < d(i, k)
        that hold over all i < j < k, ties one half; in [0, 1], chance 0.5. `component`: |Spearman's
        ρ| of the first principal component against the rank; in [0, 1]. With few ranks chance is
        high: about 0.5 for five random vectors. Identical rows give 0.0, 0.5 and 0.0.

    Raises:
        InputError: Fewer than three ranks, values that are not finite, or a row of zeros.

    Example:
        >>> angle = np.radians([0, 60, 120])
        >>> ordinality(np.stack([np.cos(angle), np.sin(angle)], axis=1))
        {'gap': 1.0, 'triplets': 1.0, 'component': 1.0}
    """
    rows = _unit_rows(text_features)
    distance = cosine_distances(text_features)
    left, scale, _ = np.linalg.svd(rows - rows.mean(0), full_matrices=False)
    component = left[:, 0] * scale[0]
    rank = np.arange(len(rows))

    i, j = np.triu_indices(len(rows), 1)
    gap = spearman_rho((j - i)[None], distance[i, j][None])
    i, j, k = np.array(list(combinations(rank, 3))).T
    outer = distance[i, k]
    in_order = np.sign(outer - distance[i, j]) + np.sign(outer - distance[j, k])
    return {
        "gap": float(gap[0]),
        "triplets": float((in_order / 4 + 0.5).mean()),
        "component": abs(float(spearman_rho(component[None], rank[None])[0])),
    }


def cosine_distances(
    text_features: ArrayLike,
) -> Float[np.ndarray, "rank rank"]:
    """Return 1 − cos of all pairs of rows, to nine decimals: below is float noise, so a tie."""
    rows = _unit_rows(text_features)
    return np.round(1 - rows @ rows.T, 9)


def _unit_rows(
    text_features: ArrayLike,
) -> Float[np.ndarray, "rank dim"]:
    """Return features of unit length.

    Raises:
        InputError: Fewer than three ranks, values that are not finite, or a row of zeros.
    """
    features = np.asarray(text_features, dtype=float)
    if features.ndim != 2 or len(features) < 3:
        shape = features.shape
        raise InputError(
            f"ordinality: the features have shape {shape}; give three or more, one per rank."
        )

    length = np.linalg.norm(features, axis=1, keepdims=True)
    usable = np.isfinite(length[:, 0]) & (length[:, 0] > 0)
    if not usable.all():
        row = np.flatnonzero(~usable)[0]
        raise InputError(f"ordinality: row {row} is zero or not finite; encode that rank again.")
    return features / length


class Comparison(NamedTuple):
    """Result of `compare`; a positive difference means that the first method is better."""

    difference: float  # in the unit of the metric
    low: float  # the 95 % bootstrap interval of the difference
    high: float
    p: float  # of the two-sided signed-rank test


def compare(one: ArrayLike, other: ArrayLike) -> Comparison:
    """Compute the mean difference other − one of two methods' errors on the same images.

    Its interval is the percentile bootstrap over images with 9,999 draws, and its p that of
    Wilcoxon's signed-rank test (1945), with differences of 0 left out (p = 1 if all are).

    Args:
        one: The error of the first method, one number per image.
        other: That of the second method on the same images, in the same order.

    Example:
        >>> comparison = compare([2, 3, 3, 4, 2], [3, 5, 6, 8, 7])
        >>> comparison.difference, comparison.p
        (3.0, 0.0625)
    """
    saved = np.round(np.subtract(other, one), 12)  # so that float noise is no difference
    draws = bootstrap((saved,), np.mean, method="percentile", rng=np.random.default_rng(0))
    low, high = draws.confidence_interval

    p = 1.0
    if saved.any():
        p = float(wilcoxon(saved[saved != 0]).pvalue)
    return Comparison(float(saved.mean()), float(low), float(high), p)


def holm(p_values: Sequence[float] | pd.Series, n_tests: int) -> list[float]:
    """Adjust p-values by Holm's step-down method.

    Compare the results with α, and the chance of any false alarm stays below α. The i-th smallest
    of m p-values becomes max_{j ≤ i} min(1, (m − j + 1) p_(j)).

    Source: Holm 1979, https://www.jstor.org/stable/4615733.

    Args:
        p_values: One per comparison, in [0, 1].
        n_tests: m; a comparison that could not be made counts, too.

    Returns:
        The adjusted p-values in the order given, each at least as large as before and at most 1.

    Example:
        >>> holm([0.01, 0.5, 0.02], 3)
        [0.03, 0.5, 0.04]
    """
    p = pd.Series(p_values, dtype=float).sort_values()
    factors = n_tests - np.arange(len(p))  # m for the smallest
    adjusted = (p * factors).cummax().clip(upper=1)
    return adjusted.sort_index().tolist()


def thumbnail(image: Image.Image) -> Float[np.ndarray, " pixel"]:
    """Return an image as 12 × 12 grey values with mean 0 and length 1.

    It has no colour, brightness or contrast, and hardly a detail.

    Args:
        image: Any image.

    Returns:
        144 numbers; all 0 where the image is of one grey.

    Example:
        >>> half = Image.new("L", (24, 24))
        >>> half.paste(200, (0, 0, 12, 24))
        >>> (thumbnail(half).reshape(12, 12)[0, [0, -1]] * 12).round(3).tolist()
        [1.0, -1.0]
    """
    small = image.convert("L").resize((12, 12), Image.Resampling.BOX)
    values = np.asarray(small, dtype=float).ravel()
    values = values - values.mean()
    return values / (np.linalg.norm(values) or 1)
