"""How a baseline that is a loss is fitted: by epochs, or as a linear head on cached features."""

import copy
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from l2rclip_lite.baselines import losses
from l2rclip_lite.baselines.probes import linear_probe
from l2rclip_lite.baselines.prompts import FROZEN, Objective, PromptHead, learned_prompts
from l2rclip_lite.heads import BIAS, LinearHead
from l2rclip_lite.image_side import sibling
from l2rclip_lite.method.optimisation import Row, Scores, Stage
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.method.stages import freeze, train_stage2
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.model_file import ModelFile, find_model_file
from l2rclip_lite.runs import RunDirectory
from l2rclip_lite.stages import encoder_of, optimisation, run_stage
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
    other_features = start.config.image_side == "kernel"
    if earlier is None or other_features or start.ranks.values != model.ranks.values:
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
    """Train one stage of one baseline; the model becomes what it has learned.

    A frozen form trains on cached features, with stage 1's budget, a tuned one with stage 2's.
    """
    config = model.config
    number = objective.number
    n_epochs = config.epochs2
    batch_size = data.pixel_batch_size(config)
    is_frozen = name.endswith(FROZEN)
    if is_frozen:
        number += 1
        n_epochs = config.stage1_epochs()
        batch_size = data.feature_batch_size(config)

    def begin(lr: float) -> tuple[Stage, Iterator[Row]]:
        parameters = freeze(model, "stage 2", tunes_tower=not is_frozen)
        for key, value in head.named_parameters():
            if value.requires_grad:
                parameters[f"head.{key}"] = value

        stage = Stage(
            number,
            parameters,
            lr,
            n_epochs,
            len(data.targets["train"]),
            batch_size,
            optimisation(config),
            lr_factors={"head.coral_bias": float(model.scale.detach())},  # it sees no factor S
            name=name,
        )
        return stage, _epochs(objective, head, model, stage, data)

    if is_frozen:
        stage, epochs = begin(config.lr1)
        run_stage(model, stage, epochs, run=run, quiet=quiet)
    else:
        run_rates(model, data, begin, run=run, quiet=quiet)
    _answer_as(head, objective, model, data)


def _epochs(
    objective: Objective, head: nn.Module, model: L2RCLIP, stage: Stage, data: TrainingData
) -> Iterator[Row]:
    """Return what trains a stage, on pixels where it trains a tower; a row after each epoch."""
    scale = model.scale.detach()
    position = losses.positions(model.ranks.values_tensor()).to(model.device)

    def loss(z: Tensor, _: Tensor, y: Tensor) -> Tensor:
        outputs = head(scale * z)
        return objective.batch_loss(outputs, y, position=position, features=z, scale=scale)

    def score() -> Scores:
        _answer_as(head, objective, model, data)
        return data.scores(model, data.encode(model, "val"))

    if not stage.tower:
        batches = partial(data.feature_batches, model)
        return train_stage2(model, stage, batches, loss, score, lambda features, _: features)

    # two views of a contrastive loss; without augmentation the second would be a copy
    views = 1 if objective.has_outputs or not model.config.augment else 2
    batches = partial(data.batches, model, views=views)
    encode = encoder_of(model)
    return train_stage2(
        model, stage, batches, loss, score, lambda pixels, rows: encode(pixels, rows // views)
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
