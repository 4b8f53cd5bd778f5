"""One temperature: the best of many, and in the model that it belongs to; reliability by hand."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom
from torch import Tensor

from l2rclip_book.calibration_figures import reliability
from l2rclip_lite.config import Config
from l2rclip_lite.errors import InputError
from l2rclip_lite.heads.calibration import (
    HIGHEST,
    LOWEST,
    calibrate,
    conformal_level,
    fit_temperature,
    temper,
)
from l2rclip_lite.method.model import L2RCLIP
from l2rclip_lite.method.prediction import Prediction
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.metrics import rps
from l2rclip_lite.towers.base import Towers

THREE = Ranks(("a", "b", "c"), (0, 1, 3), "grade {rank}")
TRIED = np.geomspace(LOWEST, HIGHEST, 200)
seeds = st.integers(0, 2**31)


def drawn(seed: int, images: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """Return logits, and targets that follow them at temperature 2."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=3, size=(images, 3))
    targets = [rng.choice(3, p=row) for row in temper(logits, 2.0)]
    return logits, np.array(targets)


@given(seeds, st.floats(0.2, 8))
def test_a_temperature_keeps_the_order_of_answers(seed: int, t: float) -> None:
    """Within a row; logarithms of probabilities do as well as logits."""
    logits, _ = drawn(seed)
    tempered = temper(logits, t)
    assert np.array_equal(tempered.argsort(1), logits.argsort(1))
    assert np.allclose(temper(np.log(temper(logits, 1.0)), t), tempered)


@given(seeds)
def test_no_temperature_scores_better_than_the_fit(seed: int) -> None:
    """None of 200."""
    logits, target = drawn(seed)
    fitted = rps(target, temper(logits, fit_temperature(logits, target)), THREE)
    others = [rps(target, temper(logits, t), THREE) for t in TRIED]
    assert fitted <= min(others) + 1e-9


def test_a_target_that_is_no_rank_is_refused() -> None:
    """By `metrics.numbers`, whose other sentences are in test_metrics.py."""
    with pytest.raises(InputError, match="target is 2 in row 0; give ranks from 0 to 1"):
        fit_temperature([[0.0, 1.0]], [2])
    with pytest.raises(InputError, match="target is 2 in row 0"):
        conformal_level([[0.5, 0.5]], [2])


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan, math.inf, 1e-320, 10**400])
def test_a_temperature_that_is_not_above_0_is_refused(temperature: float) -> None:
    """It would turn the answers round, or make none."""
    with pytest.raises(InputError, match=r"the temperature is .*; give a number from 1e-06 to"):
        temper([[0.0, 1.0]], temperature)


@pytest.mark.parametrize("coverage", [0.0, 1.0, float("nan")])
def test_a_coverage_that_is_no_share_is_refused(coverage: float) -> None:
    """None of all images, or all of them, is no interval."""
    with pytest.raises(InputError, match=r"coverage is .*; give a share, such as 0.9"):
        conformal_level([[0.5, 0.5]], [1], coverage)


@pytest.fixture
def model(tiny: Towers) -> L2RCLIP:
    """A model at a temperature that `calibrate` must replace."""
    model = L2RCLIP(tiny, THREE, Config(towers="tiny/random", heads=2))
    model.temperature.fill_(7.0)
    return model


@pytest.fixture
def features(model: L2RCLIP) -> Tensor:
    """Features of forty images near the texts of ranks 0, 1, 2, and so on."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(40, model.towers.dim, generator=generator)
    return F.normalize(model.rank_features[torch.arange(40) % 3] + 0.1 * noise, dim=1)


def test_calibrate_sets_the_temperature_and_the_level_of_the_model(
    model: L2RCLIP, features: Tensor, tmp_path: Path
) -> None:
    """A quarter of the answers is wrong; a saved copy divides its logits by the temperature."""
    logits = model.logits(features).detach().double()
    rank = torch.arange(40) % 3
    target = torch.where(torch.arange(40) % 4 == 0, (rank + 1) % 3, rank)

    score = calibrate(model, features, target)

    t = float(model.temperature)
    assert t == pytest.approx(fit_temperature(logits, target), rel=1e-4)
    assert score == pytest.approx(rps(target, temper(logits, t), THREE))
    assert score < rps(target, temper(logits, 1.0), THREE)
    assert float(model.conformal) == pytest.approx(conformal_level(temper(logits, t), target))

    model.save_pretrained(tmp_path)
    loaded = L2RCLIP.from_pretrained(tmp_path)
    assert np.allclose(loaded.probabilities(features), temper(logits, t), atol=1e-5)


def test_where_all_answers_are_right_or_none_is_the_temperature_is_1(
    model: L2RCLIP, features: Tensor
) -> None:
    """There sharper, or flatter, would be better without end."""
    logits = model.logits(features).detach()
    for target in (logits.argmax(1), logits.argmin(1)):
        model.temperature.fill_(7.0)
        calibrate(model, features, target)
        assert float(model.temperature) == 1


@pytest.mark.parametrize("sharpness", [0.3, 1.0, 4.0])
def test_nine_intervals_of_ten_hold_the_true_rank(sharpness: float) -> None:
    """Also if the model is too sure, or not sure enough.

    The mean of 200 draws of 100 validation images is within 1.5 points of 90 %.
    """
    ranks = Ranks.integers(0, 7, template="grade {rank}")
    rng = np.random.default_rng(0)
    covered = []

    for _ in range(200):
        logits = rng.normal(scale=1.5, size=(200, 8))
        true = np.array([rng.choice(8, p=row) for row in temper(logits, 1.0)])
        p = temper(logits, 1 / sharpness)

        level = conformal_level(p[:100], true[:100])
        prediction = Prediction.of(torch.tensor(p[100:]).float(), ranks, conformal=level)

        low = prediction.low
        high = prediction.high
        target = torch.tensor(true[100:])
        assert ((low <= prediction.median) & (prediction.median <= high)).all()
        covered += ((low <= target) & (target <= high)).tolist()

    assert np.mean(covered) == pytest.approx(0.9, abs=0.015)


def test_of_eight_images_no_level_can_be_read() -> None:
    """Nine of ten are more than they can show: the interval holds all ranks."""
    certain = np.eye(8)
    assert conformal_level(certain, np.arange(8)) == 1


def test_reliability_by_hand() -> None:
    """Ten images at 0.8, seven right; two at 0.55, one right.

    An edge belongs to the bin below: 0.8 lies in (0.7, 0.8].
    """
    p = [[0.8, 0.2, 0.0]] * 10 + [[0.55, 0.45, 0.0]] * 2
    target = [0] * 7 + [1] * 3 + [0, 1]

    curve = reliability(target, p, THREE)

    assert curve["count"].tolist() == [2, 10]
    assert curve["accuracy"].tolist() == pytest.approx([0.5, 0.7])
    assert curve["confidence"].tolist() == pytest.approx([0.55, 0.8])
    assert curve["high"].tolist() == pytest.approx([0.6, 0.8])
    # at least 2.5 % of the draws of Binomial(10, 0.8) are at most 5, and 10 is the 97.5 % quantile
    assert binom.cdf(5, 10, 0.8) > 0.025 > binom.cdf(4, 10, 0.8)
    assert curve.iloc[1][["chance_low", "chance_high"]].tolist() == pytest.approx([0.5, 1.0])
