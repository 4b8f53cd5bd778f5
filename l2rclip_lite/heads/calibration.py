"""Temperature scaling: one number that makes a model about as sure as it is right.

One number T divides all logits. The most probable rank stays the same; every row of probabilities
becomes flatter (T > 1) or sharper (T < 1). It is fitted on validation images, never on those that
are reported: Guo et al. 2017 (On Calibration of Modern Neural Networks), section 4.2, with the
ranked probability score, which knows the order of the ranks, in place of the likelihood.

A second number, the conformal level, makes intervals of ranks that hold the true one nine times out
of ten.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.optimize import minimize_scalar
from scipy.special import softmax

from l2rclip_lite.metrics import Indices, Probabilities, rps_of_images
from l2rclip_lite.prediction import distances_from_median

Logits = Probabilities  # of the same shape
LOWEST = 0.05  # temperature that is tried
HIGHEST = 20.0
COVERAGE = 0.9  # of the conformal intervals


def temper(logits: Logits, temperature: float) -> Float[np.ndarray, "batch rank"]:
    """Compute softmax(l / T), the probabilities at a temperature.

    Source: Guo et al. 2017, section 4.2.

    The logarithm of probabilities does as well as logits: the two differ by one number per row,
    which cancels.

    Args:
        logits: A row of K for each image.
        temperature: T > 0; 1 changes nothing, more than 1 is less sure.

    Returns:
        Rows that sum to 1.

    Example:
        >>> temper([[0.0, 2 * np.log(3)]], temperature=2.0).round(2).tolist()
        [[0.25, 0.75]]
    """
    return np.asarray(softmax(np.asarray(logits, float) / temperature, axis=1))


def fit_temperature(logits: Logits, target: Indices) -> float:
    """Find T* = argmin_T RPS(softmax(l / T)), see `metrics.rps`.

    Args:
        logits: A row of K for each validation image.
        target: Rank indices.

    Returns:
        A temperature in [`LOWEST`, `HIGHEST`]. Near a bound the images decide nothing: all answers
        are right, so that no temperature is sharp enough, or they are no better than chance, and
        none is flat enough.

    Example:
        >>> gap = [[0.0, 2.0]] * 4  # 88 % sure, right three times of four: 2 / T = log 3
        >>> round(fit_temperature(gap, [1, 1, 1, 0]), 3)
        1.82
    """
    true = np.asarray(target)

    # The score may have more than one valley: a grid finds the deepest, a line search its bottom.
    grid = np.log(np.geomspace(LOWEST, HIGHEST, 61))
    scores = [rps_at(log_t, logits, true) for log_t in grid]
    best = int(np.argmin(scores))
    bounds = (grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)])
    search = minimize_scalar(rps_at, bounds=bounds, args=(logits, true), options={"xatol": 1e-6})
    return float(np.exp(search.x))


def rps_at(log_t: float, logits: Logits, true: np.ndarray) -> float:
    """Return the RPS at T = exp(log T)."""
    return float(rps_of_images(true, temper(logits, np.exp(log_t))).mean())


def conformal_level(probabilities: Probabilities, target: Indices) -> float:
    """Find the level c whose intervals hold the true rank nine times out of ten.

    An interval has the ranks with `prediction.distances_from_median` ≤ c. The level is the
    ⌈0.9 (n + 1)⌉-th smallest distance of the n true ranks, or 1, which means all ranks, where
    n is too small for it. New images of the same source are then covered with at least that
    probability, whatever the model, if nothing was chosen on these. Source: Vovk, Gammerman and
    Shafer 2005 (split conformal prediction), with the distance of Chernozhukov, Wüthrich and Zhu
    2021.

    Args:
        probabilities: A row of K for each validation image.
        target: Rank indices.

    Example:
        >>> rows = [[0.25, 0.5, 0.25]] * 9
        >>> conformal_level(rows, [1] * 8 + [2])  # the ninth smallest of 0 eight times, and 0.5
        0.5
    """
    p = np.asarray(probabilities, float)
    true = np.asarray(target)
    n = len(true)
    place = math.ceil((n + 1) * COVERAGE)
    if place > n:
        return 1.0

    distances = distances_from_median(p)[np.arange(n), true].clip(0)
    return float(np.sort(distances)[place - 1])


class Calibration(NamedTuple):
    """What validation images say of how sure a model is.

    Args:
        temperature: See `fit_temperature`; 1 where the images decide none.
        conformal: See `conformal_level`.
        rps: Their ranked probability score at that temperature.
    """

    temperature: float
    conformal: float
    rps: float


def fit_calibration(logits: Logits, target: Indices) -> Calibration:
    """Fit temperature and conformal level on validation images.

    Args:
        logits: A row of K for each validation image.
        target: Rank indices.
    """
    rows = np.asarray(logits, float)
    true = np.asarray(target)

    temperature = fit_temperature(rows, true)
    if not 1.1 * LOWEST < temperature < 0.9 * HIGHEST:  # nearer, a bound stopped the search
        temperature = 1.0
    temperature = float(np.float32(temperature))  # as a model keeps it
    level = conformal_level(temper(rows, temperature), true)
    return Calibration(temperature, level, rps_at(np.log(temperature), rows, true))
