"""The data that the stages train on: images, and features that are computed once."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from accelerate import PartialState
from accelerate.utils import gather
from jaxtyping import Int
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from l2rclip_lite.config import Config
from l2rclip_lite.data.base import SPLITS, OrdinalDataset
from l2rclip_lite.data.images import Augment, ResizedImages, decoded
from l2rclip_lite.data.reading import Images
from l2rclip_lite.devices import own_rows
from l2rclip_lite.errors import InputError
from l2rclip_lite.method import Backbone, Features, Probabilities, Targets
from l2rclip_lite.method.optimisation import Scores
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.metrics import mae, rps
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.towers.base import scaled

# Images of a step, as unit features or as normalised pixels, and the rank index of each.
Batch = tuple[Tensor, Int[Tensor, " image"]]
MAX_STEPS = 32  # of an epoch on cached features
MAX_PAIRED = 2_048  # images of such a step: stage 1 compares all its pairs


@dataclass(frozen=True)
class TrainingData:
    """What the stages train on.

    Args:
        features: Unit image features of each split, by the untrained tower.
        targets: Rank index of each image.
        backbone: The same before their projection, see `Towers.backbone`: what a head on the frozen
            tower reads.
        images: The images of each split as bytes; may be empty where only features are at hand.
    """

    features: Mapping[str, Features]
    targets: Mapping[str, Targets]
    backbone: Mapping[str, Backbone]
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
        """Resize the images of a data set, and encode each once with the model's image tower.

        Args:
            data: Its three splits.
            model: With its image tower in the starting state.
            cache: See `L2RCLIP.encode`.
            quiet: Whether to hide the progress bar.
        """
        parts = {split: data.split(split) for split in SPLITS}
        targets = {split: torch.tensor(part.targets) for split, part in parts.items()}
        size = model.towers.image_size
        images = {split: ResizedImages(part, size) for split, part in parts.items()}

        backbone = {}
        for split, squares in images.items():
            backbone[split] = encode_together(
                model, squares, backbone=True, cache=cache, quiet=quiet
            )
        return cls.of(backbone, targets, model, images)

    @classmethod
    @torch.no_grad()
    def of(
        cls,
        backbone: Mapping[str, Backbone],
        targets: Mapping[str, Targets],
        model: L2RCLIP,
        images: Mapping[str, ResizedImages] | None = None,
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
        return cls(features, targets, backbone, images or {})

    def encode(self, model: L2RCLIP, split: str) -> Features:
        """Return the image features of a split as they are now."""
        if model.config.image_side == "tower" and self.images:
            return encode_together(model, self.images[split])
        if model.reads_backbone:
            return self.backbone[split]
        return self.features[split]

    def scores(self, model: L2RCLIP, features: Features) -> Scores:
        """Return the scores of the validation images, by these features of theirs.

        They are not finite where the outputs of the model are not.
        """
        probabilities = model.probabilities(features)
        if not probabilities.isfinite().all():
            return Scores(math.nan, math.nan)
        return self._scores_of(probabilities, model.ranks)

    def _scores_of(self, probabilities: Probabilities, ranks: Ranks) -> Scores:
        """Return the scores of probabilities of the validation images."""
        target = self.targets["val"]
        return Scores(
            rps=rps(target, probabilities, ranks),
            mae=mae(target, probabilities.argmax(1), ranks),
        )

    def frequencies_rps(self, model: L2RCLIP) -> float:
        """Return the validation RPS of an answer that looks at no image.

        It is the frequencies of the training ranks, which are equal under `Config.balance`.
        """
        target = self.targets["train"][self.rows(model.config, torch.Generator())]
        counts = torch.bincount(target, minlength=len(model.ranks))
        frequencies = (counts / counts.sum()).expand(len(self.targets["val"]), -1)
        return self._scores_of(frequencies, model.ranks).rps

    def rows(self, config: Config, generator: torch.Generator) -> Int[Tensor, " row"]:
        """Return the places of the training images in random order.

        Under `Config.balance` each rank that occurs has as many rows as the most frequent one: its
        images are repeated, each as often as any other of its rank, or once more, by chance. The
        first N of these rows hold an image of rank k N/(K n_k) times on the mean, where n_k of N
        images have one of K ranks that occur.

        Example:
            >>> data = TrainingData({}, {"train": torch.tensor([0, 0, 0, 1])}, {})
            >>> data.rows(Config(balance=True), torch.Generator()).sort().values
            tensor([0, 1, 2, 3, 3, 3])
        """
        targets = self.targets["train"]
        order = torch.randperm(len(targets), generator=generator)
        if not config.balance:
            return order

        groups = [order[targets[order] == rank] for rank in sorted(set(targets.tolist()))]
        most = max(map(len, groups))
        rows = torch.cat([own[torch.arange(most) % len(own)] for own in groups])
        return rows[torch.randperm(len(rows), generator=generator)]

    def for_heads(self, config: Config) -> "TrainingData":
        """Return what a head is fitted on, which weighs all rows alike.

        Under `Config.balance` it has the training features and targets of `rows`, by the seed of
        the run: at most K times as many; and no images.
        """
        if not config.balance:
            return self
        rows = self.rows(config, torch.Generator().manual_seed(config.seed))
        backbone = {**self.backbone, "train": self.backbone["train"][rows]}
        targets = {**self.targets, "train": self.targets["train"][rows]}
        return TrainingData({}, targets, backbone)

    def feature_batch_size(self, config: Config) -> int:
        """Return the images per step on cached features.

        An image costs nothing there, but each step encodes all K sentences, so an epoch has no more
        than `MAX_STEPS` steps where a step need not take more than `MAX_PAIRED` images for that,
        unless `Config.batch_size1` says otherwise.
        """
        if config.batch_size1 is not None:
            return config.batch_size1
        share = math.ceil(len(self.targets["train"]) / MAX_STEPS)
        return max(self.pixel_batch_size(config), min(share, MAX_PAIRED))

    def pixel_batch_size(self, config: Config) -> int:
        """Return the images per step on pixels, of all processes together."""
        return config.batch_size * PartialState().num_processes

    def feature_batches(self, model: L2RCLIP, generator: torch.Generator) -> Iterator[Batch]:
        """Yield the batches of cached features for one epoch, the same in all processes."""
        features = self.features["train"]
        targets = self.targets["train"]
        order = self.rows(model.config, generator)[: len(targets)]

        for rows in torch.split(order, self.feature_batch_size(model.config)):
            yield features[rows].to(model.device), targets[rows].to(model.device)

    def batches(
        self, model: L2RCLIP, generator: torch.Generator, *, views: int = 1
    ) -> Iterator[Batch]:
        """Yield the training batches of augmented, normalised pixels for one epoch of stage 2.

        Several processes get the targets of the whole batch, and each its own part of the pixels;
        `devices.together` puts their features together. Draws are made for the whole batch, so that
        an image is changed alike, whichever process has it.

        Args:
            model: Whose config counts.
            generator: Decides order and augmentation.
            views: How often each image is in its batch, augmented anew: all images of the first
                view, then all of the second.
        """
        config = model.config
        targets = self.targets["train"]
        order = self.rows(config, generator)[: len(targets)]
        batches = torch.split(order, self.pixel_batch_size(config))

        images = self.images["train"]
        loader = DataLoader(
            images,
            batch_sampler=[rows[own_rows(len(rows))].tolist() for rows in batches],
            num_workers=workers_for(images, config),
        )
        augment = Augment(bool(config.upside_down), light=config.controls.light)

        for (pixels, _), rows in zip(decoded(loader), batches, strict=True):
            pixels = pixels.to(model.device).repeat(views, 1, 1, 1)

            if config.augment:
                draws = torch.rand(4, views, len(rows), 1, 1, 1, generator=generator)
                own = draws[:, :, own_rows(len(rows))]
                pixels = augment(pixels, draws=own.flatten(1, 2))

            pixels = model.towers.normalize(scaled(pixels))
            yield pixels, targets[rows].to(model.device).repeat(views)


def workers_for(images: ResizedImages, config: Config) -> int:
    """Return how many processes decode: none where images are kept, since theirs go with them."""
    return 0 if images.fits_in_memory else config.workers


def encode_together(
    model: L2RCLIP,
    images: ResizedImages,
    *,
    backbone: bool | None = None,
    cache: str | Path | None = None,
    quiet: bool = True,
) -> Backbone:
    """Return what `L2RCLIP.encode` does; of several processes, each encodes its part.

    All of them have to call it. In a cache each has files of its part.

    Args:
        model: Whose config counts.
        images: Squares of bytes.
        backbone: See `L2RCLIP.encode`, as for all below.
        cache: A folder where features are kept.
        quiet: Whether to hide the progress bar.
    """
    # An image that is only encoded takes less than half the memory of one that is trained on; where
    # a step holds fewer than 16, memory is scarce, and no more than these are encoded at once.
    batch_size = model.config.micro_batch_size or model.config.batch_size
    if batch_size >= 16:
        batch_size = 32

    part: Images = images
    is_alone = PartialState().num_processes == 1
    if not is_alone:
        part = Subset(images, own_rows(len(images)).tolist())
    features = model.encode(
        part,
        backbone=backbone,
        batch_size=batch_size,
        workers=workers_for(images, model.config),
        cache=cache,
        quiet=quiet,
    )
    if is_alone:
        return features
    together: Tensor = gather(features.to(model.device))
    return together[: len(images)].cpu()  # the last process may have filled up its part
