"""The two stages of L2RCLIP, and the kernel head that may take the place of the second."""

from typing import Any

import torch.nn.functional as F
from accelerate import Accelerator, PartialState

from l2rclip_lite import losses
from l2rclip_lite.freezing import freeze
from l2rclip_lite.kernel import MIXTURES, choose_kernel_head
from l2rclip_lite.model import L2RCLIP, ImageSide
from l2rclip_lite.ranks import cyclic_permutation
from l2rclip_lite.results import validation_scores
from l2rclip_lite.training.features import TrainingData
from l2rclip_lite.training.stage import Stage


def train_stage1(model: L2RCLIP, data: TrainingData, **options: Any) -> list[dict[str, float]]:
    """Stage 1: RankFormer and context vectors learn; both towers are frozen, so image features are computed once.

    The loss is the asymmetrical contrastive loss + λ1 · the ordinal pairwise loss in its stage-1 form.

    Args:
        model: As built.
        data: Its features.
        options: `run`, `quiet` and `on_epoch` of `Stage`.

    Returns:
        One row per epoch; the model keeps the best one.
    """
    config, controls = model.config, model.config.controls
    if not config.epochs1 or model.prompts is None:
        return []
    values = model.ranks.values_tensor().to(model.device)
    if controls.order == "shuffled":
        values = values[cyclic_permutation(len(values))]
    compared = {"symmetric": controls.symmetric, "blind": controls.order == "blind"}
    learns, size = freeze(model, "stage 1"), data.feature_batch_size(config)
    budget: dict[str, Any] = {"lr": config.lr1, "epochs": config.epochs1, "batch_size": size}
    stage = Stage(1, learns, data, model, **budget, **options)
    for generator in stage.epochs():
        for z, y in data.feature_batches(model, generator):
            t = model.prompts(model.towers)
            if controls.contrastive == "plain":  # CLIP's is the mean of two terms, ours their sum
                loss = 2 * losses.contrastive_loss(z, t[y], model.scale)
            else:
                loss = losses.asymmetrical_contrastive_loss(z, t, y, model.scale)
            if config.lambda1:
                ordinal = losses.ordinal_pairwise_loss_stage1(z, t[y], t[y], values[y], **compared)
                loss = loss + config.lambda1 * ordinal
            stage.step(loss)
        model.refresh()
        stage.end_epoch(model.probabilities(data.features["val"]))
    history = stage.restore_best()
    model.refresh()
    return history


def train_stage2(model: L2RCLIP, data: TrainingData, **options: Any) -> list[dict[str, float]]:
    """Stage 2: the image tower learns; the text side is frozen, so texts are computed once.

    The loss is cross-entropy image → text + λ_tight · tightness − λ_push · diversity + λ_rps · the ranked probability
    score; with λ_tight = λ_push it holds the ordinal pairwise loss.

    Args:
        model: After stage 1.
        data: With its images.
        options: `run`, `quiet` and `on_epoch` of `Stage`.

    Returns:
        One row per epoch; the model keeps the best one.
    """
    config, controls = model.config, model.config.controls
    if not config.epochs2:
        return []
    push = {name: getattr(controls, name) for name in ("normalise", "order", "push_power")}
    texts, values = model.rank_features, model.ranks.values_tensor().to(model.device)
    learns, lr, epochs = (
        freeze(model, "stage 2"),
        config.lr2 or model.towers.image_lr,
        config.epochs2,
    )
    stage = Stage(2, learns, data, model, lr=lr, epochs=epochs, **options)
    encode = ImageSide(model)
    if PartialState().num_processes > 1:
        encode = Accelerator().prepare(encode)  # the processes average their gradients
    for generator in stage.epochs():
        for x, y in data.batches(model, generator):
            z = encode(x)
            logits = model.scale * z @ texts.T
            loss = F.cross_entropy(logits, y)
            if config.lambda_tight:
                loss = loss + config.lambda_tight * losses.tightness(z, texts, y)
            if config.lambda_push:
                loss = loss - config.lambda_push * losses.diversity(z, texts, y, values, **push)
            if config.lambda_rps:
                loss = loss + config.lambda_rps * losses.ranked_probability_loss(logits, y)
            stage.step(loss)
        stage.end_epoch(model.probabilities(data.encode(model, "val")))
    return stage.restore_best()


def train_kernel(model: L2RCLIP, data: TrainingData, **options: Any) -> list[dict[str, float]]:
    """Stage 2 for a frozen image tower: the language-kernel head, in seconds and without a learning rate.

    Args:
        model: After stage 1.
        data: Its features.
        options: `quiet` and `on_epoch` of `Stage`.

    Returns:
        One row; the model keeps the head.
    """
    known, target = model.config.controls.kernel, data.targets
    menu = {"chosen": tuple(MIXTURES), "language": ("nothing", "text")}.get(known, (known,))
    how: Any = {"mixtures": [MIXTURES[name] for name in menu], "quiet": options.get("quiet", True)}
    chosen = choose_kernel_head(data.backbone, target, model.rank_features, model.ranks, **how)
    model.head = chosen.head.to(model.device)
    found = model.probabilities(data.backbone["val"])
    knows = dict(zip(("text", "numbers", "identity"), chosen.mixture, strict=True))
    row = {"stage": 2, "epoch": 1} | knows | validation_scores(found, target["val"], model.ranks)
    if on_epoch := options.get("on_epoch"):
        on_epoch(row)
    return [row]
