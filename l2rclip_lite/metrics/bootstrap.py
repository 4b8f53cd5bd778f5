"""Every metric of a sample and of its resamples, and the intervals that follow.

Means over images are weighed by how often a resample drew each image, all by one matrix product.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from l2rclip_lite.errors import InputError
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.metrics.answers import (
    Answers,
    Indices,
    PerImage,
    Probabilities,
    Values,
    check_paired,
    checked_probabilities,
    numbers,
)
from l2rclip_lite.prediction import SLACK, Costs, cheapest_ranks, medians

Scores = dict[str, Float[np.ndarray, " resample"]]
# How often each resample drew each image; the sample itself has one axis, and holds each once.
Counts = Float[np.ndarray, "image ..."]
LEVELS = (1, 3, 5)  # k of the cumulative scores
BLOCK = 2**22  # counts at once: 32 MiB


def resampled(
    probabilities: Probabilities,
    target: Indices,
    ranks: Ranks,
    draws: Iterable[Counts],
    *,
    deviations: Values | None = None,
    costs: Costs | None = None,
) -> Scores:
    """Compute the metrics with intervals in `evaluate`: of the sample, then of each resample.

    Two methods that answered the same images, with the same draws, are paired: the difference of
    their scores is that of one resample.

    Args:
        probabilities: See `evaluate`, as for all but the draws.
        target: Rank indices.
        ranks: The label space.
        draws: From `resample_counts`.
        deviations: σ of each image's labels.
        costs: A price list.

    Example:
        >>> two = Ranks.integers(0, 1, template="grade {rank}")
        >>> rows, targets = [[1.0, 0.0], [1.0, 0.0]], [0, 1]
        >>> resampled(rows, targets, two, resample_counts(None, 2, resamples=3))["accuracy"]
        array([0.5, 0. , 0.5, 1. ])
    """
    true, p = checked_probabilities(target, probabilities, ranks)
    answers = answers_of(true, p, ranks)
    losses = {"rps": rps_of_images(true, p)}
    if costs is not None:
        prices = np.asarray(costs, dtype=float)
        losses["cost"] = prices[true, cheapest_ranks(p, costs)]
        losses["cost_argmax"] = prices[true, p.argmax(axis=1)]

    blocks: dict[str, list[np.ndarray]] = defaultdict(list)
    for counts in draws:
        for name, loss in losses.items():
            blocks[name].append(loss @ counts / counts.sum(axis=0))
        for suffix, each in answers.items():
            for name, values in metrics_of(each, ranks, deviations, counts).items():
                blocks[name + suffix].append(values)
    return {name: np.concatenate(values) for name, values in blocks.items()}


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


def rps_of_images(true: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Return the ranked probability score of each image; p comes from `checked_probabilities`."""
    cumulative = p.cumsum(axis=1)
    truth = true[:, None] <= np.arange(p.shape[1])
    return np.asarray(((cumulative - truth) ** 2).sum(axis=1))


def epsilon_loss(error: PerImage, deviations: object) -> PerImage:
    """Return the ε-error of each image."""
    sigma = numbers(deviations, "deviations").astype(float)
    check_paired(error, sigma)
    limit = np.where(error == 0, 0.0, np.inf)  # where σ = 0
    standardised = np.divide(error, sigma, out=limit, where=sigma > 0)
    return np.asarray(1 - np.exp(-0.5 * standardised**2))


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
    members = np.eye(answers.true.max() + 1)[answers.true]
    images = members.T @ counts
    steps = (members * answers.steps[:, None]).T @ counts
    return np.asarray(steps / np.where(images > 0, images, np.nan))


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
            result |= {f"{name}_low": low, f"{name}_high": high}
    return result


def resample_counts(
    groups: Sequence[str] | None, images: int, resamples: int = 1000, seed: int = 0
) -> Iterator[Counts]:
    """Yield the counts of the sample itself, then those of the resamples, some at a time.

    The resamples are those of `numpy.random.default_rng(seed).integers(B, size=(resamples, B))`.
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
        counts = [np.bincount(each, minlength=n_groups) for each in drawn]
        yield np.stack(counts, axis=1)[members].astype(float)
