"""The baselines' losses on any batch; their numbers: docstrings and oracles."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from l2rclip_lite.baselines.losses import ordinal_entropy_loss, rank_n_contrast_loss
from l2rclip_lite.baselines.registry import OBJECTIVES


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


def batch_loss(name: str, outputs: Tensor, target: Tensor) -> Tensor:
    """The loss of a batch as training has it; the outputs are also the features."""
    objective = OBJECTIVES[name]
    answers = outputs[:, 1:] if objective.decoder in ("coral", "corn") else outputs
    return objective.batch_loss(
        answers,
        target,
        position=torch.arange(5.0, dtype=outputs.dtype),
        features=F.normalize(outputs, dim=1),
        scale=torch.tensor(20.0, dtype=outputs.dtype),
    )


@given(target=st.lists(st.integers(0, 4), min_size=1, max_size=7), seed=st.integers(0, 2**31))
@pytest.mark.parametrize("name", OBJECTIVES)
def test_any_batch_trains(name: str, target: list[int], seed: int) -> None:
    """One image, one label, equal images: a finite loss with a finite gradient that does not depend on the order."""
    generator = torch.Generator().manual_seed(seed)
    # in single precision the distance of two equal images is as large as 1e-3, and another one in another order
    outputs = torch.randn(len(target), 5, generator=generator, dtype=torch.float64)
    outputs[-1] = outputs[0]
    outputs.requires_grad_()
    label = torch.tensor(target)
    value = batch_loss(name, outputs, label)
    torch.autograd.backward(value)
    assert value.isfinite()
    assert outputs.grad is not None
    assert outputs.grad.isfinite().all()
    order = torch.randperm(len(target), generator=generator)
    assert float(batch_loss(name, outputs[order], label[order]).detach()) == pytest.approx(
        float(value.detach()), abs=1e-5
    )
