"""Runs of L2RCLIP that fail on purpose, each in one of the four ways that `signs` looks for."""

from dataclasses import replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F

from l2rclip_lite.config import Config
from l2rclip_lite.method import Features, Scalar, Targets, Texts
from l2rclip_lite.method.stages import stage2_loss
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.stages import loss_of, stage1_epochs, stage2_epochs
from l2rclip_lite.training_data import TrainingData

HEALTHY = "healthy"
SLOW = "stage 1 hardly learns"
HARD = "pairwise loss × 1000"
FAST = "learning rate × 100"
APART = "images against images"
# what is set otherwise than in a healthy run, by the name of the failure's cause
PROVOKED: dict[str, dict[str, Any]] = {
    SLOW: {"lr1": 1e-5, "epochs1": 1},
    HARD: {"lambda1": 1000.0},
    FAST: {"lr1": 0.035},
    APART: {},
}
PUSH = 3.0  # weight of the loss that pushes images apart


def settings(name: str, config: Config) -> Config:
    """Return the config of a run that fails on purpose, made from that of a healthy one.

    Example:
        >>> settings("pairwise loss × 1000", Config()).lambda1
        1000.0
    """
    return replace(config, **PROVOKED[name])


def images_apart(model: L2RCLIP, z: Features, t: Texts, y: Targets) -> Scalar:
    """Return the loss of stage 2 with an addition that takes all images of a batch for strangers.

    It asks of each image to be nearest to itself, as losses do that know no labels; so images of
    one sentence push each other away, too.
    """
    itself = torch.arange(len(z), device=z.device)
    apart = F.cross_entropy(model.scale * z @ z.T, itself)
    return loss_of(stage2_loss, model)(z, t, y) + PUSH * apart


def train_stages(name: str, data: TrainingData, model: L2RCLIP) -> None:
    """Train a model so that it fails; what fails in stage 1 is left at that.

    Args:
        name: Of `PROVOKED`.
        data: Images, and features of the untrained tower.
        model: As built from the config of `settings`.
    """
    list(stage1_epochs(model, data))
    if name == APART:
        list(stage2_epochs(model, data, loss=partial(images_apart, model)))
