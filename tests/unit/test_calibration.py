"""One temperature: the best of many, and in the model that it belongs to; reliability by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from l2rclip_book.calibration_figures import reliability
from l2rclip_lite.calibration import (
    HIGHEST,
    LOWEST,
    calibrate,
    conformal_level,
    fit_temperature,
    temper,
)
from l2rclip_lite.config import Config
from l2rclip_lite.errors import InputError
from l2rclip_lite.metrics import rps
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.prediction import Prediction
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.towers.base import Towers

THREE = Ranks(("a", "b", "c"), (0, 1, 3), "grade {rank}")
TRIED = np.geomspace(LOWEST, HIGHEST, 2000)
seeds = st.integers(0, 2**31)


def drawn(seed: int, images: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and targets that follow them at temperature 2: the fit must lie inside the bounds."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=3, size=(images, 3))
    return logits, np.array([rng.choice(3, p=row) for row in temper(logits, 2.0)])


@given(seeds, st.floats(0.2, 8))
def test_a_temperature_turns_no_answer_and_the_fit_is_the_lowest_of_many(
    seed: int, t: float
) -> None:
    """Within a row the order stays; probabilities do as well as logits; none of 2,000 temperatures scores better."""
    logits, target = drawn(seed)
    assert np.array_equal(temper(logits, t).argsort(1), logits.argsort(1))
    assert np.allclose(temper(np.log(temper(logits, 1.0)), t), temper(logits, t))
    scores = [
        rps(target, temper(logits, at), THREE) for at in (fit_temperature(logits, target), *TRIED)
    ]
    assert scores[0] <= min(scores[1:]) + 1e-9


def test_what_cannot_be_used_is_refused() -> None:
    """By `metrics.numbers`, whose other sentences are in test_metrics.py."""
    with pytest.raises(InputError, match="target is 2 in row 0; give ranks from 0 to 1"):
        fit_temperature([[0.0, 1.0]], [2])
    for temperature in (0.0, -1.0, float("nan"), float("inf"), 1e-320, 10**400):
        with pytest.raises(InputError, match="the temperature is .*; give a number from 1e-06 to"):
            temper([[0.0, 1.0]], temperature)
    for coverage in (0.0, 1.0, float("nan")):
        with pytest.raises(InputError, match=r"coverage is .*; give a share, such as 0.9"):
            conformal_level([[0.5, 0.5]], [1], coverage)
    with pytest.raises(InputError, match="target is 2 in row 0"):
        conformal_level([[0.5, 0.5]], [2])


def test_the_temperature_is_part_of_the_model(tiny: Towers, tmp_path: Path) -> None:
    """`calibrate` ignores the old one and sets the new one; a saved copy divides its logits by it.

    Where all answers are right, sharper is better without end, and where none is, flatter: then it is 1.
    """
    model = L2RCLIP(tiny, THREE, Config(towers="tiny/random", heads=2))
    rank, generator = torch.arange(40) % 3, torch.Generator().manual_seed(0)
    features = F.normalize(
        model.rank_features[rank] + 0.1 * torch.randn(40, tiny.dim, generator=generator), dim=1
    )
    logits = model.logits(features).detach().double()
    target = torch.where(
        torch.arange(40) % 4 == 0, (rank + 1) % 3, rank
    )  # a quarter of the answers is wrong
    model.temperature.fill_(7.0)
    found = calibrate(model, features, target)
    t = float(model.temperature)
    assert t == pytest.approx(fit_temperature(logits, target), rel=1e-4)
    assert found == pytest.approx(rps(target, temper(logits, t), THREE))
    assert found < rps(target, temper(logits, 1.0), THREE)
    assert float(model.conformal) == pytest.approx(conformal_level(temper(logits, t), target))
    model.save_pretrained(tmp_path)
    copy = L2RCLIP.from_pretrained(tmp_path)
    assert np.allclose(copy.probabilities(features), temper(logits, t), atol=1e-5)
    for undecided in (logits.argmax(1), logits.argmin(1)):
        calibrate(model, features, undecided)
        assert float(model.temperature) == 1


@pytest.mark.parametrize("sharpness", [0.3, 1.0, 4.0])
def test_nine_intervals_of_ten_hold_the_true_rank(sharpness: float) -> None:
    """Whether the model is too sure or not sure enough: over 200 draws of 100 validation images, within 1.5 points."""
    ranks, rng, covered = (
        Ranks.integers(0, 7, template="grade {rank}"),
        np.random.default_rng(0),
        [],
    )
    for _ in range(200):
        logits = rng.normal(scale=1.5, size=(200, 8))
        true = np.array([rng.choice(8, p=row) for row in temper(logits, 1.0)])
        p = temper(logits, 1 / sharpness)
        level = conformal_level(p[:100], true[:100])
        found = Prediction.of(torch.tensor(p[100:]).float(), ranks, conformal=level)
        target = torch.tensor(true[100:])
        assert ((found.low <= found.median) & (found.median <= found.high)).all()
        covered += ((found.low <= target) & (target <= found.high)).tolist()
    assert np.mean(covered) == pytest.approx(0.9, abs=0.015)
    assert conformal_level(p[:8], true[:8]) == 1  # of eight images none can say it


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
