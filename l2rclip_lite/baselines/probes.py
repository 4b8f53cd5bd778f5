"""Baselines that train no network: bare sentences, ridge regression, and linear heads."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.linear_model import Ridge
from torch import Tensor

from l2rclip_lite.heads import (
    BIAS,
    RIDGES,
    HeadInputs,
    LinearHead,
    fit_linear_heads,
    n_outputs,
    validation_rps,
)
from l2rclip_lite.method import Texts
from l2rclip_lite.method.prompts import centred
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.model import L2RCLIP


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
) -> LinearHead:
    """Fit a linear head on frozen features, by default logistic regression.

    Its strength is chosen by validation RPS. Each output has weights of its own, but under the
    decoder of CORAL.

    Args:
        features: Image features of each split.
        targets: Rank indices of each split.
        ranks: The label space.
        loss: Of outputs and targets.
        decoder: See `LinearHead`.

    Example:
        >>> three = Ranks.integers(0, 2, template="grade {rank}")
        >>> features = {split: torch.eye(3) for split in ("train", "val")}
        >>> head = linear_probe(features, {"train": torch.arange(3), "val": torch.arange(3)}, three)
        >>> head(torch.eye(3)).argmax(1)
        tensor([0, 1, 2])
    """
    outputs = n_outputs(decoder, len(ranks))
    root = torch.eye(outputs)
    mask = None
    if decoder == "coral":  # a column of weights that all outputs share, then one for each bias
        root = torch.cat([torch.ones(outputs, 1), root], dim=1)
        mask = torch.zeros(features["train"].shape[1] + 1, 1 + outputs)
        mask[:-1, 0] = 1
        mask[-1, 1:] = 1

    inputs = HeadInputs.of(features["train"].cpu(), targets["train"].cpu(), turned=mask is None)
    heads = fit_linear_heads(inputs, root, loss, RIDGES, mask, decoder)
    return min(heads, key=lambda head: validation_rps(head, features, targets, ranks))


def ridge(
    features: Mapping[str, Tensor], targets: Mapping[str, Tensor], ranks: Ranks
) -> LinearHead:
    """Fit ridge regression of the rank values on frozen features, with normal errors.

    Strength and standard deviation of the error are chosen by validation RPS; see
    `heads.normal_probabilities`.

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

    train = features["train"].double().cpu()
    mean = train.mean(0)
    train_values = values[targets["train"].cpu()]
    heads = []

    for strength in 10.0 ** np.arange(-4, 4):
        line = Ridge(alpha=strength).fit((train - mean).numpy(), train_values.numpy())
        slope = torch.from_numpy(line.coef_)[:, None].expand(-1, len(values))
        start = line.intercept_ - values
        weight = torch.cat([slope, start[None] / BIAS])

        for deviation in step * np.geomspace(0.2, len(ranks), 12):
            head = LinearHead(len(mean), len(values), "normal")
            head.mean.copy_(mean)
            head.weight.copy_(weight / deviation)
            heads.append(head)

    return min(heads, key=lambda head: validation_rps(head, features, targets, ranks))
