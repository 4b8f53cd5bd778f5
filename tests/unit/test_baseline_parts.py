"""Probes, prompts of CoOp and OrdinalCLIP, and the rates of baselines that tune the image tower."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from rank_axis import rank_axis
from torch import Tensor

from l2rclip_lite.baselines import probes
from l2rclip_lite.baselines.prompts import (
    CoopPrompts,
    InterpolatedPrompts,
    PromptHead,
    learned_prompts,
)
from l2rclip_lite.config import Config, Controls
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.towers.base import Towers

FOUR = Ranks.integers(0, 3, template="grade {rank}")
STEPS = torch.arange(4)
LINE = F.pad(STEPS[:, None].float(), (0, 1))  # rank k is at (k, 0)


def test_zero_shot_reads_the_bare_sentences(tiny: Towers) -> None:
    """Centred where those of the run are: the mean of the texts is moved to the origin.

    Whatever the prompts have learned plays no part.
    """
    config = Config(towers="tiny/random", heads=2)
    model = L2RCLIP(tiny, FOUR, config)
    assert model.prompts is not None
    torch.nn.init.ones_(model.prompts.context)
    raw = tiny.encode_text(FOUR.sentences)
    centred = F.normalize(raw - raw.mean(0), dim=1)
    assert torch.allclose(probes.bare_sentences(model), centred, atol=1e-5)

    model.config = replace(config, controls=Controls(centre=False))
    assert torch.allclose(probes.bare_sentences(model), raw, atol=1e-5)


def both(train: Tensor, val: Tensor) -> dict[str, Tensor]:
    """Return tensors of both splits."""
    return {"train": train, "val": val}


@pytest.mark.parametrize(
    ("train", "targets", "val", "expected"),
    [
        # the ends lead along the ranks, but those between them stray sideways: covariance
        # −1.5 (0, 0) − 0.5 (1, 6) + 0.5 (2, −6) + 1.5 (3, 0) = (5, −6)
        ([[0, 0], [1, 6], [2, -6], [3, 0]], STEPS, LINE, (3, 0)),
        # the only image of the highest rank strays by 2, and the covariance follows it less:
        # −0.2 · 3 (1, 0) + 0.8 · 3 (2, 0) + 1.8 (3, 2) = (9.6, 3.6), around the mean value of 1.2
        (
            [*([[0, 0], [1, 0], [2, 0]] * 3), [3, 2]],
            torch.tensor([0, 1, 2, 0, 1, 2, 0, 1, 2, 3]),
            torch.cat([LINE + torch.tensor([0, 3]), LINE - torch.tensor([0, 3])]),
            (9.6, 3.6),
        ),
    ],
    ids=["ends", "covariance"],
)
def test_the_rank_axis_is_one_of_two_directions(
    train: list[list[float]], targets: Tensor, val: Tensor, expected: tuple[float, float]
) -> None:
    """From end to end, or the covariance with the values: what validation images like better."""
    features = both(torch.tensor(train).float(), val.float())
    head = rank_axis(features, both(targets, STEPS.repeat(len(val) // 4)), FOUR)

    direction = F.normalize(torch.tensor(expected).float(), dim=0)
    length = head.weight[:-1].norm(dim=0)
    assert torch.allclose(head.weight[:-1], direction[:, None] * length, atol=1e-4)
    assert torch.allclose(length, length[0])  # one slope for all thresholds


FIVE = Ranks(
    ("no", "very low", "low", "high", "very high"), (0, 1, 2, 3, 4), "a leaf with {rank} damage"
)


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


def test_gradients_reach_context_and_base_ranks_and_nothing_of_the_towers(tiny: Towers) -> None:
    """Of the prompts of both."""
    tiny.requires_grad_(False)
    model = L2RCLIP(tiny, FIVE, Config(heads=2))
    images = torch.eye(3, tiny.dim)
    for kind, expected in (
        (CoopPrompts, {"prompts.context"}),
        (InterpolatedPrompts, {"prompts.context", "prompts.base"}),
    ):
        head = PromptHead(tiny, learned_prompts(model, kind))
        logits = head(images)
        torch.autograd.backward(logits.square().sum())
        parameters = head.named_parameters()
        assert {name for name, value in parameters if value.grad is not None} == expected
