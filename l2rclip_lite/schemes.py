"""What each stage trains on and minimises: stage 1, stage 2, and both at once.

| stage | images | texts | loss |
|---|---|---|---|
| 1 | features, encoded once | encoded in every step | contrastive + λ1 · ordinal pairwise (stage-1 form) |
| 2 | encoded in every step | features, encoded once | cross-entropy image → text + λ2 · ordinal pairwise (stage-2 form) |
| 2, adapter | features, encoded once, mapped in every step | features, encoded once | as stage 2 |
| joint | encoded in every step | encoded in every step | contrastive + λ1 · stage-1 form + λ2 · stage-2 form |

The joint loss is the sum of the other two. Stage 2's cross-entropy stands in it once: it is the image → text half of the
asymmetrical contrastive loss. A λ of 0 leaves its term out, which is then not even computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import assert_never

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from l2rclip_lite import distributed
from l2rclip_lite import ordinal_losses as others
from l2rclip_lite.config import Config
from l2rclip_lite.controls import one_cycle
from l2rclip_lite.data.base import SPLITS, OrdinalDataset
from l2rclip_lite.feature_cache import shared_features
from l2rclip_lite.images import augmented
from l2rclip_lite.losses import (
    asymmetrical_contrastive_loss,
    contrastive_loss,
    ordinal_pairwise_loss,
    ordinal_pairwise_loss_stage1,
)
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.pixels import PixelSource, announce, open_pixels
from l2rclip_lite.stages import ADAPTER, JOINT, Stage, freeze

Image = Float[Tensor, "batch dim"]
Text = Float[Tensor, "rank dim"]
Target = Int[Tensor, " batch"]


@dataclass(frozen=True)
class Pictures:
    """A data set as training wants it: squashed pictures as bytes, targets as tensors; names only for messages."""

    pixels: Mapping[str, PixelSource]
    targets: dict[str, Tensor]
    paths: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @classmethod
    def load(cls, data: OrdinalDataset, model: L2RCLIP, quiet: bool, folder: Path | None = None) -> Pictures:
        """The pictures as the model's config says, in files of the folder if on disk."""
        store, workers = model.config.pictures, model.config.workers
        pixels = {}
        for split in SPLITS:
            file = folder / f"{split}.bin" if folder else None
            part = data.split(split)
            pixels[split] = open_pixels(part, model.towers, store, file, quiet=quiet, workers=workers)
        targets = {split: torch.tensor(data.split(split).targets) for split in SPLITS}
        return cls(pixels, targets, {split: data.split(split).paths for split in SPLITS})


def encode(
    model: L2RCLIP, mine: UInt8[Tensor, "share 3 height width"], batch: int, generator: torch.Generator
) -> Image:
    """Augment and encode a process's share of a batch of so many training pictures; all get the features of all.

    The bytes travel to the device and are changed there: a quarter of what floats would be.
    """
    pixels = mine.to(model.rank_features.device, non_blocking=True)
    pixels = augmented(pixels, model.config, generator, part=(batch, distributed.share(batch)))
    return distributed.collect(model.encode_bytes(pixels), batch)


def contrastive(model: L2RCLIP, image: Image, text: Text, target: Target) -> Float[Tensor, ""]:
    """The contrastive loss that the config names; both kinds are the sum of their two directions.

    The plain loss is CLIP's mean, doubled: so λ1 weighs the ordinal loss against the same number of terms in both arms.
    """
    if model.config.contrastive == "plain":
        return 2 * contrastive_loss(image, text[target], model.scale)
    return asymmetrical_contrastive_loss(image, text, target, model.scale)


def ordinal_stage1(
    config: Config, image: Image, text: Text, target: Target, values: Float[Tensor, " rank"]
) -> Float[Tensor, ""]:
    """The stage-1 form with each image's own text as partner and anchor, and the config's order."""
    if config.order == "shuffled":
        values = values[one_cycle(len(values)).to(values.device)]
    paired, blind = text[target], config.order == "blind"
    return ordinal_pairwise_loss_stage1(
        image, paired, paired, values[target], symmetric=config.symmetric, blind=blind
    )


def ordinal_stage2(
    config: Config,
    image: Image,
    text: Text,
    target: Target,
    values: Float[Tensor, " rank"],
    scale: Float[Tensor, ""],
) -> Float[Tensor, ""]:
    """What λ2 weighs: the stage-2 form with the config's normalisation, order and power, or what stands in its place.

    Of the others, `ordinal-entropy`, `supcon` and `rank-n-contrast` compare image features, `sord` and `mean-variance`
    the logits; `mean-variance` is used without the cross-entropy that is part of its published form.
    """
    kind, position = config.ordinal_loss, others.positions(values)
    if kind == "ordinal-entropy":
        return others.ordinal_entropy_loss(image, target, position)
    if kind == "supcon":
        return others.supcon_loss(image, target, scale)
    if kind == "rank-n-contrast":
        return others.rank_n_contrast_loss(image, position[target])
    logits = scale * image @ text.T
    if kind == "sord":
        return others.sord_loss(logits, target)
    if kind == "mean-variance":
        return others.mean_variance_loss(logits, target, position) - F.cross_entropy(logits, target)
    if kind != "pairwise":
        assert_never(kind)
    return ordinal_pairwise_loss(
        image,
        text,
        target,
        values,
        normalise=config.normalise,
        order=config.order,
        push_power=config.push_power,
    )


def stage1(model: L2RCLIP, features: dict[str, Tensor], targets: Tensor) -> Stage:
    """Stage 1: RankFormer and context, on image features computed once."""
    config, device = model.config, model.rank_features.device
    train, values = features["train"].to(device), model.ranks.values_tensor().to(device)
    targets = targets.to(device)

    def loss(chosen: Tensor, generator: torch.Generator) -> Tensor:
        text, image, target = model.prompts(), train[chosen], targets[chosen]
        total = contrastive(model, image, text, target)
        if config.lambda1:
            total = total + config.lambda1 * ordinal_stage1(config, image, text, target, values)
        return total

    def validate() -> Tensor:
        model.refresh()
        return model.probabilities(features["val"])

    return Stage(1, "stage 1", freeze(model, 1), config.epochs1, config.lr1, loss, validate)


def loss_stage2(model: L2RCLIP, image: Image, target: Target) -> Float[Tensor, ""]:
    """Cross-entropy image → text + λ2 · ordinal pairwise loss, against text features that stay as they are."""
    config, values = model.config, model.ranks.values_tensor().to(image.device)
    # The ordinal loss first: autograd sums gradients by the order of creation, and published runs hang on its last bit.
    if not config.lambda2:
        return F.cross_entropy(model.logits(image), target)
    ordinal = ordinal_stage2(config, image, model.rank_features, target, values, model.scale)
    return F.cross_entropy(model.logits(image), target) + config.lambda2 * ordinal


def stage2_adapter(model: L2RCLIP, features: dict[str, Tensor], targets: Tensor) -> Stage:
    """Stage 2 of a frozen image tower: the adapter, on image and text features computed once."""
    config, device = model.config, model.rank_features.device
    train, targets = features["train"].to(device), targets.to(device)

    def loss(chosen: Tensor, generator: torch.Generator) -> Tensor:
        return loss_stage2(model, model.adapter(train[chosen]), targets[chosen])

    @torch.inference_mode()
    def validate() -> Tensor:
        return model.probabilities(model.adapter(features["val"].to(device)))

    lr = config.lr2 or model.towers.image_lr
    return Stage(2, "stage 2", freeze(model, ADAPTER), config.epochs2, lr, loss, validate)


def stage2(model: L2RCLIP, pictures: Pictures) -> Stage:
    """Stage 2: the image tower, on text features computed once."""
    config, device = model.config, model.rank_features.device
    train, targets = pictures.pixels["train"], pictures.targets["train"]

    def loss(chosen: Tensor, generator: torch.Generator) -> Tensor:
        image = encode(model, train[distributed.mine(chosen)], len(chosen), generator)
        return loss_stage2(model, image, targets[chosen].to(device))

    def validate() -> Tensor:
        return model.probabilities(shared_features(model, pictures.pixels["val"]))

    factors = {"projection": config.projection_lr_factor}
    lr, coming = config.lr2 or model.towers.image_lr, partial(announce, train)
    given = config.epochs2, lr, loss, validate, factors
    return Stage(2, "stage 2", freeze(model, 2), *given, coming=coming, shared=True)


def joint(model: L2RCLIP, pictures: Pictures) -> Stage:
    """Joint training: prompts at the learning rate of stage 1 and image tower at that of stage 2, for `epochs2` epochs.

    Gradients of every term reach both sides; in stage 2 alone the texts would not feel its push.
    """
    config, device = model.config, model.rank_features.device
    train, targets = pictures.pixels["train"], pictures.targets["train"]
    values = model.ranks.values_tensor().to(device)

    def loss(chosen: Tensor, generator: torch.Generator) -> Tensor:
        target = targets[chosen].to(device)
        image = encode(model, train[distributed.mine(chosen)], len(chosen), generator)
        text = model.prompts()
        total = contrastive(model, image, text, target)
        if config.lambda1:
            total = total + config.lambda1 * ordinal_stage1(config, image, text, target, values)
        if config.lambda2:
            total = total + config.lambda2 * ordinal_stage2(config, image, text, target, values, model.scale)
        return total

    def validate() -> Tensor:
        model.refresh()
        return model.probabilities(shared_features(model, pictures.pixels["val"]))

    lr = config.lr2 or model.towers.image_lr
    factors = {"prompts.": config.lr1 / lr, "projection": config.projection_lr_factor}
    parameters = freeze(model, JOINT)
    option, coming = "--lr1, --lr2", partial(announce, train)
    return Stage(
        JOINT,
        "joint",
        parameters,
        config.epochs2,
        lr,
        loss,
        validate,
        factors,
        option,
        coming=coming,
        shared=True,
    )
