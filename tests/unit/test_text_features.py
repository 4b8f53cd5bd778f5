"""The text features of a model: encoded anew when the prompts have changed, and only then."""

from collections.abc import Callable

import pytest
import torch

from l2rclip_lite.config import Config
from l2rclip_lite.method.model import L2RCLIP
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.method.stages import freeze

RANKS = Ranks(("new", "used", "worn"), (0, 2, 7), template="a {rank} tyre", unit="years")


@pytest.fixture
def model() -> L2RCLIP:
    """A model whose context has been moved away from its start."""
    model = L2RCLIP.build(RANKS, Config(towers="tiny/random", heads=2, hidden=16))
    with torch.no_grad():
        model.prompts.context += 1
    model.refresh()
    return model


def step_by_adam(model: L2RCLIP, *, fused: bool = False) -> None:
    """Take a step of stage 1, then freeze the prompts, with neither eval() nor refresh()."""
    model.train()
    optimizer = torch.optim.Adam(freeze(model, "stage 1").values(), lr=0.1, fused=fused)
    model(torch.zeros(1, 3, 64, 64)).var().backward()
    optimizer.step()
    freeze(model, "stage 2")
    model.train()


def step_by_fused_adam(model: L2RCLIP) -> None:
    """Do the same with an optimiser that marks no parameter as changed."""
    step_by_adam(model, fused=True)


def change_in_place(model: L2RCLIP) -> None:
    """Write into the context."""
    model.eval()
    with torch.no_grad():
        model.prompts.context.mul_(-3)


def load_prompts(model: L2RCLIP) -> None:
    """Load a state of the prompts alone."""
    model.eval()
    state = {}
    for name, value in model.state_dict().items():
        if name.startswith("prompts."):
            state[name] = value + 0.5
    model.load_state_dict(state, strict=False)


@pytest.mark.parametrize(
    "change", [step_by_adam, step_by_fused_adam, change_in_place, load_prompts]
)
def test_text_features_are_never_stale(change: Callable[[L2RCLIP], None], model: L2RCLIP) -> None:
    """Whatever changes the prompts: the next answer is of the prompts as they are then."""
    model.train()
    before = model.rank_features.clone()

    change(model)

    with torch.no_grad():
        expected = model.prompts(model.towers)
    assert not torch.allclose(expected, before, atol=1e-3)
    assert torch.allclose(model.text_features(), expected, atol=1e-5)
    assert torch.allclose(model.rank_features, expected, atol=1e-5)


def test_unchanged_prompts_are_not_encoded_again(
    model: L2RCLIP, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor those of a state that brought its text features along."""
    model.load_state_dict(model.state_dict())
    freeze(model, "stage 2")
    monkeypatch.setattr(type(model.prompts), "forward", lambda *_: pytest.fail("encoded"))
    for _ in range(2):
        model.train()(torch.zeros(1, 3, 64, 64))
        model.eval()(torch.zeros(1, 3, 64, 64))


def test_a_text_tower_that_learns_gets_a_gradient(model: L2RCLIP) -> None:
    """Also where the prompts are frozen: `requires_grad` alone decides."""
    model.train().requires_grad_(False)
    model.towers.text.requires_grad_(True)
    model(torch.zeros(1, 3, 64, 64)).var().backward()
    assert any(p.grad is not None and p.grad.any() for p in model.towers.text.parameters())


def test_the_callers_autocast_does_not_reach_stored_texts(model: L2RCLIP) -> None:
    """They stay exact."""
    texts = model.rank_features.clone()
    with torch.autocast("cpu", torch.bfloat16):
        model.refresh()
    assert torch.equal(model.rank_features, texts)
