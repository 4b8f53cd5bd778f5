"""Order in text features beside its controls, worked out by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from l2rclip_book.statistics import ordinality
from l2rclip_book.templates import orders, random_weights, shuffled_gaps, token_rows
from l2rclip_lite.method.prompts import centred
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.towers.base import Towers
from l2rclip_lite.towers.load import load_towers
from l2rclip_lite.towers.mini import MiniTowers


@pytest.fixture(scope="module")
def mini() -> MiniTowers:
    """The offline default, with its real weights."""
    towers = load_towers("mini")
    assert isinstance(towers, MiniTowers)
    return towers


def name_tokens(towers: Towers, ranks: Ranks) -> str:
    """Return the tokens of the names, rank by rank."""
    names = []
    for row in token_rows(towers, ranks):
        names.append(" ".join(text for text, named in row if named))
    return " | ".join(names)


def test_clip_cuts_nineteen_and_digits_and_minilm_does_not(mini: MiniTowers) -> None:
    """CLIP: nine + teen, one token per digit; MiniLM: nineteen and 21 are words."""
    ranks = Ranks(("nineteen", "twenty-one", "21"), (0, 1, 2), "a {rank} years old face")
    assert name_tokens(load_towers("tiny/random"), ranks) == "nine teen | twenty - one | 2 1"
    assert name_tokens(mini, ranks) == "nineteen | twenty - one | 21"
    for row in token_rows(mini, ranks):
        assert [text for text, named in row if not named] == ["a", "years", "old", "face"]


def test_random_weights_keep_the_sentence_and_forget_its_meaning(mini: MiniTowers) -> None:
    """Digits, one token each, lose all order; the towers stay as they are."""
    names = [str(age) for age in range(16, 78)]
    with torch.inference_mode():
        before = mini.encode_text(names)
        first, second, other = (random_weights(mini, seed).encode_text(names) for seed in (0, 0, 1))
        assert torch.equal(mini.encode_text(names), before)
    assert torch.equal(first, second)
    assert not torch.allclose(first, other, atol=0.1)
    assert abs(ordinality(centred(first))["gap"]) < 0.1


@given(count=st.integers(3, 8), seed=st.integers(0, 2**31))
def test_the_fast_gap_is_the_gap_of_ordinality(count: int, seed: int) -> None:
    """Any features, any orders; the first is the true one, and its mirror has the same gap."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(count, 5, generator=generator, dtype=torch.float64)
    permutations = np.concatenate([orders(count, 4, seed), orders(count, 1)[:, ::-1]])
    slow = [ordinality(features[torch.from_numpy(order)])["gap"] for order in permutations]
    assert shuffled_gaps(features, permutations) == pytest.approx(slow, abs=1e-12)
    assert slow[-1] == pytest.approx(slow[0], abs=1e-12)
    assert len({tuple(order) for order in orders(5, 120).tolist()}) == 120
