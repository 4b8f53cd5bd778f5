"""What RankFormer lets words see and which words move alike, against counts by hand."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from l2rclip_lite.choices import Axis
from l2rclip_lite.rankformer import RankFormer
from l2rclip_lite.rankformer_views import (
    attention_pairs,
    changed_ranks,
    movement,
    parameter_count,
    read_by,
    relative_attention,
    shift_groups,
    spellings,
    woken,
)
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.towers import Tokens, Towers

AXES: tuple[Axis, ...] = ("token", "rank", "joint")
# Words by number; 0 is start, end or padding. "a leaf with no", "a leaf with very low", "a leaf with low".
IDS = torch.tensor([[0, 1, 2, 3, 4, 0, 0], [0, 1, 2, 3, 5, 6, 0], [0, 1, 2, 3, 6, 0, 0]])
WORDS = IDS > 0


def tokens() -> Tokens:
    """Three sentences of two lengths."""
    length = WORDS.sum(1, keepdim=True) + 2
    return Tokens(IDS, torch.arange(7) < length, WORDS, WORDS)


def embedded() -> Tensor:
    """A vector for each different word."""
    return torch.randn(7, 16, generator=torch.Generator().manual_seed(1))[IDS]


def former(axis: Axis, seed: int = 0) -> RankFormer:
    """A small RankFormer that does something."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return woken(RankFormer(16, heads=2, hidden=32, axis=axis), seed)


@pytest.mark.parametrize(("axis", "seen"), [("token", 5), ("rank", 3), ("joint", 13)])
def test_a_word_reads_its_sentence_its_slot_or_all(axis: Axis, seen: int) -> None:
    """Sentence 1 has 5 words, slot 4 has 3, and there are 4 + 5 + 4 in all.

    The word asked is "very", in slot 4 of sentence 1; start, end and padding have gradient 0.
    """
    found = read_by(former(axis), embedded(), tokens(), rank=1, slot=4)
    assert int((found > 0).sum()) == seen
    assert float(found[~WORDS].abs().sum()) == 0


@pytest.mark.parametrize("axis", AXES)
def test_ranks_change_with_each_other_unless_along_token(axis: Axis) -> None:
    """Along `token` the identity to the last bit; else every rank hears of every other, less than of itself."""
    found = changed_ranks(former(axis), embedded(), tokens())
    assert torch.equal(found.diagonal(), torch.ones(3))
    others = found[~torch.eye(3, dtype=torch.bool)]
    assert (others == 0).all() if axis == "token" else ((others > 0) & (others < 1)).all()


@pytest.mark.parametrize(("axis", "number"), [("token", 13), ("rank", 7), ("joint", 6)])
def test_number_of_different_shifts(axis: Axis, number: int) -> None:
    """No sentence repeats a word, so 13; along `rank` 3 columns, 3 words of slot 4 and 1 of slot 5; 6 different words.

    Slots without a word are −1.
    """
    groups = shift_groups(former(axis), embedded(), tokens())
    assert groups.max() + 1 == number
    assert bool((groups[~WORDS] == -1).all())
    assert bool((groups[WORDS] >= 0).all())
    assert groups[0, 1] == 0, "in reading order"


@given(st.permutations(range(3)), st.sampled_from(AXES), st.integers(0, 5))
def test_it_knows_no_order(order: list[int], axis: Axis, seed: int) -> None:
    """Permuted sentences give permuted answers: relations of ranks can only come from their words."""
    model, given_tokens, words = former(axis, seed), tokens(), embedded()
    mixed = Tokens(
        *(part[order] for part in (given_tokens.ids, given_tokens.mask, WORDS, given_tokens.words))
    )
    assert torch.allclose(model(words[order], mixed), model(words, given_tokens)[order], atol=1e-5)


@pytest.mark.parametrize("axis", AXES)
def test_equal_attention_is_one(axis: Axis) -> None:
    """Weights of a word add to 1, so relative weights add to the number of words in sight."""
    found = relative_attention(former(axis), embedded(), tokens())
    number = {"token": WORDS.sum(1), "rank": WORDS.sum(0), "joint": WORDS.sum()[None]}[axis]
    real = {"token": WORDS, "rank": WORDS.T, "joint": WORDS.reshape(1, -1)}[axis]
    assert torch.allclose(found.sum(2), real * number[:, None].float(), atol=1e-5)


def test_movement_is_relative_and_alpha_at_the_start() -> None:
    """R' = (1 − α)R moves a word by α of its length, whatever that is; other slots by 0."""
    start = RankFormer(16, heads=2, hidden=32, alpha=0.25)
    found = movement(start, 7 * embedded(), tokens())
    assert torch.allclose(found[WORDS], torch.tensor(0.25))
    assert float(found[~WORDS].abs().max()) == 0


@given(st.sampled_from([16, 24, 64]), st.integers(1, 40), st.integers(1, 3))
def test_parameters_by_hand(width: int, hidden: int, depth: int) -> None:
    """The formulas count what the module holds."""
    module = RankFormer(width, heads=8, hidden=hidden, depth=depth)
    assert sum(parameter_count(width, hidden, depth).values()) == sum(p.numel() for p in module.parameters())


def test_pairs_are_those_of_the_attention_maps() -> None:
    """A map for each group, query by key: as many entries as pairs."""
    for axis in AXES:
        assert former(axis).attention(embedded(), tokens()).numel() == attention_pairs(axis, 3, 7)


def test_spellings_of_both_tokenizers(tiny: Towers, mini: Towers) -> None:
    """Words as they are read, with the end where the sentence ends."""
    ranks = Ranks(("no", "very low"), (0, 1), template="a leaf with {rank} damage")
    expected = [
        ["start", "a", "leaf", "with", "no", "damage", "end", "·"],
        ["start", "a", "leaf", "with", "very", "low", "damage", "end"],
    ]
    for towers in (tiny, mini):
        assert spellings(towers, towers.tokenize(ranks.sentences, template=ranks.template)) == expected
