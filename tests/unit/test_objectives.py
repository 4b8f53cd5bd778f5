"""Every row of the registry of losses keeps its rules, and every loss trains on any batch."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from l2rclip_lite.baselines.registry import BASELINES, OBJECTIVES, PROBES


def test_the_names_are_those_of_the_registries() -> None:
    """Each once; a loss that reads features alone has no frozen form, which could learn nothing."""
    frozen = {name.removesuffix("-frozen") for name in BASELINES if name.endswith("-frozen")}
    assert len(set(BASELINES)) == len(BASELINES)
    assert {*BASELINES} == {*PROBES, *OBJECTIVES, *(f"{name}-frozen" for name in frozen)}
    assert {"coral", "sord", "coop", "rps"} <= frozen < OBJECTIVES.keys()
    assert not {"ordinal-entropy", "supcon", "rank-n-contrast"} & frozen


def test_no_two_rows_share_a_number() -> None:
    """The number of the tuned form, and the next one of the frozen form; 1 and 2 are L2RCLIP's."""
    numbers = [1, 2]
    for row in OBJECTIVES.values():
        numbers += [row.number, row.number + 1]
    assert len(set(numbers)) == len(numbers)


def batch_loss(name: str, outputs: Tensor, target: Tensor) -> Tensor:
    """Return the loss of a batch as training has it; the outputs are also the features."""
    objective = OBJECTIVES[name]
    answers = outputs
    if objective.decoder in ("coral", "corn"):
        answers = outputs[:, 1:]  # one for each threshold between two ranks

    return objective.batch_loss(
        answers,
        target,
        position=torch.tensor([0.0, 1.0, 1.0, 3.0, 4.0]).to(outputs),  # two may round to one place
        features=F.normalize(outputs, dim=1),
        scale=torch.tensor(20.0).to(outputs),
    )


@given(labels=st.lists(st.integers(0, 4), min_size=1, max_size=7), seed=st.integers(0, 2**31))
@pytest.mark.parametrize("name", OBJECTIVES)
def test_any_batch_trains(name: str, labels: list[int], seed: int) -> None:
    """One image, one label, equal images: loss and gradient are finite, whatever the order."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.tensor(labels)
    # in single precision the distance of two equal images can be 1e-3, by their order in the batch
    outputs = torch.randn(len(labels), 5, generator=generator, dtype=torch.float64)
    outputs[-1] = outputs[0]
    outputs.requires_grad_()

    loss = batch_loss(name, outputs, target)
    (gradient,) = torch.autograd.grad(loss, outputs)
    assert loss.isfinite()
    assert gradient.isfinite().all()

    order = torch.randperm(len(labels), generator=generator)
    moved = batch_loss(name, outputs[order], target[order])
    assert float(moved.detach()) == pytest.approx(float(loss.detach()), abs=1e-5)
