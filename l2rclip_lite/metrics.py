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
from dataclasses import dataclass, replace

import numpy as np

from l2rclip_lite.errors import InputError
from l2rclip_lite.metric_inputs import (
    Array,
    Indices,
    Labels,
    Probabilities,
    Values,
    check_paired,
    forecast,
    numbers,
    rank_indices,
)
from l2rclip_lite.ordinality import kendall_tau, spearman_rho
from l2rclip_lite.probability_metrics import auc, auc_of_resamples, ece, ece_of_resamples, rps, rps_of_images
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


@dataclass(frozen=True)
class _Scored:
    """Predictions beside the truth, arrays `resample batch`. Every method gives one number a resample."""

    true: Array  # rank index
    nearest: Array  # rank index of the prediction
    error: Array  # prediction − truth, in the unit
    step: Array  # |prediction − truth|, in ranks
    value: Array  # prediction, in the unit
    count: int  # K

    def take(self, rows: Array) -> _Scored:
        return replace(self, **{name: part[0, rows] for name, part in vars(self).items() if name != "count"})

    def within(self, steps: int) -> Array:
        return np.asarray((np.abs(self.nearest - self.true) <= steps).mean(-1))

    def cs_at(self, k: float) -> Array:
        return np.asarray((np.abs(self.error) <= k + 1e-9).mean(-1))  # in floats 0.8 − 0.7 exceeds 0.1

    def qwk(self) -> Array:
        y, p = self.true.astype(float), self.nearest.astype(float)
        # Σ (i−j)² E_ij, multiplied out; it is 0 only if all y and p are one rank, and then Σ (i−j)² O_ij is 0
        chance = (y**2 + p**2).sum(-1) - 2 * y.sum(-1) * p.sum(-1) / y.shape[-1]
        return np.asarray((chance - ((y - p) ** 2).sum(-1)) / np.where(chance > 0, chance, 1))

    def mae_by_rank(self) -> Array:
        here = [self.true == k for k in range(self.count)]
        sizes = np.stack([rank.sum(-1) for rank in here], -1)
        totals = np.stack([(self.step * rank).sum(-1) for rank in here], -1)
        return np.where(sizes > 0, totals / np.maximum(sizes, 1), np.nan)

    def table(self, levels: Sequence[int]) -> dict[str, Array]:
        by_rank = self.mae_by_rank()
        found = {"mae": np.abs(self.error).mean(-1), "mae_rank": self.step.mean(-1)}
        found["rmse"] = np.sqrt((self.error**2).mean(-1))
        found |= {"accuracy": self.within(0), "one_off": self.within(1)}
        found |= {f"cs@{k}": self.cs_at(k) for k in levels}
        found |= {"qwk": self.qwk(), "spearman": spearman_rho(self.true, self.value)}
        found |= {"kendall": kendall_tau(self.true, self.value, self.count)}
        return found | {"amae": np.nanmean(by_rank, -1), "mmae": np.nanmax(by_rank, -1)}


def _score(y_true: object, y_pred: object, ranks: Ranks) -> _Scored:
    """Read a prediction as value, position and nearest rank (module docstring)."""
    true, pred = rank_indices(y_true, "y_true", ranks), numbers(y_pred, "y_pred")
    values = np.array(ranks.values)
    check_paired(true, pred)
    value = pred if pred.dtype.kind == "f" else values[rank_indices(pred, "y_pred", ranks)]
    step = np.abs(np.interp(value, values, np.arange(len(ranks))) - true)[None]
    nearest = np.searchsorted((values[1:] + values[:-1]) / 2, value)[None]
    return _Scored(true[None], nearest, (value - values[true])[None], step, value[None], len(ranks))


def mae(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """Mean absolute error, mean_i |ŷ_i − r_{y_i}|, in `ranks.unit`; 0 is perfect.

    Example:
        >>> decades = Ranks(("1930s", "1950s", "1960s"), (1930, 1950, 1960), "the {rank}", "years")
        >>> mae([0, 1, 2, 2], [1, 1, 2, 2], decades), mae([0, 1], [1936.0, 1950.0], decades)
        (5.0, 3.0)
    """
    return float(np.abs(_score(y_true, y_pred, ranks).error).mean())


def mae_rank(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """Mean absolute error in rank steps, whatever the distance of neighbours; in [0, K−1], 0 is perfect.

    Example:
        >>> mae_rank([0, 1, 2], [1, 1, 0], Ranks.integers(16, 18, template="{rank} years old"))
        1.0
    """
    return float(_score(y_true, y_pred, ranks).step.mean())


def rmse(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """Root mean squared error, √mean_i (ŷ_i − r_{y_i})², in `ranks.unit`; at least `mae`, 0 is perfect.

    Example:
        >>> rmse([0, 1, 2, 3], [0, 1, 0, 3], Ranks.integers(16, 19, template="{rank} years old"))
        1.0
    """
    return float(np.sqrt((_score(y_true, y_pred, ranks).error ** 2).mean()))


def accuracy(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """Share of images whose (nearest) rank is the true one, in [0, 1].

    Example:
        >>> accuracy([0, 1, 2], [16.4, 17.6, 18.0], Ranks.integers(16, 18, template="{rank} years old"))
        0.6666666666666666
    """
    return float(_score(y_true, y_pred, ranks).within(0)[0])


def one_off(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """Share of images whose (nearest) rank is the true one or its neighbour, in [0, 1]; used by Adience.

    Example:
        >>> one_off([0, 1, 2, 3], [1, 1, 3, 0], Ranks.integers(1, 4, template="grade {rank}"))
        0.75
    """
    return float(_score(y_true, y_pred, ranks).within(1)[0])


def cs_at(y_true: Indices, y_pred: Labels, ranks: Ranks, k: float) -> float:
    """Cumulative score CS(k): share of images with |ŷ_i − r_{y_i}| ≤ k, k in `ranks.unit`; in [0, 1].

    Example:
        >>> cs_at([0, 9], [5, 1], Ranks.integers(16, 25, template="{rank} years old"), k=5)
        0.5
    """
    return float(_score(y_true, y_pred, ranks).cs_at(k)[0])


def qwk(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """Quadratic weighted kappa over rank indices, 1 − Σ (i−j)² O_ij / Σ (i−j)² E_ij; in [−1, 1], chance 0.

    O counts (truth, prediction) pairs, E is the product of its margins over B. A tool that numbers only the
    ranks it sees moves rank 5 next to rank 1 and gives 2/3 here. Source: Cohen 1968.

    Example:
        >>> six = Ranks.integers(0, 5, template="grade {rank}")
        >>> round(qwk([0, 0, 0, 1, 1, 1, 5, 5], [0, 0, 1, 1, 1, 5, 5, 1], six), 6)
        0.463415
    """
    return float(_score(y_true, y_pred, ranks).qwk()[0])


def spearman(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """Spearman's ρ: the Pearson correlation of mid-ranks; in [−1, 1], 0.0 if either side is constant.

    Example:
        >>> spearman([0, 1, 2], [0.1, 0.2, 0.7], Ranks.integers(0, 2, template="grade {rank}"))
        1.0
    """
    scored = _score(y_true, y_pred, ranks)
    return float(spearman_rho(scored.true, scored.value)[0])


def kendall(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """Kendall's τ_b = (C − D) / √((N − T_y)(N − T_ŷ)); in [−1, 1], 0.0 if either side is constant.

    Of the N pairs of images, C stand in the same order, D in the opposite one; T_y and T_ŷ tie on one side.

    Example:
        >>> kendall([0, 1, 2], [0, 2, 1], Ranks.integers(0, 2, template="grade {rank}"))
        0.3333333333333333
    """
    scored = _score(y_true, y_pred, ranks)
    return float(kendall_tau(scored.true, scored.value, len(ranks))[0])


def amae(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """Average over the ranks present in `y_true` of their mean absolute error in rank steps; in [0, K−1].

    Every rank weighs the same however rare. Source: Baccianella, Esuli and Sebastiani 2009.

    Example:
        >>> amae([0, 1, 2, 3, 3], [0, 1, 2, 3, 4], Ranks.integers(0, 4, template="grade {rank}"))
        0.125
    """
    return float(np.nanmean(_score(y_true, y_pred, ranks).mae_by_rank()))


def mmae(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """The largest of the per-rank errors that `amae` averages, in rank steps. Source: Cruz-Ramírez 2014.

    Example:
        >>> mmae([0, 1, 2, 3, 3], [0, 1, 2, 3, 4], Ranks.integers(0, 4, template="grade {rank}"))
        0.5
    """
    return float(np.nanmax(_score(y_true, y_pred, ranks).mae_by_rank()))


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
    best, mean = _score(true, p.argmax(1), ranks), _score(true, expected, ranks)
    each = {"rps": rps_of_images(true, p)}
    if deviations is not None:
        parts = {"epsilon_error": best, "epsilon_error_expected": mean}
        each |= {name: _epsilon(part.error[0], deviations) for name, part in parts.items()}
    levels = [k for k in (1, 3, 5) if k < ranks.values[-1] - ranks.values[0]]

    def measure(rows: Array) -> dict[str, Array]:
        found = best.take(rows).table(levels)
        found |= {f"{name}_expected": value for name, value in mean.take(rows).table(levels).items()}
        found |= {name: value[rows].mean(-1) for name, value in each.items()}
        found |= {"ece": ece_of_resamples(true, p, rows), "auc": auc_of_resamples(true, p, rows)}
        return found

    n = len(true)
    result = {"n": float(n)} | {name: float(value[0]) for name, value in measure(np.arange(n)[None]).items()}
    if intervals:
        if resamples < 1:
            raise InputError(f"metrics: {resamples} resamples; give at least 1.")
        draws = np.random.default_rng(seed).integers(n, size=(resamples, n))
        pieces = np.array_split(draws, min(resamples, 1 + draws.size // 2**20))  # about 8 MiB an array
        blocks = [measure(rows) for rows in pieces]
        for name in blocks[0]:
            low, high = np.quantile(np.concatenate([block[name] for block in blocks]), (0.025, 0.975))
            result |= {f"{name}_low": float(low), f"{name}_high": float(high)}
    return result
