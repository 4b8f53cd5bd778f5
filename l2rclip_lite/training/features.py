"""What the stages train on: images, and features that are computed once."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.data import DataLoader

from l2rclip_lite.config import Config
from l2rclip_lite.data.base import SPLITS, OrdinalDataset
from l2rclip_lite.images import Augment, ResizedImages, scaled
from l2rclip_lite.model import L2RCLIP

MOST_STEPS = 32  # of an epoch on cached features


@dataclass(frozen=True)
class TrainingData:
    """What the stages train on.

    Args:
        features: Unit image features of each split, by the untrained tower.
        targets: Rank index of each image.
        backbone: The same before their projection, see `Towers.backbone`: what a head on the frozen tower reads.
        images: The images of each split as bytes; may be empty where only features are at hand.
    """

    features: Mapping[str, Float[Tensor, "batch dim"]]
    targets: Mapping[str, Int[Tensor, " batch"]]
    backbone: Mapping[str, Float[Tensor, "batch wide"]]
    images: Mapping[str, ResizedImages] = field(default_factory=dict)

    @classmethod
    def load(
        cls,
        data: OrdinalDataset,
        model: L2RCLIP,
        *,
        cache: str | Path | None = None,
        quiet: bool = True,
    ) -> "TrainingData":
        """Resize the images of a data set and encode each once with the model's image tower; see `L2RCLIP.encode`."""
        images = {
            split: ResizedImages(data.split(split), model.towers.image_size) for split in SPLITS
        }
        options: dict[str, Any] = {"workers": model.config.workers, "cache": cache, "quiet": quiet}
        backbone = {
            split: model.encode(images[split], backbone=True, **options) for split in SPLITS
        }
        targets = {split: torch.tensor(data.split(split).targets) for split in SPLITS}
        return cls.of(backbone, targets, model, images)

    @classmethod
    @torch.no_grad()
    def of(
        cls,
        backbone: Mapping[str, Float[Tensor, "batch wide"]],
        targets: Mapping[str, Int[Tensor, " batch"]],
        model: L2RCLIP,
        images: Mapping[str, ResizedImages] | None = None,
    ) -> "TrainingData":
        """What is projected from features before their projection."""
        features = {
            name: model.towers.project(x.to(model.device)).cpu() for name, x in backbone.items()
        }
        return cls(features, targets, backbone, images or {})

    def encode(self, model: L2RCLIP, split: str) -> Float[Tensor, "batch dim"]:
        """Image features of a split as they are now."""
        if model.config.image_side == "tower" and self.images:
            return model.encode(self.images[split], workers=model.config.workers)
        return self.backbone[split] if model.wide else self.features[split]

    def feature_batch_size(self, config: Config) -> int:
        """Images per step on cached features: an image costs nothing there, but each step encodes all K sentences."""
        return max(config.batch_size, math.ceil(len(self.targets["train"]) / MOST_STEPS))

    def feature_batches(
        self, model: L2RCLIP, generator: torch.Generator
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Training batches of cached features for one epoch."""
        images, targets = self.features["train"], self.targets["train"]
        order = torch.randperm(len(targets), generator=generator)
        for index in torch.split(order, self.feature_batch_size(model.config)):
            yield images[index].to(model.device), targets[index].to(model.device)

    def batches(
        self, model: L2RCLIP, generator: torch.Generator, *, views: int = 1
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Training batches of augmented pixels for one epoch of stage 2.

        Several processes get different batches.

        Args:
            model: Whose config counts.
            generator: Decides order and augmentation.
            views: How often each image is in its batch, augmented anew.
        """
        config, device = model.config, model.device
        shuffled = torch.randperm(len(self.targets["train"]), generator=generator)
        order = torch.split(shuffled, config.batch_size)
        augment = Augment(bool(config.upside_down)) if config.augment else None
        state = PartialState()
        mine = order[state.process_index :: state.num_processes][
            : len(order) // state.num_processes
        ]
        batches = [index.tolist() for index in mine]
        images = self.images["train"]
        workers = 0 if images.keep else config.workers  # what a worker keeps in memory goes with it
        for pixels, target in DataLoader(images, batch_sampler=batches, num_workers=workers):
            pixels, target = (
                pixels.to(device).repeat(views, 1, 1, 1),
                target.to(device).repeat(views),
            )
            pixels = augment(pixels, generator) if augment else pixels
            yield model.towers.normalize(scaled(pixels)), target
