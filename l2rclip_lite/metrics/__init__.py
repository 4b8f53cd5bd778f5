"""Metrics that know the ordered label space: a rank absent from the sample changes no scale.

Here all are computed at once, with intervals by resampling images or subjects; `scores` has each as
a function.

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

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.stats import kendalltau, spearmanr

from l2rclip_lite.errors import InputError
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.metrics.answers import (
    Answers,
    Indices,
    PerImage,
    Probabilities,
    Values,
    checked_probabilities,
)
from l2rclip_lite.metrics.scores import (
    Counts,
    accuracy,
    amae,
    auc,
    calibration_error,
    cs_at,
    ece,
    epsilon_error,
    epsilon_loss,
    error_by_rank,
    kendall,
    mae,
    mae_rank,
    mmae,
    one_off,
    qwk,
    rank_correlation,
    rmse,
    rps,
    rps_of_images,
    spearman,
    weighted_kappa,
)
from l2rclip_lite.prediction import SLACK, Costs, cheapest_ranks, medians

__all__ = [
    "Indices",
    "Probabilities",
    "Scores",
    "accuracy",
    "amae",
    "auc",
    "cheapest_ranks",
    "checked_probabilities",
    "cs_at",
    "ece",
    "epsilon_error",
    "evaluate",
    "kendall",
    "mae",
    "mae_rank",
    "medians",
    "mmae",
    "one_off",
    "qwk",
    "resampled",
    "rmse",
    "rps",
    "rps_of_images",
    "spearman",
    "with_intervals",
]

Scores = dict[str, Float[np.ndarray, " resample"]]
LEVELS = (1, 3, 5)  # k of the cumulative scores
BLOCK = 2**22  # counts at once: 32 MiB


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
            all metrics but `auc` and rank correlations: these would sort all images for every
            resample.
        resamples: Bootstrap draws.
        seed: Seed of the draws, see `resampled`.

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
    if not intervals:
        resamples = 0
    draws = resampled(
        p, true, ranks, deviations=deviations, groups=groups, resamples=resamples, seed=seed
    )
    if costs is not None:
        draws |= mean_costs(true, p, costs, resample_counts(groups, len(true), resamples, seed))
    result = {"n": float(len(true)), "auc": auc(true, p, ranks)} | with_intervals(draws)
    for suffix, answers in answers_of(true, p, ranks).items():
        result[f"spearman{suffix}"] = rank_correlation(answers, spearmanr)
        result[f"kendall{suffix}"] = rank_correlation(answers, kendalltau)
    return result


def answers_of(true: PerImage, p: np.ndarray, ranks: Ranks) -> dict[str, Answers]:
    """Return the three answers beside the truth, by the suffix of their metrics.

    The expectation is rounded, because equal rows must stay tied to the last bit.
    """
    expected = np.round(p @ np.array(ranks.values), 9)
    return {
        "": Answers.of(true, p.argmax(axis=1), ranks),
        "_median": Answers.of(true, medians(p), ranks),
        "_expected": Answers.of(true, expected, ranks),
    }


def resampled(
    probabilities: Probabilities,
    target: Indices,
    ranks: Ranks,
    *,
    deviations: Values | None = None,
    groups: Sequence[str] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Scores:
    """Compute the metrics with intervals in `evaluate`: of the sample, then of each resample.

    The resamples are those of `numpy.random.default_rng(seed).integers(B, size=(resamples, B))`, so
    two methods that answered the same images, with one seed, are paired: the difference of their
    scores is that of one resample.

    Example:
        >>> two = Ranks.integers(0, 1, template="grade {rank}")
        >>> rows, targets = [[1.0, 0.0], [1.0, 0.0]], [0, 1]
        >>> resampled(rows, targets, two, resamples=3)["accuracy"]
        array([0.5, 0. , 0.5, 1. ])
    """
    true, p = checked_probabilities(target, probabilities, ranks)
    answers = answers_of(true, p, ranks)
    image_rps = rps_of_images(true, p)

    blocks: list[Scores] = []
    for counts in resample_counts(groups, len(true), resamples, seed):
        block: Scores = {}
        for suffix, each in answers.items():
            for name, value in metrics_of(each, ranks, deviations, counts).items():
                block[name + suffix] = value
        block["rps"] = image_rps @ counts / counts.sum(axis=0)
        block["ece"] = calibration_error(true, p, counts)
        blocks.append(block)

    scores: Scores = {}
    for name in blocks[0]:
        scores[name] = np.concatenate([block[name] for block in blocks])
    return scores


def metrics_of(answers: Answers, ranks: Ranks, deviations: Values | None, counts: Counts) -> Scores:
    """Return each metric of each resample, all means by one matrix product."""
    error = np.abs(answers.error)
    losses = {
        "mae": error,
        "mae_rank": answers.steps,
        "rmse": error**2,
        "accuracy": answers.nearest == answers.true,
        "one_off": np.abs(answers.nearest - answers.true) <= 1,
    }
    for k in LEVELS:
        if k < ranks.values[-1] - ranks.values[0]:
            losses[f"cs@{k}"] = error <= k + SLACK
    if deviations is not None:
        losses["epsilon_error"] = epsilon_loss(answers.error, deviations)

    table = np.stack([*losses.values()]).astype(float)
    means = table @ counts / counts.sum(axis=0)
    metrics = dict(zip(losses, means, strict=True))
    metrics["rmse"] = np.sqrt(metrics["rmse"])

    metrics["qwk"] = weighted_kappa(answers, counts)
    by_rank = error_by_rank(answers, counts)
    metrics["amae"] = np.nanmean(by_rank, axis=0)
    metrics["mmae"] = np.nanmax(by_rank, axis=0)
    return metrics


def mean_costs(true: PerImage, p: np.ndarray, costs: Costs, samples: Iterable[Counts]) -> Scores:
    """Return the mean price of the cheapest answers and of the most probable ranks, by sample.

    Args:
        true: Rank indices.
        p: A row of probabilities for each image.
        costs: The price list.
        samples: How often each image is in the samples, some samples at a time.

    Example:
        >>> p = np.array([[0.75, 0.25]])
        >>> mean_costs(np.array([1]), p, [[0, 1], [5, 0]], [np.ones((1, 1))])
        {'cost': array([0.]), 'cost_argmax': array([5.])}
    """
    answers = {"cost": cheapest_ranks(p, costs), "cost_argmax": p.argmax(axis=1)}
    prices = np.asarray(costs, dtype=float)
    paid = np.stack([prices[true, answer] for answer in answers.values()])
    means = [paid @ counts / counts.sum(axis=0) for counts in samples]
    return dict(zip(answers, np.concatenate(means, axis=1), strict=True))


def with_intervals(draws: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Return each score of the sample, and the 95 % percentile interval of its resamples.

    Args:
        draws: By metric, the score of the sample, then those of the resamples, if there are any.

    Example:
        >>> with_intervals({"mae": np.array([0.5, 0.25, 0.75])})
        {'mae': 0.5, 'mae_low': 0.2625, 'mae_high': 0.7375}
    """
    result = {}
    for name, (value, *resampled_values) in draws.items():
        result[name] = float(value)
        if resampled_values:
            low, high = np.quantile(resampled_values, (0.025, 0.975)).tolist()
            result[f"{name}_low"] = low
            result[f"{name}_high"] = high
    return result


def resample_counts(
    groups: Sequence[str] | None, images: int, resamples: int, seed: int
) -> Iterator[Counts]:
    """Yield the counts of the sample itself, then those of the resamples, some at a time.

    From one group nothing can be drawn, so there are no resamples, and no interval of no width.

    Args:
        groups: The group of each image, which is drawn or left out as a whole; None draws images.
        images: Their number.
        resamples: How many to draw.
        seed: Decides the draws.

    Raises:
        InputError: Not one group per image.
    """
    generator = np.random.default_rng(seed)
    members = np.arange(images)
    if groups is not None:
        members = pd.factorize(pd.Series(groups), sort=True)[0]  # −1 for an empty cell
        if len(members) != images or members.min() < 0:
            raise InputError(
                f"metrics: {len(groups)} groups, {images} images; name whom each image shows."
            )
    n_groups = members.max() + 1
    width = max(1, BLOCK // images)

    yield np.ones((images, 1))
    if n_groups == 1:
        return
    for start in range(0, resamples, width):
        size = min(width, resamples - start)
        drawn = generator.integers(n_groups, size=(size, n_groups))
        # each resample counts in bins of its own
        drawn += n_groups * np.arange(size)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape)
        yield counts.T[members].astype(float, order="C")
