"""The baselines' losses on any batch; their numbers: docstrings and oracles."""

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
    rank_n_contrast_loss,
    sord_loss,
    supcon_loss,
)


def test_ordinal_entropy_of_ranks_at_one_position() -> None:
    """Values −10⁹, 0 and 10⁻⁶ are at 0, 1 and 1 in single precision: no gap, and no push."""
    position = torch.tensor([0.0, 1.0, 1.0])
    target = torch.tensor([1, 2])
    assert float(ordinal_entropy_loss(torch.eye(2), target, position)) == 0


def test_rank_n_contrast_as_released() -> None:
    """The released code's number for six images in two views."""
    generator = torch.Generator().manual_seed(0)
    torch.randn(5, 8, generator=generator, dtype=torch.float64)  # the texts of the fixture
    image = F.normalize(torch.randn(6, 8, generator=generator, dtype=torch.float64), dim=1)
    views = torch.cat([image, image + 0.01])
    label = torch.tensor([0, 1, 2, 3, 4, 2.0] * 2)

    assert float(rank_n_contrast_loss(views, label)) == pytest.approx(1.815708, abs=1e-6)


VALUES = torch.arange(5.0)

# Each takes five numbers per image and a rank index per image.
LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "coral": lambda x, y: coral_loss(x[:, 1:], y),
    "corn": lambda x, y: corn_loss(x[:, 1:], y),
    "sord": sord_loss,
    "dldl-v2": lambda x, y: dldl_v2_loss(x, y, VALUES),
    "mean-variance": lambda x, y: mean_variance_loss(x, y, VALUES),
    "ordinal-entropy": lambda x, y: ordinal_entropy_loss(F.normalize(x, dim=1), y, VALUES),
    "supcon": lambda x, y: supcon_loss(F.normalize(x, dim=1), y, 20.0),
    # in single precision the distance of two equal images can be 1e-3, by their order in the batch
    "rank-n-contrast": lambda x, y: rank_n_contrast_loss(x.double(), y.double()),
    "ordinalclip": ordinalclip_loss,
}


@given(target=st.lists(st.integers(0, 4), min_size=1, max_size=7), seed=st.integers(0, 2**31))
@pytest.mark.parametrize("name", LOSSES)
def test_any_batch_trains(name: str, target: list[int], seed: int) -> None:
    """One image, one label, equal images: loss and gradient are finite, whatever the order."""
    loss = LOSSES[name]
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
    moved = loss(outputs[order], label[order])
    assert float(moved.detach()) == pytest.approx(float(value.detach()), abs=1e-5)
