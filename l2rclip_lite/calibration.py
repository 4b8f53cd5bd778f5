"""Temperature scaling: one number that makes a model about as sure as it is right.

One number T divides all logits. It turns no answer of the most probable rank; it makes every row of probabilities
flatter (T > 1) or sharper (T < 1). It is fitted on validation pictures, never on those that are reported.
Source: Guo et al. 2017 (On Calibration of Modern Neural Networks), section 4.2.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from l2rclip_lite.calibration_file import Calibration, fingerprint_of, write_calibration
from l2rclip_lite.errors import InputError
from l2rclip_lite.metric_inputs import Array, Indices, check_paired, numbers
from l2rclip_lite.probability_metrics import ece_of_resamples, rps_of_images
from l2rclip_lite.ranks import Ranks

if TYPE_CHECKING:
    from l2rclip_lite.data.base import Split
    from l2rclip_lite.model import L2RCLIP

Logits: TypeAlias = Float[np.ndarray, "batch rank"] | Float[Tensor, "batch rank"] | list[list[float]]
BOUNDS = (0.05, 20.0)  # where a temperature is looked for


def temper(logits: Logits, temperature: float) -> Float[np.ndarray, "batch rank"]:
    """Softmax of l / T: the probabilities at a temperature. Source: Guo et al. 2017, section 4.2.

    The logarithm of probabilities does as well as logits: the two differ by a number a row, which cancels.

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
    shifted = numbers(logits, "logits", axes=2) / temperature
    grown = np.exp(shifted - shifted.max(1, keepdims=True))
    return np.asarray(grown / grown.sum(1, keepdims=True))


def negative_log_likelihood(logits: Logits, target: Indices, temperature: float = 1.0) -> float:
    """NLL(T) = mean_i [log Σ_k exp(l_ik / T) − l_{i,y_i} / T], in nats; at least 0, log K for a uniform row.

    It is convex in 1/T, so it has one minimum. Source: Guo et al. 2017, section 2.

    Example:
        >>> round(negative_log_likelihood([[0.0, np.log(3)]], [1]), 4)  # −log 3/4
        0.2877
    """
    rows, true = _checked(logits, target)
    return float(_nll_of_images(rows, true, temperature).mean())


def fit_temperature(logits: Logits, target: Indices) -> float:
    """T* = argmin_T NLL(T), by a bounded search over log T; Guo et al. 2017, section 4.2.

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
    return _fit(*_checked(logits, target))


def bootstrap_temperatures(
    logits: Logits, target: Indices, *, pictures: int | None = None, resamples: int = 200, seed: int = 0
) -> Float[np.ndarray, " resample"]:
    """T* of resampled validation sets: how far one temperature from so few pictures can be trusted.

    Args:
        logits: A row of K for each image.
        target: Rank indices.
        pictures: How many are drawn, with replacement; None draws as many as there are.
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
    size = len(true) if pictures is None else pictures
    draws = np.random.default_rng(seed).integers(len(true), size=(resamples, size))
    return np.sort([_fit(rows[draw], true[draw]) for draw in draws])


def undecided(temperature: float) -> bool:
    """Whether a fitted temperature lies at a bound, so that the pictures did not decide it.

    Example:
        >>> undecided(fit_temperature([[0.0, 2.0]], [1])), undecided(1.8)
        (True, False)
    """
    low, high = BOUNDS
    return not 1.01 * low < temperature < 0.99 * high


def calibrate(model: L2RCLIP, val: Split, folder: str | Path, *, quiet: bool = True) -> Calibration:
    """Fit the temperature of a run on its validation pictures and write `calibration.json` beside its model.

    Args:
        model: The model of the run; its own temperature plays no part.
        val: Its validation split.
        folder: Its directory.
        quiet: Whether to hide progress bars.

    Returns:
        What was written, with the bootstrap interval of the temperature.

    Raises:
        InputError: Validation pictures that decide no temperature, or a directory that cannot be written.
    """
    from l2rclip_lite.model import MODEL_FILE
    from l2rclip_lite.pixels import Streamed

    features = model.features(Streamed(val, model.towers), quiet=quiet)
    with torch.inference_mode():
        logits, target = model.logits(features.to(model.rank_features.device)).cpu(), list(val.targets)
    t = fit_temperature(logits, target)
    if undecided(t):
        why = (
            "the model answers all of them rightly" if t < 1 else "the model is no better than chance on them"
        )
        raise InputError(
            f"{folder}: its {len(val)} validation pictures decide no temperature, because {why}; add more of them."
        )
    low, high = np.quantile(bootstrap_temperatures(logits, target), (0.025, 0.975))
    before, after = (negative_log_likelihood(logits, target, at) for at in (1.0, t))
    own = fingerprint_of(Path(folder) / MODEL_FILE)
    found = Calibration(t, "val", len(val), float(low), float(high), before, after, own)
    write_calibration(folder, found)
    return found


def compare_temperature(
    logits: Logits, target: Indices, ranks: Ranks, temperature: float, *, resamples: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """NLL, ECE, RPS and the MAE of the expectation with and without a temperature, on the same images.

    Args:
        logits: A row of K for each image that did not choose the temperature.
        target: Rank indices.
        ranks: The label space.
        temperature: T.
        resamples: Bootstrap draws of images; each draw is scored twice, so that the change is paired.
        seed: Decides the draws.

    Returns:
        A row a score, all of them better when lower; `before`, `after` and `change`, each with `_low` and `_high`,
        the ends of its 95 % interval.

    Example:
        >>> two = Ranks.integers(0, 1, template="grade {rank}")
        >>> found = compare_temperature([[0.0, 2.0]] * 4, [1, 1, 1, 0], two, 2 / np.log(3))
        >>> found.loc["ECE", ["before", "after"]].round(3).tolist()
        [0.131, 0.0]
    """
    rows, true = _checked(logits, target)
    if rows.shape[1] != len(ranks):
        raise InputError(f"calibration: logits have {rows.shape[1]} columns; give one a rank, {len(ranks)}.")
    count = len(true)
    draws = np.random.default_rng(seed).integers(count, size=(resamples, count))
    draws = np.concatenate([np.arange(count)[None], draws])  # the first is the set itself
    sides = {
        name: _scores(rows, true, ranks, t, draws) for name, t in (("before", 1.0), ("after", temperature))
    }
    sides["change"] = {score: sides["after"][score] - value for score, value in sides["before"].items()}
    table: dict[str, dict[str, float]] = {}
    for score in sides["before"]:
        table[score] = {}
        for name, found in sides.items():
            low, high = np.quantile(found[score][1:], (0.025, 0.975))
            table[score] |= {
                name: float(found[score][0]),
                f"{name}_low": float(low),
                f"{name}_high": float(high),
            }
    return pd.DataFrame(table).T


def _scores(rows: Array, true: Array, ranks: Ranks, temperature: float, draws: Array) -> dict[str, Array]:
    """Each score of each resample."""
    p = temper(rows, temperature)
    values = np.array(ranks.values)
    off = np.abs(p @ values - values[true])
    return {
        "NLL": _nll_of_images(rows, true, temperature)[draws].mean(1),
        "ECE": ece_of_resamples(true, p, draws),
        "RPS": rps_of_images(true, p)[draws].mean(1),
        "MAE of the expectation": off[draws].mean(1),
    }


def _checked(logits: Logits, target: Indices) -> tuple[Array, Array]:
    """Rows of finite numbers and rank indices that point into them."""
    rows = numbers(logits, "logits", axes=2).astype(float)
    true = numbers(target, "target")
    check_paired(true, rows)
    if true.dtype.kind != "i" or true.min() < 0 or true.max() >= rows.shape[1]:
        raise InputError(f"calibration: give targets as whole numbers from 0 to {rows.shape[1] - 1}.")
    return rows, true


def _nll_of_images(rows: Array, true: Array, temperature: float) -> Array:
    """The negative log-likelihood of each image."""
    scaled = rows / temperature
    highest = scaled.max(1)
    own = scaled[np.arange(len(true)), true]
    return np.asarray(highest + np.log(np.exp(scaled - highest[:, None]).sum(1)) - own)


def _fit(rows: Array, true: Array) -> float:
    """The best temperature; T = 1 where the search finds no better one, so that NLL never rises."""
    from scipy.optimize import minimize_scalar  # takes 0.2 s, needed for this only

    own = rows[np.arange(len(true)), true]
    if (
        own == rows.max(1)
    ).all():  # far below T = 1 the likelihood is flat in floats, a search would stop anywhere
        return BOUNDS[0]
    if own.mean() <= rows.mean():  # the slope of NLL in 1/T at 0
        return BOUNDS[1]
    found = minimize_scalar(
        lambda log_t: _nll_of_images(rows, true, np.exp(log_t)).mean(),
        bounds=(np.log(BOUNDS[0]), np.log(BOUNDS[1])),
        method="bounded",
        options={"xatol": 1e-6},
    )
    best = float(np.exp(found.x))
    before, after = (_nll_of_images(rows, true, t).mean() for t in (1.0, best))
    return best if after <= before else 1.0
