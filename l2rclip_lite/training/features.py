"""The data that the stages train on: images, and features that are computed once."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch
from accelerate import PartialState
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from l2rclip_lite.config import Config
from l2rclip_lite.data.base import SPLITS, OrdinalDataset
from l2rclip_lite.data.images import ResizedImages
from l2rclip_lite.data.pixels import Augment, scaled
from l2rclip_lite.errors import InputError
from l2rclip_lite.method.model import L2RCLIP
from l2rclip_lite.runs.encoding import decoded
from l2rclip_lite.training.processes import gathered, global_batch_size, own_rows

MAX_STEPS = 32  # of an epoch on cached features
MAX_PAIRED = 2_048  # images of such a step: stage 1 compares all its pairs


class TrainingBatch(NamedTuple):
    """What one step trains on.

    Args:
        images: Unit features of the whole batch; or normalised pixels, of which each process has
            its own part.
        target: Rank index of each image of the whole batch. With several views the list is
            repeated: all images of the first view, then all of the second.
        rows: Which training images they are.
    """

    images: Tensor
    target: Int[Tensor, " image"]
    rows: Int[Tensor, " row"]


@dataclass(frozen=True)
class TrainingData:
    """What the stages train on.

    Args:
        features: Unit image features of each split, by the untrained tower.
        targets: Rank index of each image.
        backbone: The same before their projection, see `Towers.backbone`: what a head on the frozen
            tower reads.
        images: The images of each split as bytes; may be empty where only features are at hand.
        names: Names of the training images, for errors; may be empty.
    """

    features: Mapping[str, Float[Tensor, "batch dim"]]
    targets: Mapping[str, Int[Tensor, " batch"]]
    backbone: Mapping[str, Float[Tensor, "batch feature"]]
    images: Mapping[str, ResizedImages] = field(default_factory=dict)
    names: Sequence[str] = ()

    @classmethod
    def load(
        cls,
        data: OrdinalDataset,
        model: L2RCLIP,
        *,
        cache: str | Path | None = None,
        quiet: bool = True,
    ) -> "TrainingData":
        """Resize the images of a data set, and encode each once with the model's image tower.

        Args:
            data: Its three splits.
            model: With its image tower in the starting state.
            cache: See `L2RCLIP.encode`.
            quiet: Whether to hide the progress bar.
        """
        images = {}
        backbone = {}
        targets = {}

        for split in SPLITS:
            part = data.split(split)
            images[split] = ResizedImages(part, model.towers.image_size)
            targets[split] = torch.tensor(part.targets)
            backbone[split] = encode_together(
                model,
                images[split],
                backbone=True,
                cache=cache,
                quiet=quiet,
            )

        return cls.of(backbone, targets, model, images, data.train.paths)

    @classmethod
    @torch.no_grad()
    def of(
        cls,
        backbone: Mapping[str, Float[Tensor, "batch feature"]],
        targets: Mapping[str, Int[Tensor, " batch"]],
        model: L2RCLIP,
        images: Mapping[str, ResizedImages] | None = None,
        names: Sequence[str] = (),
    ) -> "TrainingData":
        """Return the data of the stages, from features before their projection.

        Raises:
            InputError: Features of damaged weights, which are no numbers.
        """
        features = {}
        for split, rows in backbone.items():
            features[split] = model.towers.project(rows.to(model.device)).cpu()
            # one that was too long for single precision is one of zeros
            if not (features[split].isfinite().all() and features[split].any(dim=1).all()):
                raise InputError(
                    "encode: image features are no finite numbers; the weights of the image tower "
                    "are damaged: restore them (--start, --weights)."
                )
        return cls(features, targets, backbone, images or {}, names)

    def encode(self, model: L2RCLIP, split: str) -> Float[Tensor, "batch dim"]:
        """Return the image features of a split as they are now."""
        if model.config.image_side == "tower" and self.images:
            return encode_together(model, self.images[split])
        if model.reads_backbone:
            return self.backbone[split]
        return self.features[split]

    def feature_batch_size(self, config: Config) -> int:
        """Return the images per step on cached features.

        An image costs nothing there, but each step encodes all K sentences, so an epoch has no more
        than `MAX_STEPS` steps where a step need not take more than `MAX_PAIRED` images for that,
        unless `Config.batch_size1` says otherwise.
        """
        if config.batch_size1 is not None:
            return config.batch_size1
        share = math.ceil(len(self.targets["train"]) / MAX_STEPS)
        return max(global_batch_size(config.batch_size), min(share, MAX_PAIRED))

    def feature_batches(
        self, model: L2RCLIP, generator: torch.Generator
    ) -> Iterator[TrainingBatch]:
        """Yield the batches of cached features for one epoch, the same in all processes."""
        features = self.features["train"]
        targets = self.targets["train"]
        order = torch.randperm(len(targets), generator=generator)

        for rows in torch.split(order, self.feature_batch_size(model.config)):
            yield TrainingBatch(
                features[rows].to(model.device), targets[rows].to(model.device), rows
            )

    def batches(
        self, model: L2RCLIP, generator: torch.Generator, *, views: int = 1
    ) -> Iterator[TrainingBatch]:
        """Yield the training batches of augmented pixels for one epoch of stage 2.

        Several processes get the same targets and rows, those of the whole batch, and each its own
        part of the pixels; `GatheredImageSide` puts their features together. Draws are made for the
        whole batch, so that an image is changed alike, whichever process has it.

        Args:
            model: Whose config counts.
            generator: Decides order and augmentation.
            views: How often each image is in its batch, augmented anew.
        """
        config = model.config
        targets = self.targets["train"]
        order = torch.randperm(len(targets), generator=generator)
        wholes = torch.split(order, global_batch_size(config.batch_size))
        parts = [own_rows(len(rows)) for rows in wholes]

        images = self.images["train"]
        workers = 0 if images.fits_in_memory else config.workers  # whose memory goes with them
        loader = DataLoader(
            images,
            batch_sampler=[rows[own].tolist() for rows, own in zip(wholes, parts, strict=True)],
            num_workers=workers,
        )
        augment = Augment(bool(config.upside_down), light=config.controls.light)

        for (pixels, _), rows, own in zip(decoded(loader), wholes, parts, strict=True):
            pixels = pixels.to(model.device).repeat(views, 1, 1, 1)

            if config.augment:
                draws = torch.rand(4, views, len(rows), 1, 1, 1, generator=generator)
                pixels = augment(pixels, draws=draws[:, :, own].flatten(1, 2))

            pixels = model.towers.normalize(scaled(pixels))
            yield TrainingBatch(pixels, targets[rows].to(model.device).repeat(views), rows)


class PartOfImages(ResizedImages):
    """A selection of the images of another `ResizedImages`, which keeps what is read here."""

    def __init__(self, whole: ResizedImages, rows: list[int]) -> None:
        super().__init__(Subset(whole.images, rows), whole.size)
        self.whole = whole
        self.rows = rows
        self.fits_in_memory = whole.fits_in_memory

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Return the resized pixels and the rank index."""
        return self.whole[self.rows[index]]

    def remember(
        self,
        rows: Iterable[int],
        pixels: UInt8[Tensor, "batch 3 height width"],
        labels: Int[Tensor, " batch"],
    ) -> None:
        """Let the other object keep what a worker has read."""
        self.whole.remember([self.rows[row] for row in rows], pixels, labels)


def encode_together(
    model: L2RCLIP,
    images: ResizedImages,
    *,
    backbone: bool | None = None,
    cache: str | Path | None = None,
    quiet: bool = True,
) -> Float[Tensor, "batch feature"]:
    """Return what `L2RCLIP.encode` does; of several processes, each encodes its part.

    All of them have to call it. In a cache each has a file of its part.

    Args:
        model: Whose config counts.
        images: Squares of bytes.
        backbone: See `L2RCLIP.encode`, as for all below.
        cache: A folder where features are kept.
        quiet: Whether to hide the progress bar.
    """
    part = images
    if PartialState().num_processes > 1:
        part = PartOfImages(images, own_rows(len(images)).tolist())
    features = model.encode(
        part,
        backbone=backbone,
        batch_size=encoding_batch_size(model.config),
        workers=model.config.workers,
        cache=cache,
        quiet=quiet,
    )
    if part is images:
        return features
    return gathered(features.to(model.device), len(images)).cpu()


def encoding_batch_size(config: Config) -> int:
    """Return how many images are encoded at once: 32, or a step's where those are less than 16.

    An image that is only encoded takes less than half the memory of one that is trained on. Where a
    step holds fewer than 16, memory is scarce, and no more than these are encoded at once.

    Example:
        >>> [encoding_batch_size(Config(batch_size=size)) for size in (64, 16, 8)]
        [32, 32, 8]
    """
    at_once = config.micro_batch_size or config.batch_size
    return 32 if at_once >= 16 else at_once
