"""Learning rates of baselines that tune the image tower."""

from dataclasses import replace

import pytest
from torch import Tensor

from l2rclip_lite.baselines import train_baseline
from l2rclip_lite.config import Config
from l2rclip_lite.data import OrdinalDataset
from l2rclip_lite.method.model import L2RCLIP
from l2rclip_lite.method.stage import Stage
from l2rclip_lite.towers.load import load_towers
from l2rclip_lite.training_data import TrainingData


@pytest.mark.slow
@pytest.mark.parametrize(("name", "rate"), [("cross-entropy", 1e-4), ("rps", 2e-4), ("coop", 1e-5)])
def test_a_linear_head_has_a_rate_of_its_own(
    name: str,
    rate: float,
    leaves: OrdinalDataset,
    small: Config,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of a method with texts, the last stage tunes the tower, at the rate that L2RCLIP has."""
    towers = load_towers("tiny/random")
    towers.linear_lr = 1e-4
    towers.image_lr = 1e-5
    model = L2RCLIP(towers, leaves.ranks, replace(small, lr2=None))
    rates: list[float] = []
    take_step = Stage.step

    def record(self: Stage, loss: Tensor, rows: Tensor) -> None:
        rates.append(self.lr)
        take_step(self, loss, rows)

    monkeypatch.setattr(Stage, "step", record)
    train_baseline(name, model, TrainingData.load(leaves, model))
    assert rates[-1] == rate
