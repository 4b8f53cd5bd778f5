"""Forces of the losses, on points that can be worked out by hand; test_figures.py draws them."""

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from l2rclip_book.loss_geometry import on_circle, text_forces, walk
from l2rclip_lite.errors import InputError
from l2rclip_lite.method.losses import (
    distances,
    ordinal_pairwise_loss,
    ordinal_pairwise_loss_stage1,
)

PENTAGON = on_circle(*[90 + 72 * k for k in range(5)])
FIVE = torch.arange(5.0, dtype=torch.float64)
RANK0 = torch.tensor([0])


def by_distance(z: Tensor, t: Tensor) -> Tensor:
    """Return cross-entropy of an image of rank 0 at scale 5, by distances: z·t = 1 − d²/2."""
    return F.cross_entropy(-5 * distances(z, t) ** 2 / 2, RANK0)


pairwise = partial(ordinal_pairwise_loss, target=RANK0, values=FIVE)


@pytest.mark.parametrize(
    "loss", [by_distance, pairwise, partial(pairwise, order="shuffled", push_power=2)]
)
def test_the_forces_of_all_texts_are_the_force_on_the_image(
    loss: Callable[[Tensor, Tensor], Tensor],
) -> None:
    """Action and reaction: minus the gradient at the image, and along the line to each text."""
    image = on_circle(40).requires_grad_()
    forces = text_forces(loss, image, PENTAGON)
    (gradient,) = torch.autograd.grad(loss(image, PENTAGON), image)
    assert torch.allclose(forces.sum(0), -gradient[0])
    line = PENTAGON - image.detach()
    assert torch.allclose(forces[:, 0] * line[:, 1], forces[:, 1] * line[:, 0], atol=1e-12)


def test_three_points_that_push_each_other_alike_end_120_degrees_apart() -> None:
    """Order-blind spread on a circle: the regular triangle, chords √3; L = −(1 + ½) √3."""

    def spread(t: Tensor) -> Tensor:
        return ordinal_pairwise_loss_stage1(t, t, t, torch.arange(3.0), blind=True)

    way = walk(spread, on_circle(0, 20, 50)[None], steps=200, rate=0.3)
    assert torch.allclose(way.norm(dim=-1), torch.ones(1, dtype=torch.float64))
    assert float(spread(way[-1, 0])) == pytest.approx(-1.5 * math.sqrt(3), abs=1e-5)


def test_a_walk_starts_on_the_circle() -> None:
    """Points of another length are refused."""
    with pytest.raises(InputError, match="not of unit length"):
        walk(Tensor.sum, 2 * on_circle(0, 20, 50)[None], steps=1, rate=0.3)
