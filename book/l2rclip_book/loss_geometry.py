r"""The force that a loss exerts on a point, and points that follow their forces.

For unit vectors $z\cdot t=1-\lVert z-t\rVert^2/2$, so every loss between images and texts here is a
function of distances, and its force on an image acts along the lines to the texts: a pull along
one, pushes along the others. A force is minus a gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from l2rclip_lite.errors import InputError

Loss: TypeAlias = Callable[[Tensor], Tensor]


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
    text: Float[Tensor, "rank dim"],
) -> Float[Tensor, "rank dim"]:
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
    text = text.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(image.detach(), text), text)
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


def along_circle(
    loss: Loss, degrees: Float[Tensor, " angle"]
) -> tuple[Float[Tensor, " angle"], Float[Tensor, " angle"]]:
    """Compute the loss of one image all round the circle, and its tangential force.

    Args:
        loss: A function of one unit feature, shape (1, 2).
        degrees: Places of the image.

    Returns:
        Losses, and forces −dL/dφ per radian: positive forces turn the image counter-clockwise.

    Example:
        >>> value, force = along_circle(
        ...     lambda z: (z - on_circle(0)).square().sum(), torch.tensor([0.0, 90.0])
        ... )
        >>> value.round(decimals=6).tolist()  # 2 - 2 cos φ
        [0.0, 2.0]
        >>> force.round(decimals=6).tolist()  # -2 sin φ
        [-0.0, -2.0]
    """

    def loss_at(angle: Tensor) -> Tensor:
        return loss(torch.stack([angle.cos(), angle.sin()])[None])

    angles = torch.deg2rad(degrees.double())
    # `ranks.cyclic_permutation` draws its permutation by seed, the same for each angle
    measure = torch.func.vmap(torch.func.grad_and_value(loss_at), randomness="same")
    gradient, value = measure(angles)
    return value, -gradient


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

    Raises:
        InputError: A start is not of unit length.

    Example:
        >>> def nearer_to_east(point):
        ...     return (point - on_circle(0)).square().sum()
        >>> way = walk(nearer_to_east, on_circle(60)[None], steps=50, rate=0.2)
        >>> way.shape, way[-1, 0, 0].round(decimals=3).tolist()
        (torch.Size([51, 1, 1, 2]), [1.0, 0.0])
    """
    length = start.norm(dim=-1)
    if not torch.allclose(length, torch.ones_like(length), atol=1e-4):
        raise InputError(
            "walk: a start is not of unit length; use torch.nn.functional.normalize first."
        )

    gradient = torch.func.vmap(torch.func.grad(loss), randomness="same")
    places = [start]
    for _ in range(steps):
        place = places[-1]
        force = tangential(-gradient(place), place)
        places.append(F.normalize(place + rate * force, dim=-1))
    return torch.stack(places)
