"""Figures of the losses: forces on a circle, and the paths of free texts.

Ranks have their colours, texts are numbered discs, images are stars in the colour of their rank.
"""

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from torch import Tensor

from l2rclip_book.plots import GRID, INK, drawn, panels, rank_colours, write_in
from l2rclip_lite.method import Texts

Places = Float[Tensor, "rank 2"]
Loss = Callable[[Tensor], Tensor]


def on_circle(*degrees: float) -> Float[Tensor, "point 2"]:
    """Return the unit vectors of the plane at these angles, in float64.

    Example:
        >>> on_circle(0, 90).round(decimals=6).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    angle = torch.deg2rad(torch.tensor(degrees, dtype=torch.float64))
    return torch.stack([angle.cos(), angle.sin()], dim=1)


def text_forces(
    loss: Callable[[Tensor, Tensor], Tensor],
    image: Float[Tensor, "1 dim"],
    text: Texts,
) -> Texts:
    r"""Compute the force that each text exerts on one image, for a loss of distances.

    It is $\partial L/\partial t_k$. Such a loss pulls and pushes both ends of a line alike, so the
    force of text k on the image is the opposite of the force on text k; together they are
    $-\partial L/\partial z$.

    Args:
        loss: A function of one image and the texts that depends on their distances alone.
        image: A unit image feature.
        text: Unit text features.

    Returns:
        One vector per text, in the direction in which it drives the image.

    Example:
        >>> pulled = text_forces(lambda z, t: (z - t).square().sum(), on_circle(0), on_circle(90))
        >>> pulled.round(decimals=6).tolist()  # 2 (t - z)
        [[-2.0, 2.0]]
    """
    gradient: Texts = torch.func.grad(loss, argnums=1)(image.detach(), text)
    return gradient


def tangential(
    force: Float[Tensor, "*point dim"], at: Float[Tensor, "*point dim"]
) -> Float[Tensor, "*point dim"]:
    r"""Return the part of a force that moves a point on the sphere: $f-(f\cdot z)\,z$.

    Example:
        >>> tangential(torch.tensor([[3.0, 2.0]]), torch.tensor([[1.0, 0.0]])).tolist()
        [[0.0, 2.0]]
    """
    return force - (force * at).sum(dim=-1, keepdim=True) * at


def walk(
    loss: Loss, start: Float[Tensor, "start point dim"], steps: int, rate: float
) -> Float[Tensor, "step start point dim"]:
    """Let points follow their forces on the unit sphere, from many starts at once.

    Args:
        loss: A function of unit vectors, shape (point, dim).
        start: Unit vectors to start from.
        steps: Gradient steps, each with all points.
        rate: Step size: a force times this is how far a point moves.

    Returns:
        The places of all points: the start, and after each step.

    Example:
        >>> def nearer_to_east(point):
        ...     return (point - on_circle(0)).square().sum()
        >>> way = walk(nearer_to_east, on_circle(60)[None], steps=50, rate=0.2)
        >>> way.shape, way[-1, 0, 0].round(decimals=3).tolist()
        (torch.Size([51, 1, 1, 2]), [1.0, 0.0])
    """
    gradient = torch.func.vmap(torch.func.grad(loss), randomness="same")
    places = [start]
    for _ in range(steps):
        place = places[-1]
        force = tangential(-gradient(place), place)
        places.append(F.normalize(place + rate * force, dim=-1))
    return torch.stack(places)


STAR_RADIUS = 0.19  # of the star that is an image


def circle(axis: Axes, places: Places) -> None:
    """Draw the unit circle, with texts as numbered discs, on equal scales and without a frame.

    Args:
        axis: Where to draw.
        places: One point per rank, on the circle or not.
    """
    axis.add_patch(Circle((0, 0), 1, fill=False, color=INK, alpha=0.5, linewidth=1.3, zorder=0))
    colours = rank_colours(len(places))
    x, y = places.T
    axis.scatter(x, y, s=175, color=colours, zorder=3)
    for rank, place in enumerate(places.tolist()):
        write_in(axis, place, str(rank), colours[rank], va="center_baseline", zorder=4)

    axis.set(aspect="equal", xticks=[], yticks=[], xlim=(-1.25, 1.25), ylim=(-1.25, 1.25))
    axis.spines[:].set_visible(False)


def star(axis: Axes, image: Float[Tensor, "1 2"], own: int, ranks: int) -> None:
    """Draw an image in the colour of its own rank, and its name below it.

    Args:
        axis: Where to draw.
        image: Its place.
        own: Its rank.
        ranks: How many there are.
    """
    colour = rank_colours(ranks)[own]
    x, y = image[0].tolist()
    axis.scatter(x, y, marker="*", s=230, color=colour, edgecolor="white", zorder=6)
    write_in(axis, (0.74 * x, 0.74 * y), "image")


@drawn()
def force_circles(
    forces_of: Mapping[str, Places], text: Places, image: Float[Tensor, "1 2"], own: int
) -> Figure:
    r"""Draw the force of each text on one image, one panel per loss.

    In grey is the part of their sum that turns the image.

    Args:
        forces_of: Force of each text (`text_forces`) by title of the panel.
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
    figure, shown = panels(forces_of, 2, 3.3, 5.4)
    for axis, title, forces in shown:
        circle(axis, text)
        net = tangential(forces.sum(0, keepdim=True), image)
        _draw_forces(axis, image, forces, net)
        star(axis, image, own, len(text))
        axis.set_title(f"{title}\nnet force {float(net.norm()):.2f}")
        axis.set(xlim=(-1.5, 1.5), ylim=(-1.2, 2.45))
    return figure


def _draw_forces(
    axis: Axes, image: Float[Tensor, "1 2"], forces: Places, net: Float[Tensor, "1 2"]
) -> None:
    """Draw an arrow for each force and one for the net force, the longest of the forces 1.1 long.

    Args:
        axis: Where to draw.
        image: Place of the image, from whose rim the arrows start.
        forces: One per text; one that is as good as nothing is left out.
        net: What turns the image.
    """
    colours = [*rank_colours(len(forces)), INK]
    names = [*map(str, range(len(forces))), "net"]
    arrows = torch.cat([forces, net])
    arrows = 1.1 * arrows / forces.norm(dim=1).max().clamp_min(1e-9)
    directions = F.normalize(arrows)
    starts = image + STAR_RADIUS * directions

    axis.quiver(
        *starts.T,
        *arrows.T,
        color=colours,
        angles="xy",
        units="xy",
        scale=1,
        width=0.035,
        minlength=0,
        zorder=5,
    )
    for name, arrow, tip in zip(names, arrows, starts + arrows + 0.15 * directions, strict=True):
        if arrow.norm() > 0.02:
            write_in(axis, tip.tolist(), name)


@drawn()
def free_texts(ways: Mapping[str, Float[Tensor, "step point 2"]]) -> Figure:
    """Draw the paths of texts that push each other round a circle.

    Args:
        ways: One path of all texts by order of the weight; time runs from the inner ring to the
            outer one.

    Example:
        >>> at = on_circle(0, 90)
        >>> free_texts({"true": torch.stack([at, at])}).axes[0].get_title("left")
        'true'
    """
    figure, shown = panels(ways, len(ways), 2.1, 5.4)
    for axis, _, way in shown:
        circle(axis, way[-1])
        axis.add_patch(Circle((0, 0), 0.45, fill=False, color=GRID, zorder=0))
        radius = torch.linspace(0.45, 1.0, len(way))[:, None, None]
        axis.set_prop_cycle(color=rank_colours(way.shape[1]))
        axis.plot(*(radius * way).permute(2, 0, 1), linewidth=2)
    return figure
