"""What RankFormer lets words see and whose gradients agree: counted by hand."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from l2rclip_book.gradients import SlotVectors, gradient_alignment
from l2rclip_book.rankformer_views import (
    changed_ranks,
    movement,
    read_by,
    shift_groups,
    spellings,
    woken,
)
from l2rclip_lite.baselines.prompts import InterpolatedPrompts
from l2rclip_lite.errors import InputError
from l2rclip_lite.mini import load_towers
from l2rclip_lite.prompts import RankPrompts
from l2rclip_lite.rankformer import Axis, RankFormer
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.towers import Tokens, Towers

# Words by number; 0 is start, end or padding. "a leaf with no", "a leaf with very low", "a leaf with low".
IDS = torch.tensor([[0, 1, 2, 3, 4, 0, 0], [0, 1, 2, 3, 5, 6, 0], [0, 1, 2, 3, 6, 0, 0]])
WORDS = IDS > 0
TOKENS = Tokens(IDS, torch.arange(7) < WORDS.sum(1, keepdim=True) + 2, WORDS, WORDS)
EMBEDDED = torch.randn(7, 16, generator=torch.Generator().manual_seed(1))[IDS]
RANKS = Ranks(("no", "very low", "low", "high"), (0, 1, 2, 3), template="a leaf with {rank} damage")


@pytest.fixture(scope="module")
def tiny() -> Towers:
    """A random CLIP of two layers."""
    return load_towers("tiny/random")


@pytest.fixture(scope="module")
def images(tiny: Towers) -> Tensor:
    """Four directions, of lengths that must not matter."""
    drawn = torch.randn(4, tiny.dim, generator=torch.Generator().manual_seed(3))
    return torch.tensor([[1.0], [2.0], [3.0], [0.5]]) * drawn


@pytest.mark.parametrize(("axis", "seen", "shifts"), [("token", 5, 13), ("rank", 3, 7), ("joint", 13, 6)])
def test_who_sees_whom(axis: Axis, seen: int, shifts: int) -> None:
    """Asked for "very", slot 4 of sentence 1: its sentence has 5 words, its slot 3, and there are 4 + 5 + 4 in all.

    Shifts: no sentence repeats a word, so 13; along `rank` 3 columns, 3 words in slot 4, 1 in slot 5; 6 different words.
    """
    torch.manual_seed(0)
    model = woken(RankFormer(16, heads=2, hidden=32, axis=axis))
    gradient = read_by(model, EMBEDDED, TOKENS, rank=1, slot=4)
    assert int((gradient > 0).sum()) == seen
    assert float(gradient[~WORDS].abs().sum()) == 0
    groups = shift_groups(model, EMBEDDED, TOKENS)
    assert groups.max() + 1 == shifts
    assert torch.equal(groups < 0, ~WORDS)
    changed = changed_ranks(model, EMBEDDED, TOKENS)
    assert torch.equal(changed.diagonal(), torch.ones(3))
    assert (changed == 1).sum() == 3
    assert (changed > 0).all() == (axis != "token")


def test_movement_is_relative_and_alpha_at_the_start() -> None:
    """R' = (1 - α)R moves a word by α of its length, whatever that is; other slots by 0."""
    moved = movement(RankFormer(16, heads=2, hidden=32, alpha=0.25), 7 * EMBEDDED, TOKENS)
    assert torch.allclose(moved, 0.25 * WORDS.float())


def test_spellings_end_where_the_sentence_ends() -> None:
    """Words as they are read."""
    ranks = Ranks(("no", "very low"), (0, 1), template="a leaf with {rank} damage")
    towers = load_towers("mini")
    assert spellings(towers, towers.tokenize(ranks.sentences, template=ranks.template)) == [
        ["start", "a", "leaf", "with", "no", "damage", "end", "·"],
        ["start", "a", "leaf", "with", "very", "low", "damage", "end"],
    ]


def test_a_small_step_helps_as_the_gradients_say(tiny: Towers, images: Tensor) -> None:
    """A step ε along g_i / |g_i| changes z̄_j · t_j by c_ij = ε g_i · g_j / |g_i|, so A_ij = c_ij / c_jj."""
    prompts, z = RankPrompts(tiny, RANKS, heads=2, hidden=16), F.normalize(images, dim=1)
    expected = gradient_alignment(prompts(tiny), images, [prompts.context])
    changes = []
    for rank in range(4):
        (gradient,) = torch.autograd.grad((z[rank] * prompts(tiny)[rank]).sum(), [prompts.context])
        step, agreement = 0.002 * gradient / gradient.norm(), []
        for move in (step, -2 * step):
            prompts.context.data += move
            agreement.append((z * prompts(tiny).detach()).sum(dim=1))
        prompts.context.data += step
        changes.append((agreement[0] - agreement[1]) / 2)
    table = torch.stack(changes)  # row i: ε g_i · g_j / |g_i|
    assert torch.allclose(table / table.diagonal(), expected, atol=0.005)


def test_learners_whose_alignment_is_known(tiny: Towers, images: Tensor) -> None:
    """Own vectors without centring share nothing: the identity. With α alone, gradients are numbers: 1 or -1."""
    own = InterpolatedPrompts(tiny, RANKS, base_ranks=4, weighting="inverse", context_length=0, centre=False)
    assert torch.allclose(gradient_alignment(own(tiny), images, [own.base]), torch.eye(4), atol=1e-3)
    prompts = RankPrompts(tiny, RANKS, heads=2, hidden=16)
    assert prompts.rankformer is not None
    signs = gradient_alignment(prompts(tiny), images, [prompts.rankformer.alpha])
    assert torch.allclose(signs.abs(), torch.ones(4, 4), atol=1e-5)
    with pytest.raises(InputError, match="no parameter given here can move the text of rank 0"):
        gradient_alignment(own(tiny), images, [prompts.rankformer.alpha])


def test_slot_vectors_move_words_alone(tiny: Towers) -> None:
    """They start at the template; then word n of every rank moves by vector n, after the context, and nothing else."""
    control = SlotVectors(tiny, RANKS, context_length=3)
    start = control.embeddings().detach().clone()
    assert torch.equal(start, RankPrompts(tiny, RANKS, context_length=3, rankformer=False).embeddings())
    control.vectors.data += torch.arange(float(len(control.vectors)))[:, None]
    moved = (control.embeddings() - start).detach()
    slot = torch.arange(moved.shape[1]) - 3
    assert torch.allclose(moved, (control.prompt_tokens.words * slot)[..., None] * 1.0, atol=1e-5)
