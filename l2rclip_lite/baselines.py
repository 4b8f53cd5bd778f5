"""What any claim must be held against: the same towers, data, budget and model selection, without language.

A linear probe reads frozen image features. The cross-entropy head fine-tunes the whole image tower under a K-way linear
classifier, with the schedule, epochs, augmentation and choice of epoch of L2RCLIP's stage 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from l2rclip_lite.checkpoint import Checkpoint
from l2rclip_lite.errors import InputError
from l2rclip_lite.images import augmented
from l2rclip_lite.metrics import mae
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.stages import Stage, freeze, train_stage

Baseline = Literal["linear-probe", "cross-entropy"]


def check_baselines(names: Sequence[str]) -> None:
    """Refuse an unknown baseline before anything is trained."""
    for name in names:
        if name not in get_args(Baseline):
            raise InputError(f"baselines: {name!r} is unknown; choose from {', '.join(get_args(Baseline))}.")


def run_baseline(
    name: Baseline,
    model: L2RCLIP,
    pixels: dict[str, Tensor],
    targets: dict[str, Tensor],
    checkpoint: Checkpoint,
    quiet: bool = False,
) -> Tensor:
    """Train a baseline and let it answer on the test split.

    Args:
        name: `"linear-probe"` or `"cross-entropy"`.
        model: Towers in their starting state (`cross-entropy` changes them), ranks and config.
        pixels: Pictures of each split.
        targets: Rank indices of each split.
        checkpoint: Where complete epochs are kept.
        quiet: Whether to hide progress bars.

    Returns:
        A row of K probabilities for each test picture.
    """
    if name == "linear-probe":
        features = {split: model.features(value, quiet=quiet) for split, value in pixels.items()}
        probabilities = linear_probe(features, targets, model.ranks)
    else:
        probabilities = finetuned_cross_entropy(model, pixels, targets, checkpoint, quiet)
    return probabilities


def linear_probe(features: dict[str, Tensor], targets: dict[str, Tensor], ranks: Ranks) -> Tensor:
    """Multinomial logistic regression on frozen features; its strength is chosen by validation MAE.

    Args:
        features: Unit image features of each split.
        targets: Rank indices of each split.
        ranks: The label space; ranks absent from training get probability 0.

    Returns:
        Test probabilities, one row an image.
    """
    from sklearn.linear_model import LogisticRegression

    best, chosen = float("inf"), None
    for strength in 10.0 ** np.arange(-1, 5):
        probe = LogisticRegression(C=strength, max_iter=2000).fit(
            features["train"].numpy(), targets["train"].numpy()
        )
        error = mae(targets["val"], probe.predict(features["val"].numpy()), ranks)
        if error < best:
            best, chosen = error, probe
    assert chosen is not None
    probabilities = torch.zeros(len(features["test"]), len(ranks), dtype=torch.float64)
    probabilities[:, chosen.classes_] = torch.from_numpy(
        chosen.predict_proba(features["test"].numpy())
    ).double()
    return probabilities


def finetuned_cross_entropy(
    model: L2RCLIP,
    pixels: dict[str, Tensor],
    targets: dict[str, Tensor],
    checkpoint: Checkpoint,
    quiet: bool = False,
) -> Tensor:
    """The image tower under a K-way linear head, trained as stage 2 is; returns test probabilities."""
    config, device = model.config, model.rank_features.device
    head = nn.Linear(model.towers.dim, len(model.ranks)).to(device)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)

    def logits(images: Tensor) -> Tensor:
        found: Tensor = head(model.scale * images.to(device))
        return found

    def loss(chosen: Tensor, generator: torch.Generator) -> Tensor:
        images = model.encode_bytes(augmented(pixels["train"][chosen], config, generator))
        return F.cross_entropy(logits(images), targets["train"][chosen].to(device))

    @torch.inference_mode()
    def probabilities(split: str) -> Tensor:
        return F.softmax(logits(model.features(pixels[split])), dim=1).cpu()

    parameters = freeze(model, 2) | {f"head.{name}": p for name, p in head.named_parameters()}
    lr = config.lr2 or model.towers.image_lr
    factors = {"projection": config.projection_lr_factor}
    stage = Stage(
        3, "cross-entropy", parameters, config.epochs2, lr, loss, lambda: probabilities("val"), factors
    )
    train_stage(stage, (targets["train"], targets["val"]), model.ranks, config, checkpoint, quiet=quiet)
    return probabilities("test")
