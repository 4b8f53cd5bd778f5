"""Baselines that train no network: bare sentences, ridge regression, an axis, and linear heads."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from sklearn.linear_model import Ridge
from torch import Tensor

from l2rclip_lite.heads.decoders import Thresholds, normal_probabilities
from l2rclip_lite.heads.kernel import (
    BIAS,
    RIDGES,
    HeadInputs,
    LinearHead,
    fit_linear_heads,
    validation_rps,
)
from l2rclip_lite.method.model import L2RCLIP
from l2rclip_lite.method.prompts import centred
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.metrics import rps
from l2rclip_lite.shapes import Texts


@torch.no_grad()
def bare_sentences(model: L2RCLIP) -> Texts:
    """Return text features of the sentences, centred over the ranks where the config does so."""
    text = model.towers.encode_text(model.ranks.sentences)
    return centred(text) if model.config.controls.centre else text


def linear_probe(
    features: Mapping[str, Tensor],
    targets: Mapping[str, Tensor],
    ranks: Ranks,
    *,
    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
    decoder: str = "softmax",
    root: Float[Tensor, "output column"] | None = None,
    mask: Float[Tensor, "row column"] | None = None,
) -> LinearHead:
    """Fit a linear head on frozen features, by default logistic regression.

    Its strength is chosen by validation RPS.

    Args:
        features: Image features of each split.
        targets: Rank indices of each split.
        ranks: The label space.
        loss: Of outputs and targets.
        decoder: See `LinearHead`.
        root: See `kernel.fit_linear_heads`; K outputs with weights of their own if it is not given.
        mask: See `kernel.fit_linear_heads`.

    Example:
        >>> three = Ranks.integers(0, 2, template="grade {rank}")
        >>> features = {split: torch.eye(3) for split in ("train", "val")}
        >>> head = linear_probe(features, {"train": torch.arange(3), "val": torch.arange(3)}, three)
        >>> head(torch.eye(3)).argmax(1)
        tensor([0, 1, 2])
    """
    if root is None:
        root = torch.eye(len(ranks))
    inputs = HeadInputs.of(features["train"].cpu(), targets["train"].cpu(), turned=mask is None)
    heads = fit_linear_heads(inputs, root, loss, RIDGES, mask, decoder)
    return min(heads, key=lambda head: validation_rps(head, features, targets, ranks))


def shared_weights(
    width: int, outputs: int
) -> tuple[Float[Tensor, "output column"], Float[Tensor, "row column"]]:
    """Return root and mask of outputs that share one weight vector, each with its own bias.

    One column of weights that all outputs share, then one column per output for its bias; see
    `kernel.fit_linear_heads`.

    Args:
        width: Length of a feature.
        outputs: Number of outputs.

    Example:
        >>> root, mask = shared_weights(1, 2)
        >>> root
        tensor([[1., 1., 0.],
                [1., 0., 1.]])
        >>> mask
        tensor([[1., 0., 0.],
                [0., 1., 1.]])
    """
    root = torch.cat([torch.ones(outputs, 1), torch.eye(outputs)], dim=1)
    mask = torch.zeros(width + 1, 1 + outputs)
    mask[:-1, 0] = 1  # weights in the shared column only
    mask[-1, 1:] = 1  # biases in the others only
    return root, mask


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
    root, mask = shared_weights(1, len(ranks) - 1)
    candidates = []

    for direction in (ends, covariance):
        axis = F.normalize(direction, dim=0)
        places = {}
        for split in ("train", "val"):
            places[split] = ((features[split].double().cpu() - mean) @ axis)[:, None].float()
        on_axis = linear_probe(
            places, targets, ranks, loss=_above_loss, decoder="coral", root=root, mask=mask
        )
        candidates.append((validation_rps(on_axis, places, targets, ranks), axis, on_axis))

    _, axis, on_axis = min(candidates, key=lambda candidate: candidate[0])
    head = LinearHead(len(mean), len(ranks) - 1, "coral")
    head.mean.copy_(mean + on_axis.mean * axis)
    head.norm.copy_(on_axis.norm)
    head.weight.copy_(torch.cat([axis[:, None] * on_axis.weight[:1], on_axis.weight[1:]]))
    return head


def _above_loss(outputs: Thresholds, target: Tensor) -> Tensor:
    """Return CORAL's loss, by torch alone: `losses.coral_loss` needs the extra `baselines`."""
    # Neither can stand for the other: their gradients differ in the last bits, and so would the
    # published rows of `coral`, or those of `rank-axis`.
    above = target[:, None] > torch.arange(outputs.shape[1])
    costs = F.binary_cross_entropy_with_logits(outputs, above.to(outputs), reduction="none")
    return costs.sum(1).mean()


def ridge(
    features: Mapping[str, Tensor], targets: Mapping[str, Tensor], ranks: Ranks
) -> LinearHead:
    """Fit ridge regression of the rank values on frozen features, with normal errors.

    Strength and standard deviation of the error are chosen by validation RPS; see
    `decoders.normal_probabilities`.

    Args:
        features: Image features of each split.
        targets: Rank indices of each split.
        ranks: The label space; its values need not be evenly spaced.

    Example:
        >>> three = Ranks.integers(0, 2, template="grade {rank}")
        >>> line = torch.tensor([[0.0], [1.0], [2.0]])
        >>> features = {"train": line, "val": line}
        >>> targets = {"train": torch.arange(3), "val": torch.arange(3)}
        >>> ridge(features, targets, three)(torch.tensor([[1.25]])).argmax(1)
        tensor([1])
    """
    values = ranks.values_tensor().double()
    step = float(np.mean(np.diff(ranks.values)))

    mean = features["train"].double().cpu().mean(0)
    train = features["train"].double().cpu() - mean
    val = features["val"].double().cpu() - mean
    train_values = values[targets["train"].cpu()]
    candidates = []

    for strength in 10.0 ** np.arange(-4, 4):
        line = Ridge(alpha=strength).fit(train.numpy(), train_values.numpy())
        distance = torch.from_numpy(line.predict(val.numpy()))[:, None] - values

        for deviation in step * np.geomspace(0.2, len(ranks), 12):
            probabilities = normal_probabilities(distance / deviation)
            val_rps = rps(targets["val"], probabilities, ranks)
            candidates.append((val_rps, line, deviation))

    _, line, deviation = min(candidates, key=lambda candidate: candidate[0])
    slope = torch.from_numpy(line.coef_)[:, None].expand(-1, len(values))
    start = line.intercept_ - values

    head = LinearHead(len(mean), len(values), "normal")
    head.mean.copy_(mean)
    head.weight.copy_(torch.cat([slope, start[None] / BIAS]) / deviation)
    return head
