"""Metrics that know the ordered label space: a rank absent from the sample changes no scale.

`evaluate` computes all at once, with intervals by resampling images or subjects (`bootstrap`); each
is a function, too.

Arguments shared by every function (NumPy arrays, torch tensors or plain sequences):

- `y_true`: B rank indices, whole numbers 0 … K−1.
- `y_pred`: B predictions. **Whole numbers are rank indices; floats are values in `ranks.unit`**,
  such as the expected value Σ_k p_k r_k. Where the scale does not start at 0 the two differ: keep
  indices in integers.
- `probabilities`: B rows of K numbers ≥ 0 that sum to 1 within 0.01 (bf16 noise) and are rescaled
  to 1.
- `ranks`: the `Ranks` with values r_1 < … < r_K.

A float prediction is read on three scales: its value; its position among the ranks (piecewise
linear between neighbours, cut off at both ends); its nearest rank (the lower one at a tie). Bad
input raises `InputError`.

Undefined values: `spearman` and `kendall` are 0/0 when the truth or the predictions are constant,
`qwk` when both are the same constant. They return 0.0, without a warning: such a sample shows no
association. `auc` is 0/0 where the truth is constant; it returns chance, 0.5.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.stats import kendalltau, rankdata, spearmanr

from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.metrics.answers import (
    Answers,
    Labels,
    PerImage,
    Values,
    check_paired,
    checked_probabilities,
    in_unit,
)
from l2rclip_lite.metrics.answers import Indices as Indices
from l2rclip_lite.metrics.answers import Probabilities as Probabilities
from l2rclip_lite.metrics.bootstrap import (
    answers_of,
    epsilon_loss,
    metrics_of,
    resample_counts,
    resampled,
    with_intervals,
)
from l2rclip_lite.metrics.bootstrap import rps_of_images as rps_of_images
from l2rclip_lite.prediction import SLACK, Costs
from l2rclip_lite.prediction import medians as medians


def evaluate(  # noqa: PLR0913  (an entry point)
    probabilities: Probabilities,
    target: Indices,
    ranks: Ranks,
    *,
    deviations: Values | None = None,
    groups: Sequence[str] | None = None,
    costs: Costs | None = None,
    intervals: bool = False,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, float]:
    """Compute every metric: of the most probable rank, the median and the expectation Σ_k p_k r_k.

    Each answer is best at what it minimises: the most probable rank at accuracy, the median at MAE,
    the expected value at RMSE (Gneiting 2011).

    Args:
        probabilities: A row of K for each image. The lowest of several equal maxima is the
            prediction.
        target: Rank indices.
        ranks: The label space.
        deviations: σ of each image's labels; adds `epsilon_error`.
        groups: Whom each image shows. The bootstrap then draws groups, not images: images of one
            group are alike.
        costs: A price list, see `cheapest_ranks`; adds `cost`, the mean price of the answers that
            are cheapest by it, and `cost_argmax`, that of the most probable ranks.
        intervals: Add `<name>_low` and `<name>_high`, the 95 % percentile bootstrap over images, of
            all metrics but `auc` and rank correlations, which would sort all images for every
            resample, and `ece`: a resample shows some images twice and others not at all, so its
            bins are off by more, and `ece` itself lay at the low end of its own interval.
        resamples: Bootstrap draws.
        seed: Seed of the draws, see `resample_counts`.

    Returns:
        `n`, `rps`, `ece`, `auc`; `mae`, `mae_rank`, `rmse`, `accuracy`, `one_off`, `cs@1`, `cs@3`,
        `cs@5`, `qwk`, `spearman`, `kendall`, `amae`, `mmae` of the most probable rank, and the same
        with `_median` and `_expected`. A `cs@k` with k ≥ r_K − r_1 is left out: it is 1 for every
        model.

    Raises:
        InputError: Not one row per target, not one column per rank, rows that do not sum to 1,
            not one group per image, or no price list.

    Example:
        >>> three = Ranks.integers(0, 2, template="grade {rank}")
        >>> scores = evaluate([[0.5, 0.25, 0.25], [0.0, 0.25, 0.75]], [0, 2], three)
        >>> scores["n"], scores["mae"], scores["mae_expected"], scores["accuracy"]
        (2.0, 0.0, 0.5, 1.0)
    """
    true, p = checked_probabilities(target, probabilities, ranks)
    draws = resample_counts(groups, len(true), resamples if intervals else 0, seed)
    scores = resampled(p, true, ranks, draws, deviations=deviations, costs=costs)
    result = {"n": float(len(true)), "ece": ece(true, p, ranks), "auc": auc(true, p, ranks)}
    result |= with_intervals(scores)
    for suffix, answers in answers_of(true, p, ranks).items():
        result[f"spearman{suffix}"] = rank_correlation(answers, spearmanr)
        result[f"kendall{suffix}"] = rank_correlation(answers, kendalltau)
    return result


def mae(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """Mean absolute error, mean_i |ŷ_i − r_{y_i}|, in `ranks.unit`; 0 is perfect.

    Example:
        >>> decades = Ranks(("1930s", "1950s", "1960s"), (1930, 1950, 1960), "the {rank}", "years")
        >>> mae([0, 1, 2, 2], [1, 1, 2, 2], decades), mae([0, 1], [1936.0, 1950.0], decades)
        (5.0, 3.0)
    """
    return _score("mae", y_true, y_pred, ranks)


def mae_rank(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """Mean absolute error in rank steps, whatever the gap of neighbours; in [0, K−1], 0 is perfect.

    Example:
        >>> mae_rank([0, 1, 2], [1, 1, 0], Ranks.integers(16, 18, template="{rank} years old"))
        1.0
    """
    return _score("mae_rank", y_true, y_pred, ranks)


def rmse(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """Root mean squared error, √mean_i (ŷ_i − r_{y_i})², in `ranks.unit`; at least `mae`.

    Example:
        >>> rmse([0, 1, 2, 3], [0, 1, 0, 3], Ranks.integers(16, 19, template="{rank} years old"))
        1.0
    """
    return _score("rmse", y_true, y_pred, ranks)


def accuracy(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """Share of images whose (nearest) rank is the true one, in [0, 1].

    Example:
        >>> accuracy(
        ...     [0, 1, 2], [16.4, 17.6, 18.0], Ranks.integers(16, 18, template="{rank} years old")
        ... )
        0.6666666666666666
    """
    return _score("accuracy", y_true, y_pred, ranks)


def one_off(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """Share of images whose (nearest) rank is the true one or its neighbour, in [0, 1].

    Adience is reported by it.

    Example:
        >>> one_off([0, 1, 2, 3], [1, 1, 3, 0], Ranks.integers(1, 4, template="grade {rank}"))
        0.75
    """
    return _score("one_off", y_true, y_pred, ranks)


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
    return _score("qwk", y_true, y_pred, ranks)


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
    return _score("amae", y_true, y_pred, ranks)


def mmae(y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """The largest of the per-rank errors that `amae` averages, in rank steps.

    Source: Cruz-Ramírez 2014.

    Example:
        >>> mmae([0, 1, 2, 3, 3], [0, 1, 2, 3, 4], Ranks.integers(0, 4, template="grade {rank}"))
        0.5
    """
    return _score("mmae", y_true, y_pred, ranks)


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
    confidence = p.max(axis=1)
    right = p.argmax(axis=1) == true
    edges = np.linspace(0, 1, bins + 1)[1:-1]
    gaps = np.bincount(np.searchsorted(edges, confidence), weights=right - confidence)
    return float(np.abs(gaps).sum() / len(true))


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

    # in single precision: rescaling a row must not untie its scores in the last bit
    place = rankdata(p.astype(np.float32), axis=0)
    of_rank = true[:, None] == present
    pairs_won = (place[:, present] * of_rank).sum(axis=0) - size * (size + 1) / 2
    pairs = size * (len(true) - size)
    return float(np.mean(pairs_won / pairs))


def _score(name: str, y_true: Indices, y_pred: Labels, ranks: Ranks) -> float:
    """Return one of `bootstrap.metrics_of`, each image counted once."""
    answers = Answers.of(y_true, y_pred, ranks)
    return float(metrics_of(answers, ranks, None, np.ones((len(answers.true), 1)))[name][0])


def rank_correlation(answers: Answers, measure: Callable[[PerImage, PerImage], Any]) -> float:
    """Return a rank correlation by SciPy, which warns and gives NaN where one side is constant."""
    if np.ptp(answers.true) == 0 or np.ptp(answers.value) == 0:
        return 0.0
    return float(measure(answers.true, answers.value).statistic)
