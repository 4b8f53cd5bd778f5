"""One temperature: by hand, against another optimiser, and in the model that it belongs to; reliability by hand."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import binom

from l2rclip_book.calibration_figures import reliability
from l2rclip_lite import calibration
from l2rclip_lite.calibration import (
    BOUNDS,
    bootstrap_temperatures,
    calibrate,
    fit_temperature,
    negative_log_likelihood,
    temper,
)
from l2rclip_lite.config import Config
from l2rclip_lite.data.base import OrdinalDataset
from l2rclip_lite.errors import InputError
from l2rclip_lite.metrics import ece
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.towers import Towers

THREE = Ranks(("a", "b", "c"), (0, 1, 3), "grade {rank}")
GAP, TRUE = [[0.0, 2.0]] * 4, [1, 1, 1, 0]
seeds = st.integers(0, 2**31)


def drawn(seed: int, images: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and targets that follow them at temperature 2: the fit must lie inside the bounds."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=3, size=(images, 3))
    return logits, np.array([rng.choice(3, p=row) for row in temper(logits, 2.0)])


@given(seeds, st.floats(0.2, 8))
def test_a_temperature_turns_no_answer_and_the_fit_is_that_of_another_optimiser(seed: int, t: float) -> None:
    """Within a row the order stays; probabilities do as well as logits; a search by values finds the same minimum."""
    logits, target = drawn(seed)
    assert np.array_equal(temper(logits, t).argsort(1), logits.argsort(1))
    assert np.allclose(temper(np.log(temper(logits, 1.0)), t), temper(logits, t))
    best = fit_temperature(logits, target)
    assert negative_log_likelihood(logits, target, best) <= negative_log_likelihood(logits, target)
    found = minimize_scalar(
        lambda log_t: negative_log_likelihood(logits, target, np.exp(log_t)),
        bounds=np.log(BOUNDS),
        method="bounded",
        options={"xatol": 1e-7},
    )
    assert best == pytest.approx(np.exp(found.x), rel=1e-4)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: temper([[0.0, 1.0]], 0.0), "the temperature is 0.0; give a finite number above 0"),
        (lambda: fit_temperature([[0.0, np.nan]], [0]), "logits is nan in row 0"),
        (lambda: fit_temperature([[0.0, 1.0]], [2]), "targets as whole numbers from 0 to 1"),
    ],
)
def test_what_cannot_be_used_is_refused(call: Callable[[], object], sentence: str) -> None:
    """One sentence each."""
    with pytest.raises(InputError, match=sentence):
        call()


def test_the_bootstrap_narrows_with_images() -> None:
    """From one set of 80: 20 images spread more than 80; the seed decides the draws."""
    logits, target = drawn(1, images=80)
    few, many = (bootstrap_temperatures(logits, target, images=n, resamples=60) for n in (20, 80))
    assert np.ptp(np.log(few)) > np.ptp(np.log(many))
    assert many[0] < fit_temperature(logits, target) < many[-1]
    assert np.array_equal(many, bootstrap_temperatures(logits, target, resamples=60))


def test_the_temperature_is_part_of_the_model(
    tiny: Towers, leaves: OrdinalDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`calibrate` ignores the old one and sets the new one; a saved copy divides its logits by it."""
    model = L2RCLIP(tiny, leaves.ranks, Config(towers="tiny/random", heads=2))
    features, target = model.encode(leaves.val), list(leaves.val.targets)
    logits = model.logits(features).detach()
    monkeypatch.setattr(calibration, "fit_temperature", lambda *_: 2.0)
    model.temperature.fill_(7.0)
    found = calibrate(model, leaves.val)
    assert (found.temperature, found.images, float(model.temperature)) == (2.0, 10, 2.0)
    assert found.nll_before == pytest.approx(negative_log_likelihood(logits, target))
    assert found.nll_after == pytest.approx(negative_log_likelihood(logits, target, 2.0))
    assert found.low <= found.high
    model.save_pretrained(tmp_path)
    copy = L2RCLIP.from_pretrained(tmp_path)
    assert np.allclose(copy.probabilities(features), temper(logits, 2.0), atol=1e-6)
    # sharper is better without end where all are right, flatter where the own logit is below the mean one
    monkeypatch.undo()
    for t, why in ((BOUNDS[0], "are right"), (BOUNDS[1], "no better than chance")):
        assert fit_temperature([[0.0, 2.0], [3.0, 1.0]], [1, 0] if t < 1 else [0, 1]) == t
        monkeypatch.setattr(calibration, "fit_temperature", lambda *_, t=t: t)
        with pytest.raises(InputError, match=f"10 validation images decide no temperature: .*{why}"):
            calibrate(model, leaves.val)
        monkeypatch.undo()
    assert float(model.temperature) == 2.0


def test_reliability_by_hand() -> None:
    """Ten images at 0.8, seven right; two at 0.55, one right. Edges belong to the bin below: 0.8 lies in (0.7, 0.8]."""
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
    """Σ count / B · |accuracy − confidence|; every image is in one bin."""
    logits, true = drawn(seed)
    curve = reliability(true, temper(logits, 1.0), THREE, bins=bins)
    gap = (curve["count"] * (curve["accuracy"] - curve["confidence"]).abs()).sum() / len(true)
    assert gap == pytest.approx(ece(true, temper(logits, 1.0), THREE, bins=bins))
    assert curve["count"].sum() == len(true)
