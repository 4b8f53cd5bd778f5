"""Every baseline as a row of one table, trained on the towers, data, budget, choice of epoch and decoding that L2RCLIP has.

`NAME` fine-tunes the image side (tower or adapter) under another loss, with stage 2's epochs, learning rate and
augmentation. `NAME-frozen` trains the head alone, on image features computed once, with stage 1's epochs and learning
rate. `coop` and `ordinalclip` are first trained as their `-frozen` forms, then tune the image side against the resulting
text features, as L2RCLIP does. `supcon` and `rank-n-contrast` train features; a linear probe on them answers.

Every baseline answers with K probabilities per image, and `metrics.evaluate` scores both their maximum and their
expectation. So "cross-entropy with the expected value", a strong baseline of the literature, needs no training of its
own: it is `mae_expected` in the row of `cross-entropy`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from typing import Any

import torch
import torch.nn.functional as F
from accelerate import PartialState
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from l2rclip_lite.baselines import losses
from l2rclip_lite.baselines.decoders import coral_probabilities, corn_probabilities, prototype_probabilities
from l2rclip_lite.baselines.losses import Features, Outputs, Position, Scalar, Target, Texts
from l2rclip_lite.baselines.probes import linear_probe, ridge, zero_shot
from l2rclip_lite.baselines.prompts import InterpolatedPrompts, PromptHead, prompt_head
from l2rclip_lite.config import Config
from l2rclip_lite.data.base import OrdinalDataset
from l2rclip_lite.errors import InputError
from l2rclip_lite.model import L2RCLIP, freeze
from l2rclip_lite.prompts import RankPrompts
from l2rclip_lite.runs import RunDirectory
from l2rclip_lite.training import Stage, TrainingData, choose_device

FROZEN = "-frozen"
LINEAR = partial(prompt_head, prompts=InterpolatedPrompts)
softmax = partial(F.softmax, dim=1)


def linear_head(model: L2RCLIP, more: int = 0) -> nn.Module:
    """K + `more` linear outputs, 0 at the start."""
    head = nn.Linear(model.towers.dim, len(model.ranks) + more)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head


threshold_head = partial(linear_head, more=-1)


def coral_head(model: L2RCLIP) -> nn.Module:
    """K−1 outputs that share one weight vector; their biases start in CORAL's own falling order."""
    from coral_pytorch.layers import CoralLayer

    head: nn.Module = CoralLayer(model.towers.dim, len(model.ranks))
    nn.init.zeros_(head.get_parameter("coral_weights.weight"))
    return head


@dataclass(frozen=True)
class Objective:
    """A row of the table.

    Args:
        number: Number of the stage that tunes the image side; the next one trains on cached features. It seeds the
            random draws and names the checkpoint, so it is never given twice and never changed.
        loss: Loss of a batch.
        takes: Its arguments, in order: `outputs` of the head, `features` (unit), `target` (rank indices), `label` (their
            positions), `position` of the ranks, `scale` of the towers.
        head: Makes the head; its input is S · features.
        decoder: Outputs to probabilities; None reads the features with prototypes (to choose the epoch) and with a
            linear probe (to answer).
        adds: Whether cross-entropy is added to the loss.
        needs: A module of the extra `baselines`.

    Example:
        >>> OBJECTIVES["coral"].number, OBJECTIVES["coral"].needs
        (5, 'coral_pytorch')
    """

    number: int
    loss: Callable[..., Scalar]
    takes: tuple[str, ...] = ("outputs", "target")
    head: Callable[..., nn.Module] = linear_head
    decoder: Callable[[Tensor], Tensor] | None = softmax
    adds: bool = False
    needs: str | None = None


CORAL, LOGITS, MOMENTS = "coral_pytorch", ("outputs", "target"), ("outputs", "target", "position")
OBJECTIVES: dict[str, Objective] = {
    "cross-entropy": Objective(3, F.cross_entropy),
    "coral": Objective(5, losses.coral_loss, LOGITS, coral_head, coral_probabilities, needs=CORAL),
    "corn": Objective(7, losses.corn_loss, LOGITS, threshold_head, corn_probabilities, needs=CORAL),
    "sord": Objective(9, losses.sord_loss, needs="dlordinal"),
    "dldl-v2": Objective(11, losses.dldl_v2_loss, MOMENTS),
    "mean-variance": Objective(13, losses.mean_variance_loss, MOMENTS),
    "ordinal-entropy": Objective(15, losses.ordinal_entropy_loss, ("features", *MOMENTS[1:]), adds=True),
    "supcon": Objective(17, losses.supcon_loss, ("features", "target", "scale"), nn.Identity, None),
    "rank-n-contrast": Objective(19, losses.rank_n_contrast_loss, ("features", "label"), nn.Identity, None),
    "coop": Objective(21, F.cross_entropy, head=partial(prompt_head, prompts=RankPrompts, rankformer=False)),
    "ordinalclip": Objective(23, losses.ordinalclip_loss, head=LINEAR),
    "ordinalclip-inverse": Objective(25, losses.ordinalclip_loss, head=partial(LINEAR, weighting="inverse")),
}
PROBES = ("zero-shot", "zero-shot-raw", "linear-probe", "ridge")
BASELINES = (*PROBES, *(name + form for name in OBJECTIVES for form in ("", FROZEN)))


def batch_loss(
    name: str, features: Features, outputs: Tensor, target: Target, position: Position, scale: Scalar
) -> Scalar:
    """The loss of a row of the table, without the cross-entropy that some add, given the arguments that it takes."""
    given = {"features": features, "outputs": outputs, "target": target, "scale": scale}
    given |= {"position": position, "label": position[target]}
    return OBJECTIVES[name].loss(*(given[key] for key in OBJECTIVES[name].takes))


def alternative_loss(
    name: str, image: Features, text: Texts, target: Target, values: Position, *, scale: Scalar
) -> Scalar:
    """Another loss in place of the ordinal pairwise loss of stage 2: what λ2 then weighs.

    Args:
        name: `ordinal-entropy`, `supcon` and `rank-n-contrast` compare image features; `sord` and `mean-variance` are
            losses of the logits, the latter without its cross-entropy: stage 2 has its own.
        image: Unit image features.
        text: Unit text features.
        target: Rank indices.
        values: Rank values.
        scale: s of the towers.

    Returns:
        A scalar.

    Example:
        >>> given = (torch.eye(3), torch.eye(3), torch.arange(3), torch.arange(3.0))
        >>> round(float(alternative_loss("rank-n-contrast", *given, scale=torch.tensor(1.0))), 4)
        0.4621
    """
    outputs = scale * image @ text.T
    loss = batch_loss(name, image, outputs, target, losses.positions(values), scale)
    return loss - F.cross_entropy(outputs, target) if name == "mean-variance" else loss


def check_baselines(names: Sequence[str], config: Config | None = None) -> None:
    """Refuse a baseline that cannot run before anything is trained.

    Args:
        names: The baselines asked for.
        config: The settings under which they run.

    Raises:
        InputError: An unknown name, a library that is not installed, or settings that leave nothing to train.

    Example:
        >>> check_baselines(["ridge", "coop-frozen"], Config(context_length=0))
        Traceback (most recent call last):
        ...
        l2rclip_lite.errors.InputError: baselines: coop-frozen learns the context; set context_length, or leave it out.
    """
    if PartialState().num_processes > 1:
        raise InputError("baselines: they train in one process; run this without `accelerate launch`.")
    for name in names:
        if name not in BASELINES:
            raise InputError(f"baselines: {name!r} is unknown; choose from {', '.join(BASELINES)}.")
        objective = OBJECTIVES.get(name.removesuffix(FROZEN))
        if objective and objective.needs and not find_spec(objective.needs):
            raise InputError(f"baselines: {name} needs: pip install 'l2rclip-lite[baselines]'.")
        if name.removesuffix(FROZEN) == "coop" and config and not config.context_length:
            raise InputError(f"baselines: {name} learns the context; set context_length, or leave it out.")


def run_baseline(name: str, data: OrdinalDataset, config: Config, *, quiet: bool = True) -> Outputs:
    """Train a baseline on a data set.

    Args:
        name: One of `BASELINES`.
        data: Validation chooses the epoch, test is answered.
        config: Towers, budget, batch size, seed.
        quiet: Whether to hide progress bars.

    Returns:
        K probabilities per test image.

    Raises:
        InputError: See `check_baselines`; an image that cannot be read.
        TrainingError: Numbers that are not finite.

    Example:
        >>> from l2rclip_lite.data import load_dataset
        >>> leaves = load_dataset("leaves", size=60, pixels=64)
        >>> run_baseline("ridge", leaves, Config(towers="tiny/random", heads=2)).shape
        torch.Size([10, 5])
    """
    check_baselines([name], config)
    if config.upside_down is None:
        config = replace(config, upside_down=not data.upright)
    model = L2RCLIP.build(data.ranks, config, data.image_size).to(choose_device(config))
    with threadpool_limits(config.threads):
        return train_baseline(name, model, TrainingData.load(data, model, quiet=quiet), quiet=quiet)


def train_baseline(
    name: str, model: L2RCLIP, data: TrainingData, *, run: RunDirectory | None = None, quiet: bool = True
) -> Outputs:
    """Train a baseline and let it answer on the test split.

    Args:
        name: One of `BASELINES`.
        model: Towers in their starting state, ranks and config; it is left as it was.
        data: What it is trained on; without images only features and an adapter can be trained.
        run: Where complete epochs are kept; None keeps none.
        quiet: Whether to hide progress bars.

    Returns:
        K probabilities per test image.
    """
    if name in ("zero-shot", "zero-shot-raw"):
        return zero_shot(model, data.features["test"], raw=name == "zero-shot-raw")
    if name in ("linear-probe", "ridge"):
        probe = linear_probe if name == "linear-probe" else ridge
        return probe(dict(data.features), dict(data.targets), model.ranks)
    head = OBJECTIVES[name.removesuffix(FROZEN)].head(model).to(model.device)
    movable = ("towers.image.", "adapter.")
    start = {key: value.clone() for key, value in model.state_dict().items() if key.startswith(movable)}
    try:
        if isinstance(head, PromptHead) and not name.endswith(FROZEN):
            _train(name + FROZEN, head, model, data, run, quiet)
            head = head.fixed()
        return _train(name, head, model, data, run, quiet)
    finally:
        model.load_state_dict(start, strict=False)


def _train(
    name: str, head: nn.Module, model: L2RCLIP, data: TrainingData, run: RunDirectory | None, quiet: bool
) -> Outputs:
    """One stage of one baseline, from the first epoch to test probabilities."""
    objective, frozen = OBJECTIVES[name.removesuffix(FROZEN)], name.endswith(FROZEN)
    config = model.config
    if frozen:
        # an adapter on cached features with stage 1's budget, which learns only where the loss compares features
        config = replace(config, image_side="adapter", epochs2=config.epochs1, lr2=config.lr1)
        model = L2RCLIP(model.towers, model.ranks, config, rank_features=model.rank_features).to(model.device)
    learned = freeze(model, "stage 2")
    if frozen and "features" not in objective.takes:
        model.adapter.requires_grad_(False)
        learned = {}
    learned |= {f"head.{key}": value for key, value in head.named_parameters() if value.requires_grad}
    scale, tuned = model.scale.detach(), config.image_side == "tower"
    views = 2 if objective.decoder is None and tuned and config.augment else 1  # without augmentation a copy
    position = losses.positions(model.ranks.values_tensor()).to(model.device)
    # CORAL's biases see no factor S, and learn as much faster
    factors, lr = {"coral_bias": float(scale)}, config.lr2 or model.towers.image_lr
    budget: dict[str, Any] = {"lr": lr, "epochs": config.epochs2, "factors": factors}
    stage = Stage(objective.number + frozen, learned, data, model, **budget, run=run, quiet=quiet)
    for generator in stage.epochs():
        for x, target in data.batches(model, generator, views=views):
            features = model.image_features(x) if tuned else model.adapter(x)
            outputs = head(scale * features)
            loss = batch_loss(name.removesuffix(FROZEN), features, outputs, target, position, scale)
            stage.step(loss + F.cross_entropy(outputs, target) if objective.adds else loss)
        stage.end_epoch(_answer(objective, head, model, data, "val"))
    stage.restore_best()
    if objective.decoder is None:
        trained = {split: data.encode(model, split) for split in data.targets}
        return linear_probe(trained, dict(data.targets), model.ranks)
    return _answer(objective, head, model, data, "test")


@torch.no_grad()
def _answer(objective: Objective, head: nn.Module, model: L2RCLIP, data: TrainingData, split: str) -> Outputs:
    """K probabilities per image of a split, by the decoder or by the prototypes of the training images."""
    features = data.encode(model, split).to(model.device)
    if objective.decoder is not None:
        return objective.decoder(head(model.scale * features)).cpu()
    train, target = data.encode(model, "train").to(model.device), data.targets["train"].to(model.device)
    return prototype_probabilities(features, train, target, len(model.ranks), model.scale).cpu()
