"""One function a metric, and the table that computes them all under resampling."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float
from scipy.sparse import csr_array
from scipy.stats import kendalltau, rankdata, spearmanr

from l2rclip_lite.errors import InputError
from l2rclip_lite.metrics.checks import (
    SLACK,
    Indices,
    Labels,
    Probabilities,
    Scores,
    Values,
    check_paired,
    forecast,
    numbers,
)
from l2rclip_lite.ranks import Ranks

Often: TypeAlias = Float[np.ndarray, "image resample"]


class Scored(NamedTuple):
    """Predictions beside the truth, one entry per image."""

    true: np.ndarray  # rank index
    nearest: np.ndarray  # rank index of the prediction
    error: np.ndarray  # prediction − truth, in the unit
    step: np.ndarray  # |prediction − truth|, in ranks
    value: np.ndarray  # prediction, in the unit


def score(y_true: object, y_pred: object, ranks: Ranks) -> Scored:
    """A prediction on the three scales that this module describes: its value, its position, its nearest rank.

    Raises:
        InputError: As `numbers`, or not one prediction per true rank.

    Example:
        >>> found = score([0, 2], [16.4, 17.0], Ranks.integers(16, 18, template="{rank} years old"))
        >>> found.nearest.tolist(), found.step.round(1).tolist()
        ([0, 1], [0.4, 1.0])
    """
    true, value = numbers(y_true, "y_true", last=len(ranks) - 1), _in_unit(y_pred, "y_pred", ranks)
    check_paired(true, value)
    values = np.array(ranks.values)
    step = np.abs(np.interp(value, values, np.arange(len(ranks))) - true)
    nearest = np.searchsorted((values[1:] + values[:-1]) / 2, value)
    return Scored(true, nearest, value - values[true], step, value)


def _in_unit(given: object, name: str, ranks: Ranks) -> np.ndarray:
    """Rank indices or values as values."""
    x = numbers(given, name)
    return x if x.dtype.kind == "f" else np.take(ranks.values, numbers(x, name, 1, len(ranks) - 1))


def mae(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """Mean absolute error, mean_i |ŷ_i − r_{y_i}|, in `ranks.unit`; 0 is perfect.

    Example:
        >>> decades = Ranks(("1930s", "1950s", "1960s"), (1930, 1950, 1960), "the {rank}", "years")
        >>> mae([0, 1, 2, 2], [1, 1, 2, 2], decades), mae([0, 1], [1936.0, 1950.0], decades)
        (5.0, 3.0)
    """
    return _plain(score(y_true, y_pred, ranks), "mae")


def mae_rank(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """Mean absolute error in rank steps, whatever the distance of neighbours; in [0, K−1], 0 is perfect.

    Example:
        >>> mae_rank([0, 1, 2], [1, 1, 0], Ranks.integers(16, 18, template="{rank} years old"))
        1.0
    """
    return _plain(score(y_true, y_pred, ranks), "mae_rank")


def rmse(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """Root mean squared error, √mean_i (ŷ_i − r_{y_i})², in `ranks.unit`; at least `mae`, 0 is perfect.

    Example:
        >>> rmse([0, 1, 2, 3], [0, 1, 0, 3], Ranks.integers(16, 19, template="{rank} years old"))
        1.0
    """
    return _plain(score(y_true, y_pred, ranks), "rmse")


def accuracy(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """Share of images whose (nearest) rank is the true one, in [0, 1].

    Example:
        >>> accuracy(
        ...     [0, 1, 2], [16.4, 17.6, 18.0], Ranks.integers(16, 18, template="{rank} years old")
        ... )
        0.6666666666666666
    """
    return _plain(score(y_true, y_pred, ranks), "accuracy")


def one_off(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """Share of images whose (nearest) rank is the true one or its neighbour, in [0, 1]; used by Adience.

    Example:
        >>> one_off([0, 1, 2, 3], [1, 1, 3, 0], Ranks.integers(1, 4, template="grade {rank}"))
        0.75
    """
    return _plain(score(y_true, y_pred, ranks), "one_off")


def cs_at(y_true: Indices, y_pred: Labels, ranks: Ranks, k: float) -> float:
    """Cumulative score CS(k): share of images with |ŷ_i − r_{y_i}| ≤ k, k in `ranks.unit`; in [0, 1].

    Example:
        >>> cs_at([0, 9], [5, 1], Ranks.integers(16, 25, template="{rank} years old"), k=5)
        0.5
    """
    return float((np.abs(score(y_true, y_pred, ranks).error) <= k + SLACK).mean())


def qwk(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """Quadratic weighted kappa over rank indices, 1 − Σ (i−j)² O_ij / Σ (i−j)² E_ij; in [−1, 1], chance 0.

    O counts (truth, prediction) pairs, E is the product of its margins over B. A tool that numbers only the
    ranks it sees moves rank 5 next to rank 1 and gives 2/3 here. Source: Cohen 1968.

    Example:
        >>> six = Ranks.integers(0, 5, template="grade {rank}")
        >>> round(qwk([0, 0, 0, 1, 1, 1, 5, 5], [0, 0, 1, 1, 1, 5, 5, 1], six), 6)
        0.463415
    """
    return _plain(score(y_true, y_pred, ranks), "qwk")


def spearman(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """Spearman's ρ: the Pearson correlation of mid-ranks; in [−1, 1], 0.0 if either side is constant.

    Example:
        >>> spearman([0, 1, 2], [0.1, 0.2, 0.7], Ranks.integers(0, 2, template="grade {rank}"))
        1.0
    """
    return _correlation(score(y_true, y_pred, ranks), spearmanr)


def kendall(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """Kendall's τ_b = (C − D) / √((N − T_y)(N − T_ŷ)); in [−1, 1], 0.0 if either side is constant.

    Of the N pairs of images, C stand in the same order, D in the opposite one; T_y and T_ŷ tie on one side.

    Example:
        >>> round(kendall([0, 1, 2], [0, 2, 1], Ranks.integers(0, 2, template="grade {rank}")), 4)
        0.3333
    """
    return _correlation(score(y_true, y_pred, ranks), kendalltau)


def amae(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """Average over the ranks present in `y_true` of their mean absolute error in rank steps; in [0, K−1].

    Every rank weighs the same however rare. Source: Baccianella, Esuli and Sebastiani 2009.

    Example:
        >>> amae([0, 1, 2, 3, 3], [0, 1, 2, 3, 4], Ranks.integers(0, 4, template="grade {rank}"))
        0.125
    """
    return _plain(score(y_true, y_pred, ranks), "amae")


def mmae(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """The largest of the per-rank errors that `amae` averages, in rank steps. Source: Cruz-Ramírez 2014.

    Example:
        >>> mmae([0, 1, 2, 3, 3], [0, 1, 2, 3, 4], Ranks.integers(0, 4, template="grade {rank}"))
        0.5
    """
    return _plain(score(y_true, y_pred, ranks), "mmae")


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
        >>> round(
        ...     epsilon_error([24.5, 30.0], [26.5, 30.0], ages, [2.0, 3.0]), 4
        ... )  # (1 − e^(−1/2)) / 2
        0.1967
    """
    mean, pred = _in_unit(y_true, "y_true", ranks), _in_unit(y_pred, "y_pred", ranks)
    check_paired(mean, pred)
    return float(_epsilon(pred - mean, deviations).mean())


def rps(y_true: Indices, probabilities: Probabilities, ranks: Ranks) -> float:
    """Ranked probability score, mean_i Σ_k (F_ik − 1[y_i ≤ k])²; in [0, K−1], 0 is perfect.

    F is the cumulative row. Not divided by K−1; the squared earth mover's distance. Source: Epstein 1969.

    Example:
        >>> four = Ranks.integers(0, 3, template="grade {rank}")
        >>> round(
        ...     rps([0, 3], [[0.2, 0.4, 0.2, 0.2], [0.5, 0.05, 0.1, 0.35]], four), 4
        ... )  # (0.84 + 0.975) / 2
        0.9075
    """
    return float(rps_of_images(*forecast(y_true, probabilities, ranks)).mean())


def rps_of_images(true: np.ndarray, p: np.ndarray) -> np.ndarray:
    """The ranked probability score of each image, from what `forecast` returns."""
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
    return float(_ece(true, p, np.ones((len(p), 1)), bins)[0])


def auc(y_true: Indices, probabilities: Probabilities, ranks: Ranks) -> float:
    """Area under the ROC curve, one rank against the rest, averaged over the ranks; in [0, 1], chance 0.5.

    Of all pairs of an image of rank k and one of another rank: the share in which the first has the larger p_k,
    ties one half. The mean is over the ranks that occur in `y_true`, each with the same weight. Where all K do, it
    is the AUC of MedMNIST; a single rank leaves no pair, and the result is 0.5. It does not know that the ranks are
    ordered. Sources: Hanley and McNeil 1982; Yang et al. 2023 (MedMNIST v2).

    Example:
        >>> three = Ranks.integers(0, 2, template="grade {rank}")
        >>> auc(
        ...     [0, 0, 1], [[0.8, 0.2, 0], [0.3, 0.7, 0], [0.5, 0.5, 0]], three
        ... )  # rank 2 does not occur
        0.5
    """
    true, p = forecast(y_true, probabilities, ranks)
    digits, power = np.frexp(p)  # rescaling a row must not untie its scores in the last bit
    place = rankdata(np.ldexp(digits.round(12), power), axis=0)
    # by hand, because scikit-learn's multi-class AUC refuses a sample in which a rank is absent
    present, size = np.unique(true, return_counts=True)
    won = (place[:, present] * (true[:, None] == present)).sum(0) - size * (size + 1) / 2
    return float(np.mean(won / (size * (len(true) - size)))) if len(present) > 1 else 0.5


def medians(p: np.ndarray) -> np.ndarray:
    """The median rank of each row of probabilities, the lowest k with Σ_{j≤k} p_j ≥ ½: the best answer under MAE.

    Example:
        >>> medians(np.array([[0.4, 0.3, 0.3], [0.5, 0.2, 0.3]]))
        array([1, 0])
    """
    return np.asarray((p.cumsum(1) >= 0.5 - SLACK).argmax(1))


def _answers(p: np.ndarray, ranks: Ranks) -> dict[str, np.ndarray]:
    """The three answers; the expectation is rounded, because equal rows must stay tied to the last bit."""
    return {
        "": p.argmax(1),
        "_median": medians(p),
        "_expected": np.round(p @ np.array(ranks.values), 9),
    }


def _sums(value: np.ndarray, group: np.ndarray, often: Often) -> np.ndarray:
    """Σ often_i · v_i over the images of each group up to the last one in use, for each resample."""
    return np.asarray(csr_array((value, (group, np.arange(len(group))))) @ often)


def _table(
    scored: Scored, often: Often, levels: Sequence[int] = (), sigma: Values | None = None
) -> Scores:
    """The metrics of answers but rank correlations."""
    error, y, p, size = np.abs(scored.error), scored.true, scored.nearest, often.sum(0)
    rows = {"mae": error, "mae_rank": scored.step, "rmse": error**2, "accuracy": y == p}
    rows |= {"one_off": np.abs(y - p) <= 1} | {f"cs@{k}": error <= k + SLACK for k in levels}
    if sigma is not None:
        rows["epsilon_error"] = _epsilon(scored.error, sigma)
    rows |= {"y": y, "p": p, "squares": y**2 + p**2, "apart": (y - p) ** 2}
    sums = dict(zip(rows, np.stack([*rows.values()]).astype(float) @ often, strict=True))
    # Σ (i−j)² E_ij, multiplied out; it is 0 only if all y and p are one rank, and then Σ (i−j)² O_ij is 0
    chance = sums.pop("squares") - 2 * sums.pop("y") * sums.pop("p") / size
    kappa = (chance - sums.pop("apart")) / np.where(chance > 0, chance, 1)
    found = {name: value / size for name, value in sums.items()}
    found |= {"rmse": np.sqrt(found["rmse"]), "qwk": kappa}
    drawn = _sums(np.ones(len(y)), y, often)
    by_rank = _sums(scored.step, y, often) / np.where(drawn > 0, drawn, np.nan)
    return found | {"amae": np.nanmean(by_rank, 0), "mmae": np.nanmax(by_rank, 0)}


def _plain(scored: Scored, name: str) -> float:
    """One metric of one sample."""
    return float(_table(scored, np.ones((len(scored.true), 1)))[name][0])


def _correlation(scored: Scored, measure: Callable[[np.ndarray, np.ndarray], Any]) -> float:
    """A rank correlation by SciPy, which warns and gives NaN where one side is constant."""
    constant = np.ptp(scored.true) == 0 or np.ptp(scored.value) == 0
    return 0.0 if constant else float(measure(scored.true, scored.value).statistic)


def _ece(true: np.ndarray, p: np.ndarray, often: Often, bins: int = 15) -> np.ndarray:
    """Σ_b |Σ_{i in b} often_i (1[right] − confidence)| / B."""
    confidence = p.max(1)
    place = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], confidence)
    gap = _sums((p.argmax(1) == true) - confidence, place, often)
    return np.asarray(np.abs(gap).sum(0) / often.sum(0))


def _epsilon(error: np.ndarray, deviations: object) -> np.ndarray:
    """The ε-error of each image."""
    sigma = numbers(deviations, "deviations").astype(float)
    if len(sigma) != len(error) or (sigma < 0).any():
        raise InputError(
            f"metrics: {len(sigma)} deviations, {len(error)} images; give each image one, ≥ 0."
        )
    limit = np.where(error == 0, 0.0, np.inf)
    return np.asarray(1 - np.exp(-0.5 * np.divide(error, sigma, out=limit, where=sigma > 0) ** 2))
