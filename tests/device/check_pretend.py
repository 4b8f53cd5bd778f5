"""The device that the other tests of this folder rely on."""

import pretend
import pytest
import torch


@pytest.fixture(scope="module")
def numbers() -> torch.Tensor:
    """Six numbers on the device."""
    return torch.arange(6.0, device=pretend.device())


def test_it_takes_no_tensor_of_the_cpu(numbers: torch.Tensor) -> None:
    """But for a number without axes, as a GPU does."""
    assert (numbers * torch.tensor(2.0))[1].item() == 2
    with pytest.raises(RuntimeError, match="same device"):
        numbers + torch.ones(6)
    with pytest.raises(RuntimeError, match=r"one of shape \[1\] is on the CPU"):
        numbers[torch.tensor([0])]


def test_it_notes_what_is_sent_and_what_is_waited_for(numbers: torch.Tensor) -> None:
    """A fill and a sum cost neither; a mask has to be counted."""
    with pretend.watched() as traffic:
        torch.ones(3, device=pretend.device()).sum()
    assert traffic == pretend.Traffic()

    with pretend.watched() as traffic:
        torch.tensor([1.0, 2.0], device=pretend.device())
        torch.ones(3).to(pretend.device())
    assert (len(traffic.sent), len(traffic.waits)) == (2, 0)

    with pretend.watched() as traffic:
        float(numbers.sum())
        numbers.cpu()
        numbers[numbers > 2]
    assert (len(traffic.sent), len(traffic.waits)) == (0, 3)
