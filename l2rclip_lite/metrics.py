"""Metrics that know the ordered label space, so a rank absent from the sample cannot change the scale.

Arguments shared by every function (NumPy arrays, torch tensors or plain sequences):

- `y_true`: B rank indices, whole numbers 0 … K−1.
- `y_pred`: B predictions. **Whole numbers are rank indices; floats are values in `ranks.unit`**, such as the
  expected value Σ_k p_k r_k. Where the scale does not start at 0 the two differ: keep indices in integers.
- `probabilities`: B rows of K numbers ≥ 0 that sum to 1 within 0.01 (bf16 noise) and are rescaled to 1.
- `ranks`: the `Ranks` with values r_1 < … < r_K.

A float prediction is read on three scales: its value; its position among the ranks (piecewise linear between
neighbours, cut off at both ends); its nearest rank (the lower one at a tie). Bad input raises `InputError`.

Undefined values: `spearman` and `kendall` are 0/0 when the truth or the predictions are constant, `qwk` when
both are the same constant. They return 0.0, without a warning: such a sample shows no association. `auc` is 0/0
where the truth is constant; it returns chance, 0.5.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from l2rclip_lite.errors import InputError
from l2rclip_lite.intervals import SLACK, percentiles, resampled_metrics
from l2rclip_lite.metric_inputs import (
    Array,
    Indices,
    Labels,
    Probabilities,
    Scored,
    Values,
    check_paired,
    forecast,
    numbers,
    rank_indices,
    score,
)
from l2rclip_lite.ordinality import kendall_tau, spearman_rho
from l2rclip_lite.probability_metrics import auc, auc_of_sample, ece, ece_of_sample, rps, rps_of_images
from l2rclip_lite.ranks import Ranks

__all__ = [
    "accuracy",
    "amae",
    "auc",
    "cs_at",
    "ece",
    "epsilon_error",
    "evaluate",
    "kendall",
    "mae",
    "mae_rank",
    "mmae",
    "one_off",
    "qwk",
    "rmse",
    "rps",
    "spearman",
]


def _within(scored: Scored, steps: int) -> float:
    return float((np.abs(scored.nearest - scored.true) <= steps).mean())


def _cs_at(scored: Scored, k: float) -> float:
    return float((np.abs(scored.error) <= k + SLACK).mean())


def _qwk(scored: Scored) -> float:
    y, p = scored.true.astype(float), scored.nearest.astype(float)
    # Σ (i−j)² E_ij, multiplied out; it is 0 only if all y and p are one rank, and then Σ (i−j)² O_ij is 0
    chance = (y**2 + p**2).sum() - 2 * y.sum() * p.sum() / len(y)
    return float((chance - ((y - p) ** 2).sum()) / chance) if chance > 0 else 0.0


def _errors_by_rank(scored: Scored) -> Array:
    """The mean error in rank steps of each rank; NaN where there is no image."""
    here = [scored.true == k for k in range(scored.count)]
    return np.array([(scored.step * rank).sum() / rank.sum() if rank.any() else np.nan for rank in here])


def _table(scored: Scored, levels: Sequence[int]) -> dict[str, float]:
    by_rank = _errors_by_rank(scored)
    found = {"mae": float(np.abs(scored.error).mean()), "mae_rank": float(scored.step.mean())}
    found["rmse"] = float(np.sqrt((scored.error**2).mean()))
    found |= {"accuracy": _within(scored, 0), "one_off": _within(scored, 1)}
    found |= {f"cs@{k}": _cs_at(scored, k) for k in levels}
    true, value = scored.true[None], scored.value[None]
    found |= {"qwk": _qwk(scored), "spearman": float(spearman_rho(true, value)[0])}
    found |= {"kendall": float(kendall_tau(true, value, scored.count)[0])}
    return found | {"amae": float(np.nanmean(by_rank)), "mmae": float(np.nanmax(by_rank))}


def mae(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """Mean absolute error, mean_i |ŷ_i − r_{y_i}|, in `ranks.unit`; 0 is perfect.

    Example:
        >>> decades = Ranks(("1930s", "1950s", "1960s"), (1930, 1950, 1960), "the {rank}", "years")
        >>> mae([0, 1, 2, 2], [1, 1, 2, 2], decades), mae([0, 1], [1936.0, 1950.0], decades)
        (5.0, 3.0)
    """
    return float(np.abs(score(y_true, y_pred, ranks).error).mean())


def mae_rank(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """Mean absolute error in rank steps, whatever the distance of neighbours; in [0, K−1], 0 is perfect.

    Example:
        >>> mae_rank([0, 1, 2], [1, 1, 0], Ranks.integers(16, 18, template="{rank} years old"))
        1.0
    """
    return float(score(y_true, y_pred, ranks).step.mean())


def rmse(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """Root mean squared error, √mean_i (ŷ_i − r_{y_i})², in `ranks.unit`; at least `mae`, 0 is perfect.

    Example:
        >>> rmse([0, 1, 2, 3], [0, 1, 0, 3], Ranks.integers(16, 19, template="{rank} years old"))
        1.0
    """
    return float(np.sqrt((score(y_true, y_pred, ranks).error ** 2).mean()))


def accuracy(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """Share of images whose (nearest) rank is the true one, in [0, 1].

    Example:
        >>> accuracy([0, 1, 2], [16.4, 17.6, 18.0], Ranks.integers(16, 18, template="{rank} years old"))
        0.6666666666666666
    """
    return _within(score(y_true, y_pred, ranks), 0)


def one_off(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """Share of images whose (nearest) rank is the true one or its neighbour, in [0, 1]; used by Adience.

    Example:
        >>> one_off([0, 1, 2, 3], [1, 1, 3, 0], Ranks.integers(1, 4, template="grade {rank}"))
        0.75
    """
    return _within(score(y_true, y_pred, ranks), 1)


def cs_at(y_true: Indices, y_pred: Labels, ranks: Ranks, k: float) -> float:
    """Cumulative score CS(k): share of images with |ŷ_i − r_{y_i}| ≤ k, k in `ranks.unit`; in [0, 1].

    Example:
        >>> cs_at([0, 9], [5, 1], Ranks.integers(16, 25, template="{rank} years old"), k=5)
        0.5
    """
    return _cs_at(score(y_true, y_pred, ranks), k)


def qwk(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """Quadratic weighted kappa over rank indices, 1 − Σ (i−j)² O_ij / Σ (i−j)² E_ij; in [−1, 1], chance 0.

    O counts (truth, prediction) pairs, E is the product of its margins over B. A tool that numbers only the
    ranks it sees moves rank 5 next to rank 1 and gives 2/3 here. Source: Cohen 1968.

    Example:
        >>> six = Ranks.integers(0, 5, template="grade {rank}")
        >>> round(qwk([0, 0, 0, 1, 1, 1, 5, 5], [0, 0, 1, 1, 1, 5, 5, 1], six), 6)
        0.463415
    """
    return _qwk(score(y_true, y_pred, ranks))


def spearman(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """Spearman's ρ: the Pearson correlation of mid-ranks; in [−1, 1], 0.0 if either side is constant.

    Example:
        >>> spearman([0, 1, 2], [0.1, 0.2, 0.7], Ranks.integers(0, 2, template="grade {rank}"))
        1.0
    """
    scored = score(y_true, y_pred, ranks)
    return float(spearman_rho(scored.true[None], scored.value[None])[0])


def kendall(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """Kendall's τ_b = (C − D) / √((N − T_y)(N − T_ŷ)); in [−1, 1], 0.0 if either side is constant.

    Of the N pairs of images, C stand in the same order, D in the opposite one; T_y and T_ŷ tie on one side.

    Example:
        >>> kendall([0, 1, 2], [0, 2, 1], Ranks.integers(0, 2, template="grade {rank}"))
        0.3333333333333333
    """
    scored = score(y_true, y_pred, ranks)
    return float(kendall_tau(scored.true[None], scored.value[None], len(ranks))[0])


def amae(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """Average over the ranks present in `y_true` of their mean absolute error in rank steps; in [0, K−1].

    Every rank weighs the same however rare. Source: Baccianella, Esuli and Sebastiani 2009.

    Example:
        >>> amae([0, 1, 2, 3, 3], [0, 1, 2, 3, 4], Ranks.integers(0, 4, template="grade {rank}"))
        0.125
    """
    return float(np.nanmean(_errors_by_rank(score(y_true, y_pred, ranks))))


def mmae(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """The largest of the per-rank errors that `amae` averages, in rank steps. Source: Cruz-Ramírez 2014.

    Example:
        >>> mmae([0, 1, 2, 3, 3], [0, 1, 2, 3, 4], Ranks.integers(0, 4, template="grade {rank}"))
        0.5
    """
    return float(np.nanmax(_errors_by_rank(score(y_true, y_pred, ranks))))


def epsilon_error(y_true: Labels, y_pred: Labels, ranks: Ranks, deviations: Values) -> float:
    """ε-error of ChaLearn LAP 2015, 1 − mean_i exp(−(ŷ_i − μ_i)² / 2σ_i²); in [0, 1], 0 is perfect.

    Args:
        y_true: Rank indices, or the mean label μ of each image as floats in `ranks.unit`.
        y_pred: Rank indices, or floats in `ranks.unit`.
        ranks: The label space.
        deviations: Standard deviation σ ≥ 0 of the labels of each image, in `ranks.unit`. σ = 0 is the
            limit: 0 for an exact prediction, 1 for any other.

    Raises:
        InputError: A negative or missing deviation.

    Example:
        >>> ages = Ranks.integers(16, 77, template="{rank} years old")
        >>> round(epsilon_error([24.5, 30.0], [26.5, 30.0], ages, [2.0, 3.0]), 4)  # (1 − e^(−1/2)) / 2
        0.1967
    """
    values = np.array(ranks.values)
    sides = {name: numbers(given, name) for name, given in (("y_true", y_true), ("y_pred", y_pred))}
    mean, pred = (
        side if side.dtype.kind == "f" else values[rank_indices(side, name, ranks)]
        for name, side in sides.items()
    )
    check_paired(mean, pred)
    return float(_epsilon(pred - mean, deviations).mean())


def _epsilon(error: Array, deviations: object) -> Array:
    """The ε-error of each image."""
    sigma = numbers(deviations, "deviations").astype(float)
    if len(sigma) != len(error) or (sigma < 0).any():
        raise InputError(f"metrics: {len(sigma)} deviations, {len(error)} images; give each image one, ≥ 0.")
    limit = np.where(error == 0, 0.0, np.inf)
    return np.asarray(1 - np.exp(-0.5 * np.divide(error, sigma, out=limit, where=sigma > 0) ** 2))


def evaluate(
    probabilities: Probabilities,
    target: Indices,
    ranks: Ranks,
    *,
    deviations: Values | None = None,
    intervals: bool = False,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, float]:
    """Every metric, for the most probable rank and for the expected value Σ_k p_k r_k.

    Args:
        probabilities: A row of K for each image. The lowest of several equal maxima is the prediction.
        target: Rank indices.
        ranks: The label space.
        deviations: σ of each image's labels; adds `epsilon_error`.
        intervals: Add `<name>_low` and `<name>_high`: 95 % percentile bootstrap over images.
        resamples: Bootstrap draws.
        seed: Seed of the draws.

    Returns:
        `n`, `rps`, `ece`, `auc`; `mae`, `mae_rank`, `rmse`, `accuracy`, `one_off`, `cs@1`, `cs@3`, `cs@5`, `qwk`,
        `spearman`, `kendall`, `amae`, `mmae` of the most probable rank, and the same with `_expected`. A
        `cs@k` with k ≥ r_K − r_1 is left out: it is 1 for every model.

    Raises:
        InputError: Not one row a target, not one column a rank, rows that do not sum to 1, or no resamples.

    Example:
        >>> three = Ranks.integers(0, 2, template="grade {rank}")
        >>> found = evaluate([[0.5, 0.25, 0.25], [0.0, 0.25, 0.75]], [0, 2], three)
        >>> found["n"], found["mae"], found["mae_expected"], found["accuracy"], found["accuracy_expected"]
        (2.0, 0.0, 0.5, 1.0, 0.5)
    """
    true, p = forecast(target, probabilities, ranks)
    # rounded, because equal rows must stay tied to the last bit
    expected = np.round(p @ np.array(ranks.values), 9)
    best, mean = score(true, p.argmax(1), ranks), score(true, expected, ranks)
    each = {"rps": rps_of_images(true, p)}
    if deviations is not None:
        parts = {"epsilon_error": best, "epsilon_error_expected": mean}
        each |= {name: _epsilon(part.error, deviations) for name, part in parts.items()}
    levels = [k for k in (1, 3, 5) if k < ranks.values[-1] - ranks.values[0]]

    result = {"n": float(len(true))} | _table(best, levels)
    result |= {f"{name}_expected": value for name, value in _table(mean, levels).items()}
    result |= {name: float(value.mean()) for name, value in each.items()}
    result |= {"ece": ece_of_sample(true, p), "auc": auc_of_sample(true, p)}
    if intervals:
        if resamples < 1:
            raise InputError(f"metrics: {resamples} resamples; give at least 1.")
        measure = resampled_metrics(best, mean, p, each, levels)
        result |= percentiles(measure, len(true), resamples, seed)
    return result
