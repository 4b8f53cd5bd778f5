"""Figures of the first chapter and of the appendix on metrics: ranks, errors, rows of probabilities.

Ranks keep the colours of `plots.rank_colours`. Right answers are grey; errors and what they cost
are red.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch
from PIL import Image

from l2rclip_book.plots import COLOURS, rank_colours, style
from l2rclip_book.style import WIDTH, grid, ink_on
from l2rclip_lite.ranks import Ranks

INK = COLOURS["ink"]
RIGHT = COLOURS["reference"]
WRONG = COLOURS["stage 2"]
BLUE = COLOURS["stage 1"]
# what each decoder is best for: power of the distance (0: right or wrong), colour, marker
DECODERS = {
    "most probable": (0, RIGHT, "s"),
    "median": (1, BLUE, "o"),
    "expectation": (2, WRONG, "D"),
}
TURNED = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"}


def threshold_scale(
    images: Sequence[Image.Image], shares: Sequence[float], edges: Sequence[float], ranks: Ranks
) -> Figure:
    """Images of growing damage above the quantity itself, which thresholds cut into ranks.

    Args:
        images: Least damage first.
        shares: The damaged share of each, in [0, 1].
        edges: The K + 1 thresholds, as shares.
        ranks: The label space.
    """
    cuts = 100 * np.array(edges)
    colours = rank_colours(len(ranks))
    step = 0.96 / len(images)
    with style():
        figure = Figure(figsize=(WIDTH, 2.95))
        ruler = figure.add_axes((0.02, 0.2, 0.96, 0.13))
        for rank, (name, low, high) in enumerate(
            zip(ranks.names, cuts[:-1], cuts[1:], strict=True)
        ):
            ruler.axvspan(low, high, color=colours[rank], linewidth=0)
            if high - low > 0.9 * len(name):  # no room for a name in a narrow rank
                middle = {
                    "ha": "center",
                    "va": "center",
                    "fontsize": 9.5,
                    "color": ink_on(colours[rank]),
                }
                ruler.text((low + high) / 2, 0.5, name, **middle)
        ruler.set(
            xlim=(-1.4, cuts[-1]), ylim=(0, 1), yticks=[], xlabel="damaged share of the leaf, %"
        )
        ruler.set_xticks(cuts[1:], [f"{cut:g}" for cut in cuts[1:]])
        ruler.spines[["left", "bottom"]].set_visible(False)
        for place, (image, share) in enumerate(zip(images, shares, strict=True)):
            axis = figure.add_axes((0.02 + step * (place + 0.04), 0.5, 0.92 * step, 0.47))
            axis.imshow(np.asarray(image), aspect="auto")
            colour = colours[int(np.searchsorted(cuts[1:-1], 100 * share, side="right"))]
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set(visible=True, color=colour, linewidth=2.4)
            ends = {
                "xyA": (0.5, 0),
                "coordsA": "axes fraction",
                "xyB": (100 * share, 1),
                "coordsB": "data",
            }
            figure.add_artist(
                ConnectionPatch(**ends, axesA=axis, axesB=ruler, color=colour, linewidth=1.3)
            )
            ruler.plot(100 * share, 1, marker="v", color=INK, markersize=5, clip_on=False, zorder=4)
    return figure


def arrows(true: Sequence[int], answers: Sequence[int], ranks: Ranks) -> Figure:
    """One row per image: a dot on its true rank, and an arrow to the answer where that is another.

    Args:
        true: Rank indices.
        answers: Rank indices.
        ranks: The label space.

    Example:
        >>> axis = arrows([0, 1, 2], [0, 0, 2], Ranks.integers(0, 2, template="grade {rank}")).axes[
        ...     0
        ... ]
        >>> [text.get_text() for text in axis.texts if text.get_text()]
        ['−1']
    """
    tip = {"arrowstyle": "-|>", "color": WRONG, "linewidth": 1.8, "shrinkA": 3, "shrinkB": 0}
    colours = rank_colours(len(ranks))
    with style():
        figure = Figure(figsize=(5.2, 0.27 * len(true) + 0.6), layout="constrained")
        axis = figure.subplots()
        axis.scatter(true, range(len(true)), s=75, c=[colours[rank] for rank in true], zorder=3)
        for row, (rank, said) in enumerate(zip(true, answers, strict=True)):
            if said != rank:
                axis.annotate("", (said, row), (rank, row), arrowprops=tip, zorder=4)
                signed = f"{said - rank:+d}".replace("-", "−")
                axis.text(len(ranks) - 0.6, row, signed, fontsize=9.5, color=WRONG, va="center")
        axis.set_xticks(range(len(ranks)), ranks.names)
        axis.set(
            xlim=(-0.4, len(ranks) - 0.3), ylim=(len(true) - 0.5, -0.5), yticks=[], ylabel="images"
        )
        axis.spines["left"].set_visible(False)
        grid([axis], [""], "x")
    return figure


def staircases(rows: Mapping[str, Sequence[float]], target: int, ranks: Ranks) -> Figure:
    """Probabilities of one image above their running sum, and the gap that RPS squares and adds up.

    Args:
        rows: K probabilities by panel title.
        target: The true rank index.
        ranks: The label space.
    """
    at = np.arange(len(ranks))
    edges = np.arange(len(ranks) + 1)
    truth = (at >= target).astype(float)
    with style():
        figure = Figure(figsize=(3.4 * len(rows), 3.9), layout="constrained")
        axes = figure.subplots(
            2, len(rows), squeeze=False, sharex=True, sharey="row", height_ratios=(1, 1.25)
        )
        for (above, below), (title, row) in zip(axes.T, rows.items(), strict=True):
            bars = above.bar(at, row, color=rank_colours(len(ranks)), width=0.75)
            bars[target].set(edgecolor=WRONG, linewidth=2.2)
            above.set_title(title)
            total = np.cumsum(row)
            charge = (np.cumsum(row) - truth) ** 2
            gap = {"width": 1, "align": "edge", "color": WRONG, "alpha": 0.15, "linewidth": 0}
            below.bar(at, total - truth, bottom=truth, **gap)
            below.stairs(truth, edges, color=INK, linewidth=1.6, baseline=None)
            below.stairs(total, edges, color=WRONG, linewidth=2.0, baseline=None)
            for rank in np.flatnonzero(charge > 1e-9):
                middle = (total[rank] + truth[rank]) / 2
                below.text(
                    rank + 0.5,
                    middle,
                    f"{charge[rank]:.3g}",
                    fontsize=8.5,
                    ha="center",
                    va="center",
                )
            below.set_xlabel(f"squares add up to {charge.sum():.3g}")
            below.set_xticks(at, ranks.names, **TURNED)
        axes[0, 0].set(ylabel="probability", ylim=(0, 1))
        axes[1, 0].set(ylabel="running sum", ylim=(0, 1.06))
    return figure


def expected_price(
    p: Float[np.ndarray, " rank"], values: Float[np.ndarray, " rank"], power: int
) -> tuple[Float[np.ndarray, " answer"], Float[np.ndarray, " answer"], float]:
    """The price of answering a, Σ_k p_k |a − r_k|^power, or Σ_k p_k 1[a ≠ r_k] for power 0; and the cheapest a.

    Args:
        p: K probabilities.
        values: K rank values, increasing.
        power: 0, 1 or 2.

    Returns:
        Answers, their prices, and the lowest of the cheapest answers. For power 0 only ranks are
        answers; else all ranks and 2,001 points between the first and the last.

    Example:
        >>> row, grades = np.array([0.5, 0.1, 0.4]), np.arange(3.0)
        >>> [round(expected_price(row, grades, power)[2], 2) for power in (0, 1, 2)]
        [0.0, 0.0, 0.9]
    """
    a = np.union1d(np.linspace(values[0], values[-1], 2001), values) if power else values
    distance = np.abs(a[:, None] - values)
    price = ((distance**power if power else distance > 0) * p).sum(1)
    return (
        a,
        price,
        float(a[price.round(9).argmin()]),
    )  # rounded: float noise must not choose between medians


def decoders(row: Sequence[float], ranks: Ranks) -> Figure:
    """One row of probabilities, the three answers that can be read off it, and what each answer costs.

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
    with style():
        figure = Figure(figsize=(WIDTH, 3.3), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(1, 1.15))
        left.bar(values, p, color=rank_colours(len(ranks)), width=0.7 * np.diff(values).min())
        left.set(ylabel="probability", ylim=(0, 1.35 * p.max()))
        for name, (power, colour, marker) in DECODERS.items():
            a, price, best = expected_price(p, values, power)
            right.plot(
                a, price / price.max(), color=colour, linewidth=1.8, linestyle="-" if power else ":"
            )
            right.scatter(
                best, price.min() / price.max(), s=64, color=colour, marker=marker, zorder=3
            )
            height = (1.29 - 0.09 * power) * p.max()
            left.vlines(best, 0, height, color=colour, linewidth=1.3, linestyle=(0, (3, 2)))
            left.scatter(best, height, s=52, color=colour, marker=marker, zorder=3, label=name)
        for axis in (left, right):
            axis.set_xticks(values, ranks.names, **TURNED)
        right.set(xlabel="the answer given", ylabel="expected price ÷ its highest")
        figure.legend(loc="outside upper center", ncols=3, fontsize=9)
        grid((left, right), ["What the model says", "What an answer costs"], "y")
    return figure
