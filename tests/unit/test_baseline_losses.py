"""Losses of features worked out on paper (those of logits: docstrings and oracles), and every loss on any batch."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from l2rclip_lite.baselines.losses import (
    coral_loss,
    corn_loss,
    dldl_v2_loss,
    mean_variance_loss,
    ordinal_entropy_loss,
    ordinalclip_loss,
    positions,
    rank_n_contrast_loss,
    sord_loss,
    supcon_loss,
)
from l2rclip_lite.baselines.table import alternative_loss

THREE = torch.arange(3.0)


def on_circle(*degrees: float) -> Tensor:
    """Unit vectors of the plane, so distances are chords 2 sin(angle / 2)."""
    angle = torch.deg2rad(torch.tensor(degrees, dtype=torch.float64))
    return torch.stack([angle.cos(), angle.sin()], dim=1)


def test_ordinal_entropy() -> None:
    """Rank 0 at 0° and 60°, so its centre is at 30°; ranks 1 and 2 alone at 120° and 210°.

    Tightness: (2 sin 15°)² = 2 − √3, twice, and images alone do not count. Centres are √2, √2 and 2 apart with gaps
    1, 1 and 2, so weights 0, 0 and ½: spread (½ · 2)/3. L = 2 − √3 − 1/3 = −0.065384.
    """
    features, target = on_circle(0, 60, 120, 210), torch.tensor([0, 0, 1, 2])
    found = ordinal_entropy_loss(features, target, THREE.double())
    assert float(found) == pytest.approx(2 - math.sqrt(3) - 1 / 3)
    assert float(ordinal_entropy_loss(features[:2], target[:2], THREE.double())) == pytest.approx(
        2 - math.sqrt(3)
    )


def test_ordinal_entropy_of_ranks_at_one_position() -> None:
    """Values −10⁹, 0 and 10⁻⁶ are at 0, 1 and 1 in single precision: no gap between the last two, and no push."""
    position = torch.tensor([0.0, 1.0, 1.0])
    assert float(ordinal_entropy_loss(on_circle(0, 90).float(), torch.tensor([1, 2]), position)) == 0


def test_supcon() -> None:
    """Two ranks of two equal images, at right angles: logit 1 for the partner, 0 for both others: log(1 + 2/e).

    An image of a rank of its own is a rival, but asks nothing: at right angles to all it makes it log(1 + 3/e).
    """
    point = torch.eye(3)
    four, five = point[[0, 0, 1, 1]], point[[0, 0, 1, 1, 2]]
    assert float(supcon_loss(four, torch.tensor([0, 0, 1, 1]), 1.0)) == pytest.approx(
        math.log(1 + 2 / math.e)
    )
    assert float(supcon_loss(five, torch.tensor([0, 0, 1, 1, 2]), 1.0)) == pytest.approx(
        math.log(1 + 3 / math.e)
    )


def test_rank_n_contrast() -> None:
    """The released code's number for six images in two views, and three points on a line.

    Points 0, 1, 2 at ranks 0, 1, 2, τ = 2: each end has log(1 + e^−½) to pay for its neighbour and nothing for the
    other end; the middle pays log 2 twice. Ranks 0, 5, 6 instead: for rank 5 the nearer 6 has a rival, 0 has none.
    """
    generator = torch.Generator().manual_seed(0)
    torch.randn(5, 8, generator=generator, dtype=torch.float64)  # the texts of the fixture
    image = F.normalize(torch.randn(6, 8, generator=generator, dtype=torch.float64), dim=1)
    views, label = torch.cat([image, image + 0.01]), torch.tensor([0, 1, 2, 3, 4, 2.0] * 2)
    assert float(rank_n_contrast_loss(views, label)) == pytest.approx(1.815708, abs=1e-6)
    line, end = torch.tensor([[0.0], [1.0], [2.0]]), math.log(1 + math.exp(-0.5))
    assert float(rank_n_contrast_loss(line, THREE)) == pytest.approx((2 * end + 2 * math.log(2)) / 6)
    uneven = rank_n_contrast_loss(line, torch.tensor([0.0, 5.0, 6.0]))
    assert float(uneven) == pytest.approx((2 * end + math.log(2)) / 6)


def test_ordinalclip() -> None:
    """Two images of rank 0 with p_0 = ¾ and ½: CE = (log 4/3 + log 2)/2 = 0.490415.

    Over the images, rank 0 has softmax (¾, ¼) and goal (½, ½): KL = ½ log 2/3 + ½ log 2 = 0.143841; rank 1 is absent.
    """
    found = ordinalclip_loss(torch.tensor([[math.log(3), 0.0], [0.0, 0.0]]), torch.tensor([0, 0]))
    assert float(found) == pytest.approx(0.490415 + 0.143841, abs=1e-6)


def test_a_unit_changes_no_loss() -> None:
    """Decades 1930, 1940, 1950 are at 0, 1, 2 as grades are; uneven ones keep their proportions."""
    assert torch.equal(positions(torch.tensor([1930.0, 1940.0, 1950.0])), THREE)
    assert positions(torch.tensor([0.0, 1.0, 8.0])).tolist() == [0.0, 0.25, 2.0]


@pytest.mark.parametrize("name", ["ordinal-entropy", "supcon", "rank-n-contrast", "sord", "mean-variance"])
def test_in_place_of_the_pairwise_loss(name: str) -> None:
    """The published functions on features or logits s·z·t; Mean-Variance without its cross-entropy."""
    image, text, target = on_circle(10, 80, 130, 190), on_circle(0, 90, 180), torch.tensor([0, 1, 1, 2])
    values, scale = torch.tensor([1930.0, 1940.0, 1950.0]).double(), torch.tensor(3.0).double()
    logits, place = 3 * image @ text.T, THREE.double()
    expected = {
        "ordinal-entropy": ordinal_entropy_loss(image, target, place),
        "supcon": supcon_loss(image, target, 3.0),
        "rank-n-contrast": rank_n_contrast_loss(image, place[target]),
        "sord": sord_loss(logits, target),
        "mean-variance": mean_variance_loss(logits, target, place) - F.cross_entropy(logits, target),
    }
    loss = alternative_loss(name, image, text, target, values, scale=scale)
    assert float(loss) == pytest.approx(float(expected[name]))


LOSSES: tuple[Callable[[Tensor, Tensor], Tensor], ...] = (
    lambda x, y: coral_loss(x[:, 1:], y),
    lambda x, y: corn_loss(x[:, 1:], y),
    sord_loss,
    lambda x, y: dldl_v2_loss(x, y, torch.arange(5.0)),
    lambda x, y: mean_variance_loss(x, y, torch.arange(5.0)),
    lambda x, y: ordinal_entropy_loss(F.normalize(x, dim=1), y, torch.arange(5.0)),
    lambda x, y: supcon_loss(F.normalize(x, dim=1), y, 20.0),
    # in single precision the distance of two equal images is as large as 1e-3, and another one in another order
    lambda x, y: rank_n_contrast_loss(x.double(), y.double()),
    ordinalclip_loss,
)


@given(target=st.lists(st.integers(0, 4), min_size=1, max_size=7), seed=st.integers(0, 2**31))
@pytest.mark.parametrize("loss", LOSSES)
def test_any_batch_trains(loss: Callable[[Tensor, Tensor], Tensor], target: list[int], seed: int) -> None:
    """One image, one label, equal images: a finite loss with a finite gradient that does not depend on the order."""
    generator = torch.Generator().manual_seed(seed)
    outputs = torch.randn(len(target), 5, generator=generator)
    outputs[-1] = outputs[0]
    outputs.requires_grad_()
    label = torch.tensor(target)
    value = loss(outputs, label)
    torch.autograd.backward(value)
    assert value.isfinite()
    assert outputs.grad is not None
    assert outputs.grad.isfinite().all()
    order = torch.randperm(len(target), generator=generator)
    assert float(loss(outputs[order], label[order]).detach()) == pytest.approx(
        float(value.detach()), abs=1e-5
    )
