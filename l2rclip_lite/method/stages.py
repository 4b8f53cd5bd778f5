"""The two stages of L2RCLIP: what trains, the losses, and the epochs.

Stage 1 trains RankFormer and context vectors against image features that are computed once. Stage 2
trains the image side against text features that are computed once. Each is a generator that yields
a row after every epoch, with the parameters in place.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from . import Features, Pixels, Scalar, Scale, Targets, Texts, Values, losses
from .losses import Normalise, Order
from .model import RankModel
from .optimisation import Row, Scores, Stage
from .ranks import of_other_ranks

# The batches of an epoch, from its generator: images, as features or pixels, and their ranks.
Batches: TypeAlias = Callable[[torch.Generator], Iterable[tuple[Tensor, Tensor]]]
Loss: TypeAlias = Callable[[Tensor, Tensor, Tensor], Tensor]  # of z, t and y
Score: TypeAlias = Callable[[], Scores]  # of the validation images, by the parameters as they are
Encode: TypeAlias = Callable[[Tensor, int], Tensor]  # features of pixels, of so many images


@dataclass(frozen=True)
class LossSettings:
    """Weights and forms of the losses of both stages; a weight of 0 leaves a term out.

    By default stage 2 is cross-entropy + RPS, which validation images preferred, and rank distance
    acts in stage 1 alone: `normalise` and `push_power` do nothing until `lambda_push` is above 0.
    As released, `lambda_push` and `lambda_tight` are 1 and `lambda_rps` is 0.

    Args:
        lambda1: Weight of the ordinal pairwise loss in stage 1.
        lambda_push: Weight of diversity in stage 2.
        lambda_tight: Weight of tightness in stage 2.
        lambda_rps: Weight of the ranked probability score in stage 2.
        contrastive: Loss of stage 1; "plain" is CLIP's, blind to images that share a rank.
        order: Ordinal weight of both stages, see `losses.rank_weights`.
        symmetric: Whether the pairwise loss of stage 1 uses all pairs, not those with i < j alone.
        normalise: What divides the ordinal weight of stage 2.
        push_power: Power of the distance in diversity.
    """

    lambda1: float = 1.0
    lambda_push: float = 0.0
    lambda_tight: float = 0.0
    lambda_rps: float = 1.0
    contrastive: Literal["asymmetrical", "plain"] = "asymmetrical"
    order: Order = "true"
    symmetric: bool = False
    normalise: Normalise = "batch"
    push_power: int = 1


# --- what trains --------------------------------------------------------------------------------

FREEZING = {
    # parameters, and the stage in which they train; stage 2 leaves the towers alone where a head is
    # fitted in their place. The released optimiser of stage 2 takes every name with "projection" in
    # it, so it also moves the text tower's projection, and with it the texts computed before.
    "prompts.context": "stage 1",
    "prompts.rankformer.*": "stage 1",
    "towers.image.*": "stage 2",
    "towers.text.*": "neither",
    "towers.logit_scale": "neither",
}


def trains(name: str, stage: str, *, tunes_tower: bool = True) -> bool:
    """Return whether the freezing table lets a parameter train in a stage.

    The first pattern that fits its name decides.

    Args:
        name: Of the parameter.
        stage: "stage 1" or "stage 2".
        tunes_tower: Whether stage 2 trains the image tower; else a head on it is fitted.

    Example:
        >>> [trains(name, "stage 1") for name in ("prompts.context", "towers.image.proj.weight")]
        [True, False]
    """
    row = next(pattern for pattern in FREEZING if fnmatchcase(name, pattern))
    fixed = name.startswith("towers.") and not tunes_tower
    return FREEZING[row] == stage and not fixed


def freeze(model: nn.Module, stage: str, *, tunes_tower: bool = True) -> dict[str, nn.Parameter]:
    """Switch gradients by the table, and return the parameters that train, by name, for `Stage`."""
    trainable = {}
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(trains(name, stage, tunes_tower=tunes_tower))
        if parameter.requires_grad:
            trainable[name] = parameter
    return trainable


def freezing_table(model: nn.Module, *, tunes_tower: bool = True) -> str:
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
            is_trained = trains(names[0], stage, tunes_tower=tunes_tower)
            states.append("trains" if is_trained else "frozen")
        lines.append(f"{pattern:<22}{size:>12,}   {'    '.join(states)}")

    return "\n".join(lines)


# --- stage 1 ------------------------------------------------------------------------------------


def train_stage1(
    model: RankModel, stage: Stage, batches: Batches, loss: Loss, score: Score
) -> Iterator[Row]:
    """Train RankFormer and context vectors; both towers are frozen, so image features are cached.

    Nothing is trained until somebody iterates: write `history = list(train_stage1(...))`.

    Args:
        model: As built. Its prompts are encoded in every step, in evaluation mode.
        stage: Of the parameters that `freeze(model, "stage 1")` returns; it may go on after its
            first epochs.
        batches: Unit features of the images of each batch, kept by the caller, and their ranks.
        loss: Of features, texts and ranks; see `stage1_loss`.
        score: Scores the validation images.

    Yields:
        A row after each epoch. After the last one the model gets the parameters of the kept epoch,
        see `Stage`.

    Raises:
        TrainingError: A loss that is not finite.
    """
    if stage.n_epochs == 0 or model.prompts is None:
        return

    for generator in stage.epochs():
        for z, y in batches(generator):
            t = model.prompts(model.towers)
            stage.step(loss(z, t, y))

        model.refresh()
        yield stage.end_epoch(score())

    stage.restore_kept()
    model.refresh()


def stage1_loss(
    z: Features, t: Texts, y: Targets, values: Values, scale: Scale, settings: LossSettings
) -> Scalar:
    r"""Return the loss of a batch in stage 1.

    $$L_1 = L_{\mathrm{contrastive}} + \lambda_1 L_{\mathrm{pairwise,1}}$$

    Args:
        z: Unit image features.
        t: Unit text features, one per rank.
        y: Rank index of each image.
        values: Value of each rank, for the ordinal weight.
        scale: s of the towers.
        settings: Weight and forms of the losses.
    """
    if settings.contrastive == "plain":  # CLIP's is the mean of two terms, ours their sum
        loss = 2 * losses.contrastive_loss(z, t[y], scale)
    else:
        loss = losses.asymmetrical_contrastive_loss(z, t, y, scale)

    if settings.lambda1:
        if settings.order == "shuffled":
            values = of_other_ranks(values, dim=0)
        blind = settings.order == "blind"
        ordinal = losses.ordinal_pairwise_loss_stage1(
            z, t[y], t[y], values[y], symmetric=settings.symmetric, blind=blind
        )
        loss = loss + settings.lambda1 * ordinal
    return loss


# --- stage 2 ------------------------------------------------------------------------------------


def train_stage2(
    model: RankModel,
    stage: Stage,
    batches: Batches,
    loss: Loss,
    score: Score,
    encode: Encode | None = None,
) -> Iterator[Row]:
    """Train the image tower; the text side is frozen, so texts are computed once.

    Nothing is trained until somebody iterates: write `history = list(train_stage2(...))`.

    Args:
        model: After stage 1.
        stage: Of the parameters that `freeze(model, "stage 2")` returns; it may go on after its
            first epochs.
        batches: Normalised pixels of the images of each batch, and their ranks.
        loss: Of features, texts and ranks; see `stage2_loss`.
        score: Scores the validation images.
        encode: Returns the unit features of pixels; None takes `ImageEncoder`. Of processes that
            train together each has its part of the pixels, and gets the features of the batch.

    Yields:
        A row after each epoch. After the last one the model gets the parameters of the kept epoch,
        see `Stage`.

    Raises:
        TrainingError: A loss that is not finite.
    """
    image_side = ImageEncoder(model)
    for generator in stage.epochs():
        for pixels, y in batches(generator):
            z = encode(pixels, len(y)) if encode else image_side(pixels)
            stage.step(loss(z, model.rank_features, y))

        yield stage.end_epoch(score())

    stage.restore_kept()


def stage2_loss(
    z: Features, t: Texts, y: Targets, values: Values, scale: Scale, settings: LossSettings
) -> Scalar:
    r"""Return the loss of a batch in stage 2.

    $$L_2 = \mathrm{CE} + \lambda_{\mathrm{tight}} T - \lambda_{\mathrm{push}} D
    + \lambda_{\mathrm{rps}}\,\mathrm{RPS}$$

    with cross-entropy from image to text; with the weights as released it is cross-entropy +
    `losses.ordinal_pairwise_loss`.

    Args:
        z: Unit image features.
        t: Unit text features, one per rank.
        y: Rank index of each image.
        values: Value of each rank, for the ordinal weight.
        scale: s of the towers.
        settings: Weights and forms of the losses.
    """
    logits = scale * z @ t.T
    loss = F.cross_entropy(logits, y)

    if settings.lambda_tight:
        loss = loss + settings.lambda_tight * losses.tightness(z, t, y)

    if settings.lambda_push:
        diversity = losses.diversity(
            z,
            t,
            y,
            values,
            normalise=settings.normalise,
            order=settings.order,
            push_power=settings.push_power,
        )
        loss = loss - settings.lambda_push * diversity

    if settings.lambda_rps:
        loss = loss + settings.lambda_rps * losses.ranked_probability_loss(logits, y)
    return loss


class ImageEncoder(nn.Module):
    """`image_features` as a module of its own: what several processes train together.

    With a micro batch it is a gradient cache (Gao et al. 2021, arXiv 2101.06983): parts of a batch
    are encoded without a graph, the loss sees the features of all, and each part is encoded again
    when the gradient of its features is there. The step is the same but for rounding, whatever the
    loss, and only one part's activations are in memory.

    Args:
        model: Whose image tower encodes.
        micro_batch_size: Images that are in memory at once; None takes the whole batch.
    """

    def __init__(self, model: RankModel, micro_batch_size: int | None = None) -> None:
        super().__init__()
        self.model = model
        self.micro_batch_size = micro_batch_size

    def forward(self, pixels: Pixels) -> Features:
        """Return unit image features."""
        size = self.micro_batch_size
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
