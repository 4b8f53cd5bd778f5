"""Rank correlations for many resamples at once, and how well text features keep their ranks in order."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Real
from torch import Tensor

from l2rclip_lite.errors import InputError

Rows: TypeAlias = Real[np.ndarray, "resample batch"]
PerResample: TypeAlias = Float[np.ndarray, " resample"]


def ratio(top: PerResample, bottom: PerResample) -> PerResample:
    """A correlation from its two halves: 0/0 = 0, and rounding kept inside [−1, 1]."""
    return np.clip(top / np.where(bottom > 0, bottom, 1), -1, 1)


def spearman_rho(left: Rows, right: Rows) -> PerResample:
    """Spearman's ρ of every row: the Pearson correlation of mid-ranks.

    Args:
        left: Numbers.
        right: Numbers.

    Returns:
        Values in [−1, 1]; 0.0 where either side is constant.

    Example:
        >>> spearman_rho(np.array([[0, 1, 2], [0, 0, 0]]), np.array([[1, 2, 9], [1, 2, 9]])).tolist()
        [1.0, 0.0]
    """
    from scipy.stats import rankdata  # its import takes a third of a second, a trained model needs none of it

    half = (left.shape[-1] + 1) / 2
    a, b = rankdata(left, axis=-1) - half, rankdata(right, axis=-1) - half
    return ratio((a * b).sum(-1), np.sqrt((a * a).sum(-1) * (b * b).sum(-1)))


def kendall_tau(true: Rows, value: Rows, count: int) -> PerResample:
    """Kendall's τ_b of every row, in K sweeps over the batch instead of a table of its pairs.

    Args:
        true: Rank indices 0 … K−1.
        value: Predictions.
        count: K.

    Returns:
        Values in [−1, 1]; 0.0 where either side is constant.

    Example:
        >>> kendall_tau(np.array([[0, 1, 2]]), np.array([[0.1, 0.9, 0.5]]), count=3).round(4).tolist()
        [0.3333]
    """
    from scipy.stats import rankdata

    size = true.shape[-1]
    order = np.argsort(value, axis=-1)
    below = rankdata(value, "min", axis=-1).astype(int) - 1  # how many predictions are lower
    upto = rankdata(value, "max", axis=-1)  # how many are no higher
    surplus = np.zeros(len(true))  # concordant − discordant pairs
    tied = np.zeros(len(true))  # ordered pairs with equal truth, each image with itself included
    for k in range(count):
        sign = np.take_along_axis(np.sign(k - true), order, -1)
        total = np.concatenate([np.zeros_like(sign[..., :1]), sign.cumsum(-1)], -1)
        here = true == k
        surplus += (np.take_along_axis(total, below, -1) * here).sum(-1)
        tied += here.sum(-1, dtype=float) ** 2
    return ratio(2 * surplus, np.sqrt((size**2 - tied) * (size**2 - (upto - below).sum(-1))))


def ordinality(text_features: Float[np.ndarray, "rank dim"] | Float[Tensor, "rank dim"]) -> dict[str, float]:
    """Three views of the order in K rank features, lowest rank first; d is the cosine distance 1 − cos.

    Args:
        text_features: One row a rank. Rows are scaled to unit length; centre them first if you use them so.

    Returns:
        `gap`: Spearman's ρ of the rank gap j − i against d(i, j) over all pairs i < j; in [−1, 1], chance 0.
        `triplets`: the share of the comparisons d(i, j) < d(i, k) and d(j, k) < d(i, k) that hold over all
        i < j < k, ties one half; in [0, 1], chance 0.5.
        `component`: |Spearman's ρ| of the first principal component against the rank; in [0, 1]. With few
        ranks chance is high: about 0.5 for five random vectors. Identical rows give 0.0, 0.5 and 0.0.

    Raises:
        InputError: Fewer than three ranks, values that are not finite, or a row of zeros.

    Example:
        >>> angle = np.radians([0, 60, 120])
        >>> ordinality(np.stack([np.cos(angle), np.sin(angle)], axis=1))
        {'gap': 1.0, 'triplets': 1.0, 'component': 1.0}
    """
    if isinstance(text_features, Tensor):
        text_features = text_features.detach().cpu().double().numpy()
    rows = np.asarray(text_features, dtype=float)
    if rows.ndim != 2 or len(rows) < 3:
        raise InputError(
            f"ordinality: the features have shape {rows.shape}; give 3 rows or more, one a rank."
        )
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    bad = np.flatnonzero(~(np.isfinite(length[:, 0]) & (length[:, 0] > 0)))
    if len(bad):
        raise InputError(
            f"ordinality: row {bad[0]} has no direction (zero or not finite); encode that rank again."
        )
    rows = rows / length
    distance = np.round(1 - rows @ rows.T, 9)  # what is left below 1e-9 is float noise: a tie
    count = len(rows)
    i, j = np.triu_indices(count, 1)

    # won[i, j, k]: the outer pair (i, k) of i < j < k is farther apart than an inner one
    outer = distance[:, None, :]
    won = (np.sign(outer - distance[:, :, None]) + np.sign(outer - distance[None])) / 4 + 0.5
    index = np.arange(count)
    ordered = (index[:, None, None] < index[:, None]) & (index[:, None] < index)

    left, scale, _ = np.linalg.svd(rows - rows.mean(0), full_matrices=False)
    component = np.round(left[:, 0] * scale[0], 9)
    return {
        "gap": float(spearman_rho((j - i)[None], distance[i, j][None])[0]),
        "triplets": float(won[ordered].mean()),
        "component": abs(float(spearman_rho(component[None], index[None])[0])),
    }
