"""One temperature: the best of many, and in the model that it belongs to; reliability by hand."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from l2rclip_lite.config import Config
from l2rclip_lite.heads.calibration import (
    HIGHEST,
    LOWEST,
    conformal_level,
    fit_temperature,
    temper,
)
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.metrics import rps
from l2rclip_lite.model import L2RCLIP, calibrate
from l2rclip_lite.prediction import Prediction
from l2rclip_lite.towers.base import Towers

THREE = Ranks(("a", "b", "c"), (0, 1, 3), "grade {rank}")


@settings(max_examples=20)
@given(st.integers(0, 2**31), st.floats(0.2, 8))
def test_no_temperature_scores_better_than_the_fit(seed: int, t: float) -> None:
    """None of 50; each keeps the order of a row, and logarithms of probabilities do as well.

    The targets follow the logits at temperature 2.
    """
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=3, size=(30, 3))
    target = np.array([rng.choice(3, p=row) for row in temper(logits, 2.0)])
    tempered = temper(logits, t)
    assert np.array_equal(tempered.argsort(1), logits.argsort(1))
    assert np.allclose(temper(np.log(temper(logits, 1.0)), t), tempered)

    fitted = rps(target, temper(logits, fit_temperature(logits, target)), THREE)
    others = [rps(target, temper(logits, t), THREE) for t in np.geomspace(LOWEST, HIGHEST, 50)]
    assert fitted <= min(others) + 1e-8  # the search stops 1e-6 from the best logarithm


def test_calibrate_sets_the_temperature_and_the_level_of_the_model(tiny: Towers) -> None:
    """A quarter of the answers is wrong; the model divides its logits by the temperature.

    Where all are right, or none, sharper or flatter would be better without end: it becomes 1.
    """
    model = L2RCLIP(tiny, THREE, Config(towers="tiny/random", heads=2))
    rank = torch.arange(40) % 3
    noise = torch.randn(40, tiny.dim, generator=torch.Generator().manual_seed(0))
    features = F.normalize(model.rank_features[rank] + 0.1 * noise, dim=1)
    target = torch.where(torch.arange(40) % 4 == 0, (rank + 1) % 3, rank)
    logits = model.logits(features).detach().double()

    for certain in (logits.argmax(1), logits.argmin(1)):
        model.temperature.fill_(7.0)
        calibrate(model, features, certain)
        assert float(model.temperature) == 1

    score = calibrate(model, features, target)
    t = float(model.temperature)
    assert t == pytest.approx(fit_temperature(logits, target), rel=1e-4)
    assert score == pytest.approx(rps(target, temper(logits, t), THREE))
    assert score < rps(target, temper(logits, 1.0), THREE)
    assert float(model.conformal) == pytest.approx(conformal_level(temper(logits, t), target))
    assert np.allclose(model.probabilities(features), temper(logits, t), atol=1e-5)


def test_nine_intervals_of_ten_hold_the_true_rank() -> None:
    """Also if the model is too sure, or not sure enough.

    The mean of 100 draws of 100 validation images is within 1.5 points of 90 %. Of eight images no
    level can be read: the interval holds all ranks.
    """
    ranks = Ranks.integers(0, 7, template="grade {rank}")
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(100):
        logits = rng.normal(scale=1.5, size=(200, 8))
        true = np.array([rng.choice(8, p=row) for row in temper(logits, 1.0)])
        p = temper(logits, 0.25)
        level = conformal_level(p[:100], true[:100])
        answer = Prediction.of(torch.tensor(p[100:]).float(), ranks, conformal=level)
        target = torch.tensor(true[100:])
        covered += ((answer.low <= target) & (target <= answer.high)).tolist()
        assert ((answer.low <= answer.median) & (answer.median <= answer.high)).all()

    assert np.mean(covered) == pytest.approx(0.9, abs=0.015)
    assert conformal_level(np.eye(8), np.arange(8)) == 1


def test_of_equal_answers_the_interval_keeps_the_rank_that_decided_its_level() -> None:
    """A model keeps the level in single precision, which rounds down as often as up."""
    rng = np.random.default_rng(0)
    for row in rng.dirichlet([1, 1, 1], size=20):
        p = np.tile(row, (200, 1))
        target = torch.from_numpy(rng.choice(3, size=200, p=row))
        level = float(np.float32(conformal_level(p, target)))
        answer = Prediction.of(torch.tensor(p).float(), THREE, conformal=level)
        assert ((answer.low <= target) & (target <= answer.high)).float().mean() >= 0.9
