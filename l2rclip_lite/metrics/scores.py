"""The metrics, one function each.

`evaluate` weighs the means over images by how often a resample drew each image. Of the others
`qwk`, `amae`, `mmae` and `ece` also have a form that scores every resample; `auc` and the rank
correlations have none.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.sparse import csr_array
from scipy.stats import kendalltau, rankdata, spearmanr

from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.metrics.answers import (
    Answers,
    Indices,
    Labels,
    PerImage,
    Probabilities,
    Values,
    check_paired,
    checked_probabilities,
    in_unit,
    numbers,
)
from l2rclip_lite.prediction import SLACK

# How often each resample drew each image; the sample itself has one axis, and holds each once.
Counts = Float[np.ndarray, "image ..."]


def mae(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """Mean absolute error, mean_i |ŷ_i − r_{y_i}|, in `ranks.unit`; 0 is perfect.

    Example:
        >>> decades = Ranks(("1930s", "1950s", "1960s"), (1930, 1950, 1960), "the {rank}", "years")
        >>> mae([0, 1, 2, 2], [1, 1, 2, 2], decades), mae([0, 1], [1936.0, 1950.0], decades)
        (5.0, 3.0)
    """
    return float(np.abs(Answers.of(y_true, y_pred, ranks).error).mean())


def mae_rank(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """Mean absolute error in rank steps, whatever the gap of neighbours; in [0, K−1], 0 is perfect.

    Example:
        >>> mae_rank([0, 1, 2], [1, 1, 0], Ranks.integers(16, 18, template="{rank} years old"))
        1.0
    """
    return float(Answers.of(y_true, y_pred, ranks).steps.mean())


def rmse(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """Root mean squared error, √mean_i (ŷ_i − r_{y_i})², in `ranks.unit`; at least `mae`.

    Example:
        >>> rmse([0, 1, 2, 3], [0, 1, 0, 3], Ranks.integers(16, 19, template="{rank} years old"))
        1.0
    """
    return float(np.sqrt((Answers.of(y_true, y_pred, ranks).error ** 2).mean()))


def accuracy(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """Share of images whose (nearest) rank is the true one, in [0, 1].

    Example:
        >>> accuracy(
        ...     [0, 1, 2], [16.4, 17.6, 18.0], Ranks.integers(16, 18, template="{rank} years old")
        ... )
        0.6666666666666666
    """
    answers = Answers.of(y_true, y_pred, ranks)
    return float((answers.nearest == answers.true).mean())


def one_off(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """Share of images whose (nearest) rank is the true one or its neighbour, in [0, 1].

    Adience is reported by it.

    Example:
        >>> one_off([0, 1, 2, 3], [1, 1, 3, 0], Ranks.integers(1, 4, template="grade {rank}"))
        0.75
    """
    answers = Answers.of(y_true, y_pred, ranks)
    return float((np.abs(answers.nearest - answers.true) <= 1).mean())


def cs_at(y_true: Indices, y_pred: Labels, ranks: Ranks, k: float) -> float:
    """Cumulative score CS(k): share of images with |ŷ_i − r_{y_i}| ≤ k, in [0, 1].

    Prediction and k are in `ranks.unit`.

    Example:
        >>> cs_at([0, 9], [5, 1], Ranks.integers(16, 25, template="{rank} years old"), k=5)
        0.5
    """
    error = np.abs(Answers.of(y_true, y_pred, ranks).error)
    return float((error <= k + SLACK).mean())


def qwk(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """Quadratic weighted kappa, 1 − Σ (i−j)² O_ij / Σ (i−j)² E_ij; in [−1, 1], chance 0.

    i and j are rank indices. O counts (truth, prediction) pairs, E is the product of its margins
    over B. A tool that numbers only the ranks it sees moves rank 5 next to rank 1 and gives 2/3
    here. Source: Cohen 1968.

    Example:
        >>> six = Ranks.integers(0, 5, template="grade {rank}")
        >>> round(qwk([0, 0, 0, 1, 1, 1, 5, 5], [0, 0, 1, 1, 1, 5, 5, 1], six), 6)
        0.463415
    """
    answers = Answers.of(y_true, y_pred, ranks)
    return float(weighted_kappa(answers, np.ones(len(answers.true))))


def spearman(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """Spearman's ρ: the Pearson correlation of mid-ranks; in [−1, 1], 0.0 if one side is constant.

    Example:
        >>> spearman([0, 1, 2], [0.1, 0.2, 0.7], Ranks.integers(0, 2, template="grade {rank}"))
        1.0
    """
    return rank_correlation(Answers.of(y_true, y_pred, ranks), spearmanr)


def kendall(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """Kendall's τ_b = (C − D) / √((N − T_y)(N − T_ŷ)); in [−1, 1], 0.0 if either side is constant.

    Of the N pairs of images, C stand in the same order, D in the opposite one; T_y and T_ŷ tie on
    one side.

    Example:
        >>> round(kendall([0, 1, 2], [0, 2, 1], Ranks.integers(0, 2, template="grade {rank}")), 4)
        0.3333
    """
    return rank_correlation(Answers.of(y_true, y_pred, ranks), kendalltau)


def amae(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """Mean absolute error in rank steps of each rank, averaged over the ranks; in [0, K−1].

    The average is over the ranks present in `y_true`: each weighs the same, however rare. Source:
    Baccianella, Esuli and Sebastiani 2009.

    Example:
        >>> amae([0, 1, 2, 3, 3], [0, 1, 2, 3, 4], Ranks.integers(0, 4, template="grade {rank}"))
        0.125
    """
    answers = Answers.of(y_true, y_pred, ranks)
    return float(np.nanmean(error_by_rank(answers, np.ones(len(answers.true)))))


def mmae(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """The largest of the per-rank errors that `amae` averages, in rank steps.

    Source: Cruz-Ramírez 2014.

    Example:
        >>> mmae([0, 1, 2, 3, 3], [0, 1, 2, 3, 4], Ranks.integers(0, 4, template="grade {rank}"))
        0.5
    """
    answers = Answers.of(y_true, y_pred, ranks)
    return float(np.nanmax(error_by_rank(answers, np.ones(len(answers.true)))))


def epsilon_error(y_true: Labels, y_pred: Labels, ranks: Ranks, deviations: Values) -> float:
    """ε-error of ChaLearn LAP 2015, 1 − mean_i exp(−(ŷ_i − μ_i)² / 2σ_i²); in [0, 1], 0 is perfect.

    Args:
        y_true: Rank indices, or the mean label μ of each image as floats in `ranks.unit`.
        y_pred: Rank indices, or floats in `ranks.unit`.
        ranks: The label space.
        deviations: Standard deviation σ ≥ 0 of the labels of each image, in `ranks.unit`. σ = 0 is
            the limit: 0 for an exact prediction, 1 for any other.

    Raises:
        InputError: Not one deviation per image.

    Example:
        >>> ages = Ranks.integers(16, 77, template="{rank} years old")
        >>> error = epsilon_error([24.5, 30.0], [26.5, 30.0], ages, [2.0, 3.0])
        >>> round(error, 4)  # (1 − e^(−1/2)) / 2
        0.1967
    """
    mean = in_unit(y_true, "y_true", ranks)
    prediction = in_unit(y_pred, "y_pred", ranks)
    check_paired(mean, prediction)
    return float(epsilon_loss(prediction - mean, deviations).mean())


def rps(y_true: Indices, probabilities: Probabilities, ranks: Ranks) -> float:
    """Ranked probability score, mean_i Σ_k (F_ik − 1[y_i ≤ k])²; in [0, K−1], 0 is perfect.

    F is the cumulative row. Not divided by K−1; the squared earth mover's distance. Source: Epstein
    1969.

    Example:
        >>> four = Ranks.integers(0, 3, template="grade {rank}")
        >>> score = rps([0, 3], [[0.2, 0.4, 0.2, 0.2], [0.5, 0.05, 0.1, 0.35]], four)
        >>> round(score, 4)  # (0.84 + 0.975) / 2
        0.9075
    """
    true, p = checked_probabilities(y_true, probabilities, ranks)
    return float(rps_of_images(true, p).mean())


def rps_of_images(true: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Return the ranked probability score of each image; p comes from `checked_probabilities`."""
    cumulative = p.cumsum(axis=1)
    truth = true[:, None] <= np.arange(p.shape[1])
    return np.asarray(((cumulative - truth) ** 2).sum(axis=1))


def ece(y_true: Indices, probabilities: Probabilities, ranks: Ranks, *, bins: int = 15) -> float:
    """Expected calibration error, Σ_b |B_b|/B · |accuracy_b − confidence_b|; in [0, 1].

    It is that of the most probable rank. The bins (lo, hi] of the largest probability have equal
    width 1/`bins`. Source: Guo et al. 2017.

    Example:
        >>> two = Ranks.integers(0, 1, template="grade {rank}")
        >>> round(ece([0, 1], [[0.9, 0.1], [0.7, 0.3]], two), 4)  # (0.1 + 0.7) / 2
        0.4
    """
    true, p = checked_probabilities(y_true, probabilities, ranks)
    return float(calibration_error(true, p, np.ones(len(true)), bins))


def auc(y_true: Indices, probabilities: Probabilities, ranks: Ranks) -> float:
    """Area under the ROC curve of one rank against the rest, averaged; in [0, 1], chance 0.5.

    Of all pairs of an image of rank k and one of another rank: the share in which the first has the
    larger p_k, ties one half. The mean is over the ranks that occur in `y_true`, each with the same
    weight. Where all K do, it is the AUC of MedMNIST; a single rank leaves no pair, and the result
    is 0.5. It does not know that the ranks are ordered. Sources: Hanley and McNeil 1982; Yang et
    al. 2023 (MedMNIST v2).

    Example:
        >>> three = Ranks.integers(0, 2, template="grade {rank}")
        >>> probabilities = [[0.8, 0.2, 0], [0.3, 0.7, 0], [0.5, 0.5, 0]]
        >>> auc([0, 0, 1], probabilities, three)  # rank 2 does not occur
        0.5
    """
    true, p = checked_probabilities(y_true, probabilities, ranks)
    # By hand, because scikit-learn's multi-class AUC refuses a sample in which a rank is absent.
    present, size = np.unique(true, return_counts=True)
    if len(present) == 1:
        return 0.5

    digits, power = np.frexp(p)  # rescaling a row must not untie its scores in the last bit
    place = rankdata(np.ldexp(digits.round(12), power), axis=0)
    of_rank = true[:, None] == present
    pairs_won = (place[:, present] * of_rank).sum(axis=0) - size * (size + 1) / 2
    pairs = size * (len(true) - size)
    return float(np.mean(pairs_won / pairs))


def rank_correlation(answers: Answers, measure: Callable[[PerImage, PerImage], Any]) -> float:
    """Return a rank correlation by SciPy, which warns and gives NaN where one side is constant."""
    if np.ptp(answers.true) == 0 or np.ptp(answers.value) == 0:
        return 0.0
    return float(measure(answers.true, answers.value).statistic)


def epsilon_loss(error: PerImage, deviations: object) -> PerImage:
    """Return the ε-error of each image."""
    sigma = numbers(deviations, "deviations").astype(float)
    check_paired(error, sigma)
    limit = np.where(error == 0, 0.0, np.inf)  # where σ = 0
    standardised = np.divide(error, sigma, out=limit, where=sigma > 0)
    return np.asarray(1 - np.exp(-0.5 * standardised**2))


# ---- metrics that are not means over images, for each resample


def sums_by_group(values: PerImage, group: PerImage, counts: Counts) -> np.ndarray:
    """Return Σ_i counts_i · v_i over the images of each group, up to the last group in use."""
    images = np.arange(len(group))
    return np.asarray(csr_array((values, (group, images))) @ counts)


def weighted_kappa(answers: Answers, counts: Counts) -> Float[np.ndarray, "..."]:
    """Return `qwk` of each resample.

    Σ (i−j)² E_ij is multiplied out: with margins of B images it is Σ y² + Σ ŷ² − 2 Σ y Σ ŷ / B. It
    is 0 only if all y and ŷ are one rank; Σ (i−j)² O_ij is 0 then, too.
    """
    y = answers.true
    y_hat = answers.nearest
    size = counts.sum(axis=0)
    terms = np.stack([y, y_hat, y**2 + y_hat**2, (y - y_hat) ** 2]).astype(float)
    sum_y, sum_y_hat, squares, observed = terms @ counts
    by_chance = squares - 2 * sum_y * sum_y_hat / size
    return np.asarray((by_chance - observed) / np.where(by_chance > 0, by_chance, 1))


def error_by_rank(answers: Answers, counts: Counts) -> Float[np.ndarray, "rank ..."]:
    """Return the mean distance in ranks of the images of each true rank; NaN without images."""
    images = sums_by_group(np.ones(len(answers.true)), answers.true, counts)
    steps = sums_by_group(answers.steps, answers.true, counts)
    return np.asarray(steps / np.where(images > 0, images, np.nan))


def calibration_error(
    true: PerImage, p: np.ndarray, counts: Counts, bins: int = 15
) -> Float[np.ndarray, "..."]:
    """Return `ece` of each resample, Σ_b |Σ_{i in b} (1[right] − confidence)| / B."""
    confidence = p.max(axis=1)
    right = p.argmax(axis=1) == true
    edges = np.linspace(0, 1, bins + 1)[1:-1]
    gaps = sums_by_group(right - confidence, np.searchsorted(edges, confidence), counts)
    return np.asarray(np.abs(gaps).sum(axis=0) / counts.sum(axis=0))
