"""Statistics of the chapters: order of text features, a paired comparison, doubt, near-duplicate images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Real
from numpy.typing import ArrayLike
from PIL import Image
from scipy.stats import bootstrap, rankdata, wilcoxon
from torch import Tensor

from l2rclip_lite.data.base import OrdinalDataset
from l2rclip_lite.errors import InputError

Rows: TypeAlias = Real[np.ndarray, "resample batch"]
SPLITS = ("train", "val", "test")


def spearman_rho(left: Rows, right: Rows) -> Float[np.ndarray, " resample"]:
    """Spearman's ρ of every row with the same row of the other table: the Pearson correlation of mid-ranks.

    SciPy's `spearmanr` correlates every column with every other one; a permutation test needs
    thousands of pairs.

    Args:
        left: Numbers.
        right: Numbers.

    Returns:
        Values in [−1, 1]; 0.0 where either side is constant.

    Example:
        >>> spearman_rho(
        ...     np.array([[0, 1, 2], [0, 0, 0]]), np.array([[1, 2, 9], [1, 2, 9]])
        ... ).tolist()
        [1.0, 0.0]
    """
    half = (left.shape[-1] + 1) / 2
    a = rankdata(left, axis=-1) - half
    b = rankdata(right, axis=-1) - half
    size = np.sqrt((a * a).sum(-1) * (b * b).sum(-1))
    return np.clip((a * b).sum(-1) / np.where(size > 0, size, 1), -1, 1)


def ordinality(
    text_features: Float[np.ndarray, "rank dim"] | Float[Tensor, "rank dim"],
) -> dict[str, float]:
    """Three views of the order in K rank features, lowest rank first; d is the cosine distance 1 − cos.

    Args:
        text_features: One row per rank. Rows are scaled to unit length; centre them first if you
            use them so.

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
    rows = torch.as_tensor(text_features).detach().cpu().double().numpy()
    if rows.ndim != 2 or len(rows) < 3:
        raise InputError(
            f"ordinality: the features have shape {rows.shape}; give three or more, one per rank."
        )
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    bad = np.flatnonzero(~(np.isfinite(length[:, 0]) & (length[:, 0] > 0)))
    if len(bad):
        raise InputError(f"ordinality: row {bad[0]} is zero or not finite; encode that rank again.")
    rows = rows / length
    distance = np.round(1 - rows @ rows.T, 9)  # what is left below 1e-9 is float noise: a tie
    i, j = np.triu_indices(len(rows), 1)
    # won[i, j, k]: the outer pair (i, k) of i < j < k is farther apart than an inner one
    outer = distance[:, None, :]
    won = (np.sign(outer - distance[:, :, None]) + np.sign(outer - distance[None])) / 4 + 0.5
    index = np.arange(len(rows))
    ordered = (index[:, None, None] < index[:, None]) & (index[:, None] < index)
    left, scale, _ = np.linalg.svd(rows - rows.mean(0), full_matrices=False)
    component = np.round(left[:, 0] * scale[0], 9)
    return {
        "gap": float(spearman_rho((j - i)[None], distance[i, j][None])[0]),
        "triplets": float(won[ordered].mean()),
        "component": abs(float(spearman_rho(component[None], index[None])[0])),
    }


class Comparison(NamedTuple):
    """What `compare` finds; a positive difference means that the first method is better."""

    difference: float  # in the unit of the metric
    low: float  # the 95 % bootstrap interval of the difference
    high: float
    p: float  # of the two-sided signed-rank test


def compare(one: ArrayLike, other: ArrayLike, *, seed: int = 0) -> Comparison:
    """Mean difference other − one of two methods' errors on the same images, and how sure it is.

    By SciPy: the percentile bootstrap over images with 9,999 draws, and Wilcoxon's signed-rank test
    (1945), with differences of 0 left out (p = 1 if all are).

    Args:
        one: The error of the first method, one number per image.
        other: That of the second method on the same images, in the same order.
        seed: Seed of the draws.

    Example:
        >>> found = compare([2, 3, 3, 4, 2], [3, 5, 6, 8, 7])
        >>> found.difference, found.p
        (3.0, 0.0625)
    """
    saved = np.round(np.subtract(other, one), 12)  # so that float noise is no difference
    draws = bootstrap((saved,), np.mean, method="percentile", rng=np.random.default_rng(seed))
    p = wilcoxon(saved[saved != 0]).pvalue if saved.any() else 1.0
    return Comparison(float(saved.mean()), *map(float, draws.confidence_interval), float(p))


def holm(p_values: Sequence[float] | Float[np.ndarray, " test"]) -> list[float]:
    """Holm's step-down adjustment: compare the results with α, and the chance of any false alarm stays below α.

    The i-th smallest of m p-values becomes max_{j ≤ i} min(1, (m − j + 1) p_(j)). Source: Holm
    1979, https://www.jstor.org/stable/4615733.

    Args:
        p_values: One per comparison, in [0, 1].

    Returns:
        The adjusted p-values in the order given, each at least as large as before and at most 1.

    Example:
        >>> holm([0.01, 0.5, 0.02])
        [0.03, 0.5, 0.04]
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    return adjusted.tolist()


def thumbnail(image: Image.Image) -> Float[np.ndarray, " pixel"]:
    """An image as 12 × 12 grey values with mean 0 and length 1: no colour, brightness or contrast, hardly a detail.

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
    values = np.asarray(
        image.convert("L").resize((12, 12), Image.Resampling.BOX), dtype=float
    ).ravel()
    values = values - values.mean()
    length = np.linalg.norm(values)
    return values / length if length > 1e-9 else 0 * values


def near_duplicates(data: OrdinalDataset, *, threshold: float = 0.92) -> pd.DataFrame:
    """Pairs of images whose thumbnails are nearly the same, the most similar first; every image is opened.

    It finds a second shot, another brightness, a narrow crop. It does not find the same thing from
    another side: if you know what an image shows, split by that.

    Args:
        data: Any data set.
        threshold: The least cosine of two thumbnails, up to 1; look at the pairs to choose it.

    Returns:
        `similarity`, `first`, `first_split`, `second`, `second_split`, one row per pair.

    Example:
        >>> from l2rclip_lite.data import load_dataset
        >>> len(near_duplicates(load_dataset("leaves", size=60, pixels=64), threshold=0.95))
        0
    """
    places = [(part, index) for part in SPLITS for index in range(len(data.split(part)))]
    thumbs = np.stack([thumbnail(data.split(part)[index][0]) for part, index in places])
    names = [(data.split(part).paths[index], part) for part, index in places]
    table = []
    for first in range(len(thumbs)):
        cosine = thumbs[first + 1 :] @ thumbs[first]
        for place in np.flatnonzero(cosine >= threshold):
            table.append((float(cosine[place]), *names[first], *names[first + 1 + place]))
    columns = ["similarity", "first", "first_split", "second", "second_split"]
    pairs = pd.DataFrame(table, columns=columns)
    return pairs.sort_values("similarity", ascending=False, kind="stable", ignore_index=True)
