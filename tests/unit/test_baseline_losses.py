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
    """Values −10⁹, 0 and 10⁻⁶ are at 0, 1 and 1 in single precision: no gap between the last two, and no push."""
    position = torch.tensor([0.0, 1.0, 1.0])
    assert float(ordinal_entropy_loss(torch.eye(2), torch.tensor([1, 2]), position)) == 0


def test_rank_n_contrast_as_released() -> None:
    """The released code's number for six images in two views."""
    generator = torch.Generator().manual_seed(0)
    torch.randn(5, 8, generator=generator, dtype=torch.float64)  # the texts of the fixture
    image = F.normalize(torch.randn(6, 8, generator=generator, dtype=torch.float64), dim=1)
    views, label = torch.cat([image, image + 0.01]), torch.tensor([0, 1, 2, 3, 4, 2.0] * 2)
    assert float(rank_n_contrast_loss(views, label)) == pytest.approx(1.815708, abs=1e-6)


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
def test_any_batch_trains(
    loss: Callable[[Tensor, Tensor], Tensor], target: list[int], seed: int
) -> None:
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
