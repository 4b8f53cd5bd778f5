"""Order in text features beside its controls, and a CLIP made of names: each worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from l2rclip_book.alignment import recall, split_names, unseen_similarity
from l2rclip_book.loss_geometry import on_circle
from l2rclip_book.statistics import ordinality
from l2rclip_book.templates import (
    further_is_less,
    orders,
    p_value,
    random_weights,
    shuffled_gaps,
    shuffled_scores,
    token_rows,
    two_axes,
)
from l2rclip_lite.mini import MiniTowers, load_towers
from l2rclip_lite.prompts import centred
from l2rclip_lite.ranks import Ranks


@pytest.fixture(scope="module")
def mini() -> MiniTowers:
    """The offline default, with its real weights."""
    towers = load_towers("mini")
    assert isinstance(towers, MiniTowers)
    return towers


def test_both_tokenizers_cut_as_they_are_known_to(mini: MiniTowers) -> None:
    """CLIP: nine + teen, 3 tokens with a hyphen, one token per digit; MiniLM: nineteen and 21 are words."""
    ranks = Ranks(("nineteen", "twenty-one", "21"), (0, 1, 2), "a {rank} years old face")
    for towers, expected in (
        (load_towers("tiny/random"), [["nine", "teen"], ["twenty", "-", "one"], ["2", "1"]]),
        (mini, [["nineteen"], ["twenty", "-", "one"], ["21"]]),
    ):
        rows = token_rows(towers, ranks)
        assert [[text for text, named in row if named] for row in rows] == expected
        assert [text for text, named in rows[2] if not named] == ["a", "years", "old", "face"]


def test_random_weights_keep_the_sentence_and_forget_its_meaning(mini: MiniTowers) -> None:
    """Digits, one token each, lose all order; the towers stay as they are."""
    names = [str(age) for age in range(16, 78)]
    with torch.inference_mode():
        before = mini.encode_text(names)
        one, same, other = (random_weights(mini, seed).encode_text(names) for seed in (0, 0, 1))
        assert torch.equal(mini.encode_text(names), before)
    assert torch.equal(one, same)
    assert not torch.allclose(one, other, atol=0.1)
    assert abs(ordinality(centred(one))["gap"]) < 0.1


def test_three_vectors_on_an_arc_have_two_orders_as_good_as_the_truth() -> None:
    """At 0°, 60°, 120° the true order and its mirror score 1, the four others -½: p = 2/6."""
    scores = shuffled_gaps(on_circle(0, 60, 120), orders(3, 6))
    assert scores == pytest.approx([1, -0.5, -0.5, -0.5, -0.5, 1])
    assert p_value(scores) == pytest.approx(1 / 3)
    assert len({tuple(order) for order in orders(5, 120).tolist()}) == 120


@given(st.integers(3, 8), st.integers(0, 2**31))
def test_the_fast_gap_is_the_gap_of_ordinality(count: int, seed: int) -> None:
    """Any features, any orders; the first order is the true one, and reading backwards changes no gap."""
    features = torch.randn(count, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    names = np.concatenate([orders(count, 4, seed), orders(count, 1)[:, ::-1]])
    slow = shuffled_scores(features, names)
    assert shuffled_gaps(features, names) == pytest.approx(slow["gap"], abs=1e-12)
    assert {score: values[0] for score, values in slow.items()} == ordinality(features)
    assert slow["gap"][-1] == pytest.approx(slow["gap"][0], abs=1e-12)


def test_local_order_by_hand() -> None:
    """At 0°, 10°, 20°, 5°. Gap 1 against 2: rightwards 10 < 20 won, 10 > 5 lost; leftwards 15 > 5 lost, 10 < 20 won.

    Gap 2 against 3: of 0, 20° against 5° is lost; of 3, 5° against 5° is a tie. One step against three: both lost.
    """
    features = on_circle(0, 10, 20, 5)
    assert further_is_less(features, [1]) == 0.5
    assert further_is_less(features, [2]) == 0.25
    assert further_is_less(features, [1], by=2) == 0
    assert further_is_less(on_circle(0, 0, 0)) == 0.5


def test_two_axes_say_what_they_leave_out() -> None:
    """Variances 9 : 4 : 1 in three directions: 13/14 on two axes."""
    cross = torch.tensor([[3.0, 0, 0], [-3, 0, 0], [0, 2, 0], [0, -2, 0], [0, 0, 1], [0, 0, -1]])
    assert two_axes(cross)[1] == pytest.approx(13 / 14)


def test_a_linear_world_is_found_and_a_shuffled_one_is_not() -> None:
    """Texts that are a linear map of the rows: the rest is found without a miss; wrong pairs find next to nothing."""
    generator = torch.Generator().manual_seed(1)
    classifier = torch.randn(200, 20, generator=generator)
    texts = classifier @ torch.randn(20, 15, generator=generator)
    assert recall(unseen_similarity(classifier, texts, 1e-3, seed=0)) == 1
    assert recall(unseen_similarity(classifier, texts, 1e-3, seed=0, shuffle=True)) < 0.2
    assert sorted(torch.cat(split_names(40, seed=3)).tolist()) == list(range(40))
    table = torch.tensor([[0.9, 0.1, 0.9], [0.8, 0.2, 0.1], [0.5, 0.4, 0.3]])  # its own column: 1st, 2nd, 3rd
    assert [recall(table, k) for k in (1, 2, 3)] == pytest.approx([1 / 3, 2 / 3, 1])
