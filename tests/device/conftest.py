"""Small data and towers, and a device that is not the CPU."""

import copy
from collections.abc import Callable
from typing import Any

import pretend
import pytest
import torch

from l2rclip_lite.config import Config
from l2rclip_lite.data import OrdinalDataset, load_dataset
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.towers import load_towers
from l2rclip_lite.towers.base import Towers
from l2rclip_lite.training_data import TrainingData

Material = tuple[L2RCLIP, TrainingData]


@pytest.fixture(scope="session")
def device() -> torch.device:
    """A device that is not the CPU."""
    return pretend.device()


@pytest.fixture(scope="session")
def few() -> OrdinalDataset:
    """Thirty leaves: 20 to train on, 5 to validate, 5 to test."""
    return load_dataset("leaves", size=30, pixels=64)


@pytest.fixture(scope="session")
def brief() -> Config:
    """Two steps an epoch, one epoch a stage."""
    return Config(
        towers="tiny/random",
        image_size=32,
        epochs1=1,
        epochs2=1,
        batch_size=10,
        heads=2,
        hidden=16,
        upside_down=True,
        threads=1,
    )


@pytest.fixture(scope="session")
def towers() -> Towers:
    """A random CLIP of two layers."""
    return load_towers("tiny/random", image_size=32)


@pytest.fixture(scope="session")
def fresh(
    few: OrdinalDataset, brief: Config, towers: Towers, device: torch.device
) -> Callable[[dict[str, Any]], list[Material]]:
    """Make an untrained model and its data, on the CPU and on the device."""

    def make(settings: dict[str, Any]) -> list[Material]:
        config = Config.from_dict(brief.to_dict() | settings)
        both = []
        for place in (torch.device("cpu"), device):
            model = L2RCLIP(copy.deepcopy(towers), few.ranks, config).to(place)
            both.append((model, TrainingData.load(few, model)))
        return both

    return make


@pytest.fixture(scope="session")
def untouched(fresh: Callable[[dict[str, Any]], list[Material]]) -> dict[str, list[Material]]:
    """Models that nobody may change, by precision."""
    return {precision: fresh({"precision": precision}) for precision in ("fp32", "bf16")}
