"""Temperature scaling: one number that makes a model about as sure as it is right.

One number T divides all logits. The most probable rank stays the same; every row of probabilities becomes flatter
(T > 1) or sharper (T < 1). It is fitted on validation images, never on those that are reported: Guo et al. 2017 (On
Calibration of Modern Neural Networks), section 4.2, with the ranked probability score, which knows the order of the ranks,
in place of the likelihood.

A second number, the conformal level, makes intervals of ranks that hold the true one nine times out of ten.
"""

import math
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from torch import Tensor

from l2rclip_lite.metrics import Indices, Probabilities, check_paired, numbers, rps_of_images
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.prediction import distances_from_median

Logits: TypeAlias = (
    Float[np.ndarray, "batch rank"] | Float[Tensor, "batch rank"] | list[list[float]]
)
BOUNDS = (0.05, 20.0)  # where a temperature is looked for


def temper(logits: Logits, temperature: float) -> Float[np.ndarray, "batch rank"]:
    """Softmax of l / T: the probabilities at a temperature. Source: Guo et al. 2017, section 4.2.

    The logarithm of probabilities does as well as logits: the two differ by one number per row, which cancels.

    Args:
        logits: A row of K for each image.
        temperature: T > 0; 1 changes nothing, more than 1 is less sure.

    Returns:
        Rows that sum to 1.

    Example:
        >>> temper([[0.0, 2 * np.log(3)]], temperature=2.0).round(2).tolist()
        [[0.25, 0.75]]
    """
    return np.asarray(softmax(numbers(logits, "logits", axes=2) / temperature, axis=1))


def fit_temperature(logits: Logits, target: Indices) -> float:
    """T* = argmin_T RPS(softmax(l / T)), see `metrics.rps`.

    Args:
        logits: A row of K for each validation image.
        target: Rank indices.

    Returns:
        A temperature in `BOUNDS`. Near a bound the images decide nothing: all answers are right, so that no temperature is
        sharp enough, or they are no better than chance, and none is flat enough.

    Example:
        >>> gap = [[0.0, 2.0]] * 4  # says 88 %, right three times of four: 2 / T = log 3
        >>> round(fit_temperature(gap, [1, 1, 1, 0]), 3)
        1.82
    """
    rows = numbers(logits, "logits", axes=2).astype(float)
    true = numbers(target, "target", last=rows.shape[1] - 1)
    check_paired(true, rows)
    grid = np.log(np.geomspace(*BOUNDS, 61))  # the score may have more than one valley
    least = int(np.argmin([_score(at, rows, true) for at in grid]))
    between = (grid[max(least - 1, 0)], grid[min(least + 1, len(grid) - 1)])
    found = minimize_scalar(_score, bounds=between, args=(rows, true), options={"xatol": 1e-6})
    return float(np.exp(found.x))


def _score(log_t: float, rows: np.ndarray, true: np.ndarray) -> float:
    """RPS at T = exp(log T)."""
    return float(rps_of_images(true, softmax(rows / np.exp(log_t), axis=1)).mean())


def conformal_level(probabilities: Probabilities, target: Indices, coverage: float = 0.9) -> float:
    """The level c whose intervals, the ranks with `prediction.distances_from_median` ≤ c, hold the true rank that often.

    It is the ⌈(n + 1)·coverage⌉-th smallest distance of the n true ranks, or 1, which means all ranks, where n is too
    small for it. New images of the same source are then covered with at least that probability, whatever the model, if
    nothing was chosen on these. Source: Vovk, Gammerman and Shafer 2005 (split conformal prediction), with the distance
    of Chernozhukov, Wüthrich and Zhu 2021.

    Args:
        probabilities: A row of K for each validation image.
        target: Rank indices.
        coverage: Between 0 and 1.

    Example:
        >>> conformal_level(
        ...     [[0.25, 0.5, 0.25]] * 3, [1, 1, 2], coverage=0.75
        ... )  # the third smallest of 0, 0, 0.5
        0.5
    """
    p, true = numbers(probabilities, "probabilities", axes=2), numbers(target, "target")
    distances = np.sort(distances_from_median(p)[np.arange(len(true)), true].clip(0))
    place = math.ceil((len(true) + 1) * coverage)
    return float(distances[place - 1]) if place <= len(true) else 1.0


def calibrate(model: L2RCLIP, features: Float[Tensor, "batch dim"], target: Indices) -> float:
    """Fit `model.temperature` and `model.conformal` on validation images; `save_pretrained` keeps both.

    Where the images decide no temperature (see `fit_temperature`), it becomes 1.

    Args:
        model: The model; the temperature it had plays no part.
        features: Image features of the validation images, from `L2RCLIP.encode`.
        target: Their rank indices.

    Returns:
        Their ranked probability score at that temperature.
    """
    with torch.inference_mode():
        logits = (
            model.logits(features.to(model.device)).cpu().double().numpy()
        )  # MPS has no doubles
    t, true = fit_temperature(logits, target), np.asarray(target)
    decided = 1.1 * BOUNDS[0] < t < 0.9 * BOUNDS[1]
    model.temperature.fill_(t if decided else 1.0)
    model.conformal.fill_(conformal_level(temper(logits, float(model.temperature)), true))
    return _score(np.log(float(model.temperature)), logits, true)
