"""The two stages of L2RCLIP: what trains, the losses, and the epochs.

Stage 1 trains RankFormer and context vectors against image features that are computed once. Stage 2
trains the image side against text features that are computed once. Each is a generator that yields
a row after every epoch, with the parameters in place.
"""

from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from l2rclip_lite.config import Config
from l2rclip_lite.method import Features, Pixels, Scalar, Targets, Texts, Values, losses
from l2rclip_lite.method.model import L2RCLIP
from l2rclip_lite.method.optimisation import Row, Stage
from l2rclip_lite.method.ranks import cyclic_permutation
from l2rclip_lite.training_data import TrainingData

Encode = Callable[[Tensor, int], Float[Tensor, "image dim"]]

# --- what trains --------------------------------------------------------------------------------

FREEZING = {
    # parameters, and the stage in which they train; stage 2 leaves the towers alone where a kernel
    # head is fitted. The released optimiser of stage 2 takes every name with "projection" in it, so
    # it also moves the text tower's projection, and with it the texts that were computed before.
    "prompts.context": "stage 1",
    "prompts.rankformer.*": "stage 1",
    "towers.image.*": "stage 2",
    "towers.text.*": "neither",
    "towers.logit_scale": "neither",
}


def trains(name: str, stage: str, config: Config) -> bool:
    """Return whether the freezing table lets a parameter train in a stage.

    The first pattern that fits its name decides.

    Example:
        >>> [
        ...     trains(name, "stage 1", Config())
        ...     for name in ("prompts.context", "towers.image.projection.weight")
        ... ]
        [True, False]
    """
    row = next(pattern for pattern in FREEZING if fnmatchcase(name, pattern))
    fixed = name.startswith("towers.") and config.image_side != "tower"
    return FREEZING[row] == stage and not fixed


def freeze(model: L2RCLIP, stage: str) -> dict[str, nn.Parameter]:
    """Switch gradients by the table, and return the parameters that train, by name."""
    trainable = {}
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(trains(name, stage, model.config))
        if parameter.requires_grad:
            trainable[name] = parameter
    return trainable


def freezing_table(model: L2RCLIP) -> str:
    """Return the freezing table with the number of parameters in each row, ready to print.

    A row without parameters is left out: without an epoch of stage 1 there are no prompts to learn.
    """
    lines = [f"{'parameters':<22}{'number':>12}   stage 1   stage 2"]
    parameters = dict(model.named_parameters())

    for pattern in FREEZING:
        names = [name for name in parameters if fnmatchcase(name, pattern)]
        size = sum(parameters[name].numel() for name in names)
        if size == 0:
            continue

        states = []
        for stage in ("stage 1", "stage 2"):
            states.append("trains" if trains(names[0], stage, model.config) else "frozen")
        lines.append(f"{pattern:<22}{size:>12,}   {'    '.join(states)}")

    return "\n".join(lines)


# --- stage 1 ------------------------------------------------------------------------------------


def stage1(model: L2RCLIP, data: TrainingData) -> Stage:
    """Return stage 1 before its first epoch; without prompts it has none."""
    config = model.config
    epochs = 0 if model.prompts is None else config.stage1_epochs()
    return Stage(
        number=1,
        parameters=freeze(model, "stage 1") if epochs else {},
        data=data,
        model=model,
        lr=config.lr1,
        n_epochs=epochs,
        batch_size=data.feature_batch_size(config),
    )


def train_stage1(model: L2RCLIP, data: TrainingData, stage: Stage | None = None) -> Iterator[Row]:
    """Train RankFormer and context vectors; both towers are frozen, so image features are cached.

    Nothing is trained until somebody iterates: write `history = list(train_stage1(model, data))`.

    The loss is the asymmetrical contrastive loss + λ1 · the ordinal pairwise loss in its stage-1
    form.

    Args:
        model: As built.
        data: Its features.
        stage: From `stage1`, such as one that goes on after its first epochs.

    Yields:
        A row after each epoch. After the last one the model gets the parameters of the kept epoch,
        see `Stage`.

    Raises:
        TrainingError: A loss that is not finite.
    """
    stage = stage or stage1(model, data)
    if stage.n_epochs == 0 or model.prompts is None:
        return

    values = model.ranks.values_tensor()
    if model.config.controls.order == "shuffled":
        values = values[cyclic_permutation(len(values))]
    values = values.to(model.device)

    for generator in stage.epochs():
        for z, y, _ in data.feature_batches(model, generator):
            t = model.prompts(model.towers)
            stage.step(stage1_loss(model, z, t, y, values))

        model.refresh()
        yield stage.end_epoch(model.probabilities(data.features["val"]))

    stage.restore_kept()
    model.refresh()


def stage1_loss(model: L2RCLIP, z: Features, t: Texts, y: Targets, values: Values) -> Scalar:
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


# --- stage 2 ------------------------------------------------------------------------------------


def stage2(model: L2RCLIP, data: TrainingData, lr: float | None = None) -> Stage:
    """Return stage 2 before its first epoch.

    Args:
        model: After stage 1.
        data: With its images.
        lr: Peak learning rate; None takes `Config.lr2`, else the first of `Towers.image_lrs`.
    """
    config = model.config
    return Stage(
        number=2,
        parameters=freeze(model, "stage 2") if config.epochs2 else {},
        data=data,
        model=model,
        lr=lr or config.lr2 or model.towers.image_lrs[0],
        n_epochs=config.epochs2,
        batch_size=data.pixel_batch_size(config),
    )


def train_stage2(
    model: L2RCLIP, data: TrainingData, stage: Stage | None = None, encode: Encode | None = None
) -> Iterator[Row]:
    """Train the image tower; the text side is frozen, so texts are computed once.

    Nothing is trained until somebody iterates: write `history = list(train_stage2(model, data))`.

    The loss is cross-entropy image → text + λ_tight · tightness − λ_push · diversity + λ_rps · the
    ranked probability score. The preset `recommended` has λ_tight = λ_push = 0 and λ_rps = 1;
    `paper` has 1, 1 and 0, which is cross-entropy + `losses.ordinal_pairwise_loss`.

    Args:
        model: After stage 1.
        data: With its images.
        stage: From `stage2`, such as one that goes on after its first epochs.
        encode: Returns the unit features of pixels, which are those of so many images; None takes
            `ImageEncoder`. Processes that train together take `devices.together` of it.

    Yields:
        A row after each epoch. After the last one the model gets the parameters of the kept epoch,
        see `Stage`.

    Raises:
        TrainingError: A loss that is not finite.
    """
    stage = stage or stage2(model, data)
    values = model.ranks.values_tensor().to(model.device)
    image_side = ImageEncoder(model)

    for generator in stage.epochs():
        for pixels, y, count in data.batches(model, generator):
            z = encode(pixels, count) if encode else image_side(pixels)
            stage.step(stage2_loss(model, z, y, values))

        yield stage.end_epoch(model.probabilities(data.encode(model, "val")))

    stage.restore_kept()


def stage2_loss(model: L2RCLIP, z: Features, y: Targets, values: Values) -> Scalar:
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
        power = controls.push_power
        diversity = losses.diversity(
            z, t, y, values, normalise=controls.normalise, order=controls.order, push_power=power
        )
        loss = loss - weights.lambda_push * diversity

    if weights.lambda_rps:
        loss = loss + weights.lambda_rps * losses.ranked_probability_loss(logits, y)
    return loss


class ImageEncoder(nn.Module):
    """`image_features` as a module of its own: what several processes train together.

    With `Config.micro_batch_size` it is a gradient cache (Gao et al. 2021, arXiv 2101.06983): parts
    of a batch are encoded without a graph, the loss sees the features of all, and each part is
    encoded again when the gradient of its features is there. The step is the same but for rounding,
    whatever the loss, and only one part's activations are in memory.
    """

    def __init__(self, model: L2RCLIP) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Pixels) -> Features:
        """Return unit image features."""
        size = self.model.config.micro_batch_size
        if size is None or size >= len(pixels):
            return self.model.image_features(pixels)

        parts = []
        for part in torch.split(pixels, size):
            # nothing is drawn at random, and to note the state of a device would wait for it
            features = checkpoint(
                self.model.image_features, part, use_reentrant=False, preserve_rng_state=False
            )
            parts.append(features)
        return torch.cat(parts)
