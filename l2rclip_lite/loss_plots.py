"""Figures of the losses: forces on a circle, losses along it, paths of free texts, and gradients of pairs.

Ranks have their colours, texts are numbered discs, images are stars in the colour of their rank. The three weights of the
push keep one colour each: true order, order-blind, shuffled.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from l2rclip_lite.loss_geometry import on_circle, tangential
from l2rclip_lite.loss_marks import GREY, INK, ORDERS, arrow, bare, circle, disc, lighter, line, ruler
from l2rclip_lite.method_style import GRID, look
from l2rclip_lite.plots import COLOURS, rank_colours, style

CROSS_ENTROPY = look("cross-entropy")[0]


def force_circles(
    panels: Mapping[str, Float[Tensor, "rank 2"]],
    text: Float[Tensor, "rank 2"],
    image: Float[Tensor, "1 2"],
    own: int,
) -> Figure:
    r"""What each text does to one image, a panel a loss, and what of it turns the image.

    Args:
        panels: Force of each text (`loss_geometry.text_forces`) by title of the panel.
        text: Where the texts stand.
        image: Where the image stands.
        own: Rank of the image.

    Example:
        >>> text = on_circle(0, 90)
        >>> figure = force_circles({"a push": 0 * text, "none": 0 * text}, text, on_circle(45), own=0)
        >>> [axis.get_title("left") for axis in figure.axes]
        ['a push\nnet force 0.00', 'none\nnet force 0.00']
    """
    colours, rows = rank_colours(len(text)), -(-len(panels) // 2)
    with style():
        figure = Figure(figsize=(6.2, 3.45 * rows), layout="constrained")
        axes = figure.subplots(rows, 2, squeeze=False).ravel()
        for axis, (title, forces) in zip(axes, panels.items(), strict=True):
            circle(axis, text)
            longest = float(forces.norm(dim=1).max().clamp_min(1e-9))
            for force, colour in zip(forces, colours, strict=True):
                if float(force.norm()) > 1e-6 * longest:
                    arrow(axis, image[0], image[0] + 0.95 * force / longest, colour, 2.2)
            net = tangential(forces.sum(0, keepdim=True), image)
            if float(net.norm()) > 1e-6 * longest:
                arrow(axis, image[0], (image + 0.95 * net / longest)[0], INK, 3.2)
            axis.scatter(
                *image[0], marker="*", s=230, color=colours[own], edgecolor="white", linewidth=1.1, zorder=6
            )
            axis.set_title(f"{title}\nnet force {abs(float(net.norm())):.2f}")
            axis.text(*(0.74 * image[0]), "image", ha="center", va="center", fontsize=8.5, color=INK)
            axis.set(xlim=(-1.5, 1.5), ylim=(-1.2, 2.05))
    return figure


def round_the_circle(
    degrees: Float[Tensor, " angle"],
    lines: Mapping[str, Float[Tensor, " angle"]],
    text_degrees: Sequence[float],
    own: int,
) -> Figure:
    """Cross-entropy, its two parts and its bound while an image runs round the circle.

    Args:
        degrees: Where the image stands.
        lines: The four curves by name: the loss, its pull, its push, and the bound, in this order.
        text_degrees: Where the texts stand.
        own: Rank of the image.
    """
    looks = (
        (INK, "-", 2.6),
        (COLOURS["stage 1"], "-", 1.7),
        (COLOURS["stage 2"], "-", 1.7),
        (GREY, "--", 1.8),
    )
    with style():
        figure = Figure(figsize=(6.6, 3.9), layout="constrained")
        axis = figure.subplots()
        for (name, values), (colour, dash, width) in zip(lines.items(), looks, strict=True):
            axis.plot(degrees, values, color=colour, linestyle=dash, linewidth=width, label=name)
        whole, bound = (list(lines.values())[at] for at in (0, -1))
        axis.fill_between(degrees, bound, whole, color=GRID, zorder=0)
        ruler(axis, text_degrees, own)
        axis.set(
            xlabel="where the image stands (degrees)", ylabel="value at s = 1", xticks=range(-120, 241, 60)
        )
        axis.set_xlim(float(degrees.min()), float(degrees.max()))
        figure.legend(loc="outside upper left", ncols=2, fontsize=9)
    return figure


def pencil(
    panels: Mapping[str, Sequence[tuple[int, float]]],
    weights: Float[Tensor, "batch rank"],
    words: Sequence[Sequence[str]],
    text_degrees: Sequence[float],
) -> Figure:
    """Images and texts on a circle, and what each pair adds to the push.

    Args:
        panels: (rank, angle) of each image by title of the panel.
        weights: A row an image; pairs of weight 0 have no line.
        words: What to write on the lines of each panel, in reading order of the weights.
        text_degrees: Where the texts stand.
    """
    text = on_circle(*text_degrees)
    colours = rank_colours(len(text))
    with style():
        figure = Figure(figsize=(6.6, 3.1), layout="constrained")
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for axis, (title, images), notes in zip(axes, panels.items(), words, strict=True):
            circle(axis, text, arc=True)
            said, seen = iter(notes), Counter[float]()
            for (rank, degree), row in zip(images, weights, strict=True):
                seen[degree] += 1
                at = (1 + 0.17 * seen[degree]) * on_circle(degree)[
                    0
                ]  # outside the circle, so that all are seen
                for k in torch.nonzero(row)[:, 0].tolist():
                    if text_degrees[k] != degree:
                        line(axis, at, text[k], colours[rank], float(row[k]), next(said))
                axis.scatter(
                    *at, marker="*", s=240, color=colours[rank], edgecolor="white", linewidth=1.1, zorder=6
                )
            axis.set_title(title)
            axis.set(xlim=(-0.95, 1.4), ylim=(-0.3, 1.4))
    return figure


def resting_places(
    degrees: Float[Tensor, " angle"],
    fields: Mapping[str, tuple[Float[Tensor, " angle"], Float[Tensor, " angle"]]],
    rests: Mapping[str, Sequence[float]],
    text_degrees: Sequence[float],
    shown: int,
) -> Figure:
    """Left, the loss of one image over its place and the force on it; right, where an image of each rank comes to rest.

    Args:
        degrees: Where the image stands.
        fields: Loss and force at each place (`loss_geometry.along_circle`) by order of the weight.
        rests: The best place of an image of each rank, by order of the weight.
        text_degrees: Where the texts stand.
        shown: Rank of the image on the left.
    """
    number, colours = len(text_degrees), rank_colours(len(text_degrees))
    with style():
        figure = Figure(figsize=(7.4, 4.3), layout="constrained")
        axes = figure.subplot_mosaic([["loss", "rest"], ["force", "rest"]], width_ratios=(1, 1.1))
        left, below, right = axes["loss"], axes["force"], axes["rest"]
        for order, curves in fields.items():
            name, colour, marker = ORDERS[order]
            least = int(curves[0].argmin())
            for axis, values in zip((left, below), curves, strict=True):
                axis.plot(degrees, values, color=colour, linewidth=2)
                axis.scatter(
                    degrees[least], values[least], color=colour, marker=marker, s=40, zorder=4, ec="white"
                )
            right.scatter([], [], color=colour, marker=marker, s=42, label=name)
        for axis in (left, below):
            ruler(axis, text_degrees, shown, numbers=axis is left)
            axis.set_xlim(float(degrees.min()), float(degrees.max()))
            axis.set_xticks(range(-60, 181, 60))
        below.axhline(0, color=GREY, linewidth=0.8)
        left.set_title(f"An image of rank {shown}", pad=17)
        left.set(ylabel="loss", xticklabels=[])
        below.set(ylabel="force", xlabel="where it stands (degrees)")
        for rank, own in enumerate(text_degrees):
            right.axhline(rank, color=GRID, linewidth=1, zorder=0)
            right.scatter(own, rank, marker="|", s=520, color=colours[rank], linewidth=3, zorder=1)
            for lift, (order, places) in zip((0.2, 0, -0.2), rests.items(), strict=True):
                _, colour, marker = ORDERS[order]
                right.scatter(
                    places[rank], rank + lift, color=colour, marker=marker, s=38, zorder=3, ec="white"
                )
        right.set_title("Where an image comes to rest", pad=17)
        right.set(xlabel="degrees; bar: its own text", ylabel="rank of the image", yticks=range(number),
                  xticks=text_degrees, ylim=(-0.6, number - 0.4))  # fmt: skip
        figure.legend(loc="outside upper left", ncols=3, fontsize=9)
    return figure


def push_by_distance(
    degrees: Float[Tensor, " angle"], curves: Mapping[str, tuple[Tensor, Tensor]], own: str
) -> Figure:
    """How hard one text pushes an image along the circle, over the angle between them.

    Args:
        degrees: The angle.
        curves: Force along the line, and the part of it that turns the image, by name.
        own: Name of the curve to draw in the colour of the method.
    """
    with style():
        figure = Figure(figsize=(6.6, 2.9), layout="constrained")
        axes = figure.subplots(1, 2, sharey=True)
        for name, pair in curves.items():
            colour = look("full")[0] if name == own else look("ridge")[0]
            for axis, values in zip(axes, pair, strict=True):
                axis.plot(degrees, values, color=colour, linewidth=2.2, label=name)
        for axis, title in zip(axes, ("Along the line between them", "Along the circle"), strict=True):
            axis.set(
                title=title, xlabel="angle between image and text", xticks=range(0, 181, 45), ylim=(0, None)
            )
            axis.grid(axis="y", color=GRID)
        axes[0].set_ylabel("force at weight 1")
        axes[0].legend(loc="upper left")
    return figure


def over_orders(values: Sequence[float], symmetric: float, given: float) -> Figure:
    """The released stage-1 loss of one batch in all orders of its rows, and the form that has only one value.

    Args:
        values: The released loss, an order each.
        symmetric: The loss over all ordered pairs.
        given: The released loss in the order in which the batch is given.
    """
    with style():
        figure = Figure(figsize=(6.2, 2.6), layout="constrained")
        axis = figure.subplots()
        axis.hist(values, bins=30, color=COLOURS["stage 1"], alpha=0.75, label="released, one order each")
        for value, name, dash in (
            (symmetric, "symmetric, every order", "-"),
            (given, "released, rows as drawn", ":"),
        ):
            axis.axvline(value, color=INK, linestyle=dash, linewidth=2, label=name)
        axis.set(xlabel="stage-1 loss of the same six images", ylabel="orders of the rows")
        figure.legend(loc="outside upper left", ncols=3, fontsize=8.5)
    return figure


def free_texts(
    ways: Mapping[str, Float[Tensor, "step point 2"]], order: Mapping[str, Mapping[str, Sequence[float]]]
) -> Figure:
    """Texts that push each other round a circle: their ways, and how ordered they end from many starts.

    Args:
        ways: One way of all texts by order of the weight; time runs from the inner ring to the outer one.
        order: Ordinality (`gap`) at the end of each start, by order of the weight and by name of the sphere.
    """
    number = next(iter(ways.values())).shape[1]
    colours, full = rank_colours(number), np.linspace(0, 2 * np.pi, 200)
    with style():
        figure = Figure(figsize=(7.2, 4.6), layout="constrained")
        axes = figure.subplots(2, len(ways), height_ratios=(1.75, 1), squeeze=False, sharey="row")
        for (above, below), (kind, way) in zip(axes.T, ways.items(), strict=True):
            name, colour, _ = ORDERS[kind]
            radius = np.linspace(0.45, 1.0, len(way))
            for ring in (0.45, 1.0):
                above.plot(ring * np.cos(full), ring * np.sin(full), color=GRID, linewidth=1.2, zorder=0)
            for rank in range(number):
                path = radius[:, None] * way[:, rank].numpy()
                above.plot(*path.T, color=colours[rank], linewidth=2)
                disc(above, path[-1], rank, colours[rank])
            above.set_title(name, color=colour, loc="center")
            bare(above, 1.22)
            for (sphere, values), kind_of_bar in zip(
                order[kind].items(), ("step", "stepfilled"), strict=True
            ):
                edge = INK if kind_of_bar == "step" else colour
                below.hist(values, bins=np.linspace(-1, 1, 21), histtype=kind_of_bar, color=edge, linewidth=1.5,
                           alpha=1.0 if kind_of_bar == "step" else 0.6, label=sphere)  # fmt: skip
            below.set(xlabel="order at the end", xlim=(-1, 1.02), xticks=[-1, 0, 1])
            below.legend(loc="upper left", fontsize=8.5, handlelength=1.2, borderaxespad=0.1)
        axes[1, 0].set_ylabel("starts")
    return figure


def loudness(
    share: Float[Tensor, " place"], panels: Mapping[str, Mapping[str, Float[Tensor, " place"]]]
) -> Figure:
    """The force that turns an image to its own text, on its way from there to a wrong one.

    Args:
        share: Share of the way, 0 at its own text.
        panels: Forces by name of the loss, by title of the panel; names that start with "s" are cross-entropies.
    """
    with style():
        figure = Figure(figsize=(7.0, 3.4), layout="constrained")
        axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axis, (title, curves) in zip(axes, panels.items(), strict=True):
            shades = iter((0.35, 0.65, 1.0))
            for name, force in curves.items():
                blue = name.startswith("s")
                colour = lighter(CROSS_ENTROPY, next(shades)) if blue else look("full")[0]
                axis.plot(share, force, color=colour, linewidth=2.1, linestyle="-" if blue else "--",
                          label=f"cross-entropy, {name}" if blue else name)  # fmt: skip
            axis.set(title=title, xlabel="share of the way to the wrong text", yscale="log", ylim=(1e-6, 300))
            axis.grid(axis="y", color=GRID)
        axes[0].set_ylabel("force towards its own text")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=2, fontsize=9)
    return figure


def pair_matrices(
    panels: Mapping[str, Float[Tensor, "batch _"]],
    target: Int[Tensor, " batch"],
    columns: Mapping[str, Sequence[int]],
    softmax: Mapping[str, str],
) -> Figure:
    """What a contrastive loss wants of each pair of a batch; frames hold the pairs of one rank.

    Args:
        panels: Derivative by each similarity by title: negative (blue) pulls together, positive (red) pushes apart.
        target: Rank of each image, a row each.
        columns: Rank of each column.
        softmax: Which way the softmax runs, in words.
    """
    most = max(float(table.abs().max()) for table in panels.values())
    with style():
        figure = Figure(figsize=(7.6, 3.35), layout="constrained")
        widths = [table.shape[1] for table in panels.values()]
        axes = figure.subplots(1, len(panels), width_ratios=widths, squeeze=False)[0]
        for axis, (title, table) in zip(axes, panels.items(), strict=True):
            axis.imshow(table.numpy(), cmap="RdBu_r", vmin=-most, vmax=most)
            for (row, column), value in np.ndenumerate(table.numpy()):
                colour = "white" if abs(value) > 0.6 * most else INK
                axis.text(column, row, f"{value:.2f}".replace("0.", "."), ha="center", va="center", color=colour,
                          fontsize=8.5)  # fmt: skip
                if int(target[row]) == columns[title][column]:
                    axis.add_patch(Rectangle((column - 0.46, row - 0.46), 0.92, 0.92, fill=False, edgecolor=INK,
                                             linewidth=2))  # fmt: skip
            axis.set_title(f"{title}\n{softmax[title]}", fontsize=9.5)
            axis.set_xticks(range(table.shape[1]), columns[title])
            axis.set_yticks(range(len(target)), target.tolist())
            axis.set_xlabel("texts, by rank")
            axis.tick_params(length=0)
            axis.spines[:].set_visible(False)
        axes[0].set_ylabel("images, by rank")
    return figure


def force_curves(
    degrees: Float[Tensor, " angle"],
    panels: Mapping[str, Float[Tensor, " angle"]],
    text_degrees: Sequence[float],
    own: int,
) -> Figure:
    """Which way each loss turns one image, over the place where it stands, while all others stay on their texts.

    Args:
        degrees: Where the image stands.
        panels: Force along the circle by name of the loss; drawn as a share of its largest value.
        text_degrees: Where the texts stand.
        own: Rank of the image.
    """
    colours, columns = rank_colours(len(text_degrees)), 2
    with style():
        figure = Figure(figsize=(6.8, 1.55 * -(-len(panels) // columns) + 0.5), layout="constrained")
        axes = figure.subplots(
            -(-len(panels) // columns), columns, sharex=True, sharey=True, squeeze=False
        ).ravel()
        for axis, (title, force) in zip(axes, panels.items(), strict=False):
            share = (force / force.abs().max()).numpy()
            for side, colour in ((share > 0, colours[-1]), (share < 0, colours[0])):
                axis.fill_between(degrees, 0, share, where=side, color=colour, alpha=0.45, linewidth=0)
            axis.plot(degrees, share, color=INK, linewidth=1.5)
            axis.axhline(0, color=GREY, linewidth=0.8)
            ruler(axis, text_degrees, own, numbers=False)
            axis.set_title(title)
            axis.set(yticks=[-1, 0, 1], ylim=(-1.1, 1.1), xticks=text_degrees)
            axis.set_xlim(float(degrees.min()), float(degrees.max()))
        for axis in axes[-columns:]:
            axis.set_xlabel("where the image stands (degrees)")
        figure.supylabel("← lower ranks    force    higher ranks →", fontsize=9, color=INK)
    return figure
