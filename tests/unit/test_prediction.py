"""An answer is probabilities, and what follows from them."""

import pytest
import torch

from l2rclip_lite.method.prediction import Prediction
from l2rclip_lite.method.ranks import Ranks

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
