"""Metrics of whole rows of probabilities; `metrics` says what the arguments mean and hands these on.

What stands beside each is shared with `intervals` and `calibration`, which need many resamples at once.
"""

from __future__ import annotations

import numpy as np

from l2rclip_lite.metric_inputs import Array, Indices, Probabilities, forecast
from l2rclip_lite.ranks import Ranks


def rps(y_true: Indices, probabilities: Probabilities, ranks: Ranks) -> float:
    """Ranked probability score, mean_i Σ_k (F_ik − 1[y_i ≤ k])²; in [0, K−1], 0 is perfect.

    F is the cumulative row. Not divided by K−1; the squared earth mover's distance. Source: Epstein 1969.

    Example:
        >>> four = Ranks.integers(0, 3, template="grade {rank}")
        >>> round(rps([0, 3], [[0.2, 0.4, 0.2, 0.2], [0.5, 0.05, 0.1, 0.35]], four), 4)  # (0.84 + 0.975) / 2
        0.9075
    """
    true, p = forecast(y_true, probabilities, ranks)
    return float(rps_of_images(true, p).mean())


def rps_of_images(true: Array, p: Array) -> Array:
    """The ranked probability score of each image."""
    return np.asarray(((p.cumsum(1) - (true[:, None] <= np.arange(p.shape[1]))) ** 2).sum(1))


def ece(y_true: Indices, probabilities: Probabilities, ranks: Ranks, *, bins: int = 15) -> float:
    """Expected calibration error of the top label, Σ_b |B_b|/B · |accuracy_b − confidence_b|; in [0, 1].

    The bins (lo, hi] of the largest probability have equal width 1/`bins`. Source: Guo et al. 2017.

    Example:
        >>> two = Ranks.integers(0, 1, template="grade {rank}")
        >>> round(ece([0, 1], [[0.9, 0.1], [0.7, 0.3]], two), 4)  # (0.1 + 0.7) / 2
        0.4
    """
    true, p = forecast(y_true, probabilities, ranks)
    return ece_of_sample(true, p, bins)


def ece_of_sample(true: Array, p: Array, bins: int = 15) -> float:
    """The calibration error from checked arrays."""
    return float(ece_of_resamples(true, p, np.arange(len(true))[None], bins)[0])


def ece_of_resamples(true: Array, p: Array, rows: Array, bins: int = 15) -> Array:
    """The calibration error of each resample, a row of image numbers."""
    surplus, place = (each[rows] for each in surplus_and_bin(true, p, bins))
    return np.asarray(sum(np.abs((surplus * (place == b)).mean(-1)) for b in range(bins)))


def surplus_and_bin(true: Array, p: Array, bins: int = 15) -> tuple[Array, Array]:
    """1[top label right] − confidence of each image, and the bin of its confidence."""
    confidence = p.max(1)
    return (p.argmax(1) == true) - confidence, np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], confidence)


def auc(y_true: Indices, probabilities: Probabilities, ranks: Ranks) -> float:
    """Area under the ROC curve, one rank against the rest, averaged over the ranks; in [0, 1], chance 0.5.

    Of all pairs of an image of rank k and one of another rank: the share in which the first has the larger p_k,
    ties one half. The mean is over the ranks that occur in `y_true`, each with the same weight. Where all K do, it
    is the AUC of MedMNIST; a single rank leaves no pair, and the result is 0.5. It does not know that the ranks are
    ordered. Sources: Hanley and McNeil 1982; Yang et al. 2023 (MedMNIST v2).

    Example:
        >>> three = Ranks.integers(0, 2, template="grade {rank}")
        >>> auc([0, 0, 1], [[0.8, 0.2, 0], [0.3, 0.7, 0], [0.5, 0.5, 0]], three)  # rank 2 does not occur
        0.5
    """
    true, p = forecast(y_true, probabilities, ranks)
    return auc_of_sample(true, p)


def auc_of_sample(true: Array, p: Array) -> float:
    """The area from checked arrays."""
    p, areas = rounded(p), []
    for k in np.unique(true):
        above, below = p[true == k, k], np.sort(p[true != k, k])
        won = sum(np.searchsorted(below, above, side).sum() for side in ("left", "right")) / 2
        areas.append(won / max(1, len(above) * len(below)))
    return float(sum(areas) / len(areas)) if len(areas) > 1 else 0.5


def rounded(p: Array) -> Array:
    """Probabilities to twelve digits after the first: rescaling a row must not untie its scores in the last bit."""
    digits, power = np.frexp(p)
    return np.asarray(np.ldexp(digits.round(12), power))
