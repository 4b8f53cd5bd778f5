"""What RankFormer lets words see and how far they moved: counted by hand."""

import pytest
import torch

from l2rclip_book.rankformer_views import changed_ranks, movement, read_by, spellings, woken
from l2rclip_lite.rankformer import Axis, RankFormer
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.towers.base import Tokens
from l2rclip_lite.towers.load import load_towers

# Words by number; 0 is start, end or padding. "a leaf with no", "a leaf with very low", "a leaf with low".
IDS = torch.tensor([[0, 1, 2, 3, 4, 0, 0], [0, 1, 2, 3, 5, 6, 0], [0, 1, 2, 3, 6, 0, 0]])
WORDS = IDS > 0
TOKENS = Tokens(IDS, torch.arange(7) < WORDS.sum(1, keepdim=True) + 2, WORDS, WORDS)
EMBEDDED = torch.randn(7, 16, generator=torch.Generator().manual_seed(1))[IDS]


@pytest.mark.parametrize(("axis", "seen"), [("token", 5), ("rank", 3), ("joint", 13)])
def test_who_sees_whom(axis: Axis, seen: int) -> None:
    """Asked for "very", slot 4 of sentence 1: its sentence has 5 words, its slot 3, and there are 4 + 5 + 4 in all."""
    torch.manual_seed(0)
    model = woken(RankFormer(16, heads=2, hidden=32, axis=axis))
    gradient = read_by(model, EMBEDDED, TOKENS, rank=1, slot=4)
    assert int((gradient > 0).sum()) == seen
    assert float(gradient[~WORDS].abs().sum()) == 0
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
