"""Pictures of features: clouds in a plane, what moves, distances against rank gaps, scores beside their controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import matplotlib as mpl
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch

from l2rclip_lite.method_style import GRID, WIDTH
from l2rclip_lite.ordinality import spearman_rho
from l2rclip_lite.plots import COLOURS, rank_colours, style
from l2rclip_lite.projections import Flat, Plane, Points, gap_distances
from l2rclip_lite.ranks import Ranks

Index: TypeAlias = Int[np.ndarray, " batch"]
GREY, INK = COLOURS["reference"], COLOURS["ink"]
MOMENTS = {"start": GREY, "after stage 1": COLOURS["stage 1"], "after stage 2": COLOURS["stage 2"]}


def clouds(
    panels: Mapping[str, tuple[Flat, Index]], ranks: Ranks, *, columns: int = 3, metric: bool = False
) -> Figure:
    """Points in the colours of their ranks, a panel a picture.

    Args:
        panels: Places and rank indices by title.
        ranks: The label space.
        columns: Panels side by side.
        metric: Whether distances on the page mean something: if so, both axes have one scale.
    """
    rows = -(-len(panels) // columns)
    with style():
        figure = Figure(
            figsize=(WIDTH, 0.35 + rows * min((WIDTH - 0.8) / columns, 2.6)), layout="constrained"
        )
        axes = figure.subplots(rows, columns, squeeze=False)
        for axis, (title, (flat, labels)) in zip(axes.flat, panels.items(), strict=False):
            _points(axis, flat, labels, ranks)
            axis.set_title(title)
            axis.set(xticks=[], yticks=[])
            if metric:
                axis.set_aspect("equal", adjustable="datalim")
        for axis in axes.flat[len(panels) :]:
            axis.axis("off")
        _rank_bar(figure, axes, ranks)
    return figure


def moments(
    plane: Plane,
    shown: Mapping[str, tuple[Points, Float[np.ndarray, "rank dim"]]],
    labels: Index,
    ranks: Ranks,
) -> Figure:
    """Images and texts at several moments, seen in one plane and on one scale.

    Args:
        plane: Two axes, fitted on all of them.
        shown: Image features and text features by moment.
        labels: Rank index of each image, the same at every moment.
        ranks: The label space.
    """
    with style():
        figure = Figure(figsize=(WIDTH, 3.3), layout="constrained")
        axes = figure.subplots(1, len(shown), squeeze=False, sharex=True, sharey=True)
        for axis, (title, (images, texts)) in zip(axes.flat, shown.items(), strict=True):
            _points(axis, plane.look(images), labels, ranks)
            _texts(axis, plane.look(texts), ranks)
            axis.set_title(title)
            axis.set_xlabel(f"axis 1 ({plane.share[0]:.0%})")
        axes[0, 0].set_ylabel(f"axis 2 ({plane.share[1]:.0%})")
        axes[0, 0].plot([], [], "o", color=GREY, markersize=4, label="image")
        axes[0, 0].plot([], [], "-D", color=GREY, markersize=6, markeredgecolor=INK, label="sentence")
        figure.legend(loc="outside upper left", ncols=2)
        _rank_bar(figure, axes, ranks)
    return figure


def arrows(
    plane: Plane,
    steps: Mapping[str, Mapping[str, tuple[Float[np.ndarray, "rank dim"], Float[np.ndarray, "rank dim"]]]],
    ranks: Ranks,
) -> Figure:
    """Where the images and the sentence of each rank go in each stage; what does not move has no arrow.

    Args:
        plane: Two axes for all panels.
        steps: By stage and then by name, images first: the K points before and after it.
        ranks: The label space.
    """
    colours = rank_colours(len(ranks))
    with style():
        figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
        axes = figure.subplots(1, len(steps), squeeze=False, sharex=True, sharey=True)
        for axis, (title, kinds) in zip(axes.flat, steps.items(), strict=True):
            for (before, after), marker in zip(kinds.values(), "oD", strict=True):
                start, end = plane.look(before), plane.look(after)
                axis.scatter(end[:, 0], end[:, 1], c=colours, marker=marker, s=34, edgecolor=INK,
                             linewidth=0.6, zorder=3)  # fmt: skip
                if not np.array_equal(before, after):
                    axis.scatter(start[:, 0], start[:, 1], c=colours, marker=marker, s=14, alpha=0.55)
                    for rank, colour in enumerate(colours):
                        axis.annotate("", end[rank], start[rank], zorder=2,
                                      arrowprops={"arrowstyle": "-|>", "color": colour, "lw": 1.3})  # fmt: skip
            axis.set_title(title)
            axis.set_xlabel(f"axis 1 ({plane.share[0]:.0%})")
        axes[0, 0].set_ylabel(f"axis 2 ({plane.share[1]:.0%})")
        for kind, marker in zip(next(iter(steps.values())), "oD", strict=True):
            axes[0, 0].plot([], [], marker, color=GREY, markersize=5, label=kind)
        figure.legend(loc="outside upper left", ncols=2)
        _rank_bar(figure, axes, ranks)
    return figure


def thumbnails(
    flat: Flat,
    labels: Index,
    pictures: UInt8[np.ndarray, "batch 3 height width"],
    chosen: Mapping[str, Sequence[int]],
    ranks: Ranks,
) -> Figure:
    """A cloud between two strips of its pictures, each tied to its point; in a strip, pictures stand as their points do.

    Args:
        flat: Places.
        labels: Rank index of each.
        pictures: RGB bytes of each.
        chosen: One or two strips (the second goes below): which pictures, by title.
        ranks: The label space.
    """
    strips = [sorted(indices, key=lambda i: float(flat[i, 0])) for indices in chosen.values()]
    number, colours = max(map(len, strips)), rank_colours(len(ranks))
    side = WIDTH / number
    heights = [side, 3.0] if len(strips) == 1 else [side, 3.0, side]
    with style():
        figure = Figure(figsize=(WIDTH, sum(heights) + 0.9))
        grid = figure.add_gridspec(len(heights), number, height_ratios=heights, hspace=0.12, wspace=0.08,
                                   left=0.02, right=0.98, top=0.92, bottom=0.08)  # fmt: skip
        middle = figure.add_subplot(grid[1, :])
        _points(middle, flat, labels, ranks)
        middle.set(xticks=[], yticks=[])
        for row, title, indices in zip((0, 2), chosen, strips, strict=False):
            for column, index in enumerate(indices):
                axis = figure.add_subplot(grid[row, column])
                axis.imshow(pictures[index].transpose(1, 2, 0), aspect="auto")
                axis.set(xticks=[], yticks=[])
                colour = colours[labels[index]]
                for spine in axis.spines.values():
                    spine.set(visible=True, color=colour, linewidth=2.4)
                said = f"{ranks.values[labels[index]]:g}"
                axis.set_title(said, loc="center", fontsize=9, pad=2) if row == 0 else axis.set_xlabel(said)
                figure.add_artist(ConnectionPatch(
                    (0.5, 0.0 if row == 0 else 1.0), flat[index], "axes fraction", "data", axesA=axis,
                    axesB=middle, color=INK, linewidth=0.7, alpha=0.75))  # fmt: skip
                middle.scatter(
                    flat[index, 0], flat[index, 1], color=colour, s=52, edgecolor=INK, linewidth=1.1, zorder=4
                )
            above = row == 0
            figure.text(0.02, 0.995 if above else 0.005, title, va="top" if above else "bottom", fontsize=10.5,
                        color=INK)  # fmt: skip
    return figure


def gap_figure(
    panels: Mapping[str, Mapping[str, tuple[Points, Index]]], shuffled: Mapping[str, tuple[Points, Index]]
) -> Figure:
    """Cosine distance against rank gap: median and middle 80 % of all pairs, at each moment.

    Args:
        panels: By panel title, then by moment (a key of `MOMENTS`): features and rank index of each.
        shuffled: By panel title, features with shuffled ranks: the control, drawn dashed.
    """
    with style():
        figure = Figure(figsize=(WIDTH, 3.5), layout="constrained")
        axes = figure.subplots(1, len(panels), squeeze=False)
        for axis, (title, lines) in zip(axes.flat, panels.items(), strict=True):
            for moment, (points, position) in lines.items():
                _band(axis, *gap_distances(points, position), MOMENTS.get(moment, INK), moment)
            _band(axis, *gap_distances(*shuffled[title]), INK, "shuffled ranks", control=True)
            axis.set_title(title)
            axis.set(xlabel="rank gap (steps)", ylim=(0, None))
            axis.grid(axis="y", color=GRID, linewidth=0.8)
            axis.set_axisbelow(True)
            axis.xaxis.get_major_locator().set_params(integer=True)
            axis.legend(loc="upper left", frameon=True, framealpha=0.85, edgecolor="none", fontsize=8.5)
            axis.set_ylim(0, 1.32 * axis.get_ylim()[1])
        axes[0, 0].set_ylabel("cosine distance")
    return figure


def scores(
    found: Mapping[str, Mapping[str, float]], control: Mapping[str, Mapping[str, Sequence[float]]]
) -> Figure:
    """Scores of order, each beside the middle 95 % of what shuffled ranks score.

    Args:
        found: Score by name of the row (it ends in a key of `MOMENTS`) and name of the score.
        control: The same with shuffled ranks, many times each.
    """
    names = list(next(iter(found.values())))
    with style():
        figure = Figure(figsize=(WIDTH, 1.0 + 0.5 * len(found)), layout="constrained")
        axes = figure.subplots(1, len(names), sharey=True, squeeze=False)
        for axis, name in zip(axes.flat, names, strict=True):
            for row, (title, values) in enumerate(found.items()):
                low, high = np.quantile(control[title][name], (0.025, 0.975))
                axis.plot([low, high], [row, row], color="#c3cad2", linewidth=7, solid_capstyle="round",
                          label="shuffled ranks, middle 95 %" if row == 0 else None)  # fmt: skip
                colour = next((colour for end, colour in MOMENTS.items() if title.endswith(end)), INK)
                axis.plot(values[name], row, "o", color=colour, markersize=8, markeredgecolor="white")
                axis.annotate(f"{values[name]:.2f}", (values[name], row), (0, 6), textcoords="offset points",
                              ha="center", fontsize=8.5, color=colour)  # fmt: skip
            axis.set_title(name)
            axis.set(xlim=(-0.45 if name == "gap" else 0, 1.08), ylim=(len(found) - 0.6, -0.75))
            axis.set_yticks(range(len(found)), list(found), fontsize=9)
            axis.grid(axis="x", color=GRID, linewidth=0.8)
            axis.set_axisbelow(True)
        figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center")
    return figure


def held_out(
    panels: Mapping[str, tuple[Float[np.ndarray, " batch"], Index, Bool[np.ndarray, " batch"]]], ranks: Ranks
) -> Figure:
    """Place along an axis against the rank: above, the points that the axis was fitted on; below, all others.

    Args:
        panels: By title: the place of each point, its rank index, and whether it was fitted on.
        ranks: The label space.
    """
    with style():
        figure = Figure(figsize=(WIDTH, 4.4), layout="constrained")
        axes = figure.subplots(2, len(panels), squeeze=False, sharex="col", sharey=True)
        for column, (title, (place, labels, fitted)) in enumerate(panels.items()):
            for row, (chosen, said) in enumerate(((fitted, "fitted on"), (~fitted, "never fitted on"))):
                axis = axes[row, column]
                y = np.asarray(ranks.values)[labels[chosen]]
                _points(axis, np.stack([place[chosen], y], axis=1), labels[chosen], ranks)
                rho = spearman_rho(place[chosen][None], labels[chosen][None])[0]
                axis.set_title(f"{title}\n{said}: ρ = {rho:.2f}" if row == 0 else f"{said}: ρ = {rho:.2f}")
                axis.set(xticks=[], xlabel="place along the label axis" if row else "")
        for axis in axes[:, 0]:
            axis.set_ylabel(f"rank ({ranks.unit})")
    return figure


def _points(axis: Axes, flat: Flat, labels: Index, ranks: Ranks) -> None:
    """A cloud; the order of drawing is that of the points, so no rank hides another."""
    colours = np.array(rank_colours(len(ranks)))[labels]
    axis.scatter(flat[:, 0], flat[:, 1], c=colours, s=17, edgecolor="white", linewidth=0.3)


def _texts(axis: Axes, flat: Float[np.ndarray, "rank 2"], ranks: Ranks) -> None:
    """K sentences, strung on a line in the order of the ranks."""
    axis.plot(flat[:, 0], flat[:, 1], color=GREY, linewidth=1.0, alpha=0.8, zorder=3)
    axis.scatter(
        flat[:, 0],
        flat[:, 1],
        c=rank_colours(len(ranks)),
        s=44,
        marker="D",
        edgecolor=INK,
        linewidth=0.9,
        zorder=4,
    )


def _band(
    axis: Axes, gap: Int[np.ndarray, " pair"], distance: Float[np.ndarray, " pair"], colour: str, name: str,
    *, control: bool = False,
) -> None:  # fmt: skip
    """Median and middle 80 % by gap, with Spearman's ρ over all pairs in the legend; gap 0 only where there are pairs."""
    at = np.unique(gap)
    low, median, high = np.array([np.quantile(distance[gap == g], (0.1, 0.5, 0.9)) for g in at]).T
    rho = spearman_rho(gap[None], distance[None])[0]
    if not control:
        axis.fill_between(at, low, high, color=colour, alpha=0.16, linewidth=0)
    axis.plot(at, median, color=colour, linewidth=1.2 if control else 2.0, linestyle="--" if control else "-",
              marker=None if control else "o", markersize=4, label=f"{name}: ρ = {rho:.2f}")  # fmt: skip


def _rank_bar(figure: Figure, axes: np.ndarray, ranks: Ranks) -> None:
    """The colours of the ranks, with at most seven of their values (of their names, if these are short), evenly spaced."""
    number = len(ranks)
    scale = mpl.cm.ScalarMappable(
        mpl.colors.Normalize(-0.5, number - 0.5), ListedColormap(rank_colours(number))
    )
    bar = figure.colorbar(scale, ax=list(axes.flat), fraction=0.03, pad=0.015, aspect=32 * axes.shape[0])
    even = next(
        (step for step in range(1, number) if (number - 1) % step == 0 and (number - 1) // step <= 6), 1
    )
    at = range(0, number, even)
    short = max(map(len, ranks.names)) <= 3
    bar.set_ticks(list(at), labels=[ranks.names[k] if short else f"{ranks.values[k]:g}" for k in at])
    bar.ax.tick_params(length=0)
    bar.outline.set_visible(False)
    bar.set_label(ranks.unit)
