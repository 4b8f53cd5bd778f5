"""Who helps whom: gradients against finite steps, and learners whose answer is known."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from l2rclip_lite.borrowing import SlotVectors, borrowing, by_gap
from l2rclip_lite.errors import InputError
from l2rclip_lite.prompt_baselines import InterpolatedPrompts
from l2rclip_lite.prompts import RankPrompts
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.towers import Towers

RANKS = Ranks(("no", "very low", "low", "high"), (0, 1, 2, 3), template="a leaf with {rank} damage")


def images(towers: Towers) -> Tensor:
    """Four directions, of lengths that must not matter."""
    drawn: Tensor = torch.randn(4, towers.dim, generator=torch.Generator().manual_seed(3))
    lengths = torch.tensor([[1.0], [2.0], [3.0], [0.5]])
    scaled: Tensor = lengths * drawn
    return scaled


def test_a_small_step_helps_as_the_gradients_say(tiny: Towers) -> None:
    """A step ε along g_i / |g_i| changes z̄_j · t_j by c_ij = ε g_i · g_j / |g_i|, so B_ij = c_ij / c_jj."""
    prompts = RankPrompts(tiny, RANKS, heads=2, hidden=16)
    expected, z = borrowing(prompts, images(tiny), [prompts.context]), F.normalize(images(tiny), dim=1)
    step, changes = 0.002, []

    def agreement() -> Tensor:
        with torch.no_grad():
            found: Tensor = (z * prompts()).sum(dim=1)
        return found

    for rank in range(4):
        (gradient,) = torch.autograd.grad((z[rank] * prompts()[rank]).sum(), [prompts.context])
        way = step * gradient / gradient.norm()
        prompts.context.data += way
        above = agreement()
        prompts.context.data -= 2 * way
        changes.append((above - agreement()) / 2)
        prompts.context.data += way
    table = torch.stack(changes)  # row i: ε g_i·g_j / |g_i|
    assert torch.allclose(table / table.diagonal(), expected, atol=0.005)


def test_vectors_of_their_own_help_nobody(tiny: Towers) -> None:
    """One vector a rank and no centring: nothing is shared, so the matrix is diagonal."""
    own = InterpolatedPrompts(tiny, RANKS, base_ranks=4, weighting="inverse", context_length=0, centre=False)
    assert torch.allclose(borrowing(own, images(tiny), [own.base]), torch.eye(4), atol=1e-3)
    own.centre = True
    assert not torch.allclose(borrowing(own, images(tiny), [own.base]), torch.eye(4), atol=1e-3)


def test_one_number_pulls_one_way_or_the_other(tiny: Towers) -> None:
    """With α alone the gradients are numbers, so B is 1 or −1."""
    prompts = RankPrompts(tiny, RANKS, heads=2, hidden=16)
    assert prompts.rankformer is not None
    found = borrowing(prompts, images(tiny), [prompts.rankformer.alpha])
    assert torch.allclose(found.abs(), torch.ones(4, 4), atol=1e-5)


def test_a_text_that_cannot_move_is_refused(tiny: Towers) -> None:
    """Prompts without RankFormer do not read another's α."""
    other = RankPrompts(tiny, RANKS, heads=2, hidden=16).rankformer
    assert other is not None
    plain = RankPrompts(tiny, RANKS, rankformer=False)
    with pytest.raises(InputError, match="no parameter given here can move the text of rank 0"):
        borrowing(plain, images(tiny), [other.alpha])


def test_slot_vectors_move_words_alone(tiny: Towers) -> None:
    """They start at the template; then word n of every rank moves by vector n, behind the context, and nothing else."""
    control = SlotVectors(tiny, RANKS, context_length=3)
    start = control.embeddings().detach().clone()
    assert torch.equal(start, RankPrompts(tiny, RANKS, context_length=3, rankformer=False).embeddings())
    control.vectors.data += torch.arange(float(len(control.vectors)))[:, None]
    moved = (control.embeddings() - start).detach()
    words = control.full_tokens.words
    slot = torch.arange(moved.shape[1]) - 3
    assert torch.allclose(moved, (words * slot)[..., None].expand_as(moved).float(), atol=1e-5)


def test_by_gap_takes_means_along_diagonals() -> None:
    """Pairs 0-1, 1-2: (4 + 6) / 2 = 5; pair 0-2: 8."""
    table = torch.tensor([[1.0, 4.0, 8.0], [4.0, 1.0, 6.0], [8.0, 6.0, 1.0]])
    assert by_gap(table).tolist() == [5.0, 8.0]
