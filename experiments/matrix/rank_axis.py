"""An arm of the studies: what one direction of the frozen features tells of the ranks."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from l2rclip_lite.baselines.probes import linear_probe
from l2rclip_lite.heads import LinearHead, Thresholds, validation_rps
from l2rclip_lite.method.ranks import Ranks


def rank_axis(
    features: Mapping[str, Tensor], targets: Mapping[str, Tensor], ranks: Ranks
) -> LinearHead:
    r"""Turn the place of an image on one direction of the frozen features into probabilities.

    $$s=a\cdot(z-\mu),\qquad P(y>k)=\sigma(ws+b_k)$$

    Two directions a, of unit length, compete by validation RPS, so that one name stands for the
    best that one direction does. The first runs from the mean feature of the lowest training rank
    to that of the highest: all that the ends of a scale tell. The second is the covariance of
    features and rank values, where ridge regression points under an ever stronger ridge: every
    image counts, as it must where an end has few images.

    Calibration sees training images only. It is that of `coral-frozen` with s as its one feature, a
    slope and K−1 thresholds, at a strength that is chosen as in `linear_probe`.

    Args:
        features: Image features of each split.
        targets: Rank indices of each split; two different ones at least to train on.
        ranks: The label space; its values need not be evenly spaced.

    Example:
        >>> three = Ranks.integers(0, 2, template="grade {rank}")
        >>> line = torch.tensor([[0.0, 5.0], [1.0, 5.0], [2.0, 5.0]])
        >>> features = {"train": line, "val": line}
        >>> targets = {"train": torch.arange(3), "val": torch.arange(3)}
        >>> rank_axis(features, targets, three)(torch.tensor([[1.25, 9.0]])).argmax(1)
        tensor([1])
    """
    z = features["train"].double().cpu()
    y = targets["train"].cpu()
    values = ranks.values_tensor().double()[y]

    mean = z.mean(0)
    ends = z[y == y.max()].mean(0) - z[y == y.min()].mean(0)
    covariance = (values - values.mean()) @ (z - mean)
    candidates = []

    for direction in (ends, covariance):
        axis = F.normalize(direction, dim=0)
        places = {}
        for split in ("train", "val"):
            places[split] = ((features[split].double().cpu() - mean) @ axis)[:, None].float()
        on_axis = linear_probe(places, targets, ranks, loss=above_loss, decoder="coral")
        candidates.append((validation_rps(on_axis, places, targets, ranks), axis, on_axis))

    _, axis, on_axis = min(candidates, key=lambda candidate: candidate[0])
    head = LinearHead(len(mean), len(ranks) - 1, "coral")
    head.mean.copy_(mean + on_axis.mean * axis)
    head.norm.copy_(on_axis.norm)
    head.weight.copy_(torch.cat([axis[:, None] * on_axis.weight[:1], on_axis.weight[1:]]))
    return head


def above_loss(outputs: Thresholds, target: Tensor) -> Tensor:
    """Return CORAL's loss, by torch alone: `losses.coral_loss` needs the extra `baselines`."""
    # Neither can stand for the other: their gradients differ in the last bits, and so would the
    # published rows of `coral`, or those of `rank-axis`.
    above = target[:, None] > torch.arange(outputs.shape[1])
    costs = F.binary_cross_entropy_with_logits(outputs, above.to(outputs), reduction="none")
    return costs.sum(1).mean()
