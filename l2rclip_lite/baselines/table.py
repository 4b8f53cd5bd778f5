"""Every baseline: four probes that train no network, and twelve objectives that do, as a table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from l2rclip_lite.baselines import losses
from l2rclip_lite.baselines.decoders import coral_probabilities, corn_probabilities
from l2rclip_lite.baselines.losses import Features, Position, Scalar, Target
from l2rclip_lite.baselines.prompts import InterpolatedPrompts, prompt_head
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.prompts import RankPrompts

FROZEN = "-frozen"


LINEAR = partial(prompt_head, prompts=InterpolatedPrompts)
softmax = partial(F.softmax, dim=1)


def linear_head(model: L2RCLIP, more: int = 0) -> nn.Module:
    """K + `more` linear outputs, 0 at the start."""
    head = nn.Linear(model.towers.dim, len(model.ranks) + more)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head


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


CORAL, MOMENTS = "coral_pytorch", ("outputs", "target", "position")
OBJECTIVES: dict[str, Objective] = {
    "cross-entropy": Objective(3, F.cross_entropy),
    "coral": Objective(5, losses.coral_loss, head=coral_head, decoder=coral_probabilities, needs=CORAL),
    "corn": Objective(
        7, losses.corn_loss, head=partial(linear_head, more=-1), decoder=corn_probabilities, needs=CORAL
    ),
    "sord": Objective(9, losses.sord_loss, needs="dlordinal"),
    "dldl-v2": Objective(11, losses.dldl_v2_loss, MOMENTS),
    "mean-variance": Objective(13, losses.mean_variance_loss, MOMENTS),
    "ordinal-entropy": Objective(
        15, losses.ordinal_entropy_loss, ("features", "target", "position"), adds=True
    ),
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
    name: str,
    image: Features,
    text: Float[Tensor, "rank dim"],
    target: Target,
    values: Position,
    *,
    scale: Scalar,
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
        >>> import torch
        >>> given = (torch.eye(3), torch.eye(3), torch.arange(3), torch.arange(3.0))
        >>> round(float(alternative_loss("rank-n-contrast", *given, scale=torch.tensor(1.0))), 4)
        0.4621
    """
    outputs = scale * image @ text.T
    loss = batch_loss(name, image, outputs, target, losses.positions(values), scale)
    return loss - F.cross_entropy(outputs, target) if name == "mean-variance" else loss
