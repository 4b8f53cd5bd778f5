"""CoOp and OrdinalCLIP: the blend of base ranks in a sentence, and which parts learn."""

import pytest
import torch

from l2rclip_lite.baselines.prompts import (
    InterpolatedPrompts,
    PromptHead,
    coop_prompts,
    interpolation_weights,
    ordinalclip_prompts,
)
from l2rclip_lite.config import Config
from l2rclip_lite.method.model import L2RCLIP
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.towers.base import Towers

FIVE = Ranks(
    ("no", "very low", "low", "high", "very high"), (0, 1, 2, 3, 4), "a leaf with {rank} damage"
)


def test_interpolation_by_hand() -> None:
    """Five ranks, base ranks at 0, 2 and 4, inverse distances.

    Rank 0: 1/ε, ½, ¼, nearly 1, 0, 0; rank 1: 1, 1, ⅓ over 2⅓. A single base rank is every rank.
    """
    inverse = interpolation_weights(5, 3, "inverse")
    assert inverse[:2].flatten().tolist() == pytest.approx([1, 0, 0, 3 / 7, 3 / 7, 1 / 7], abs=1e-4)
    assert interpolation_weights(4, 1).tolist() == [[1], [1], [1], [1]]


@pytest.mark.parametrize("base_ranks", [3, 9])
def test_the_sentence_holds_the_blend(tiny: Towers, base_ranks: int) -> None:
    """All sentences are equal but for one vector, the blended one.

    "very low" has two tokens and "low" one; here each rank has one, so no sentence is longer.
    """
    prompts = InterpolatedPrompts(tiny, FIVE, base_ranks=base_ranks, context_length=2, seed=3)
    words = prompts.embeddings()
    slots = prompts.prompt_tokens.rank_words
    others = words[~slots].view(5, -1)

    assert prompts.base.shape == (min(base_ranks, 5), tiny.width)
    assert slots.sum(1).tolist() == [1] * 5
    assert torch.equal(words[slots], prompts.weights @ prompts.base)
    assert torch.equal(others[1:], others[:-1])

    # one seed draws both: equal rows would be one vector
    rows = torch.cat([prompts.context, prompts.base])
    assert (torch.corrcoef(rows) - torch.eye(len(rows))).abs().max() < 0.7


def test_gradients_reach_context_and_base_ranks_and_nothing_of_a_fixed_head(tiny: Towers) -> None:
    """Which gives the same logits."""
    tiny.requires_grad_(False)
    model = L2RCLIP(tiny, FIVE, Config(heads=2))
    images = torch.eye(3, tiny.dim)
    for prompts, expected in (
        (coop_prompts(model), {"prompts.context"}),
        (ordinalclip_prompts(model), {"prompts.context", "prompts.base"}),
    ):
        head = PromptHead(tiny, prompts)
        logits = head(images)
        torch.autograd.backward(logits.square().sum())
        parameters = head.named_parameters()
        assert {name for name, value in parameters if value.grad is not None} == expected

        fixed = head.fixed()
        assert torch.allclose(fixed(images), logits)
        assert not any(parameter.requires_grad for parameter in fixed.parameters())
