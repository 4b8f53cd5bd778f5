"""Which words RankFormer reads, and how far it moves them: counted by hand."""

import pytest
import torch

from l2rclip_book.rankformer_views import changed_ranks, movement, read_by, spellings, woken
from l2rclip_lite.config import Axis
from l2rclip_lite.method.rankformer import RankFormer
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.towers.base import Tokens
from l2rclip_lite.towers.load import load_towers

# Words by number: "a leaf with no", "a leaf with very low", "a leaf with low".
# 0 is start, end or padding.
IDS = torch.tensor([[0, 1, 2, 3, 4, 0, 0], [0, 1, 2, 3, 5, 6, 0], [0, 1, 2, 3, 6, 0, 0]])
WORDS = IDS > 0
TOKENS = Tokens(IDS, torch.arange(7) < WORDS.sum(1, keepdim=True) + 2, WORDS, WORDS)
EMBEDDED = torch.randn(7, 16, generator=torch.Generator().manual_seed(1))[IDS]


def attentive(axis: Axis) -> RankFormer:
    """Return a RankFormer with random weights that reads along an axis."""
    torch.manual_seed(0)
    return woken(RankFormer(16, heads=2, hidden=32, axis=axis))


@pytest.mark.parametrize(("axis", "n_read"), [("token", 5), ("rank", 3), ("joint", 13)])
def test_a_word_reads_its_sentence_its_slot_or_all(axis: Axis, n_read: int) -> None:
    """Of "very", slot 4 of sentence 1: 5 words in its sentence, 3 in its slot, 4 + 5 + 4 in all."""
    gradient = read_by(attentive(axis), EMBEDDED, TOKENS, rank=1, slot=4)
    assert int((gradient > 0).sum()) == n_read
    assert float(gradient[~WORDS].abs().sum()) == 0


@pytest.mark.parametrize("axis", ["token", "rank", "joint"])
def test_a_rank_changes_others_unless_sentences_are_read_alone(axis: Axis) -> None:
    """Each changes itself the most, which counts as 1."""
    changed = changed_ranks(attentive(axis), EMBEDDED, TOKENS)
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
