"""Temperature scaling: one number that makes a model about as sure as it is right.

One number T divides all logits. The most probable rank stays the same; every row of probabilities becomes flatter
(T > 1) or sharper (T < 1). It is fitted on validation images, never on those that are reported.
Source: Guo et al. 2017 (On Calibration of Modern Neural Networks), section 4.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import brentq
from scipy.special import log_softmax, softmax
from torch import Tensor

from l2rclip_lite.data.base import Split
from l2rclip_lite.errors import InputError
from l2rclip_lite.metrics import Indices, check_paired, numbers
from l2rclip_lite.model import L2RCLIP

Logits: TypeAlias = Float[np.ndarray, "batch rank"] | Float[Tensor, "batch rank"] | list[list[float]]
BOUNDS = (0.05, 20.0)  # where a temperature is looked for


@dataclass(frozen=True)
class Calibration:
    """One temperature, and what is needed to judge it.

    Args:
        temperature: T; every logit is divided by it.
        low: Lower end of the 95 % bootstrap interval of T over the validation images.
        high: Upper end.
        nll_before: Mean negative log-likelihood of the validation images at T = 1.
        nll_after: The same at T.
        images: How many validation images there are.
    """

    temperature: float
    low: float
    high: float
    nll_before: float
    nll_after: float
    images: int


def temper(logits: Logits, temperature: float) -> Float[np.ndarray, "batch rank"]:
    """Softmax of l / T: the probabilities at a temperature. Source: Guo et al. 2017, section 4.2.

    The logarithm of probabilities does as well as logits: the two differ by one number per row, which cancels.

    Args:
        logits: A row of K for each image.
        temperature: T > 0; 1 changes nothing, more than 1 is less sure.

    Returns:
        Rows that sum to 1.

    Raises:
        InputError: A temperature that is not finite and positive.

    Example:
        >>> temper([[0.0, 2 * np.log(3)]], temperature=2.0).round(2).tolist()
        [[0.25, 0.75]]
    """
    if not (np.isfinite(temperature) and temperature > 0):
        raise InputError(f"calibration: the temperature is {temperature}; give a finite number above 0.")
    return np.asarray(softmax(numbers(logits, "logits", axes=2) / temperature, axis=1))


def negative_log_likelihood(logits: Logits, target: Indices, temperature: float = 1.0) -> float:
    """NLL(T) = mean_i [log Σ_k exp(l_ik / T) − l_{i,y_i} / T], in nats; at least 0, log K for a uniform row.

    It is convex in 1/T, so it has one minimum. Source: Guo et al. 2017, section 2.

    Example:
        >>> round(negative_log_likelihood([[0.0, np.log(3)]], [1]), 4)  # −log 3/4
        0.2877
    """
    rows, true = _checked(logits, target)
    return float(-log_softmax(rows / temperature, axis=1)[np.arange(len(true)), true].mean())


def fit_temperature(logits: Logits, target: Indices) -> float:
    """T* = argmin_T NLL(T), the root of its slope in 1/T; Guo et al. 2017, section 4.2.

    At T* the mean logit of the true rank equals the mean expected logit: Σ_i l_{i,y_i} = Σ_i Σ_k p_ik(T*) l_ik.

    Args:
        logits: A row of K for each validation image.
        target: Rank indices.

    Returns:
        A temperature in `BOUNDS`. At a bound the images decide nothing: all answers are right, and the likelihood
        rises for ever as T falls, or they are no better than chance, and it rises as T grows.

    Example:
        >>> gap = [[0.0, 2.0]] * 4  # says 88 %, right three times of four: 2 / T = log 3
        >>> round(fit_temperature(gap, [1, 1, 1, 0]), 3)
        1.82
    """
    rows, true = _checked(logits, target)
    sharpest, flattest = 1 / BOUNDS[0], 1 / BOUNDS[1]
    if _slope(sharpest, rows, true) <= 0:
        return BOUNDS[0]
    if _slope(flattest, rows, true) >= 0:
        return BOUNDS[1]
    return 1 / float(brentq(_slope, flattest, sharpest, args=(rows, true)))


def bootstrap_temperatures(
    logits: Logits, target: Indices, *, images: int | None = None, resamples: int = 200, seed: int = 0
) -> Float[np.ndarray, " resample"]:
    """T* of resampled validation sets: how far one temperature from so few images can be trusted.

    Args:
        logits: A row of K for each image.
        target: Rank indices.
        images: How many are drawn, with replacement; None draws as many as there are.
        resamples: How many sets.
        seed: Decides the draws.

    Returns:
        Sorted temperatures.

    Example:
        >>> gap, true = [[0.0, 2.0]] * 40, [1] * 30 + [0] * 10
        >>> bootstrap_temperatures(gap, true, resamples=100)[[2, 97]].round(1).tolist()
        [1.0, 4.9]
    """
    rows, true = _checked(logits, target)
    draws = np.random.default_rng(seed).integers(len(true), size=(resamples, images or len(true)))
    return np.sort([fit_temperature(rows[draw], true[draw]) for draw in draws])


def calibrate(model: L2RCLIP, val: Split, *, quiet: bool = True) -> Calibration:
    """Fit the temperature of a model on validation images and set `model.temperature`, which `save_pretrained` keeps.

    Args:
        model: The model; the temperature it had plays no part.
        val: Validation images of its data set.
        quiet: Whether to hide the progress bar.

    Returns:
        The temperature with its bootstrap interval.

    Raises:
        InputError: Validation images that decide no temperature.
    """
    features = model.encode(val, quiet=quiet)
    with torch.inference_mode():
        logits, target = model.logits(features.to(model.device)).cpu(), list(val.targets)
    t = fit_temperature(logits, target)
    if not 1.01 * BOUNDS[0] < t < 0.99 * BOUNDS[1]:
        why = "all answers to them are right" if t < 1 else "the answers to them are no better than chance"
        raise InputError(f"calibrate: {len(val)} validation images decide no temperature: {why}; add some.")
    low, high = np.quantile(bootstrap_temperatures(logits, target), (0.025, 0.975))
    before, after = (negative_log_likelihood(logits, target, at) for at in (1.0, t))
    model.temperature.fill_(t)
    return Calibration(t, float(low), float(high), before, after, len(val))


def _checked(logits: Logits, target: Indices) -> tuple[np.ndarray, np.ndarray]:
    """Rows of finite numbers and rank indices that point into them."""
    rows, true = numbers(logits, "logits", axes=2).astype(float), numbers(target, "target")
    check_paired(true, rows)
    if true.dtype.kind != "i" or true.min() < 0 or true.max() >= rows.shape[1]:
        raise InputError(f"calibration: give targets as whole numbers from 0 to {rows.shape[1] - 1}.")
    return rows, true


def _slope(beta: float, rows: np.ndarray, true: np.ndarray) -> float:
    """The slope of the negative log-likelihood in β = 1/T, mean_i (Σ_k p_ik l_ik − l_{i,y_i}); it never falls."""
    expected = (softmax(beta * rows, axis=1) * rows).sum(1)
    return float((expected - rows[np.arange(len(true)), true]).mean())
