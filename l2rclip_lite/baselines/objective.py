"""A baseline that is a loss: its outputs, what it reads, and how its outputs are decoded."""

from collections.abc import Callable
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from l2rclip_lite.method.losses import Loss
from l2rclip_lite.method.model import L2RCLIP
from l2rclip_lite.method.prompts import RankPrompts

FROZEN = "-frozen"  # ends the name of a baseline that leaves the image tower as it is


def linear_outputs(model: L2RCLIP, more: int = 0) -> nn.Module:
    """Return K + `more` linear outputs, 0 at the start."""
    head = nn.Linear(model.towers.dim, len(model.ranks) + more)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head


def corn_outputs(model: L2RCLIP) -> nn.Module:
    """Return K−1 linear outputs, 0 at the start."""
    return linear_outputs(model, more=-1)


def coral_outputs(model: L2RCLIP) -> nn.Module:
    """Return K−1 outputs that share one weight vector.

    Their biases start in CORAL's own falling order.
    """
    from coral_pytorch.layers import CoralLayer

    head: nn.Module = CoralLayer(model.towers.dim, len(model.ranks))
    nn.init.zeros_(head.get_parameter("coral_weights.weight"))
    return head


def features_alone(model: L2RCLIP) -> nn.Module:
    """Return no outputs: the loss reads features."""
    return nn.Identity()


@dataclass(frozen=True)
class Objective:
    """A row of the table of losses.

    Args:
        number: Number of the stage that tunes the image tower; the next one learns prompts on
            cached features. It seeds the random draws and names the checkpoint, so it is never used
            twice and never changed.
        loss: Loss of a batch.
        takes: What it is called with, in this order: `outputs` of the head, `features` (unit),
            `target` (rank indices), `label` (their positions), `position` of the ranks, `scale` of
            the towers.
        head: Makes the head; its input is S · features.
        prompts: Makes prompts, which learn before the image tower does, in place of a head.
        decoder: See `LinearHead`; None reads the features with a linear probe.
        adds: Whether cross-entropy is added to the loss.
        needs: A module of the extra `baselines`.
        rate: How many times faster than under cross-entropy a tower with a linear head learns best.

    Example:
        >>> Objective(3, F.cross_entropy).decoder
        'softmax'
    """

    number: int
    loss: Callable[..., Loss]
    takes: tuple[str, ...] = ("outputs", "target")
    head: Callable[[L2RCLIP], nn.Module] = linear_outputs
    prompts: Callable[[L2RCLIP], RankPrompts] | None = None
    decoder: str | None = "softmax"
    adds: bool = False
    needs: str | None = None
    rate: float = 1.0

    def batch_loss(
        self,
        outputs: Tensor,
        target: Tensor,
        *,
        position: Tensor,
        features: Tensor | None = None,
        scale: Tensor | None = None,
    ) -> Loss:
        """Return the loss of a batch, with the cross-entropy that some add.

        Args:
            outputs: Of the head.
            target: Rank indices.
            position: See `losses.positions`.
            features: Unit image features, where the loss takes them.
            scale: S of the towers, where the loss takes it.
        """
        may_take = {
            "outputs": outputs,
            "target": target,
            "label": position[target],
            "position": position,
            "features": features,
            "scale": scale,
        }
        loss = self.loss(*[may_take[name] for name in self.takes])
        return loss + F.cross_entropy(outputs, target) if self.adds else loss
