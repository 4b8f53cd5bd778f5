"""An answer is probabilities, and what follows from them."""

from typing import Any

import numpy as np
import pytest
import torch

from l2rclip_lite.errors import InputError
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.prediction import Prediction, cheapest_ranks, medians

RANKS = Ranks(("new", "used", "worn"), (0, 2, 7), template="a {rank} tyre", unit="years")


def test_the_answers_by_hand() -> None:
    """(.5, .2, .3) at 0, 2, 7 years: most probable and median "new", expected 0.4 + 2.1 = 2.5.

    Without a level the interval holds all ranks, although in float32 the last may be farther than 1
    from the median. The central 40 % lie between 0.3 and 0.7 of the cumulative row (.5, .7, 1).
    """
    rows = torch.tensor([[0.5, 0.2, 0.3], [0.0, 0.0, 1.0], [0.6, 0.4, 0.0]])
    prediction = Prediction.of(rows, RANKS)
    assert prediction.rank.tolist() == [0, 2, 0]
    assert prediction.name == ("new", "worn", "new")
    assert prediction.median.tolist() == [0, 2, 0]
    assert prediction.expected.tolist() == pytest.approx([2.5, 7.0, 0.8])
    assert (prediction.low.tolist(), prediction.high.tolist()) == ([0, 0, 0], [2, 2, 2])

    narrow = Prediction.of(rows[:2], RANKS, conformal=0.39)
    assert (narrow.low.tolist(), narrow.high.tolist()) == ([0, 2], [1, 2])


# --- a price list -------------------------------------------------------------------------------


def test_the_cheapest_answer_by_hand() -> None:
    """To call a worn tyre new costs 10: new costs 0.2 · 2 + 0.3 · 10 = 3.4, used 0.5 + 0.6 = 1.1.

    Worn costs 0.5 · 2 + 0.2 = 1.2. The median is what it was.
    """
    rows = torch.tensor([[0.5, 0.2, 0.3]])
    costs = torch.tensor([[0, 1, 2], [2, 0, 1], [10, 2, 0]])
    prediction = Prediction.of(rows, RANKS, costs=costs)
    assert (prediction.rank.tolist(), prediction.name) == ([1], ("used",))
    assert prediction.to_frame()[["rank", "name", "median"]].to_numpy().tolist() == [[1, "used", 0]]


def test_equal_prices_give_the_most_probable_rank_and_steps_the_median() -> None:
    """At a tie, too: tenths are not exact in floats, and .4 + .1 is to be ½."""
    rows = np.random.default_rng(0).multinomial(10, [0.2] * 5, size=400) / 10
    places = np.arange(5)
    assert (cheapest_ranks(rows, 1 - np.eye(5)) == (10 * rows).round().argmax(axis=1)).all()
    assert (cheapest_ranks(rows, abs(places[:, None] - places)) == medians(rows)).all()


@pytest.mark.untyped
@pytest.mark.parametrize("costs", [[[0, 1]], [[0, -1], [1, 0]], [[0, np.nan], [1, 0]], [0, 1]])
def test_what_is_no_price_list_is_refused(costs: Any) -> None:
    """Not K by K, negative, or not a number."""
    with pytest.raises(InputError, match=r"^costs: .*; give 2 rows of 2 finite numbers ≥ 0\.$"):
        cheapest_ranks(np.array([[0.5, 0.5]]), costs)
