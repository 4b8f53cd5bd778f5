"""How a baseline that is a loss is fitted: by epochs, or as a linear head on cached features."""

import copy
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import torch
from torch import nn

from l2rclip_lite.baselines import losses
from l2rclip_lite.baselines.probes import linear_probe
from l2rclip_lite.baselines.prompts import FROZEN, Objective, PromptHead, learned_prompts
from l2rclip_lite.heads import BIAS, LinearHead
from l2rclip_lite.image_side import sibling
from l2rclip_lite.method.optimisation import Row, Stage
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.method.stages import freeze
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.model_file import ModelFile, find_model_file
from l2rclip_lite.runs import RunDirectory
from l2rclip_lite.stages import encoder_of, optimisation, run_stage, tunes_tower
from l2rclip_lite.training import run_rates
from l2rclip_lite.training_data import TrainingData


def frozen_head(objective: Objective, data: TrainingData, ranks: Ranks) -> LinearHead:
    r"""Fit a linear head on cached features under the loss of an objective.

    Under CORAL's it is the proportional-odds model $P(y>k)=\sigma(w\cdot z+b_k)$. mord's
    `LogisticAT(alpha=λB)` minimises the same (all-threshold) loss with the same ridge on w. One
    thing differs: the ridge here shrinks the thresholds b, too. statsmodels' `OrderedModel` fits
    the same model by its likelihood: other numbers.

    Source: Rennie and Srebro 2005 (Loss functions for preference levels); Pedregosa, Bach and
    Gramfort 2017 (On the consistency of ordinal regression methods).

    Args:
        objective: An objective with outputs.
        data: Training data; its features before the projection are used.
        ranks: The label space.
    """
    position = losses.positions(ranks.values_tensor().double())
    return linear_probe(
        data.backbone,
        data.targets,
        ranks,
        loss=partial(objective.batch_loss, position=position),
        decoder=objective.decoder,
    )


def train_objective(
    name: str,
    objective: Objective,
    model: L2RCLIP,
    data: TrainingData,
    run: RunDirectory | None,
    quiet: bool,
) -> L2RCLIP:
    """Train the prompts of an objective, if it has any, and then the image tower.

    Prompts learn on cached features; a frozen form ends there.

    Args:
        name: Of the baseline; with `FROZEN` the image tower stays as it is.
        objective: Its row of the table.
        model: Towers in their starting state, ranks and config; it is left as it was.
        data: What it is trained on.
        run: Where complete epochs are kept.
        quiet: Whether to hide progress bars.
    """
    if objective.prompts is None:
        head = objective.head(model).to(model.device)
        if isinstance(head, nn.Linear) and model.config.start is not None:
            start = ModelFile.read(find_model_file(model.config.start))
            if start.decoder == objective.decoder:
                carry_head(head, model, start)
    else:
        prompts = learned_prompts(model, objective.prompts)
        prompt_head = PromptHead(model.towers, prompts).to(model.device)
        frozen = sibling(model)
        frozen_name = name.removesuffix(FROZEN) + FROZEN  # of the checkpoint of this stage
        _train(frozen_name, objective, prompt_head, frozen, data, run, quiet)
        if name.endswith(FROZEN):
            return frozen
        # of the same logits; its text features learn no more
        head = nn.Linear(model.towers.dim, len(model.ranks), bias=False, device=model.device)
        head.requires_grad_(False).weight.copy_(frozen.rank_features)

    # a copy of the image tower is tuned; the text tower is shared, as if it were copied already
    text = model.towers.text
    towers = copy.deepcopy(model.towers, memo={id(text): text})
    tuned = sibling(model, towers=towers)
    _train(name, objective, head, tuned, data, run, quiet)
    return tuned


@torch.no_grad()
def carry_head(head: nn.Linear, model: L2RCLIP, start: ModelFile) -> None:
    """Begin with the outputs of an earlier run whose ranks have the same values.

    Their names may differ: whoever counts apples has outputs for one to twenty, and so for pears.

    Args:
        head: Of a new baseline; its input is S · features.
        model: Ranks and scale.
        start: What the run has learned; a run that answers by sentences has no outputs, and those
            of a kernel head read other features.
    """
    earlier = start.head()
    if earlier is None or start.config.image_side == "kernel":
        return
    if start.ranks.values != model.ranks.values:
        return

    state = {key: start.tensors[f"head.{key}"] for key in earlier.state_dict()}
    earlier.load_state_dict(state)
    weight = earlier.norm * earlier.weight[:-1]
    head.weight.copy_((weight / model.scale.cpu()).T)
    head.bias.copy_(BIAS * earlier.weight[-1] - earlier.mean @ weight)


def _train(
    name: str,
    objective: Objective,
    head: nn.Module,
    model: L2RCLIP,
    data: TrainingData,
    run: RunDirectory | None,
    quiet: bool,
) -> None:
    """Train one stage of one baseline; the model becomes what it has learned."""

    def begin(lr: float) -> tuple[Stage, Iterator[Row]]:
        stage = _stage(name, objective, head, model, data, lr)
        return stage, _epochs(objective, head, model, stage, data)

    if name.endswith(FROZEN):
        stage, epochs = begin(model.config.lr1)
        run_stage(model, stage, epochs, run=run, quiet=quiet)
    else:
        run_rates(model, data, begin, run=run, quiet=quiet)
    _answer_as(head, objective, model, data)


def _epochs(
    objective: Objective, head: nn.Module, model: L2RCLIP, stage: Stage, data: TrainingData
) -> Iterator[Row]:
    """Train a stage, on pixels where it trains a tower, and yield a row after each epoch."""
    scale = model.scale.detach()
    position = losses.positions(model.ranks.values_tensor()).to(model.device)
    # two views of a contrastive loss; without augmentation the second would be a copy
    views = 1 if objective.has_outputs or not model.config.augment else 2
    encode = encoder_of(model) if stage.tower else None

    for generator in stage.epochs():
        if encode is None:
            batches = data.feature_batches(model, generator)
        else:
            batches = data.batches(model, generator, views=views)

        for images, target in batches:
            features = images if encode is None else encode(images, len(target) // views)
            loss = objective.batch_loss(
                head(scale * features),
                target,
                position=position,
                features=features,
                scale=scale,
            )
            stage.step(loss)

        _answer_as(head, objective, model, data)
        yield stage.end_epoch(data.scores(model, data.encode(model, "val")))

    stage.restore_kept()


def _stage(
    name: str,
    objective: Objective,
    head: nn.Module,
    model: L2RCLIP,
    data: TrainingData,
    lr: float,
) -> Stage:
    """Return the stage of one baseline: on cached features stage 1's budget, else stage 2's."""
    config = model.config
    parameters = freeze(model, "stage 2", tunes_tower=tunes_tower(config))
    for key, value in head.named_parameters():
        if value.requires_grad:
            parameters[f"head.{key}"] = value

    number = objective.number
    epochs = config.epochs2
    batch_size = data.pixel_batch_size(config)
    if name.endswith(FROZEN):
        number += 1
        epochs = config.stage1_epochs()
        batch_size = data.feature_batch_size(config)

    return Stage(
        number=number,
        parameters=parameters,
        lr=lr,
        n_epochs=epochs,
        n_images=len(data.targets["train"]),
        batch_size=batch_size,
        settings=optimisation(config),
        lr_factors={"head.coral_bias": float(model.scale.detach())},  # it sees no factor S
        name=name,
    )


@torch.no_grad()
def _answer_as(head: nn.Module, objective: Objective, model: L2RCLIP, data: TrainingData) -> None:
    """Make the model answer as a head does, whose input is S · features."""
    eye = torch.eye(model.towers.dim, device=model.device)

    if isinstance(head, PromptHead):
        model.rank_features.copy_(head(eye).T)
        return

    if objective.has_outputs:
        bias = head(0 * eye[:1])
        weight = torch.cat([head(model.scale * eye) - bias, bias / BIAS])
        linear_head = LinearHead(len(eye), weight.shape[1], objective.decoder)
        linear_head.weight.copy_(weight)
    else:  # a linear probe reads the features as they are now
        features = {split: data.encode(model, split) for split in ("train", "val")}
        rows = replace(data, backbone=features).for_heads(model.config)
        linear_head = linear_probe(rows.backbone, rows.targets, model.ranks)
    model.head = linear_head.to(model.device)
