"""Every metric at once, and intervals by resampling images or subjects."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from l2rclip_lite.metrics.checks import Indices, Probabilities, Scores, Values, forecast
from l2rclip_lite.metrics.scores import (
    Often,
    _answers,
    _ece,
    _table,
    auc,
    kendall,
    rps_of_images,
    score,
    spearman,
)
from l2rclip_lite.ranks import Ranks


def evaluate(
    probabilities: Probabilities,
    target: Indices,
    ranks: Ranks,
    *,
    deviations: Values | None = None,
    groups: Sequence[str] | None = None,
    intervals: bool = False,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, float]:
    """Every metric, for the most probable rank, for the median and for the expected value Σ_k p_k r_k.

    Each answer is best at what it minimises: the most probable rank at accuracy, the median at MAE, the expected value at
    RMSE (Gneiting 2011).

    Args:
        probabilities: A row of K for each image. The lowest of several equal maxima is the prediction.
        target: Rank indices.
        ranks: The label space.
        deviations: σ of each image's labels; adds `epsilon_error`.
        groups: Whom each image shows. The bootstrap then draws groups, not images: images of one group are alike.
        intervals: Add `<name>_low` and `<name>_high`, the 95 % percentile bootstrap over images, of all metrics but
            `auc` and rank correlations: these would sort all images for every resample.
        resamples: Bootstrap draws.
        seed: Seed of the draws, see `resampled`.

    Returns:
        `n`, `rps`, `ece`, `auc`; `mae`, `mae_rank`, `rmse`, `accuracy`, `one_off`, `cs@1`, `cs@3`, `cs@5`, `qwk`,
        `spearman`, `kendall`, `amae`, `mmae` of the most probable rank, and the same with `_median` and `_expected`. A
        `cs@k` with k ≥ r_K − r_1 is left out: it is 1 for every model.

    Raises:
        InputError: Not one row per target, not one column per rank, or rows that do not sum to 1.

    Example:
        >>> three = Ranks.integers(0, 2, template="grade {rank}")
        >>> found = evaluate([[0.5, 0.25, 0.25], [0.0, 0.25, 0.75]], [0, 2], three)
        >>> (
        ...     found["n"],
        ...     found["mae"],
        ...     found["mae_expected"],
        ...     found["accuracy"],
        ...     found["accuracy_expected"],
        ... )
        (2.0, 0.0, 0.5, 1.0, 0.5)
    """
    true, p = forecast(target, probabilities, ranks)
    often: dict[str, Any] = {"resamples": resamples if intervals else 0, "seed": seed}
    found = resampled(p, true, ranks, deviations=deviations, groups=groups, **often)
    result = {"n": float(len(true)), "auc": auc(true, p, ranks)} | with_intervals(found)
    for answer, given in _answers(p, ranks).items():
        result[f"spearman{answer}"] = spearman(true, given, ranks)
        result[f"kendall{answer}"] = kendall(true, given, ranks)
    return result


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
    """The metrics that `evaluate` gives intervals: of the sample itself, then of each bootstrap resample.

    The resamples are those of `numpy.random.default_rng(seed).integers(B, size=(resamples, B))`, so two methods that
    answered the same images, with one seed, are paired: the difference of their scores is that of one resample.

    Example:
        >>> two = Ranks.integers(0, 1, template="grade {rank}")
        >>> resampled([[1.0, 0.0], [1.0, 0.0]], [0, 1], two, groups=["a", "a"], resamples=2)[
        ...     "accuracy"
        ... ]  # one draw
        array([0.5, 0.5, 0.5])
    """
    true, p = forecast(target, probabilities, ranks)
    scored = {answer: score(true, given, ranks) for answer, given in _answers(p, ranks).items()}
    scores = rps_of_images(true, p)
    levels = [k for k in (1, 3, 5) if k < ranks.values[-1] - ranks.values[0]]
    members = np.unique(np.arange(len(true)) if groups is None else groups, return_inverse=True)[1]
    blocks = []
    for often in _draws(members, resamples, seed):
        found: Scores = {}
        for answer, given in scored.items():
            table = _table(given, often, levels, deviations)
            found |= {f"{name}{answer}": value for name, value in table.items()}
        blocks.append(found | {"rps": scores @ often / often.sum(0), "ece": _ece(true, p, often)})
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def with_intervals(found: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Each score of the sample, and the 95 % percentile interval of its resamples where there are any.

    Example:
        >>> with_intervals({"mae": np.array([0.5, 0.25, 0.75])})
        {'mae': 0.5, 'mae_low': 0.2625, 'mae_high': 0.7375}
    """
    result = {}
    for name, (value, *draws) in found.items():
        result[name] = float(value)
        if draws:
            result[f"{name}_low"], result[f"{name}_high"] = np.quantile(
                draws, (0.025, 0.975)
            ).tolist()
    return result


def _draws(members: np.ndarray, resamples: int, seed: int) -> Iterator[Often]:
    """The sample itself, each image once; then the resamples, some at a time, of the groups that the images belong to."""
    yield np.ones((len(members), 1))
    generator, groups = np.random.default_rng(seed), members.max() + 1
    width = max(1, 2**22 // len(members))  # 32 MiB of counts at once
    for start in range(0, resamples, width):
        rows = generator.integers(groups, size=(min(width, resamples - start), groups))
        rows += groups * np.arange(len(rows))[:, None]
        often = np.bincount(rows.ravel(), minlength=rows.size).reshape(rows.shape).T
        yield often[members].astype(float, order="C")
