"""Figures of the losses: forces on a circle, and the paths of free texts.

Ranks have their colours, texts are numbered discs, images are stars in the colour of their rank. The three weights of the
push keep one colour each: true order, order-blind, shuffled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import seaborn as sns
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from l2rclip_book.loss_geometry import on_circle, tangential
<<<<<<< HEAD
from l2rclip_book.style import GRID, look
=======
from l2rclip_book.style import GRID, ink_on, look
>>>>>>> h-k
from l2rclip_lite.plots import COLOURS, rank_colours, style

INK = COLOURS["ink"]
# name and colour of each weight of the push
ORDERS = {
    "true": ("true order", look("full")[0]),
    "blind": ("order-blind", COLOURS["reference"]),
    "shuffled": ("shuffled", look("shuffled text")[0]),
}


def circle(axis: Axes, places: Float[Tensor, "rank 2"]) -> None:
    """The unit circle, with texts as numbered discs, on equal scales and without a frame.

    Args:
        axis: Where to draw.
        places: One point per rank, on the circle or not.
    """
<<<<<<< HEAD
    arc = np.radians(np.linspace(0, 360, 200))
    axis.plot(np.cos(arc), np.sin(arc), color="#c9d1d9", linewidth=1.3, zorder=0)
=======
    arc = np.radians(np.linspace(first, last, 200))
    axis.plot(np.cos(arc), np.sin(arc), color=INK, alpha=0.5, linewidth=1.3, zorder=0)
>>>>>>> h-k
    for rank, (place, colour) in enumerate(zip(places.tolist(), rank_colours(len(places)), strict=True)):
        axis.scatter(*place, s=175, color=colour, zorder=3)
        own = {"fontsize": 9, "color": ink_on(colour), "zorder": 4}
        axis.text(*place, str(rank), ha="center", va="center_baseline", **own)
    axis.set(aspect="equal", xticks=[], yticks=[], xlim=(-1.25, 1.25), ylim=(-1.25, 1.25))
    axis.spines[:].set_visible(False)


def force_circles(
    panels: Mapping[str, Float[Tensor, "rank 2"]],
    text: Float[Tensor, "rank 2"],
    image: Float[Tensor, "1 2"],
    own: int,
) -> Figure:
    r"""The force of each text on one image, one panel per loss, and in grey what of their sum turns the image.

    Args:
        panels: Force of each text (`loss_geometry.text_forces`) by title of the panel.
        text: Places of the texts.
        image: Place of the image.
        own: Rank of the image.

    Example:
        >>> text = on_circle(0, 90)
        >>> figure = force_circles({"a push": 0 * text, "none": 0 * text}, text, on_circle(45), own=0)
        >>> [axis.get_title("left") for axis in figure.axes]
        ['a push\nnet force 0.00', 'none\nnet force 0.00']
    """
    colours, rows = [*rank_colours(len(text)), INK], -(-len(panels) // 2)
    with style():
        figure = Figure(figsize=(5.4, 3.0 * rows), layout="constrained")
        axes = figure.subplots(rows, 2, squeeze=False).ravel()
        for axis, (title, forces) in zip(axes, panels.items(), strict=False):
            circle(axis, text)
            longest = float(forces.norm(dim=1).max().clamp_min(1e-9))
            net = tangential(forces.sum(0, keepdim=True), image)
            for force, colour in zip(torch.cat([forces, net]), colours, strict=True):
                if float(force.norm()) > 1e-6 * longest:
                    end = image[0] + 0.95 * force / longest
                    arrow = {"arrowstyle": "-|>", "color": colour, "lw": 3.2 if colour == INK else 2.2}
                    arrow |= {"mutation_scale": 15, "shrinkA": 0, "shrinkB": 0}
                    axis.annotate("", end.tolist(), image[0].tolist(), arrowprops=arrow, zorder=5)
            star = {"marker": "*", "s": 230, "edgecolor": "white", "linewidth": 1.1, "zorder": 6}
            axis.scatter(*image[0], color=colours[own], **star)
            axis.set_title(f"{title}\nnet force {float(net.norm()):.2f}")
            axis.text(*(0.74 * image[0]), "image", ha="center", va="center", fontsize=8.5)
            axis.set(xlim=(-1.5, 1.5), ylim=(-1.2, 2.05))
    return figure


<<<<<<< HEAD
=======
def weighted_pairs(
    panels: Mapping[str, Sequence[tuple[int, float]]],
    weights: Float[Tensor, "batch rank"],
    words: Sequence[Sequence[str]],
    text_degrees: Sequence[float],
) -> Figure:
    """Images and texts on an arc, and what each pair adds to the push: a line as thick as its weight.

    Args:
        panels: (rank, angle) of each image by title of the panel.
        weights: One row per image; pairs of weight 0 have no line.
        words: Labels of the lines of each panel, in reading order of the weights.
        text_degrees: Places of the texts.
    """
    text, colours = on_circle(*text_degrees), rank_colours(len(text_degrees))
    with style():
        figure = Figure(figsize=(6.6, 3.1), layout="constrained")
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for axis, (title, images), labels in zip(axes, panels.items(), words, strict=True):
            circle(axis, text, first=-35, last=215)
            label = iter(labels)
            for index, (rank, degree) in enumerate(images):
                # outside the circle, the second of two images at one angle farther out
                before = sum(other == degree for _, other in images[:index])
                place = (1.17 + 0.17 * before) * on_circle(degree)[0]
                for k, weight in enumerate(weights[index].tolist()):
                    if weight > 0 and text_degrees[k] != degree:
                        ends = torch.stack([place, text[k]], dim=1)
                        axis.plot(*ends, color=colours[rank], linewidth=0.8 + 2.6 * weight, zorder=1)
                        box = {"facecolor": colours[rank], "edgecolor": "none", "pad": 1.2}
                        middle = (0.62 * place + 0.38 * text[k]).tolist()
                        on_box = {"bbox": box, "color": ink_on(colours[rank]), "zorder": 5}
                        axis.text(*middle, next(label), ha="center", va="center", fontsize=9, **on_box)
                image_star(axis, place, colours[rank])
            axis.set_title(title)
            axis.set(xlim=(-0.95, 1.4), ylim=(-0.3, 1.4))
    return figure


def resting_places(
    degrees: Places,
    fields: Mapping[str, tuple[Places, Places]],
    rests: Mapping[str, Sequence[float]],
    text_degrees: Sequence[float],
    shown: int,
) -> Figure:
    """Left, the loss of one image over its place and the force on it; right, where an image of each rank comes to rest.

    Args:
        degrees: Places of the image.
        fields: Loss and force at each place (`loss_geometry.along_circle`) by order of the weight.
        rests: The best place of an image of each rank, by order of the weight.
        text_degrees: Places of the texts.
        shown: Rank of the image on the left.
    """
    number, colours = len(text_degrees), rank_colours(len(text_degrees))
    with style():
        figure = Figure(figsize=(7.4, 4.3), layout="constrained")
        axes = figure.subplot_mosaic([["loss", "rest"], ["force", "rest"]], width_ratios=(1, 1.1))
        left, below, right = axes["loss"], axes["force"], axes["rest"]
        right.hlines(range(number), -60, 180, color=GRID, linewidth=1, zorder=0)
        right.scatter(text_degrees, range(number), marker="|", s=520, color=colours, linewidth=3, zorder=1)
        for lift, (order, curves) in zip((0.2, 0, -0.2), fields.items(), strict=False):
            name, colour, marker = ORDERS[order]
            dots = {"color": colour, "marker": marker, "s": 40, "zorder": 4}
            least = int(curves[0].argmin())
            for axis, values in zip((left, below), curves, strict=True):
                axis.plot(degrees, values, color=colour, linewidth=2)
                axis.scatter(degrees[least], values[least], **dots)
            right.scatter(rests[order], np.arange(number) + lift, label=name, **dots)
        for axis in (left, below):
            text_lines(axis, text_degrees, shown, numbers=axis is left)
            axis.set(xlim=(float(degrees[0]), float(degrees[-1])), xticks=range(-60, 181, 60))
        below.axhline(0, color=GREY, linewidth=0.8)
        left.set_title(f"An image of rank {shown}", pad=17)
        left.set(ylabel="loss", xticklabels=[])
        below.set(ylabel="force", xlabel="place of the image (degrees)")
        right.set_title("Where an image comes to rest", pad=17)
        ends = min(map(min, rests.values())), max(map(max, rests.values()))
        right.set(xlim=(ends[0] - 10, ends[1] + 10), ylim=(-0.6, number - 0.4), yticks=range(number),
                  xticks=text_degrees, xlabel="degrees; bar: its own text", ylabel="rank of the image")  # fmt: skip
        figure.legend(loc="outside upper left", ncols=3, fontsize=9)
    return figure


>>>>>>> h-k
def free_texts(
    ways: Mapping[str, Float[Tensor, "step point 2"]], order: Mapping[str, Mapping[str, Sequence[float]]]
) -> Figure:
    """Texts that push each other round a circle: their ways, and how ordered they end from many starts.

    Args:
        ways: One way of all texts by order of the weight; time runs from the inner ring to the outer one.
        order: Ordinality (`gap`) at the end of each start, by order of the weight and by name of the sphere.
    """
    colours = rank_colours(next(iter(ways.values())).shape[1])
    with style():
        figure = Figure(figsize=(7.2, 4.6), layout="constrained")
        axes = figure.subplots(2, len(ways), height_ratios=(1.75, 1), squeeze=False, sharey="row")
        for (above, below), (kind, way) in zip(axes.T, ways.items(), strict=True):
            name, colour = ORDERS[kind]
            radius = torch.linspace(0.45, 1.0, len(way))[:, None]
            circle(above, way[-1])
            inner = 0.45 * on_circle(*range(361))
            above.plot(*inner.T, color=GRID, linewidth=1.2, zorder=0)
            for rank, colour_of_rank in enumerate(colours):
                above.plot(*(radius * way[:, rank]).T, color=colour_of_rank, linewidth=2)
            above.set_title(name, color=colour, loc="center")
            for (sphere, values), fill in zip(order[kind].items(), (False, True), strict=True):
                sns.histplot(values, bins=np.linspace(-1, 1, 21), element="step", fill=fill, ax=below,
                             color=colour if fill else INK, label=sphere)  # fmt: skip
            below.set(xlabel="order at the end", ylabel="starts", xlim=(-1, 1.02), xticks=[-1, 0, 1])
            below.legend(loc="upper left", handlelength=1.2, borderaxespad=0.1)
    return figure
<<<<<<< HEAD
=======


def force_curves(
    degrees: Places,
    panels: Mapping[str, Places],
    text_degrees: Sequence[float],
    own: int,
    *,
    columns: int = 2,
) -> Figure:
    """Which way each loss turns one image, over its place, while all others stay on their texts.

    Blue areas turn it to higher angles, red ones to lower angles; the colours of the ranks are those of the lines.

    Args:
        degrees: Places of the image.
        panels: Force along the circle by name of the loss; drawn as a share of its largest value.
        text_degrees: Places of the texts.
        own: Rank of the image.
        columns: Panels per row.
    """
    rows = -(-len(panels) // columns)
    with style():
        figure = Figure(figsize=(6.8, 1.55 * rows + 0.5), layout="constrained")
        axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for axis, (title, force) in zip(axes.ravel(), panels.items(), strict=False):
            share = force / force.abs().max()
            for part, colour in ((share.clamp_min(0), "stage 1"), (share.clamp_max(0), "stage 2")):
                axis.fill_between(degrees, 0, part, color=COLOURS[colour], alpha=0.4, linewidth=0)
            axis.plot(degrees, share, color=INK, linewidth=1.5)
            axis.axhline(0, color=GREY, linewidth=0.8)
            text_lines(axis, text_degrees, own, numbers=False)
            axis.set(title=title, yticks=[-1, 0, 1], ylim=(-1.1, 1.1), xticks=text_degrees)
            axis.set_xlim(float(degrees[0]), float(degrees[-1]))
        for axis in axes[-1]:
            axis.set_xlabel("place of the image (degrees)")
        figure.supylabel("← lower ranks    force    higher ranks →", fontsize=9)
    return figure
>>>>>>> h-k
