"""Figures of the losses: forces on a circle, and the paths of free texts.

Ranks have their colours, texts are numbered discs, images are stars in the colour of their rank.
The three weights of the push keep one colour each: true order, order-blind, shuffled.
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
from l2rclip_book.plots import COLOURS, rank_colours, style
from l2rclip_book.style import GRID, ink_on, look

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
    arc = np.radians(np.linspace(0, 360, 200))
    axis.plot(np.cos(arc), np.sin(arc), color=INK, alpha=0.5, linewidth=1.3, zorder=0)
    for rank, (place, colour) in enumerate(
        zip(places.tolist(), rank_colours(len(places)), strict=True)
    ):
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
        >>> figure = force_circles(
        ...     {"a push": 0 * text, "none": 0 * text}, text, on_circle(45), own=0
        ... )
        >>> [axis.get_title("left") for axis in figure.axes]
        ['a push\nnet force 0.00', 'none\nnet force 0.00']
    """
    colours = [*rank_colours(len(text)), INK]
    rows = -(-len(panels) // 2)
    names = [*map(str, range(len(text))), "net"]
    with style():
        figure = Figure(figsize=(5.4, 3.3 * rows), layout="constrained")
        axes = figure.subplots(rows, 2, squeeze=False).ravel()
        for axis, (title, forces) in zip(axes, panels.items(), strict=False):
            circle(axis, text)
            longest = float(forces.norm(dim=1).max().clamp_min(1e-9))
            net = tangential(forces.sum(0, keepdim=True), image)
            for force, colour, name in zip(torch.cat([forces, net]), colours, names, strict=True):
                if (size := float(force.norm())) > 1e-6 * longest:
                    # from the rim of the star
                    way = force / size
                    reach = 0.19 + 1.1 * size / longest
                    start = image[0] + 0.19 * way
                    end = image[0] + reach * way
                    axis.text(*(end + 0.15 * way), name, ha="center", va="center", fontsize=9)
                    arrow = {
                        "arrowstyle": "-|>",
                        "color": colour,
                        "lw": 3.2 if colour == INK else 2.2,
                    }
                    arrow |= {"mutation_scale": 15, "shrinkA": 0, "shrinkB": 0}
                    axis.annotate("", end.tolist(), start.tolist(), arrowprops=arrow, zorder=5)
            star = {"marker": "*", "s": 230, "edgecolor": "white", "linewidth": 1.1, "zorder": 6}
            axis.scatter(*image[0], color=colours[own], **star)
            axis.set_title(f"{title}\nnet force {float(net.norm()):.2f}")
            axis.text(*(0.74 * image[0]), "image", ha="center", va="center", fontsize=8.5)
            axis.set(xlim=(-1.5, 1.5), ylim=(-1.2, 2.45))
    return figure


def free_texts(
    ways: Mapping[str, Float[Tensor, "step point 2"]],
    order: Mapping[str, Mapping[str, Sequence[float]]],
) -> Figure:
    """Texts that push each other round a circle: their ways, and how ordered they end from many starts.

    Args:
        ways: One way of all texts by order of the weight; time runs from the inner ring to the
            outer one.
        order: Ordinality (`gap`) at the end of each start, by order of the weight and by name of
            the sphere.
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
                sns.histplot(
                    values,
                    bins=np.linspace(-1, 1, 21),
                    element="step",
                    fill=fill,
                    ax=below,
                    color=colour if fill else INK,
                    label=sphere,
                )
            below.set(
                xlabel="order at the end", ylabel="starts", xlim=(-1, 1.02), xticks=[-1, 0, 1]
            )
            below.legend(loc="upper left", handlelength=1.2, borderaxespad=0.1)
    return figure
