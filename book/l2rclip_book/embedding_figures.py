"""Figures of features: clouds of points in rank colours, and the images behind the points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import seaborn as sns
from jaxtyping import Int, UInt8
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch

from l2rclip_book.plots import COLOURS, rank_colours, style
from l2rclip_book.projections import Flat
from l2rclip_book.style import WIDTH
from l2rclip_lite.ranks import Ranks

Index: TypeAlias = Int[np.ndarray, " batch"]
GREY = COLOURS["reference"]
INK = COLOURS["ink"]


def cloud(axis: Axes, flat: Flat, labels: Index, ranks: Ranks) -> None:
    """Draw points in the colours of their ranks, in their order, so that no rank hides another."""
    sns.scatterplot(
        x=flat[:, 0],
        y=flat[:, 1],
        hue=labels,
        palette=rank_colours(len(ranks)),
        s=17,
        linewidth=0,
        hue_order=range(len(ranks)),
        legend=False,
        ax=axis,
    )


def rank_bar(figure: Figure, axes: np.ndarray, ranks: Ranks) -> None:
    """Draw a colour bar of the ranks with at most seven of their values, or of short names."""
    number = len(ranks)
    scale = ScalarMappable(Normalize(-0.5, number - 0.5), ListedColormap(rank_colours(number)))
    bar = figure.colorbar(
        scale, ax=list(axes.flat), label=ranks.unit, fraction=0.03, pad=0.015, aspect=32 * len(axes)
    )
    step = next(
        (
            step
            for step in range(1, number)
            if (number - 1) % step == 0 and (number - 1) // step <= 6
        ),
        1,
    )
    names = (
        [f"{value:g}" for value in ranks.values] if max(map(len, ranks.names)) > 3 else ranks.names
    )
    bar.set_ticks(range(0, number, step), labels=names[::step])
    bar.ax.tick_params(length=0)
    bar.outline.set_visible(False)


class Cloud(NamedTuple):
    """What a panel shows: places and rank indices of images, and places of what stands for each rank, if anything."""

    places: Flat
    labels: Index
    ranks: Flat | None = None


def clouds(
    panels: Mapping[str, Cloud], ranks: Ranks, *, columns: int = 3, metric: bool = False
) -> Figure:
    """One panel of coloured points per projection; what stands for a rank is a diamond on a line.

    Args:
        panels: By title.
        ranks: The label space.
        columns: Panels per row.
        metric: Whether distances on the page mean something: if so, both axes have one scale.
    """
    rows = -(-len(panels) // columns)
    with style():
        size = (WIDTH, 0.35 + rows * min((WIDTH - 0.8) / columns, 2.6))
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False)
        for axis, (title, shown) in zip(axes.flat, panels.items(), strict=True):
            cloud(axis, shown.places, shown.labels, ranks)
            if shown.ranks is not None:
                axis.plot(*shown.ranks.T, color=GREY, linewidth=1.0, zorder=3)
                axis.scatter(
                    *shown.ranks.T,
                    c=rank_colours(len(ranks)),
                    s=38,
                    marker="D",
                    edgecolor=INK,
                    linewidth=0.9,
                    zorder=4,
                )
            axis.set_title(title, fontsize=9)
            axis.set(xticks=[], yticks=[], xlabel="", ylabel="")
            if metric:
                axis.set_aspect("equal", adjustable="datalim")
        rank_bar(figure, axes, ranks)
    return figure


def thumbnails(
    flat: Flat,
    labels: Index,
    images: UInt8[np.ndarray, "batch 3 height width"],
    chosen: Mapping[str, Sequence[int]],
    ranks: Ranks,
) -> Figure:
    """A cloud between two strips of its images, each tied to its point, in the order of the points from left to right.

    Args:
        flat: Places.
        labels: Rank index of each.
        images: RGB bytes of each.
        chosen: Two strips, the upper one first: indices of images, as many in each, by title.
        ranks: The label space.
    """
    number = len(next(iter(chosen.values())))
    colours = rank_colours(len(ranks))
    side = WIDTH / number
    with style():
        figure = Figure(figsize=(WIDTH, 2 * side + 3.9))
        grid = figure.add_gridspec(
            3,
            number,
            height_ratios=(side, 3.0, side),
            hspace=0.12,
            wspace=0.08,
            left=0.02,
            right=0.98,
            top=0.92,
            bottom=0.08,
        )
        middle = figure.add_subplot(grid[1, :])
        cloud(middle, flat, labels, ranks)
        middle.set(xticks=[], yticks=[])
        for title, height, place in zip(chosen, (0.995, 0.005), ("top", "bottom"), strict=True):
            figure.text(0.02, height, title, va=place, fontsize=10.5)
        for row, indices in zip((0, 2), chosen.values(), strict=True):
            for column, index in enumerate(sorted(indices, key=lambda i: float(flat[i, 0]))):
                axis = figure.add_subplot(grid[row, column])
                axis.imshow(images[index].transpose(1, 2, 0), aspect="auto")
                axis.set(xticks=[], yticks=[])
                colour = colours[labels[index]]
                axis.spines[:].set(visible=True, color=colour, linewidth=2.4)
                axis.set_xlabel(f"{ranks.values[labels[index]]:g}", labelpad=2)
                axis.xaxis.set_label_position("top" if row == 0 else "bottom")
                figure.add_artist(
                    ConnectionPatch(
                        (0.5, row / 2),
                        flat[index],
                        "axes fraction",
                        "data",
                        axesA=axis,
                        axesB=middle,
                        color=INK,
                        linewidth=0.7,
                        alpha=0.75,
                    )
                )
                middle.scatter(
                    *flat[index], color=colour, s=52, edgecolor=INK, linewidth=1.1, zorder=4
                )
    return figure
