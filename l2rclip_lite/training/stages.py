"""The two stages of L2RCLIP, and the kernel head that may take the place of the second."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from l2rclip_lite.freezing import freeze
from l2rclip_lite.heads.kernel import MIXTURES
from l2rclip_lite.heads.kernel_stack import stack_kernel_heads
from l2rclip_lite.method import losses
from l2rclip_lite.method.model import L2RCLIP
from l2rclip_lite.method.ranks import cyclic_permutation
from l2rclip_lite.runs.results import validation_scores
from l2rclip_lite.runs.run_directory import RunDirectory
from l2rclip_lite.training.features import TrainingData
from l2rclip_lite.training.processes import GatheredImageSide
from l2rclip_lite.training.stage import OnEpoch, Stage


def train_stage1(
    model: L2RCLIP,
    data: TrainingData,
    *,
    run: RunDirectory | None = None,
    quiet: bool = True,
    on_epoch: OnEpoch | None = None,
) -> list[dict[str, float]]:
    """Train RankFormer and context vectors; both towers are frozen, so image features are cached.

    The loss is the asymmetrical contrastive loss + λ1 · the ordinal pairwise loss in its stage-1
    form. Every process trains the same, on all images.

    Args:
        model: As built.
        data: Its features.
        run: See `Stage`.
        quiet: See `Stage`.
        on_epoch: See `Stage`.

    Returns:
        One row per epoch; of one of them the model keeps the parameters, see `Stage`.

    Raises:
        TrainingError: A loss that is not finite, or memory that runs out.
    """
    config = model.config
    if config.stage1_epochs() == 0 or model.prompts is None:
        return []

    values = model.ranks.values_tensor()
    if config.controls.order == "shuffled":
        values = values[cyclic_permutation(len(values))]
    values = values.to(model.device)

    stage = Stage(
        number=1,
        parameters=freeze(model, "stage 1"),
        data=data,
        model=model,
        lr=config.lr1,
        epochs=config.stage1_epochs(),
        batch_size=data.feature_batch_size(config),
        run=run,
        quiet=quiet,
        on_epoch=on_epoch,
    )
    with stage.memory_in_words():
        for generator in stage.epochs():
            for z, y, rows in data.feature_batches(model, generator):
                t = model.prompts(model.towers)
                stage.step(stage1_loss(model, z, t, y, values), rows)

            model.refresh()
            stage.end_epoch(model.probabilities(data.features["val"]))

    history = stage.restore_kept()
    model.refresh()
    return history


def stage1_loss(
    model: L2RCLIP, z: losses.Batch, t: losses.Texts, y: losses.Targets, values: losses.Values
) -> Float[Tensor, ""]:
    """Return the loss of a batch in stage 1.

    Args:
        model: Config and scale.
        z: Unit image features.
        t: Unit text features, one per rank.
        y: Rank index of each image.
        values: Value of each rank, for the ordinal weight.
    """
    controls = model.config.controls
    lambda1 = model.config.loss_weights().lambda1

    if controls.contrastive == "plain":  # CLIP's is the mean of two terms, ours their sum
        loss = 2 * losses.contrastive_loss(z, t[y], model.scale)
    else:
        loss = losses.asymmetrical_contrastive_loss(z, t, y, model.scale)

    if lambda1:
        blind = controls.order == "blind"
        ordinal = losses.ordinal_pairwise_loss_stage1(
            z, t[y], t[y], values[y], symmetric=controls.symmetric, blind=blind
        )
        loss = loss + lambda1 * ordinal
    return loss


def train_stage2(
    model: L2RCLIP,
    data: TrainingData,
    *,
    run: RunDirectory | None = None,
    quiet: bool = True,
    on_epoch: OnEpoch | None = None,
) -> list[dict[str, float]]:
    """Train the image tower; the text side is frozen, so texts are computed once.

    The loss is cross-entropy image → text + λ_tight · tightness − λ_push · diversity + λ_rps · the
    ranked probability score; with λ_tight = λ_push it holds the ordinal pairwise loss.

    Args:
        model: After stage 1.
        data: With its images.
        run: See `Stage`.
        quiet: See `Stage`.
        on_epoch: See `Stage`.

    Returns:
        One row per epoch; of one of them the model keeps the parameters, see `Stage`.

    Raises:
        TrainingError: A loss that is not finite, or memory that runs out.
    """
    config = model.config
    if config.epochs2 == 0:
        return []

    values = model.ranks.values_tensor().to(model.device)
    stage = Stage(
        number=2,
        parameters=freeze(model, "stage 2"),
        data=data,
        model=model,
        lr=config.lr2 or model.towers.image_lr,
        epochs=config.epochs2,
        run=run,
        quiet=quiet,
        on_epoch=on_epoch,
    )
    image_features = GatheredImageSide(model)

    with stage.memory_in_words():
        for generator in stage.epochs():
            for pixels, y, rows in data.batches(model, generator):
                z = image_features(pixels, len(rows))
                stage.step(stage2_loss(model, z, y, values), rows)

            stage.end_epoch(model.probabilities(data.encode(model, "val")))

    return stage.restore_kept()


def stage2_loss(
    model: L2RCLIP, z: losses.Batch, y: losses.Targets, values: losses.Values
) -> Float[Tensor, ""]:
    """Return the loss of a batch in stage 2.

    Args:
        model: Config, scale and fixed text features.
        z: Unit image features.
        y: Rank index of each image.
        values: Value of each rank, for the ordinal weight.
    """
    controls = model.config.controls
    weights = model.config.loss_weights()
    t = model.rank_features

    logits = model.scale * z @ t.T
    loss = F.cross_entropy(logits, y)

    if weights.lambda_tight:
        loss = loss + weights.lambda_tight * losses.tightness(z, t, y)

    if weights.lambda_push:
        diversity = losses.diversity(
            z,
            t,
            y,
            values,
            normalise=controls.normalise,
            order=controls.order,
            push_power=controls.push_power,
        )
        loss = loss - weights.lambda_push * diversity

    if weights.lambda_rps:
        loss = loss + weights.lambda_rps * losses.ranked_probability_loss(logits, y)
    return loss


def train_kernel(
    model: L2RCLIP,
    data: TrainingData,
    *,
    quiet: bool = True,
    on_epoch: OnEpoch | None = None,
) -> list[dict[str, float]]:
    """Fit the language-kernel head on a frozen image tower, in seconds and without a learning rate.

    It is a stack over the kernels, see `stack_kernel_heads`; a study may name a single one.

    Args:
        model: After stage 1.
        data: Its features.
        quiet: Whether to hide the bar.
        on_epoch: Called with the row.

    Returns:
        One row; the model keeps the head.
    """
    kernel = model.config.controls.kernel
    if kernel == "chosen":
        mixtures = list(MIXTURES.values())
    elif kernel == "language":
        mixtures = [MIXTURES["nothing"], MIXTURES["text"]]
    else:
        mixtures = [MIXTURES[kernel]]

    choice = stack_kernel_heads(
        data.backbone,
        data.targets,
        model.rank_features,
        model.ranks,
        mixtures=mixtures,
        quiet=quiet,
    )
    model.head = choice.head.to(model.device)

    text, numbers, identity = choice.mixture
    row = {"stage": 2, "epoch": 1, "text": text, "numbers": numbers, "identity": identity}
    probabilities = model.probabilities(data.backbone["val"])
    row |= validation_scores(probabilities, data.targets["val"], model.ranks)
    if on_epoch is not None:
        on_epoch(row)
    return [row]
