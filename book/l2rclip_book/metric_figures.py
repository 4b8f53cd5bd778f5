"""Figures of the first chapters and of the report: ranks, errors, probabilities, sentences.

Ranks keep the colours of `plots.rank_colours`. Right answers are grey; errors and what they cost
are red.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from matplotlib.typing import ColorType
from PIL import Image
from scipy.stats import binom

from l2rclip_book.plots import (
    COLOURS,
    INK,
    NARROW,
    WRONG,
    canvas,
    draw_probabilities,
    drawn,
    grid,
    name_ranks,
    rank_colours,
    write_in,
)
from l2rclip_lite.method.ranks import Ranks

SCALE_TOP = 0.24  # of the height of Figure 1.2


def _place_images(
    axis: Axes,
    images: Sequence[Image.Image],
    colours: Sequence[ColorType],
    x: Sequence[float],
    y: float,
) -> None:
    """Draw images side by side at the top, each with a line down to a point.

    Args:
        axis: Where to draw.
        images: Of any size.
        colours: Of the frame and the line of each.
        x: The points, in the numbers of the axes.
        y: Their height.
    """
    for place, (image, colour, tip) in enumerate(zip(images, colours, x, strict=True)):
        frame = AnnotationBbox(
            OffsetImage(np.asarray(image), zoom=33 / image.width),
            (tip, y),
            ((place + 0.5) / len(images), 1),
            boxcoords="axes fraction",
            box_alignment=(0.5, 1),
            pad=0.1,
            bboxprops={"edgecolor": colour, "linewidth": 2.4},
            arrowprops={"arrowstyle": "-", "color": colour},
        )
        axis.add_artist(frame)


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
    figure = canvas(2.2, NARROW)
    axis = figure.subplots()
    for name, colour, (low, high) in zip(ranks.names, colours, pairwise(thresholds), strict=True):
        axis.axvspan(low, high, ymax=SCALE_TOP, color=colour, linewidth=0)
        if high - low > 1.2 * len(name):
            write_in(axis, ((low + high) / 2, SCALE_TOP / 2), name, colour)

    percents = [100 * share for share in shares]
    frames = [colours[rank] for rank in np.digitize(percents, thresholds[1:-1])]
    _place_images(axis, images, frames, percents, SCALE_TOP)
    axis.plot(percents, [SCALE_TOP] * len(images), "v", color=INK, markersize=5, zorder=4)

    axis.set(
        xlim=(-1.4, thresholds[-1]), ylim=(0, 1), yticks=[], xlabel="damaged share of the leaf, %"
    )
    axis.set_xticks(thresholds[1:], [f"{threshold:g}" for threshold in thresholds[1:]])
    axis.spines[["left", "bottom"]].set_visible(False)
    return figure


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
    colours = [rank_colours(len(ranks))[rank] for rank in true]
    arrow = {"arrowstyle": "-|>", "color": WRONG, "linewidth": 1.8, "shrinkA": 3, "shrinkB": 0}
    figure = canvas(4.4, NARROW)
    heights = (1, *[2.2] * len(answers))
    top, *axes = figure.subplots(1 + len(answers), sharex=True, height_ratios=heights)
    top.axis("off")
    _place_images(top, images, colours, range(len(true)), 0.5)

    for axis, (title, guesses) in zip(axes, answers.items(), strict=True):
        axis.scatter(range(len(true)), true, s=55, c=colours, zorder=3)
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
    axes = figure.subplots(2, len(rows), sharex=True, sharey="row", height_ratios=(1, 1.25))
    for (above, below), (title, row) in zip(axes.T, rows.items(), strict=True):
        _draw_gap(below, np.cumsum(row), target)
        draw_probabilities(above, row, target)
        above.set_title(title)
        name_ranks(below, ranks)

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
    truth = (np.arange(len(total)) >= target).astype(float)
    axis.stairs(total, baseline=truth, fill=True, color=WRONG, alpha=0.15)
    axis.stairs(truth, color=INK, linewidth=1.6, baseline=None)
    axis.stairs(total, color=WRONG, linewidth=2.0, baseline=None)

    squares = (total - truth) ** 2
    for rank in np.flatnonzero(squares > 1e-9):
        middle = (total[rank] + truth[rank]) / 2
        write_in(axis, (rank + 0.5, middle), f"{squares[rank]:.3g}", fontsize=8.5)
    axis.set_xlabel(f"squares add up to {squares.sum():.3g}")


def reliability(
    true: Float[np.ndarray, " batch"], p: Float[np.ndarray, "batch rank"]
) -> pd.DataFrame:
    """Compute the reliability curve: accuracy of the most probable rank, by its probability.

    Args:
        true: Rank indices.
        p: A row of K probabilities for each image.

    Returns:
        One row for each tenth (lo, hi] of the largest probability that holds an image: its
        `middle`, `count`, mean `confidence`, `accuracy`, and `chance_low` to `chance_high`, where
        the accuracy of so many images lies 95 times out of 100 if the confidence is true (quantiles
        of the binomial; Bröcker and Smith 2007 call these consistency bars). The mean of
        |accuracy − confidence|, weighted by `count`, is `metrics.ece` with ten bins.

    Example:
        >>> curve = reliability(np.array([0, 0, 1]), np.array([[0.9, 0.1], [0.7, 0.3], [0.7, 0.3]]))
        >>> curve[["count", "confidence", "accuracy"]].round(2).values.tolist()
        [[2.0, 0.7, 0.5], [1.0, 0.9, 1.0]]
    """
    table = pd.DataFrame({"confidence": p.max(1), "accuracy": p.argmax(1) == true})
    tenth = np.searchsorted(np.linspace(0, 1, 11)[1:-1], table["confidence"])
    by_tenth = table.groupby(tenth)
    curve = by_tenth.mean().assign(count=by_tenth.size())
    low, high = binom.interval(0.95, curve["count"], curve["confidence"])
    return curve.assign(
        middle=(curve.index + 0.5) / 10,
        chance_low=low / curve["count"],
        chance_high=high / curve["count"],
    )


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
    above.plot([0, 1], [0, 1], color=INK, linewidth=1, linestyle="--")
    above.vlines(
        x,
        curve["chance_low"],
        curve["chance_high"],
        color=INK,
        alpha=0.35,
        linewidth=7,
        label="95 % range if it were true",
    )
    above.vlines(x, curve["accuracy"], x, color=WRONG)
    above.scatter(x, curve["accuracy"], color=WRONG, zorder=4, label="share that is right")
    above.set(title=title, ylim=(-0.03, 1.03), xlim=(0, 1), ylabel="share of right answers")

    below.bar(curve["middle"], curve["count"], width=0.086, color=WRONG, alpha=0.75)
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
    figure = canvas(4.4, NARROW)
    axes = figure.subplot_mosaic(
        "iIz;wTt;ccp",  # image, its tower, its feature; words, and so on; cosine, probability
        width_ratios=(1.2, 0.8, 1),
        height_ratios=(1, 1.1, 1.2),
    )
    for name in "iIzwTt":
        axes[name].axis("off")

    axes["i"].imshow(image)
    sentences = [f"{start}…", *(f"… {name}{end}" for name in ranks.names)]
    axes["w"].text(0, 0.5, "\n".join(sentences), va="center", linespacing=1.5)
    for name, tower, colour in (("I", "image", WRONG), ("T", "text", COLOURS["stage 1"])):
        arrow = {"boxstyle": "rarrow,pad=0.35", "facecolor": colour, "linewidth": 0}
        write_in(axes[name], (0.5, 0.5), f"{tower}\ntower", colour, bbox=arrow)

    for name, rows, title in (("z", z[None], "z, the image"), ("t", t, "t, the sentences")):
        axes[name].imshow(rows[:, :16], cmap="RdBu_r", vmin=-0.15, vmax=0.15, aspect="auto")
        axes[name].set_title(title)

    for name, values, title, form in (
        ("c", t @ z, "cosine of z and t", "%.3f"),
        ("p", probabilities, "probability", "%.2f"),
    ):
        axis = axes[name]
        bars = axis.barh(ranks.names, values, color=rank_colours(len(ranks)))
        axis.bar_label(bars, fmt=form, padding=3)
        axis.invert_yaxis()
        axis.set(xticks=[], title=title)
        axis.spines["bottom"].set_visible(False)
    axes["p"].set_yticks([])
    return figure
