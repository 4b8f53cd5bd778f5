"""The conditions of a measurement, and the data that all rows share."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from l2rclip_lite import L2RCLIP, Config, Ranks
from l2rclip_lite.data.images import ResizedImages
from l2rclip_lite.training_data import TrainingData

Precision = Literal["fp32", "bf16"]

GRADES = Ranks(
    ("no", "slight", "moderate", "strong", "very strong"),
    (0, 1, 2, 3, 4),
    "a leaf with {rank} damage",
)
MORPH = 55_134  # images


@dataclass(frozen=True)
class Setting:
    """How to measure."""

    repeats: int = 7
    """Of each row."""
    device: Literal["cpu", "cuda"] = "cpu"
    data: Path | None = None
    """The folder that holds `datalists`."""
    quick: bool = False
    """Whether to use tiny towers and few rows, which shows that a row runs and nothing else."""

    def config(self, towers: str, batch_size: int, precision: Precision = "fp32") -> Config:
        """Return the package's defaults on these towers, for one epoch a stage."""
        return Config(
            towers="tiny/random" if self.quick else towers,
            batch_size=batch_size,
            image_size=64 if self.quick else 224,
            device=self.device,
            epochs1=1,
            epochs2=1,
            precision=precision,
        )


class NotMeasuredError(Exception):
    """Why a row has no figure here."""


def ages(number: int, first: int = 121) -> Ranks:
    """Return ages in a row; between 121 and 740 no name has more words than another."""
    return Ranks.integers(first, first + number - 1, template="a photo of a {rank} years old face")


def noise_images(number: int, size: int) -> list[tuple[Tensor, int]]:
    """Return noise in place of images: the cost of a network does not depend on the image."""
    generator = torch.Generator().manual_seed(0)
    shape = (number, 3, size, size)
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    return [(image, index % 5) for index, image in enumerate(pixels)]


def training_data(model: L2RCLIP, number: int) -> TrainingData:
    """Return so many images of noise to train on, and one to validate."""
    size = model.towers.image_size
    images = {
        "train": ResizedImages(noise_images(number, size), size),
        "val": ResizedImages(noise_images(1, size), size),
    }
    targets = {
        "train": torch.arange(number) % len(model.ranks),
        "val": torch.zeros(1, dtype=torch.long),
    }

    generator = torch.Generator().manual_seed(0)
    train_features = F.normalize(torch.randn(number, model.towers.dim, generator=generator))
    features = {"train": train_features, "val": train_features[:1]}
    return TrainingData(features, targets, features, images)


def cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
