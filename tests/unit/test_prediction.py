"""An answer is probabilities, and what follows from them."""

import math
from typing import Any

import pytest
import torch

from l2rclip_lite.errors import InputError
from l2rclip_lite.method.prediction import Prediction
from l2rclip_lite.method.ranks import Ranks

RANKS = Ranks(("new", "used", "worn"), (0, 2, 7), template="a {rank} tyre", unit="years")
ROW = torch.tensor([[0.5, 0.2, 0.3]])


@pytest.mark.untyped
@pytest.mark.parametrize(
    ("rows", "settings", "sentence"),
    [
        (ROW * math.nan, {}, "probabilities is nan in row 0"),
        (2 * ROW, {}, "row 0 of probabilities sums to 2; give numbers ≥ 0 that sum to 1"),
        (
            torch.tensor([[1.5, -0.5, 0.0]]),
            {},
            "row 0 of probabilities holds -0.5; give numbers ≥ 0",
        ),
        (ROW[0], {}, r"probabilities is float64\[3\]"),
        (ROW[:, :2], {}, "give 1 rows, 3 columns"),
        (ROW, {"conformal": math.nan}, "conformal is nan; give a number from 0 to 1"),
        (ROW, {"conformal": 2.0}, "conformal is 2.0"),
        (ROW, {"conformal": -1.0}, "conformal is -1.0"),
        (ROW, {"path": ["a", "b"]}, "2 paths, 1 images; give each image one, or none"),
    ],
)
def test_what_is_no_answer_is_refused(
    rows: torch.Tensor, settings: dict[str, Any], sentence: str
) -> None:
    """It became a prediction, with NaN as its expectation."""
    with pytest.raises(InputError, match=sentence):
        Prediction.of(rows, RANKS, **settings)


def test_without_calibration_an_interval_has_all_ranks() -> None:
    """In float32 0.6 + 0.4 is more than 1, so the last rank is farther than 1 from the median."""
    answer = Prediction.of(torch.tensor([[0.6, 0.4, 0.0]]), RANKS)
    assert (int(answer.low), int(answer.high)) == (0, 2)


def test_double_precision_gets_the_answers_of_single() -> None:
    """Its expectation was an error of torch."""
    double = Prediction.of(ROW.double(), RANKS)
    assert torch.equal(double.expected, Prediction.of(ROW, RANKS).expected)
