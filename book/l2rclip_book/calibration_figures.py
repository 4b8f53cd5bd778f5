"""Reliability: how often a model is right, beside how sure it was."""

from collections.abc import Mapping
from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import binom

from l2rclip_book.plots import COLOURS, style
from l2rclip_book.style import WIDTH
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.metrics import Indices, Probabilities, checked_probabilities

BEFORE = COLOURS["stage 2"]  # as trained
AFTER = COLOURS["stage 1"]  # with a temperature


def reliability(
    y_true: Indices, probabilities: Probabilities, ranks: Ranks, *, bins: int = 10
) -> pd.DataFrame:
    """Compute the reliability curve: accuracy of the most probable rank, by its probability.

    Args:
        y_true: Rank indices.
        probabilities: A row of K for each image.
        ranks: The label space.
        bins: Bins (lo, hi] of equal width of the largest probability.

    Returns:
        One row per bin that holds an image: its edges `low` and `high`, `count`, mean `confidence`,
        `accuracy`, and `chance_low` to `chance_high`, where the accuracy of so many images lies 95
        times out of 100 if the confidence is true (quantiles of the binomial; Bröcker and Smith
        2007 call these consistency bars). The mean of |accuracy − confidence|, weighted by `count`,
        is `metrics.ece` with as many bins.

    Example:
        >>> two = Ranks.integers(0, 1, template="grade {rank}")
        >>> curve = reliability([0, 0, 1], [[0.9, 0.1], [0.7, 0.3], [0.7, 0.3]], two)
        >>> curve[["count", "confidence", "accuracy"]].round(2).values.tolist()
        [[2.0, 0.7, 0.5], [1.0, 0.9, 1.0]]
    """
    true, p = checked_probabilities(y_true, probabilities, ranks)
    table = pd.DataFrame({"confidence": p.max(1), "accuracy": p.argmax(1) == true})

    edges = np.linspace(0, 1, bins + 1)
    table["bin"] = np.searchsorted(edges[1:-1], table["confidence"])
    curve = table.groupby("bin").agg(
        count=("accuracy", "size"), confidence=("confidence", "mean"), accuracy=("accuracy", "mean")
    )
    curve["low"] = edges[curve.index]
    curve["high"] = edges[curve.index + 1]

    for name, quantile in (("chance_low", 0.025), ("chance_high", 0.975)):
        n_right = binom.ppf(quantile, curve["count"], curve["confidence"])
        curve[name] = n_right / curve["count"]
    return curve.reset_index(drop=True)


def reliability_diagram(curves: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw accuracy over confidence, one panel per model, above the number of images.

    On the diagonal a model is right as often as it is sure.

    Args:
        curves: From `reliability`, by panel title.
    """
    most = max(curve["count"].max() for curve in curves.values())
    with style():
        figure = Figure(figsize=(WIDTH, 4.3), layout="constrained")
        axes = figure.subplots(2, len(curves), sharex=True, height_ratios=(3.4, 1), squeeze=False)

        panels = zip(axes.T, curves.items(), cycle((BEFORE, AFTER)), strict=False)
        for (above, below), (title, curve), colour in panels:
            _draw_accuracy(above, curve, colour)
            above.set(title=title, ylim=(-0.03, 1.03), xlim=(0, 1))
            _draw_counts(below, curve, colour)
            below.set(xlabel="probability of the answer", ylim=(0, 1.1 * most))

        axes[0, 0].set_ylabel("share of right answers")
        axes[1, 0].set_ylabel("images")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower right", ncols=2, handlelength=1.2)
    return figure


def _draw_accuracy(axis: Axes, curve: pd.DataFrame, colour: str) -> None:
    """Draw the accuracy of each bin, its distance to the diagonal, and the range of chance."""
    confidence = curve["confidence"]
    accuracy = curve["accuracy"]

    axis.plot([0, 1], [0, 1], color=COLOURS["reference"], linewidth=1, linestyle="--")
    axis.vlines(
        confidence,
        curve["chance_low"],
        curve["chance_high"],
        color=COLOURS["ink"],
        alpha=0.35,
        linewidth=7,
        label="95 % range if it were true",
    )
    axis.vlines(confidence, accuracy, confidence, color=colour, linewidth=1.6)
    axis.scatter(confidence, accuracy, color=colour, s=34, zorder=4, label="share that is right")


def _draw_counts(axis: Axes, curve: pd.DataFrame, colour: str) -> None:
    """Draw the number of images of each bin as a bar."""
    middle = (curve["low"] + curve["high"]) / 2
    width = 0.86 * (curve["high"] - curve["low"])
    axis.bar(middle, curve["count"], width=width, color=colour, alpha=0.75)
