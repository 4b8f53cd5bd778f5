"""The text features of a model: in training anew, in evaluation those of the last `eval()`."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from l2rclip_lite.config import Config
from l2rclip_lite.method.model import L2RCLIP
from l2rclip_lite.method.ranks import Ranks

RANKS = Ranks(("new", "used", "worn"), (0, 2, 7), template="a {rank} tyre", unit="years")
PIXELS = torch.zeros(1, 3, 64, 64)


@pytest.fixture
def model() -> L2RCLIP:
    """A model whose context has been moved away from its start."""
    model = L2RCLIP.build(RANKS, Config(towers="tiny/random", heads=2, hidden=16))
    with torch.no_grad():
        model.prompts.context += 1
    return model.eval()


def step_by_fused_adam(model: L2RCLIP) -> None:
    """Take a step by an optimiser that marks no parameter as changed."""
    optimizer = torch.optim.Adam(model.prompts.parameters(), lr=0.1, fused=True)
    model.train()(PIXELS).var().backward()
    optimizer.step()


def replace_context(model: L2RCLIP) -> None:
    """Put other parameters in its place, of which Python may give one the id of the first."""
    for seed in range(3):
        torch.manual_seed(seed)
        model.prompts.context = nn.Parameter(torch.randn(4, 64))


def load_prompts(model: L2RCLIP) -> None:
    """Load a state of the prompts alone."""
    state = {f"prompts.{name}": value + 0.1 for name, value in model.prompts.state_dict().items()}
    model.load_state_dict(state, strict=False)


@pytest.mark.parametrize("change", [step_by_fused_adam, replace_context, load_prompts])
@pytest.mark.parametrize("in_training", [True, False])
def test_text_features_are_never_stale(
    change: Callable[[L2RCLIP], None], in_training: bool, model: L2RCLIP
) -> None:
    """In training the next answer is of the prompts as they are then, as is `eval()`."""
    before = model.rank_features.clone()
    model.train(in_training)
    change(model)

    with torch.no_grad():
        expected = model.prompts(model.towers)
    assert not torch.allclose(expected, before, atol=1e-3)
    if model.training:
        assert torch.allclose(model.text_features(), expected, atol=1e-4)
    assert torch.allclose(model.eval().text_features(), expected, atol=1e-4)
    assert torch.equal(model.rank_features, model.text_features())
