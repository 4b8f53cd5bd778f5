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
from matplotlib.typing import HashableList
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
NARROW = 5.2  # inches: type of 9 points stays legible where a page is 390 pixels wide


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
    figure = canvas(2.4, NARROW)
    cells = figure.add_gridspec(2, len(images), height_ratios=(3, 1), hspace=0.5)
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
        if high - low > 1.2 * len(name):
            middle = (low + high) / 2
            axis.text(middle, 0.5, name, ha="center", va="center", color=ink_on(colour))

    axis.set(xlim=(-1.4, thresholds[-1]), ylim=(0, 1), yticks=[])
    axis.set(xlabel="damaged share of the leaf, %")
    axis.set_xticks(thresholds[1:], [f"{threshold:g}" for threshold in thresholds[1:]])
    axis.spines[["left", "bottom"]].set_visible(False)


@drawn()
def graders(
    images: Sequence[Image.Image],
    true: Sequence[int],
    answers: Mapping[str, Sequence[int]],
    ranks: Ranks,
) -> Figure:
    """Draw images above one panel per grader: dots on true ranks, arrows to wrong answers.

    Args:
        images: One per column, framed in the colour of its true rank.
        true: Rank indices.
        answers: Rank indices by panel title.
        ranks: The label space.

    Example:
        >>> three = Ranks.integers(0, 2, template="grade {rank}")
        >>> blank = Image.new("RGB", (2, 2))
        >>> figure = graders([blank] * 3, [0, 1, 2], {"A": [0, 0, 2]}, three)
        >>> [text.get_text() for text in figure.axes[-1].texts if text.get_text()]
        ['−1']
    """
    colours = rank_colours(len(ranks))
    arrow = {"arrowstyle": "-|>", "color": WRONG, "linewidth": 1.8, "shrinkA": 3, "shrinkB": 0}
    figure = canvas(4.4, NARROW)
    heights = (1, *[2.2] * len(answers))
    cells = figure.add_gridspec(1 + len(answers), len(images), height_ratios=heights)
    for place, (image, rank) in enumerate(zip(images, true, strict=True)):
        frame_image(figure.add_subplot(cells[0, place]), np.asarray(image), colours[rank])

    for row, (title, guesses) in enumerate(answers.items(), 1):
        axis = figure.add_subplot(cells[row, :])
        axis.scatter(range(len(true)), true, s=55, c=[colours[rank] for rank in true], zorder=3)
        for place, (rank, guess) in enumerate(zip(true, guesses, strict=True)):
            if guess != rank:
                axis.annotate("", (place, guess), (place, rank), arrowprops=arrow, zorder=4)
                error = f"{guess - rank:+d}".replace("-", "−")
                axis.text(place + 0.12, (rank + guess) / 2, error, color=WRONG, va="center")

        axis.set(xlim=(-0.5, len(true) - 0.5), ylim=(-0.5, len(ranks) - 0.5), xticks=[])
        axis.set_yticks(range(len(ranks)), ranks.names)
        axis.spines[:].set_visible(False)
        grid(axis, "y", title)
    return figure


@drawn()
def staircases(rows: Mapping[str, Sequence[float]], target: int, ranks: Ranks) -> Figure:
    """Draw probabilities above their running sum, and the gap that RPS squares and adds up.

    Args:
        rows: K probabilities by panel title.
        target: The true rank index.
        ranks: The label space.
    """
    figure = canvas(3.9, NARROW / 2 * len(rows))
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
def two_towers(
    image: Image.Image,
    z: Float[np.ndarray, " dim"],
    t: Float[np.ndarray, "rank dim"],
    probabilities: Float[np.ndarray, " rank"],
    ranks: Ranks,
) -> Figure:
    """Draw how CLIP turns an image and K sentences into features, cosines and probabilities.

    Args:
        image: What the image tower reads.
        z: Its unit feature; the first 16 numbers are drawn.
        t: Unit features of the sentences.
        probabilities: The softmax of the scaled cosines.
        ranks: The label space, for the sentences.
    """
    start, end = ranks.template.split("{rank}")
    places: list[HashableList[str]] = [
        ["image", "image tower", "z"],
        ["words", "text tower", "t"],
        ["cos", "cos", "p"],
    ]
    figure = canvas(4.4, NARROW)
    axes = figure.subplot_mosaic(places, width_ratios=(1.2, 0.8, 1), height_ratios=(1, 1.1, 1.2))
    for name in ("image", "words", "image tower", "text tower"):
        axes[name].axis("off")

    axes["image"].imshow(np.asarray(image))
    sentences = [f"{start}…", *(f"… {name}{end}" for name in ranks.names)]
    axes["words"].text(0, 0.5, "\n".join(sentences), va="center", linespacing=1.5)
    for name, colour in (("image tower", WRONG), ("text tower", BLUE)):
        box = {"boxstyle": "rarrow,pad=0.35", "facecolor": colour, "linewidth": 0}
        label = name.replace(" ", "\n")
        axes[name].text(0.5, 0.5, label, ha="center", va="center", color="white", bbox=box)

    for name, rows, title in (("z", z[None], "z, the image"), ("t", t, "t, the sentences")):
        axes[name].imshow(rows[:, :16], cmap="RdBu_r", vmin=-0.15, vmax=0.15, aspect="auto")
        axes[name].set(xticks=[], yticks=[], title=title)
        axes[name].spines[:].set_visible(False)

    for name, values, title, digits in (
        ("cos", t @ z, "cosine of z and t", 3),
        ("p", probabilities, "probability", 2),
    ):
        bars = axes[name].barh(range(len(ranks)), values, color=rank_colours(len(ranks)))
        axes[name].bar_label(bars, fmt=f"%.{digits}f", padding=3)
        axes[name].set(xticks=[], yticks=[], title=title, ylim=(len(ranks) - 0.5, -0.5))
        axes[name].spines["bottom"].set_visible(False)
    axes["cos"].set_yticks(range(len(ranks)), ranks.names)
    return figure
