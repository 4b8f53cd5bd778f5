"""Reliability, the error that a model expects, and error over coverage: by hand and by their invariants."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from l2rclip_lite.errors import InputError
from l2rclip_lite.metrics import ece, mae
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.reliability import coverage_curve, expected_error, reliability

THREE = Ranks(("a", "b", "c"), (0, 1, 3), "grade {rank}")
seeds = st.integers(0, 2**31)


def drawn(seed: int, images: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Rows of probabilities, and targets that follow them."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(3), size=images)
    return np.array([rng.choice(3, p=row) for row in p]), p


def test_reliability_by_hand() -> None:
    """Ten pictures at 0.8, seven right; two at 0.55, one right. Edges belong to the bin below: 0.8 lies in (0.7, 0.8]."""
    p = [[0.8, 0.2, 0.0]] * 10 + [[0.55, 0.45, 0.0]] * 2
    curve = reliability([0] * 7 + [1] * 3 + [0, 1], p, THREE)
    assert curve["count"].tolist() == [2, 10]
    assert curve["accuracy"].tolist() == pytest.approx([0.5, 0.7])
    assert curve["confidence"].tolist() == pytest.approx([0.55, 0.8])
    assert curve["high"].tolist() == pytest.approx([0.6, 0.8])
    # at least 2.5 % of the draws of Binomial(10, 0.8) are at most 5, and 10 is the 97.5 % quantile
    assert binom.cdf(5, 10, 0.8) > 0.025 > binom.cdf(4, 10, 0.8)
    assert curve.iloc[1][["chance_low", "chance_high"]].tolist() == pytest.approx([0.5, 1.0])


@given(seeds, st.integers(1, 20))
def test_the_weighted_gap_of_the_curve_is_the_ece(seed: int, bins: int) -> None:
    """Σ count / B · |accuracy − confidence|; every picture stands in one bin."""
    true, p = drawn(seed)
    curve = reliability(true, p, THREE, bins=bins)
    gap = (curve["count"] * (curve["accuracy"] - curve["confidence"]).abs()).sum() / len(true)
    assert gap == pytest.approx(ece(true, p, THREE, bins=bins))
    assert curve["count"].sum() == len(true)


def test_expected_error_knows_distances() -> None:
    """Values 0, 1, 3: the rival one step away costs 1, two steps away 3. A sure row expects no error."""
    p = [[0.6, 0.4, 0.0], [0.6, 0.0, 0.4], [0.0, 1.0, 0.0]]
    assert expected_error(p, THREE).tolist() == pytest.approx([0.4, 1.2, 0.0])


def test_an_honest_model_expects_the_error_that_it_makes() -> None:
    """Targets drawn from the rows: the mean of 40,000 expected errors is the MAE, up to noise of 0.006 a deviation."""
    true, p = drawn(0, images=40_000)
    assert expected_error(p, THREE).mean() == pytest.approx(mae(true, p.argmax(1), THREE), abs=0.03)


@given(seeds)
def test_coverage_ends_at_the_mean_and_the_best_order_is_the_error(seed: int) -> None:
    """Full coverage is the mean error whatever the doubt; no doubt beats the error itself; coverage counts up by 1/B."""
    rng = np.random.default_rng(seed)
    error, doubt = rng.integers(0, 4, size=25).astype(float), rng.random(25)
    curve, best = coverage_curve(error, doubt), coverage_curve(error, error)
    assert curve["error"].iloc[-1] == pytest.approx(error.mean())
    assert (best["error"] <= curve["error"] + 1e-12).all()
    assert np.allclose(curve["coverage"], np.arange(1, 26) / 25)
    assert curve["doubt"].is_monotonic_increasing


def test_another_length_is_refused() -> None:
    """One doubt an image."""
    with pytest.raises(InputError, match="2 true ranks, 1 predictions"):
        coverage_curve([0.0, 1.0], [0.5])
