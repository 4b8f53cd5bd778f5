"""Is a model as sure as it is right, and what is gained by answering only where it is sure?"""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Float

from l2rclip_lite.metric_inputs import Indices, Probabilities, Values, check_paired, forecast, numbers
from l2rclip_lite.ranks import Ranks


def reliability(
    y_true: Indices, probabilities: Probabilities, ranks: Ranks, *, bins: int = 10
) -> pd.DataFrame:
    """The reliability curve: how often the most probable rank is right, beside how sure the model was of it.

    Args:
        y_true: Rank indices.
        probabilities: A row of K for each image.
        ranks: The label space.
        bins: Bins (lo, hi] of equal width of the largest probability.

    Returns:
        A row a bin that holds an image: its edges `low` and `high`, `count`, mean `confidence`, `accuracy`, and
        `chance_low` to `chance_high`, where the accuracy of so many images lies 95 times of 100 if the confidence
        is true (quantiles of the binomial; Bröcker and Smith 2007 call these consistency bars). The mean of
        |accuracy − confidence|, weighted by `count`, is `metrics.ece` with as many bins.

    Example:
        >>> two = Ranks.integers(0, 1, template="grade {rank}")
        >>> curve = reliability([0, 0, 1], [[0.9, 0.1], [0.7, 0.3], [0.7, 0.3]], two)
        >>> curve[["count", "confidence", "accuracy"]].round(2).values.tolist()
        [[2.0, 0.7, 0.5], [1.0, 0.9, 1.0]]
    """
    from scipy.stats import binom

    true, p = forecast(y_true, probabilities, ranks)
    sure, hit = p.max(1), p.argmax(1) == true
    edges = np.linspace(0, 1, bins + 1)
    place = np.searchsorted(edges[1:-1], sure)
    table = []
    for b in np.unique(place):
        here = place == b
        count, confidence = int(here.sum()), float(sure[here].mean())
        low, high = binom.ppf(np.array([0.025, 0.975]), count, confidence) / count
        table.append((edges[b], edges[b + 1], count, confidence, float(hit[here].mean()), low, high))
    names = ["low", "high", "count", "confidence", "accuracy", "chance_low", "chance_high"]
    return pd.DataFrame(table, columns=names)


def expected_error(probabilities: Probabilities, ranks: Ranks) -> Float[np.ndarray, " batch"]:
    """The error a model expects of its own answer ŷ, Σ_k p_k |r_k − r_ŷ|, in the unit of the ranks; at least 0.

    Its mean over images should be their MAE; the larger, the less sure, and far ranks count more than near ones.

    Example:
        >>> three = Ranks.integers(0, 2, template="grade {rank}")
        >>> expected_error([[0.5, 0.25, 0.25], [0.0, 0.25, 0.75]], three).tolist()
        [0.75, 0.25]
    """
    p = numbers(probabilities, "probabilities", axes=2)
    _, p = forecast(np.zeros(len(p), dtype=int), p, ranks)
    values = np.array(ranks.values)
    gaps = np.abs(values[None] - values[:, None])
    return np.asarray((p * gaps[p.argmax(1)]).sum(1))


def coverage_curve(error: Values, doubt: Values) -> pd.DataFrame:
    """What abstaining buys: the mean error of the pictures that are answered, least doubtful first.

    Args:
        error: The error of each image, in any unit.
        doubt: How unsure the model is of each; a stable sort breaks ties.

    Returns:
        A row for each number of answered images: `coverage`, their share, in (0, 1]; `error`, their mean error; and
        `doubt`, the largest among them. Source: Geifman and El-Yaniv 2017 (the risk-coverage curve).

    Example:
        >>> coverage_curve([3.0, 0.0, 0.0, 1.0], [0.9, 0.1, 0.2, 0.3])[["coverage", "error"]].values.tolist()
        [[0.25, 0.0], [0.5, 0.0], [0.75, 0.3333333333333333], [1.0, 1.0]]
    """
    wrong, unsure = numbers(error, "error").astype(float), numbers(doubt, "doubt")
    check_paired(wrong, unsure)
    order = np.argsort(unsure, kind="stable")
    answered = np.arange(1, len(order) + 1)
    return pd.DataFrame(
        {
            "coverage": answered / len(order),
            "error": wrong[order].cumsum() / answered,
            "doubt": np.asarray(unsure, dtype=float)[order],
        }
    )
