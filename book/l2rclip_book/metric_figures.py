"""Figures of the first chapters and of the report: ranks, errors, probabilities, sentences.

Ranks keep the colours of `plots.rank_colours`. Right answers are grey; errors and what they cost
are red.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from scipy.stats import binom

from l2rclip_book.plots import (
    COLOURS,
    INK,
    canvas,
    drawn,
    frame_image,
    grid,
    ink_on,
    name_ranks,
    rank_colours,
    tie,
)
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.metrics import Indices, Probabilities, checked_probabilities

WRONG = COLOURS["stage 2"]
BLUE = COLOURS["stage 1"]
# what each decoder is best for: power of the distance (0: right or wrong), colour, marker
DECODERS = {
    "most probable": (0, INK, "s"),
    "median": (1, BLUE, "o"),
    "expectation": (2, WRONG, "D"),
}


@drawn()
def threshold_scale(
    images: Sequence[Image.Image], shares: Sequence[float], edges: Sequence[float], ranks: Ranks
) -> Figure:
    """Draw images of growing damage above the quantity itself, which thresholds cut into ranks.

    Args:
        images: Least damage first.
        shares: The damaged share of each, in [0, 1].
        edges: The K + 1 thresholds, as shares.
        ranks: The label space.
    """
    thresholds = 100 * np.array(edges)
    colours = rank_colours(len(ranks))
    figure = canvas(2.9)
    cells = figure.add_gridspec(2, len(images), height_ratios=(4, 1), hspace=0.5)
    ruler = figure.add_subplot(cells[1, :])
    _draw_ruler(ruler, thresholds, ranks)

    for place, (image, share) in enumerate(zip(images, shares, strict=True)):
        percent = 100 * share
        rank = int(np.searchsorted(thresholds[1:-1], percent, side="right"))
        axis = figure.add_subplot(cells[0, place])
        frame_image(axis, np.asarray(image), colours[rank])
        tie(figure, axis, 0, ruler, (percent, 1), colours[rank])
        ruler.plot(percent, 1, marker="v", color=INK, markersize=5, clip_on=False, zorder=4)
    return figure


def _draw_ruler(axis: Axes, thresholds: Float[np.ndarray, " threshold"], ranks: Ranks) -> None:
    """Draw each rank from its lower to its upper threshold, with its name where there is room."""
    colours = rank_colours(len(ranks))
    ends = pairwise(thresholds)
    for name, colour, (low, high) in zip(ranks.names, colours, ends, strict=True):
        axis.axvspan(low, high, color=colour, linewidth=0)
        if high - low > 0.9 * len(name):
            middle = (low + high) / 2
            axis.text(middle, 0.5, name, ha="center", va="center", color=ink_on(colour))

    axis.set(xlim=(-1.4, thresholds[-1]), ylim=(0, 1), yticks=[])
    axis.set(xlabel="damaged share of the leaf, %")
    axis.set_xticks(thresholds[1:], [f"{threshold:g}" for threshold in thresholds[1:]])
    axis.spines[["left", "bottom"]].set_visible(False)


@drawn()
def arrows(true: Sequence[int], answers: Sequence[int], ranks: Ranks) -> Figure:
    """Draw one row per image: a dot on its true rank, and an arrow to a wrong answer.

    Args:
        true: Rank indices.
        answers: Rank indices.
        ranks: The label space.

    Example:
        >>> three = Ranks.integers(0, 2, template="grade {rank}")
        >>> axis = arrows([0, 1, 2], [0, 0, 2], three).axes[0]
        >>> [text.get_text() for text in axis.texts if text.get_text()]
        ['−1']
    """
    n_images = len(true)
    colours = rank_colours(len(ranks))
    arrow = {"arrowstyle": "-|>", "color": WRONG, "linewidth": 1.8, "shrinkA": 3, "shrinkB": 0}
    figure = canvas(0.27 * n_images + 0.6, 5.2)
    axis = figure.subplots()
    axis.scatter(true, range(n_images), s=75, c=[colours[rank] for rank in true], zorder=3)

    for row, (rank, answer) in enumerate(zip(true, answers, strict=True)):
        if answer != rank:
            axis.annotate("", (answer, row), (rank, row), arrowprops=arrow, zorder=4)
            error = f"{answer - rank:+d}".replace("-", "−")
            axis.text(len(ranks) - 0.6, row, error, fontsize=9.5, color=WRONG, va="center")

    axis.set_xticks(range(len(ranks)), ranks.names)
    axis.set(xlim=(-0.4, len(ranks) - 0.3), ylim=(n_images - 0.5, -0.5))
    axis.set(yticks=[], ylabel="images")
    axis.spines["left"].set_visible(False)
    grid(axis, "x")
    return figure


@drawn()
def staircases(rows: Mapping[str, Sequence[float]], target: int, ranks: Ranks) -> Figure:
    """Draw probabilities above their running sum, and the gap that RPS squares and adds up.

    Args:
        rows: K probabilities by panel title.
        target: The true rank index.
        ranks: The label space.
    """
    figure = canvas(3.9, 3.4 * len(rows))
    axes = figure.subplots(
        2, len(rows), squeeze=False, sharex=True, sharey="row", height_ratios=(1, 1.25)
    )

    for (above, below), (title, row) in zip(axes.T, rows.items(), strict=True):
        bars = above.bar(range(len(ranks)), row, color=rank_colours(len(ranks)), width=0.75)
        bars[target].set(edgecolor=WRONG, linewidth=2.2)
        above.set_title(title)
        _draw_gap(below, np.cumsum(row), target)
        name_ranks(below, ranks, range(len(ranks)))

    axes[0, 0].set(ylabel="probability", ylim=(0, 1))
    axes[1, 0].set(ylabel="running sum", ylim=(0, 1.06))
    return figure


def _draw_gap(axis: Axes, total: Float[np.ndarray, " rank"], target: int) -> None:
    """Draw a running sum, that of the truth, and the squares of what lies between them.

    Args:
        axis: Where to draw.
        total: The running sum of K probabilities.
        target: The true rank index.
    """
    ranks = np.arange(len(total))
    edges = np.arange(len(total) + 1)
    truth = (ranks >= target).astype(float)
    gap = total - truth
    axis.bar(ranks, gap, bottom=truth, width=1, align="edge", color=WRONG, alpha=0.15, linewidth=0)
    axis.stairs(truth, edges, color=INK, linewidth=1.6, baseline=None)
    axis.stairs(total, edges, color=WRONG, linewidth=2.0, baseline=None)

    squares = gap**2
    for rank in np.flatnonzero(squares > 1e-9):
        middle = (total[rank] + truth[rank]) / 2
        text = f"{squares[rank]:.3g}"
        axis.text(rank + 0.5, middle, text, fontsize=8.5, ha="center", va="center")
    axis.set_xlabel(f"squares add up to {squares.sum():.3g}")


def expected_price(
    p: Float[np.ndarray, " rank"], values: Float[np.ndarray, " rank"], power: int
) -> tuple[Float[np.ndarray, " answer"], Float[np.ndarray, " answer"], float]:
    """Compute the price of each answer a, Σ_k p_k |a − r_k|^power, and the cheapest a.

    For power 0 the price is Σ_k p_k 1[a ≠ r_k].

    Args:
        p: K probabilities.
        values: K rank values, increasing.
        power: 0, 1 or 2.

    Returns:
        Answers, their prices, and the lowest of the cheapest answers. For power 0 only ranks are
        answers; else all ranks and 2,001 points between the first and the last.

    Example:
        >>> row = np.array([0.5, 0.1, 0.4])
        >>> grades = np.arange(3.0)
        >>> [round(expected_price(row, grades, power)[2], 2) for power in (0, 1, 2)]
        [0.0, 0.0, 0.9]
    """
    if power == 0:
        a = values
        cost = np.abs(a[:, None] - values) > 0
    else:
        a = np.union1d(np.linspace(values[0], values[-1], 2001), values)
        cost = np.abs(a[:, None] - values) ** power

    price = (cost * p).sum(1)
    cheapest = price.round(9).argmin()  # rounded: float noise must not choose between medians
    return a, price, float(a[cheapest])


@drawn()
def decoders(row: Sequence[float], ranks: Ranks) -> Figure:
    """Draw a row of probabilities, its three answers, and the cost of every possible answer.

    Each curve of `expected_price` is divided by its highest point, and a mark shows its lowest.

    Args:
        row: K probabilities.
        ranks: The label space.

    Example:
        >>> figure = decoders([0.5, 0.1, 0.4], Ranks.integers(0, 2, template="grade {rank}"))
        >>> [round(float(mark.get_offsets()[0, 0]), 2) for mark in figure.axes[1].collections]
        [0.0, 0.0, 0.9]
    """
    values = np.array(ranks.values)
    p = np.array(row, dtype=float)
    figure = canvas(3.3)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.15))
    left.bar(values, p, color=rank_colours(len(ranks)), width=0.7 * np.diff(values).min())
    left.set(ylabel="probability", ylim=(0, 1.35 * p.max()))

    for name, (power, colour, marker) in DECODERS.items():
        a, price, best = expected_price(p, values, power)
        line = "-" if power else ":"
        highest = price.max()
        right.plot(a, price / highest, color=colour, linewidth=1.8, linestyle=line)
        lowest = price.min() / highest
        right.scatter(best, lowest, s=64, color=colour, marker=marker, zorder=3)

        height = (1.29 - 0.09 * power) * p.max()
        left.vlines(best, 0, height, color=colour, linewidth=1.3, linestyle=(0, (3, 2)))
        left.scatter(best, height, s=52, color=colour, marker=marker, zorder=3, label=name)

    name_ranks(left, ranks, values)
    name_ranks(right, ranks, values)
    right.set(xlabel="the answer given", ylabel="expected price ÷ its highest")
    figure.legend(loc="outside upper center", ncols=3, fontsize=9)
    grid(left, "y", "What the model says")
    grid(right, "y", "What an answer costs")
    return figure


def reliability(y_true: Indices, probabilities: Probabilities, ranks: Ranks) -> pd.DataFrame:
    """Compute the reliability curve: accuracy of the most probable rank, by its probability.

    Args:
        y_true: Rank indices.
        probabilities: A row of K for each image.
        ranks: The label space.

    Returns:
        One row for each tenth (lo, hi] of the largest probability that holds an image: its edges
        `low` and `high`, `count`, mean `confidence`, `accuracy`, and `chance_low` to `chance_high`,
        where the accuracy of so many images lies 95 times out of 100 if the confidence is true
        (quantiles of the binomial; Bröcker and Smith 2007 call these consistency bars). The mean of
        |accuracy − confidence|, weighted by `count`, is `metrics.ece` with ten bins.

    Example:
        >>> two = Ranks.integers(0, 1, template="grade {rank}")
        >>> curve = reliability([0, 0, 1], [[0.9, 0.1], [0.7, 0.3], [0.7, 0.3]], two)
        >>> curve[["count", "confidence", "accuracy"]].round(2).values.tolist()
        [[2.0, 0.7, 0.5], [1.0, 0.9, 1.0]]
    """
    true, p = checked_probabilities(y_true, probabilities, ranks)
    table = pd.DataFrame({"confidence": p.max(1), "accuracy": p.argmax(1) == true})

    edges = np.linspace(0, 1, 11)
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


@drawn()
def reliability_diagram(title: str, curve: pd.DataFrame) -> Figure:
    """Draw accuracy over confidence above the number of images.

    On the diagonal a model is right as often as it is sure.

    Args:
        title: The name of the model.
        curve: From `reliability`.
    """
    figure = canvas(4.3)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3.4, 1))

    x = curve["confidence"]
    chance: dict[str, Any] = {"alpha": 0.35, "linewidth": 7, "label": "95 % range if it were true"}
    above.plot([0, 1], [0, 1], color=INK, linewidth=1, linestyle="--")
    above.vlines(x, curve["chance_low"], curve["chance_high"], color=INK, **chance)
    above.vlines(x, curve["accuracy"], x, color=WRONG)
    above.scatter(x, curve["accuracy"], color=WRONG, zorder=4, label="share that is right")
    above.set(title=title, ylim=(-0.03, 1.03), xlim=(0, 1), ylabel="share of right answers")

    middle = (curve["low"] + curve["high"]) / 2
    below.bar(middle, curve["count"], width=0.086, color=WRONG, alpha=0.75)
    below.set(xlabel="probability of the answer", ylabel="images")
    figure.legend(loc="outside lower right", ncols=2)
    return figure


@drawn()
def nearest_sentences(
    images: Mapping[str, Image.Image], cosines: Float[np.ndarray, "image rank"], ranks: Ranks
) -> Figure:
    """Draw each image above its cosine with the sentence of each rank, the largest in red.

    Args:
        images: By their titles.
        cosines: A row per image.
        ranks: The label space, for names and template.
    """
    figure = canvas(3, 5)
    axes = figure.subplots(2, len(images), sharey="row", height_ratios=(1, 2))
    for column, (title, image), row in zip(axes.T, images.items(), cosines, strict=True):
        column[0].imshow(np.asarray(image))
        column[0].set_title(title, loc="center")
        column[0].axis("off")

        colours = [INK] * len(ranks)
        colours[int(row.argmax())] = WRONG
        column[1].barh(ranks.names, row, color=colours)
        column[1].set(xlim=(-1, 1), xticks=(-0.5, 0, 0.5))
        column[1].axvline(0, color=INK, linewidth=0.8)
    axes[1, 0].invert_yaxis()
    sentence = ranks.template.replace("{rank}", "…")
    figure.supxlabel(f"cosine with “{sentence}”", fontsize="medium")
    return figure
