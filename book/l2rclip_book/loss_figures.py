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
STAR_RADIUS = 0.19  # of the star that is an image
# name and colour of each weight of the push
ORDERS = {
    "true": ("true order", look("full")[0]),
    "blind": ("order-blind", COLOURS["reference"]),
    "shuffled": ("shuffled", look("shuffled text")[0]),
}


def circle(axis: Axes, places: Float[Tensor, "rank 2"]) -> None:
    """Draw the unit circle, with texts as numbered discs, on equal scales and without a frame.

    Args:
        axis: Where to draw.
        places: One point per rank, on the circle or not.
    """
    arc = np.radians(np.linspace(0, 360, 200))
    axis.plot(np.cos(arc), np.sin(arc), color=INK, alpha=0.5, linewidth=1.3, zorder=0)

    colours = rank_colours(len(places))
    for rank, ((x, y), colour) in enumerate(zip(places.tolist(), colours, strict=True)):
        axis.scatter(x, y, s=175, color=colour, zorder=3)
        axis.text(
            x,
            y,
            str(rank),
            ha="center",
            va="center_baseline",
            fontsize=9,
            color=ink_on(colour),
            zorder=4,
        )

    axis.set(aspect="equal", xticks=[], yticks=[], xlim=(-1.25, 1.25), ylim=(-1.25, 1.25))
    axis.spines[:].set_visible(False)


def force_circles(
    panels: Mapping[str, Float[Tensor, "rank 2"]],
    text: Float[Tensor, "rank 2"],
    image: Float[Tensor, "1 2"],
    own: int,
) -> Figure:
    r"""Draw the force of each text on one image, one panel per loss.

    In grey is the part of their sum that turns the image.

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
    rows = -(-len(panels) // 2)
    with style():
        figure = Figure(figsize=(5.4, 3.3 * rows), layout="constrained")
        axes = figure.subplots(rows, 2, squeeze=False).ravel()

        for axis, (title, forces) in zip(axes, panels.items(), strict=False):
            circle(axis, text)
            net = tangential(forces.sum(0, keepdim=True), image)
            _draw_forces(axis, image[0], forces, net)
            _draw_image(axis, image[0], rank_colours(len(text))[own])
            axis.set_title(f"{title}\nnet force {float(net.norm()):.2f}")
            axis.set(xlim=(-1.5, 1.5), ylim=(-1.2, 2.45))
    return figure


def _draw_forces(
    axis: Axes,
    image: Float[Tensor, " 2"],
    forces: Float[Tensor, "rank 2"],
    net: Float[Tensor, "1 2"],
) -> None:
    """Draw an arrow for each force and one for the net force, the longest of the forces 1.1 long.

    Args:
        axis: Where to draw.
        image: Place of the image, from whose rim the arrows start.
        forces: One per text; one that is as good as nothing is left out.
        net: What turns the image.
    """
    longest = float(forces.norm(dim=1).max().clamp_min(1e-9))
    names = [*map(str, range(len(forces))), "net"]
    colours = [*rank_colours(len(forces)), INK]

    for name, force, colour in zip(names, torch.cat([forces, net]), colours, strict=True):
        size = float(force.norm())
        if size <= 1e-6 * longest:
            continue

        direction = force / size
        start = image + STAR_RADIUS * direction
        end = image + (STAR_RADIUS + 1.1 * size / longest) * direction
        arrow = {
            "arrowstyle": "-|>",
            "color": colour,
            "lw": 3.2 if name == "net" else 2.2,
            "mutation_scale": 15,
            "shrinkA": 0,
            "shrinkB": 0,
        }
        x, y = (end + 0.15 * direction).tolist()
        axis.text(x, y, name, ha="center", va="center", fontsize=9)
        axis.annotate("", end.tolist(), start.tolist(), arrowprops=arrow, zorder=5)


def _draw_image(
    axis: Axes, image: Float[Tensor, " 2"], colour: tuple[float, float, float, float]
) -> None:
    """Draw the image as a star in the colour of its rank, and its name beside it."""
    x, y = image.tolist()
    axis.scatter(x, y, marker="*", s=230, color=colour, edgecolor="white", linewidth=1.1, zorder=6)

    x, y = (0.74 * image).tolist()
    axis.text(x, y, "image", ha="center", va="center", fontsize=8.5)


def free_texts(
    ways: Mapping[str, Float[Tensor, "step point 2"]],
    order: Mapping[str, Mapping[str, Sequence[float]]],
) -> Figure:
    """Draw texts that push each other round a circle: their paths, and how ordered they end.

    Args:
        ways: One path of all texts by order of the weight; time runs from the inner ring to the
            outer one.
        order: Ordinality (`gap`) at the end of each start, by order of the weight and by name of
            the sphere.
    """
    with style():
        figure = Figure(figsize=(7.2, 4.6), layout="constrained")
        axes = figure.subplots(2, len(ways), height_ratios=(1.75, 1), squeeze=False, sharey="row")

        for (above, below), (kind, way) in zip(axes.T, ways.items(), strict=True):
            name, colour = ORDERS[kind]
            _draw_paths(above, way)
            above.set_title(name, color=colour, loc="center")
            _draw_orders(below, order[kind], colour)
    return figure


def _draw_paths(axis: Axes, path: Float[Tensor, "step point 2"]) -> None:
    """Draw the path of each text from an inner ring to the circle, where they end as discs."""
    circle(axis, path[-1])
    inner = 0.45 * on_circle(*range(361))
    axis.plot(*inner.T, color=GRID, linewidth=1.2, zorder=0)

    radius = torch.linspace(0.45, 1.0, len(path))[:, None]
    for rank, colour in enumerate(rank_colours(path.shape[1])):
        axis.plot(*(radius * path[:, rank]).T, color=colour, linewidth=2)


def _draw_orders(axis: Axes, orders: Mapping[str, Sequence[float]], colour: str) -> None:
    """Draw how many starts end how ordered: the first sphere as a line, the second as an area."""
    for (sphere, values), fill in zip(orders.items(), (False, True), strict=True):
        sns.histplot(
            values,
            bins=np.linspace(-1, 1, 21),
            element="step",
            fill=fill,
            ax=axis,
            color=colour if fill else INK,
            label=sphere,
        )
    axis.set(xlabel="order at the end", ylabel="starts", xlim=(-1, 1.02), xticks=[-1, 0, 1])
    axis.legend(loc="upper left", handlelength=1.2, borderaxespad=0.1)
