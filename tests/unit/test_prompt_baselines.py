"""CoOp and OrdinalCLIP: the weights by hand, what learns, and what the sentence holds."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from l2rclip_lite.prompt_baselines import InterpolatedPrompts, PromptHead, interpolation_weights
from l2rclip_lite.prompts import RankPrompts
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.towers import Towers

RANKS = Ranks(("no", "very low", "low", "high", "very high"), (0, 1, 2, 3, 4), "a leaf with {rank} damage")


def test_weights_by_hand() -> None:
    """Five ranks, base ranks at 0, 2 and 4.

    Linear, rank 0: 1, ½, 0 over 1½. Rank 1: ¾, ¾, ¼ over 1¾. Inverse, rank 0: 1/ε, ½, ¼, nearly 1, 0, 0; rank 1:
    1, 1, ⅓ over 2⅓. A single base rank is every rank.
    """
    linear, inverse = interpolation_weights(5, 3), interpolation_weights(5, 3, "inverse")
    assert linear[0].tolist() == pytest.approx([2 / 3, 1 / 3, 0])
    assert linear[1].tolist() == pytest.approx([3 / 7, 3 / 7, 1 / 7])
    assert inverse[0].tolist() == pytest.approx([1, 0, 0], abs=1e-4)
    assert inverse[1].tolist() == pytest.approx([3 / 7, 3 / 7, 1 / 7], abs=1e-4)
    assert interpolation_weights(4, 1).tolist() == [[1], [1], [1], [1]]


@given(st.integers(2, 70), st.integers(1, 70), st.sampled_from(["linear", "inverse"]))
def test_weights_are_shares_and_mirror(ranks: int, base_ranks: int, weighting: str) -> None:
    """Rows sum to 1, none is negative, and counting from the top gives the same."""
    weights = interpolation_weights(ranks, min(base_ranks, ranks), weighting)  # type: ignore[arg-type]
    assert (weights >= 0).all()
    assert torch.allclose(weights.sum(1), torch.ones(ranks))
    assert torch.allclose(weights.flip(0, 1), weights, atol=1e-4)


@pytest.mark.parametrize("base_ranks", [1, 2, 3, 5, 9])
def test_the_sentence_holds_the_blend(tiny: Towers, base_ranks: int) -> None:
    """Fewer, as many and more base ranks than ranks: all sentences are equal but for one vector, the blended one.

    "very low" has two tokens and "low" one; here each rank has one, so no sentence is longer than another.
    """
    prompts = InterpolatedPrompts(tiny, RANKS, base_ranks=base_ranks, context_length=2, seed=3)
    assert prompts.base.shape == (min(base_ranks, 5), tiny.width)
    found, slots = prompts.embeddings(), prompts.full_tokens.rank_words
    assert slots.sum(1).tolist() == [1] * 5
    assert torch.equal(found[slots], prompts.weights @ prompts.base)
    assert torch.equal(found[~slots].view(5, -1)[1:], found[~slots].view(5, -1)[:-1])
    assert prompts().shape == (5, tiny.dim)


def test_context_and_base_ranks_start_apart(tiny: Towers) -> None:
    """Both are drawn from one seed, on the scale of the words; equal rows would be one vector under two names."""
    prompts = InterpolatedPrompts(tiny, RANKS, base_ranks=3, context_length=4)
    rows = torch.cat([prompts.context, prompts.base])
    assert (torch.corrcoef(rows) - torch.eye(7)).abs().max() < 0.7
    assert float(prompts.base.detach().std() / prompts.context.detach().std()) == pytest.approx(1, abs=0.3)


@pytest.mark.parametrize("kind", [RankPrompts, InterpolatedPrompts])
def test_what_learns_and_what_is_fixed(tiny: Towers, kind: type[RankPrompts]) -> None:
    """Gradients reach context and base ranks; the fixed head gives the same logits and has nothing to train."""
    options = {} if kind is InterpolatedPrompts else {"rankformer": False}
    head = PromptHead(kind(tiny, RANKS, **options))  # type: ignore[arg-type]
    images = torch.eye(3, tiny.dim)
    logits = head(images)
    torch.autograd.backward(logits.square().sum())
    learned = dict(head.named_parameters())
    assert learned.keys() == {"prompts.context"} | (
        {"prompts.base"} if kind is InterpolatedPrompts else set()
    )
    assert all(value.grad is not None and value.grad.abs().sum() > 0 for value in learned.values())
    fixed = head.fixed()
    assert torch.allclose(fixed(images), logits)
    assert not any(parameter.requires_grad for parameter in fixed.parameters())
    tiny.zero_grad()
