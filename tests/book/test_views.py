"""What figures are drawn of, worked out by hand: forces, words that are read, layouts."""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from l2rclip_book.loss_geometry import on_circle, text_forces, walk
from l2rclip_book.projections import islands, turned_like
from l2rclip_book.rankformer_views import changed_ranks, movement, read_by, spellings, woken
from l2rclip_lite.config import Axis
from l2rclip_lite.method.losses import (
    distances,
    ordinal_pairwise_loss,
    ordinal_pairwise_loss_stage1,
)
from l2rclip_lite.method.rankformer import RankFormer
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.towers.base import Tokens
from l2rclip_lite.towers.load import load_towers

# --- forces of the losses -------------------------------------------------------------------------

PENTAGON = on_circle(*[90 + 72 * k for k in range(5)])
RANK0 = torch.tensor([0])


def by_distance(z: Tensor, t: Tensor) -> Tensor:
    """Return cross-entropy of an image of rank 0 at scale 5, by distances: z·t = 1 − d²/2."""
    return F.cross_entropy(-5 * distances(z, t) ** 2 / 2, RANK0)


pairwise = partial(
    ordinal_pairwise_loss, target=RANK0, values=torch.arange(5.0, dtype=torch.float64)
)


@pytest.mark.parametrize(
    "loss", [by_distance, pairwise, partial(pairwise, order="shuffled", push_power=2)]
)
def test_the_forces_of_all_texts_are_the_force_on_the_image(
    loss: Callable[[Tensor, Tensor], Tensor],
) -> None:
    """Action and reaction: minus the gradient at the image, and along the line to each text."""
    image = on_circle(40).requires_grad_()
    forces = text_forces(loss, image, PENTAGON)
    (gradient,) = torch.autograd.grad(loss(image, PENTAGON), image)
    assert torch.allclose(forces.sum(0), -gradient[0])
    line = PENTAGON - image.detach()
    assert torch.allclose(forces[:, 0] * line[:, 1], forces[:, 1] * line[:, 0], atol=1e-12)


def test_three_points_that_push_each_other_alike_end_120_degrees_apart() -> None:
    """Order-blind spread on a circle: the regular triangle, chords √3; L = −(1 + ½) √3."""

    def spread(t: Tensor) -> Tensor:
        return ordinal_pairwise_loss_stage1(t, t, t, torch.arange(3.0), blind=True)

    way = walk(spread, on_circle(0, 20, 50)[None], steps=200, rate=0.3)
    assert torch.allclose(way.norm(dim=-1), torch.ones(1, dtype=torch.float64))
    assert float(spread(way[-1, 0])) == pytest.approx(-1.5 * math.sqrt(3), abs=1e-5)


# --- words that RankFormer reads and moves --------------------------------------------------------

# Words by number: "a leaf with no", "a leaf with very low", "a leaf with low".
# 0 is start, end or padding.
IDS = torch.tensor([[0, 1, 2, 3, 4, 0, 0], [0, 1, 2, 3, 5, 6, 0], [0, 1, 2, 3, 6, 0, 0]])
WORDS = IDS > 0
TOKENS = Tokens(IDS, torch.arange(7) < WORDS.sum(1, keepdim=True) + 2, WORDS, WORDS)
EMBEDDED = torch.randn(7, 16, generator=torch.Generator().manual_seed(1))[IDS]


@pytest.mark.parametrize(("axis", "n_read"), [("token", 5), ("rank", 3), ("joint", 13)])
def test_a_word_reads_its_sentence_its_slot_or_all(axis: Axis, n_read: int) -> None:
    """Of "very", slot 4 of sentence 1: 5 words in its sentence, 3 in its slot, 4 + 5 + 4 in all.

    A rank changes itself the most, which counts as 1, and others unless sentences are read alone.
    """
    torch.manual_seed(0)
    attentive = woken(RankFormer(16, heads=2, hidden=32, axis=axis))
    gradient = read_by(attentive, EMBEDDED, TOKENS, rank=1, slot=4)
    assert int((gradient > 0).sum()) == n_read
    assert float(gradient[~WORDS].abs().sum()) == 0

    changed = changed_ranks(attentive, EMBEDDED, TOKENS)
    assert torch.equal(changed == 1, torch.eye(3, dtype=torch.bool))
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


# --- layouts of features --------------------------------------------------------------------------


def test_a_mirrored_and_turned_layout_turns_back_and_keeps_its_size() -> None:
    """A quarter turn and a mirror are undone; a layout of twice the size stays twice as large."""
    flat = np.random.default_rng(0).standard_normal((20, 2))
    centred = flat - flat.mean(0)
    mirror = np.array([[0.0, 1.0], [1.0, 0.0]])
    quarter_turn = np.array([[0.0, 1.0], [-1.0, 0.0]])
    moved = flat @ mirror @ quarter_turn
    np.testing.assert_allclose(turned_like(2 * moved + 5, flat), 2 * centred, atol=1e-9)


def test_water_must_be_wide_and_an_island_large() -> None:
    """A row of 20 points is one island, without four inner ones two; four points apart are none."""
    row = np.stack([np.linspace(0, 1, 20), np.zeros(20)], axis=1)
    assert islands(row, gap=0.06) == 1
    assert islands(np.delete(row, range(8, 12), axis=0), gap=0.06) == 2
    assert islands(np.concatenate([row, row[:4] + np.array([0, 9])]), gap=0.06) == 1
