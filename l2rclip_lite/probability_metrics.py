"""Metrics of whole rows of probabilities; `metrics` says what the arguments mean and hands these on.

Each has a second form, `..._of_resamples` or `..._of_images`, from which `metrics.evaluate` takes its intervals.
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
    return float(ece_of_resamples(true, p, np.arange(len(true))[None], bins)[0])


def ece_of_resamples(true: Array, p: Array, rows: Array, bins: int = 15) -> Array:
    """The calibration error of each resample, a row of image numbers."""
    confidence, hit = p.max(1)[rows], (p.argmax(1) == true)[rows]
    place = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], confidence)
    return np.asarray(sum(np.abs(((hit - confidence) * (place == b)).mean(-1)) for b in range(bins)))


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
    return float(auc_of_resamples(true, p, np.arange(len(true))[None])[0])


def auc_of_resamples(true: Array, p: Array, rows: Array) -> Array:
    """The area of each resample, a row of image numbers; images are sorted once, not once a resample."""
    draws, count = len(rows), len(true)
    places = rows + count * np.arange(draws)[:, None]
    often = np.bincount(places.ravel(), minlength=draws * count).reshape(draws, count).astype(float)
    digits, power = np.frexp(p)
    p = np.ldexp(digits.round(12), power)  # rescaling a row must not untie its scores in the last bit
    total, present = np.zeros(draws), np.zeros(draws)
    for k in np.unique(true):
        score, rest = p[:, k], true != k
        order = score.argsort()
        lost = np.zeros((draws, count + 1))  # how many images of other ranks are among the first in order
        np.cumsum(often[:, order] * rest[order], axis=1, out=lost[:, 1:])
        held, sides = often[:, ~rest], score[order]
        below, upto = (np.searchsorted(sides, score[~rest], side) for side in ("left", "right"))
        won = (held * (lost[:, below] + lost[:, upto])).sum(1) / 2
        pairs = held.sum(1) * lost[:, -1]
        total += won / np.maximum(pairs, 1)
        present += pairs > 0
    return np.where(present > 0, total / np.maximum(present, 1), 0.5)
