"""What a network may be trained for instead of L2RCLIP's losses: a table, and one function that trains any row of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from l2rclip_lite import ordinal_losses as losses
from l2rclip_lite import readouts
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.prompt_baselines import coop_head, ordinalclip_head


@dataclass(frozen=True)
class Batch:
    """What a loss may look at.

    Args:
        features: Unit image features.
        outputs: What the head makes of them.
        target: Rank indices.
        position: Where the ranks stand, see `ordinal_losses.positions`.
        scale: S of the towers.
    """

    features: Float[Tensor, "batch dim"]
    outputs: Float[Tensor, "batch output"]
    target: Int[Tensor, " batch"]
    position: Float[Tensor, " rank"]
    scale: Float[Tensor, ""]


def linear_head(model: L2RCLIP) -> nn.Module:
    """K linear outputs, 0 at the start."""
    return _zeroed(nn.Linear(model.towers.dim, len(model.ranks)))


def threshold_head(model: L2RCLIP) -> nn.Module:
    """K−1 linear outputs, 0 at the start."""
    return _zeroed(nn.Linear(model.towers.dim, len(model.ranks) - 1))


def coral_head(model: L2RCLIP) -> nn.Module:
    """K−1 outputs that share one weight vector; their biases start in CORAL's own falling order."""
    head: nn.Module = losses.extra("coral_pytorch.layers").CoralLayer(model.towers.dim, len(model.ranks))
    nn.init.zeros_(head.get_parameter("coral_weights.weight"))
    return head


def no_head(model: L2RCLIP) -> nn.Module:
    """For losses of the features alone."""
    return nn.Identity()


def _zeroed(head: nn.Linear) -> nn.Linear:
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head


@dataclass(frozen=True)
class Objective:
    """A row of the table.

    Args:
        number: Number of the stage that fine-tunes the image tower; the next one trains on cached features. It seeds
            the random draws and names the checkpoint, so it is never given twice and never changed.
        loss: Loss of a batch.
        head: Makes the head; its input is S · features.
        readout: Outputs to probabilities; None reads the features out with prototypes (to choose the epoch) and a
            linear probe (to answer).
        on_features: Whether the loss acts on the features, so that a frozen tower needs a `FeatureMap`.
        needs: A module of the extra `baselines`.

    Example:
        >>> OBJECTIVES["coral"].number, OBJECTIVES["coral"].needs
        (5, 'coral_pytorch')
    """

    number: int
    loss: Callable[[Batch], Float[Tensor, ""]]
    head: Callable[[L2RCLIP], nn.Module] = linear_head
    readout: Callable[[Tensor], Tensor] | None = field(default=partial(F.softmax, dim=1))
    on_features: bool = False
    needs: str | None = None


def _dldl_v2(batch: Batch) -> Tensor:
    """Two steps wide as published for ages, but at most an eighth of the scale: on 5 ranks 2 steps are no peak at all."""
    sigma = min(2.0, (len(batch.position) - 1) / 8)
    return losses.dldl_v2_loss(batch.outputs, batch.target, batch.position, sigma)


CORAL, SORD = "coral_pytorch", "dlordinal.losses"
OBJECTIVES: dict[str, Objective] = {
    "cross-entropy": Objective(3, lambda b: F.cross_entropy(b.outputs, b.target)),
    "coral": Objective(
        5,
        lambda b: losses.coral_loss(b.outputs, b.target),
        coral_head,
        readouts.coral_probabilities,
        needs=CORAL,
    ),
    "corn": Objective(
        7,
        lambda b: losses.corn_loss(b.outputs, b.target),
        threshold_head,
        readouts.corn_probabilities,
        needs=CORAL,
    ),
    "sord": Objective(9, lambda b: losses.sord_loss(b.outputs, b.target), needs=SORD),
    "dldl-v2": Objective(11, _dldl_v2),
    "mean-variance": Objective(13, lambda b: losses.mean_variance_loss(b.outputs, b.target, b.position)),
    "ordinal-entropy": Objective(
        15,
        lambda b: (
            F.cross_entropy(b.outputs, b.target)
            + losses.ordinal_entropy_loss(b.features, b.target, b.position)
        ),
        on_features=True,
    ),
    "supcon": Objective(
        17, lambda b: losses.supcon_loss(b.features, b.target, b.scale), no_head, None, on_features=True
    ),
    "rank-n-contrast": Objective(
        19,
        lambda b: losses.rank_n_contrast_loss(b.features, b.position[b.target]),
        no_head,
        None,
        on_features=True,
    ),
    "coop": Objective(21, lambda b: F.cross_entropy(b.outputs, b.target), coop_head),
    "ordinalclip": Objective(23, lambda b: losses.ordinalclip_loss(b.outputs, b.target), ordinalclip_head),
    "ordinalclip-inverse": Objective(
        25,
        lambda b: losses.ordinalclip_loss(b.outputs, b.target),
        partial(ordinalclip_head, weighting="inverse"),
    ),
}
