"""Figures of features: clouds of points in rank colours, and the images behind the points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import seaborn as sns
from jaxtyping import Int, UInt8
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.patches import ConnectionPatch

from l2rclip_book.plots import COLOURS, rank_colours, style
from l2rclip_book.projections import Flat
from l2rclip_book.style import WIDTH
from l2rclip_lite.method.ranks import Ranks

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

    names = list(ranks.names)
    if max(map(len, names)) > 3:
        names = [f"{value:g}" for value in ranks.values]
    step = _tick_step(number)
    bar.set_ticks(range(0, number, step), labels=names[::step])
    bar.ax.tick_params(length=0)
    bar.outline.set_visible(False)


def _tick_step(number: int) -> int:
    """Return the smallest step from the first of K ranks to the last in at most seven ticks."""
    for step in range(1, number):
        if (number - 1) % step == 0 and (number - 1) // step <= 6:
            return step
    return 1


class Cloud(NamedTuple):
    """A panel: places and rank indices of images, and, where ranks are drawn, a place for each."""

    places: Flat
    labels: Index
    ranks: Flat | None = None


def clouds(
    panels: Mapping[str, Cloud], ranks: Ranks, *, columns: int = 3, metric: bool = False
) -> Figure:
    """Draw one panel of coloured points per projection; the ranks are diamonds on a line.

    Args:
        panels: By title.
        ranks: The label space.
        columns: Panels per row; the last one is full, too.
        metric: Whether distances on the page mean something: if so, both axes have one scale.
    """
    rows = -(-len(panels) // columns)
    with style():
        size = (WIDTH, 0.35 + rows * min((WIDTH - 0.8) / columns, 2.6))
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False)

        for axis, (title, panel) in zip(axes.flat, panels.items(), strict=True):
            cloud(axis, panel.places, panel.labels, ranks)
            if panel.ranks is not None:
                _draw_ranks(axis, panel.ranks)

            axis.set_title(title, fontsize=9)
            axis.set(xticks=[], yticks=[], xlabel="", ylabel="")
            if metric:
                axis.set_aspect("equal", adjustable="datalim")

        rank_bar(figure, axes, ranks)
    return figure


def _draw_ranks(axis: Axes, places: Flat) -> None:
    """Draw a diamond for each rank, and a line through them from the lowest to the highest."""
    axis.plot(places[:, 0], places[:, 1], color=GREY, linewidth=1.0, zorder=3)
    axis.scatter(
        places[:, 0],
        places[:, 1],
        c=rank_colours(len(places)),
        s=38,
        marker="D",
        edgecolor=INK,
        linewidth=0.9,
        zorder=4,
    )


def thumbnails(
    flat: Flat,
    labels: Index,
    images: UInt8[np.ndarray, "batch 3 height width"],
    chosen: Mapping[str, Sequence[int]],
    ranks: Ranks,
) -> Figure:
    """Draw a cloud between two strips of its images, each tied to its point, from left to right.

    Args:
        flat: Places.
        labels: Rank index of each.
        images: RGB bytes of each.
        chosen: Two strips, the upper one first: indices of images, as many in each, by title.
        ranks: The label space.
    """
    columns = len(next(iter(chosen.values())))
    colours = rank_colours(len(ranks))
    with style():
        side = WIDTH / columns
        figure = Figure(figsize=(WIDTH, 2 * side + 3.9))
        grid = _three_rows(figure, columns, side)
        middle = figure.add_subplot(grid[1, :])
        cloud(middle, flat, labels, ranks)
        middle.set(xticks=[], yticks=[])

        above, below = chosen
        figure.text(0.02, 0.995, above, va="top", fontsize=10.5)
        figure.text(0.02, 0.005, below, va="bottom", fontsize=10.5)

        for row, strip in zip((0, 2), chosen.values(), strict=True):
            from_left = sorted(strip, key=lambda index: float(flat[index, 0]))
            for column, index in enumerate(from_left):
                axis = figure.add_subplot(grid[row, column])
                colour = colours[labels[index]]
                _draw_thumbnail(axis, images[index], colour)
                axis.set_xlabel(f"{ranks.values[labels[index]]:g}", labelpad=2)
                axis.xaxis.set_label_position("top" if row == 0 else "bottom")

                x, y = flat[index].tolist()
                _tie(figure, axis, row / 2, middle, (x, y))
                middle.scatter(x, y, color=colour, s=52, edgecolor=INK, linewidth=1.1, zorder=4)
    return figure


def _three_rows(figure: Figure, columns: int, side: float) -> GridSpec:
    """Return a row of thumbnails, one for the cloud, and another of thumbnails."""
    return figure.add_gridspec(
        3,
        columns,
        height_ratios=(side, 3.0, side),
        hspace=0.12,
        wspace=0.08,
        left=0.02,
        right=0.98,
        top=0.92,
        bottom=0.08,
    )


def _draw_thumbnail(
    axis: Axes, image: UInt8[np.ndarray, "3 height width"], colour: tuple[float, ...]
) -> None:
    """Draw an image in a frame of a colour."""
    axis.imshow(image.transpose(1, 2, 0), aspect="auto")
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set(visible=True, color=colour, linewidth=2.4)


def _tie(
    figure: Figure, thumbnail: Axes, edge: float, middle: Axes, point: tuple[float, float]
) -> None:
    """Draw a line from an edge of a thumbnail, 0 the lower and 1 the upper one, to its point."""
    line = ConnectionPatch(
        (0.5, edge),
        point,
        "axes fraction",
        "data",
        axesA=thumbnail,
        axesB=middle,
        color=INK,
        linewidth=0.7,
        alpha=0.75,
    )
    figure.add_artist(line)


def motion_figure(stored: Mapping[str, Any], frames: Mapping[str, int], ranks: Ranks) -> Figure:
    """Draw frames of the map that moves: a row per model, a column per moment.

    Args:
        stored: What `tools/motion_data.py` writes.
        frames: Number of a frame by its title.
        ranks: The label space.
    """
    labels = np.array(stored["labels"])
    wide, tall = stored["box"]
    with style():
        column = (WIDTH - 0.8) / len(frames)
        size = (WIDTH, len(stored["panels"]) * (column * tall / wide + 0.4))
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(len(stored["panels"]), len(frames), squeeze=False)

        for row, panel in zip(axes, stored["panels"], strict=True):
            row[0].set_ylabel(f"{panel['title']}, {panel['shows']:.0%} shown")
            for axis, (title, frame) in zip(row, frames.items(), strict=True):
                images, vectors = panel["frames"][frame]
                cloud(axis, _pairs(panel["images"][images]), labels, ranks)
                _draw_ranks(axis, _pairs(panel["ranks"][vectors]))
                rho = panel["rho"][frame] / 100
                axis.set_title(f"{title}\nρ = {rho:.2f}", fontsize=9)
                axis.set(xlim=(0, wide), ylim=(0, tall), xticks=[], yticks=[], aspect="equal")

        rank_bar(figure, axes, ranks)
    return figure


def _pairs(numbers: Sequence[int]) -> Flat:
    """Return places from x and y in turn."""
    return np.array(numbers, dtype=float).reshape(-1, 2)
