"""Forces and parts of the losses, on points that can be worked out by hand, and what their figures draw."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.text import Annotation
from torch import Tensor

from l2rclip_book import loss_figures as draw
from l2rclip_book.loss_geometry import cross_entropy_parts, on_circle, text_forces, walk
from l2rclip_lite.errors import InputError
from l2rclip_lite.losses import ordinal_pairwise_loss, ordinal_pairwise_loss_stage1
from l2rclip_lite.plots import rank_colours

FAN = (0, 30, 60, 90, 120)
PLACE = torch.tensor([-60.0, 30.0, 180.0])
PENTAGON = on_circle(*[90 + 72 * k for k in range(5)])
FIVE = torch.arange(5.0, dtype=torch.float64)
RANK0 = torch.tensor([0])


@given(seed=st.integers(0, 2**31), scale=st.floats(0.01, 100), ranks=st.integers(2, 7))
def test_parts_add_up_and_the_bound_holds(seed: int, scale: float, ranks: int) -> None:
    """Against PyTorch's cross-entropy of the dot products, for any features and any scale."""
    generator = torch.Generator().manual_seed(seed)
    text = F.normalize(torch.randn(ranks, 8, generator=generator, dtype=torch.float64), dim=1)
    image = F.normalize(torch.randn(4, 8, generator=generator, dtype=torch.float64), dim=1)
    target = torch.randint(ranks, (4,), generator=generator)
    parts = cross_entropy_parts(image, text, target, scale)
    whole = float(F.cross_entropy(scale * image @ text.T, target))
    assert float(parts.pull + parts.push) == pytest.approx(whole, abs=1e-6 * (1 + scale))
    assert float(parts.bound) <= whole + 1e-6 * (1 + scale)


def by_parts(z: Tensor, t: Tensor) -> Tensor:
    """Cross-entropy of an image of rank 0, as a function of distances."""
    return sum(cross_entropy_parts(z, t, RANK0, 5.0)[:2])


pairwise = partial(ordinal_pairwise_loss, target=RANK0, values=FIVE)


@pytest.mark.parametrize("loss", [by_parts, pairwise, partial(pairwise, order="shuffled", push_power=2)])
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
    """Order-blind spread on a circle: the regular triangle, chords √3; L = −(1 + ½) √3 where images lie on texts."""

    def spread(t: Tensor) -> Tensor:
        return ordinal_pairwise_loss_stage1(t, t, t, torch.arange(3.0), blind=True)

    way = walk(spread, on_circle(0, 20, 50)[None], steps=200, rate=0.3)
    assert torch.allclose(way.norm(dim=-1), torch.ones(1, dtype=torch.float64))
    assert float(spread(way[-1, 0])) == pytest.approx(-1.5 * math.sqrt(3), abs=1e-5)
    with pytest.raises(InputError, match="not of unit length"):
        walk(spread, 2 * on_circle(0, 20, 50)[None], steps=1, rate=0.3)


def test_a_black_arrow_only_where_forces_do_not_cancel() -> None:
    """Texts at 0° and 180° push an image at 90° by 1 each along their lines, 45° off: alike they cancel along the circle.

    Without the second one the push (−1, 1)/√2 is left, of which 1/√2 = 0.71 turns the image.
    """
    text, image = on_circle(0, 180), on_circle(90)
    push = torch.tensor([[-1.0, 1.0], [1.0, 1.0]], dtype=torch.float64) / 2**0.5
    alone = push * torch.tensor([[1.0], [0.0]])
    figure = draw.force_circles({"both": push, "one": alone}, text, image, own=0)
    arrows = [[text for text in axis.texts if isinstance(text, Annotation)] for axis in figure.axes]
    black = [[arrow.arrowprops["color"] == draw.INK for arrow in each] for each in arrows]
    assert black == [[False, False], [False, True]]
    assert [axis.get_title("left")[-4:] for axis in figure.axes] == ["0.00", "0.71"]


def test_pairs_without_distance_or_weight_have_no_line() -> None:
    """Two images between two texts of weight 1: one line each, none to the text under them, and stars apart."""
    weights = torch.tensor([[0.0, 0.5, 1.0], [1.0, 0.5, 0.0]])
    (axis,) = draw.weighted_pairs({"between": [(0, 60), (2, 60)]}, weights, [("a", "b")], (0, 60, 120)).axes
    assert len(axis.lines) == 1 + 2  # the circle and two pairs
    assert {text.get_text() for text in axis.texts} == {"0", "1", "2", "a", "b"}
    assert len({tuple(dots.get_offsets()[0].round(6)) for dots in axis.collections}) == 3 + 2


def test_places_of_rest_and_free_texts() -> None:
    """The least loss is marked on the curve, a rest per rank; ways end on the outer ring, every start is counted."""
    value = torch.tensor([1.0, 0.2, 2.0])
    rests = {
        order: [own + shift for own in FAN] for order, shift in zip(draw.ORDERS, (0, 5, -5), strict=True)
    }
    figure = draw.resting_places(PLACE, dict.fromkeys(draw.ORDERS, (value, -value)), rests, FAN, shown=1)
    left, right, _ = figure.axes
    assert {tuple(dots.get_offsets()[0].round(6)) for dots in left.collections} == {(30.0, 0.2)}
    dots = [marks.get_offsets()[:, 0].tolist() for marks in right.collections[1:]]
    assert dots == [[*FAN], *rests.values()]
    way, found = on_circle(0, 90).expand(4, 2, 2), {"circle": [1.0, 1.0, 0.0], "sphere": [-0.5, 0.5]}
    figure = draw.free_texts(dict.fromkeys(draw.ORDERS, way), dict.fromkeys(draw.ORDERS, found))
    paths = figure.axes[0].lines[2:]
    assert [path.get_color() for path in paths] == rank_colours(2)
    assert np.allclose(
        [path.get_xydata()[[0, -1]] for path in paths], [[[0.45, 0], [1, 0]], [[0, 0.45], [0, 1]]]
    )
    below = figure.axes[3]
    assert below.lines[0].get_ydata().max() == 2  # two starts in one bin on the circle
    assert below.get_legend_handles_labels()[1] == ["circle", "sphere"]


def test_forces_are_drawn_as_shares_in_colours_that_no_rank_has() -> None:
    """A force of 2, 0, −4 is 0.5, 0, −1 of its largest value."""
    (axis,) = draw.force_curves(PLACE, {"a": torch.tensor([2.0, 0.0, -4.0])}, FAN, own=1, columns=1).axes
    assert axis.lines[0].get_ydata() == pytest.approx([0.5, 0, -1])
    areas = {tuple(area.get_facecolor()[0, :3]) for area in axis.collections}
    assert len(areas) == 2
    assert not areas & {colour[:3] for colour in rank_colours(5)}
