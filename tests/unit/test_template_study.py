"""Order in text features and its controls: scores that can be worked out on a circle, and a network that forgot all."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from l2rclip_lite.errors import InputError
from l2rclip_lite.mini import MiniTowers
from l2rclip_lite.ordinality import ordinality
from l2rclip_lite.prompts import centred
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.template_study import (
    SCORES,
    further_is_less,
    orders,
    p_value,
    random_scores,
    random_weights,
    shuffled_gaps,
    shuffled_scores,
    token_rows,
    two_axes,
)
from l2rclip_lite.towers import Towers


def on_circle(*degrees: float) -> Tensor:
    """Unit vectors in the plane."""
    angle = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    return torch.stack([angle.cos(), angle.sin()], dim=1)


def test_both_tokenizers_cut_as_they_are_known_to(tiny: Towers, mini: Towers) -> None:
    """CLIP: nine + teen, 3 tokens with a hyphen, a token a digit; MiniLM: nineteen and 21 are words."""
    ranks = Ranks(("nineteen", "twenty-one", "21"), (0, 1, 2), "a {rank} years old face")
    clip, minilm = (token_rows(towers, ranks) for towers in (tiny, mini))
    spelled = [[text for text, of_rank in row if of_rank] for row in clip]
    assert spelled == [["nine", "teen"], ["twenty", "-", "one"], ["2", "1"]]
    spelled = [[text for text, of_rank in row if of_rank] for row in minilm]
    assert spelled == [["nineteen"], ["twenty", "-", "one"], ["21"]]
    assert [text for text, _ in minilm[2]] == ["a", "21", "years", "old", "face"]


def test_orders_start_with_the_truth_and_are_all_of_them_where_they_are_few() -> None:
    """5! = 120 different orders; with 119 draws or 62 ranks they are seeded shuffles."""
    every = orders(5, 120)
    assert len({tuple(order) for order in every.tolist()}) == 120
    assert len(orders(5, 119)) == 119
    for found in (every, orders(62, 10, seed=1)):
        assert found[0].tolist() == list(range(len(found[0])))
        assert all(sorted(order) == list(range(len(order))) for order in found.tolist())
    assert not np.array_equal(orders(62, 3, seed=1), orders(62, 3, seed=2))


def test_three_vectors_on_an_arc_have_two_orders_as_good_as_the_truth() -> None:
    """At 0°, 60°, 120° the true order and its mirror score 1, the four others −½: p = 2/6."""
    scores = shuffled_gaps(on_circle(0, 60, 120), orders(3, 6))
    assert scores == pytest.approx([1, -0.5, -0.5, -0.5, -0.5, 1])
    assert p_value(scores) == pytest.approx(1 / 3)


@given(st.integers(3, 8), st.integers(0, 2**31))
def test_the_fast_gap_is_the_gap_of_ordinality(count: int, seed: int) -> None:
    """Any features, any orders; the first order is the true one, and reading backwards changes no gap."""
    features = torch.randn(count, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    names = np.concatenate([orders(count, 4, seed), orders(count, 1)[:, ::-1]])
    slow = shuffled_scores(features, names)
    assert shuffled_gaps(features, names) == pytest.approx(slow["gap"], abs=1e-12)
    assert {score: values[0] for score, values in slow.items()} == ordinality(features)
    assert slow["gap"][-1] == pytest.approx(slow["gap"][0], abs=1e-12)


def test_chance_is_high_for_five_vectors_and_low_for_many() -> None:
    """`component` of five random vectors is about one half (see `ordinality`); bands shrink with K."""
    few, many = random_scores(5, 384, 200), random_scores(30, 384, 50)
    assert few["component"].mean() == pytest.approx(0.5, abs=0.06)
    assert few["gap"].mean() == pytest.approx(0, abs=0.06)
    assert all(np.ptp(many[score]) < np.ptp(few[score]) for score in SCORES)


def test_random_weights_keep_the_sentence_and_forget_its_meaning(mini: Towers) -> None:
    """Digits, one token each, lose all order; words keep some, because they share tokens; the towers are untouched."""
    assert isinstance(mini, MiniTowers)
    before = {name: value.clone() for name, value in mini.text.state_dict().items()}
    one, same, other = (random_weights(mini, seed) for seed in (0, 0, 1))
    names = [str(age) for age in range(16, 78)]
    ages = Ranks.integers(16, 77, template="{rank} years")
    with torch.no_grad():
        digits = {k: towers.encode_text(names) for k, towers in enumerate((one, same, other))}
        words = one.encode_text(ages.sentences)
    assert torch.equal(digits[0], digits[1])
    assert not torch.allclose(digits[0], digits[2], atol=0.1)
    assert abs(ordinality(centred(digits[0]))["gap"]) < 0.1
    assert ordinality(centred(words))["gap"] > 0.15
    assert all(torch.equal(value, before[name]) for name, value in mini.text.state_dict().items())


def test_local_order_by_hand() -> None:
    """At 0°, 10°, 40°: of 0, 1 is nearer than 2; of 2, 1 is nearer than 0. At 0°, 40°, 10°: both wrong. Ties are half."""
    assert further_is_less(on_circle(0, 10, 40)) == 1
    assert further_is_less(on_circle(0, 40, 10)) == 0.0
    assert further_is_less(on_circle(0, 0, 0)) == 0.5


def test_local_order_asks_for_the_gaps_it_is_given() -> None:
    """At 0°, 10°, 20°, 5°. Gap 1 against 2: rightwards 10 < 20 won, 10 > 5 lost; leftwards 15 > 5 lost, 10 < 20 won."""
    features = on_circle(0, 10, 20, 5)
    assert further_is_less(features, [1]) == 0.5
    # of 0: 20° against 5°, lost; of 3: 5° (to rank 1) against 5° (to rank 0), a tie
    assert further_is_less(features, [2]) == 0.25
    # one step against three: of 0: 10° against 5°, lost; of 3: 15° against 5°, lost
    assert further_is_less(features, [1], by=2) == 0
    with pytest.raises(InputError, match=r"^further_is_less: 4 ranks leave no pair"):
        further_is_less(features, [3])


def test_two_axes_grow_with_the_rank_and_say_what_they_leave_out() -> None:
    """Along a line, falling: turned so that it grows; variances 9 : 4 : 1 in three directions: 13/14 on two axes."""
    at, share = two_axes(torch.tensor([[4.0, 0.0], [2.0, 0.0], [0.0, 0.0]]))
    assert at[:, 0] == pytest.approx([-2, 0, 2])
    assert share == pytest.approx(1)
    cross = torch.tensor([[3.0, 0, 0], [-3, 0, 0], [0, 2, 0], [0, -2, 0], [0, 0, 1], [0, 0, -1]])
    assert two_axes(cross)[1] == pytest.approx(13 / 14)
