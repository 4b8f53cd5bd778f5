"""Forces and parts of the losses, on points that can be worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from l2rclip_lite.errors import InputError
from l2rclip_lite.loss_geometry import (
    along_circle,
    cross_entropy_parts,
    on_circle,
    tangential,
    text_forces,
    walk,
)
from l2rclip_lite.losses import ordinal_pairwise_loss, ordinal_pairwise_loss_stage1
from l2rclip_lite.ordinal_losses import sord_loss

FIVE = torch.arange(5.0, dtype=torch.float64)
PENTAGON = on_circle(*[90 + 72 * k for k in range(5)])


def unit(rows: int, generator: torch.Generator, dim: int = 8) -> Tensor:
    """Random unit vectors in float64."""
    return F.normalize(torch.randn(rows, dim, generator=generator, dtype=torch.float64), dim=1)


def test_cross_entropy_in_parts_on_the_golden_fixture() -> None:
    """Tightness 1.552406, so the pull is half of it, 0.776203; CE 1.537589 leaves 0.761386; the bound is 1.479933."""
    generator = torch.Generator().manual_seed(0)
    text, image = unit(5, generator), unit(6, generator)
    parts = cross_entropy_parts(image, text, torch.tensor([0, 1, 2, 3, 4, 2]))
    assert [float(part) for part in parts] == pytest.approx([0.776203, 0.761386, 1.479933], abs=1e-6)


@given(seed=st.integers(0, 2**31), scale=st.floats(0.01, 100), ranks=st.integers(2, 7))
def test_parts_add_up_and_the_bound_holds(seed: int, scale: float, ranks: int) -> None:
    """Against PyTorch's cross-entropy of the dot products, for any features and any scale."""
    generator = torch.Generator().manual_seed(seed)
    text, image = unit(ranks, generator), unit(4, generator)
    target = torch.randint(ranks, (4,), generator=generator)
    parts = cross_entropy_parts(image, text, target, scale)
    whole = float(F.cross_entropy(scale * image @ text.T, target))
    assert float(parts.pull + parts.push) == pytest.approx(whole, abs=1e-6 * (1 + scale))
    assert float(parts.bound) <= whole + 1e-6 * (1 + scale)


def pairwise(order: str, power: int = 1) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss of an image of rank 0."""
    return lambda z, t: ordinal_pairwise_loss(
        z,
        t,
        torch.tensor([0]),
        FIVE,
        order=order,  # type: ignore[arg-type]
        push_power=power,
    )


def by_parts(z: Tensor, t: Tensor) -> Tensor:
    """Cross-entropy of an image of rank 0, as a function of distances."""
    parts = cross_entropy_parts(z, t, torch.tensor([0]), 5.0)
    return parts.pull + parts.push


@pytest.mark.parametrize("loss", [by_parts, pairwise("true"), pairwise("shuffled", 2)])
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


def test_pushes_on_a_pentagon_by_hand() -> None:
    """An image on its own text, rank 0: ranks 1 and 4 are 72° away, ranks 2 and 3 144°.

    A distance pushes with ω/5 along its line, of which cos(θ/2) turns the image: ω = ¼, ½, ¾, 1 gives
    ((1 − ¼) cos 36° + (¾ − ½) cos 72°)/5 = 0.136803, to the left, away from rank 4. Blind: nothing is left over.
    """
    image = PENTAGON[[0]]
    left = torch.tensor([-1.0, 0.0], dtype=torch.float64)
    by_hand = (0.75 * math.cos(math.radians(36)) + 0.25 * math.cos(math.radians(72))) / 5
    assert by_hand == pytest.approx(0.136803, abs=1e-6)
    for order, expected in (("true", by_hand), ("blind", 0.0)):
        net = text_forces(pairwise(order), image, PENTAGON).sum(0)
        assert float(tangential(net[None], image)[0] @ left) == pytest.approx(expected, abs=1e-9)


def test_along_the_circle_the_force_is_zero_where_the_loss_is_least() -> None:
    """Texts at 0°, 60°, 120°, an image of rank 0: it rests at −8.16° (derived in `test_losses.py`)."""
    text, three = on_circle(0, 60, 120), torch.arange(3.0, dtype=torch.float64)
    degrees = torch.linspace(-90, 90, 1801)
    value, force = along_circle(lambda z: ordinal_pairwise_loss(z, text, torch.tensor([0]), three), degrees)
    rest = int(value.argmin())
    assert float(degrees[rest]) == pytest.approx(-8.16, abs=0.06)
    assert force[rest - 5] > 0 > force[rest + 5]


def test_three_points_that_push_each_other_alike_end_120_degrees_apart() -> None:
    """Order-blind spread on a circle: the regular triangle, chords √3; L = −(1 + ½) √3 where images lie on texts."""

    def spread(t: Tensor) -> Tensor:
        return ordinal_pairwise_loss_stage1(t, t, t, torch.arange(3.0), blind=True)

    way = walk(spread, on_circle(0, 20, 50)[None], steps=200, rate=0.3)
    assert torch.allclose(way.norm(dim=-1), torch.ones(1, dtype=torch.float64))
    assert float(spread(way[-1, 0])) == pytest.approx(-1.5 * math.sqrt(3), abs=1e-5)
    with pytest.raises(InputError, match="not of unit length"):
        walk(spread, 2 * on_circle(0, 20, 50)[None], steps=1, rate=0.3)


def test_soft_labels_are_cross_entropy_against_them() -> None:
    """Chapter 04 shows SORD in one line, without the library: softmax of −|k − y| as the target of cross-entropy."""
    logits = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))
    target = torch.tensor([0, 4, 2])
    soft = (-(torch.arange(5.0) - target[:, None]).abs()).softmax(dim=1)
    assert float(F.cross_entropy(logits, soft)) == pytest.approx(float(sord_loss(logits, target)), abs=1e-6)
