"""Baselines that train no network: the bare sentences, ridge regression, and linear heads on frozen image features."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from sklearn.linear_model import Ridge
from torch import Tensor

from l2rclip_lite.kernel import BIAS, RIDGES, KernelHead, fit_linear_heads
from l2rclip_lite.metrics import rps
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.prediction import normal_probabilities
from l2rclip_lite.prompts import centred
from l2rclip_lite.ranks import Ranks


@torch.no_grad()
def bare_sentences(model: L2RCLIP, *, raw: bool = False) -> Float[Tensor, "rank dim"]:
    """Text features of the sentences as they are, centred over the ranks where the config does so and not `raw`."""
    text = model.towers.encode_text(model.ranks.sentences)
    return centred(text) if model.config.controls.centre and not raw else text


def linear_probe(
    features: Mapping[str, Tensor],
    targets: Mapping[str, Tensor],
    ranks: Ranks,
    *,
    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
    decoder: str = "softmax",
    root: Float[Tensor, "output column"] | None = None,
    mask: Float[Tensor, "row column"] | None = None,
) -> KernelHead:
    """A linear head on frozen features; its strength is chosen by validation RPS. By default it is logistic regression.

    Args:
        features: Image features of each split.
        targets: Rank indices of each split.
        ranks: The label space.
        loss: Of outputs and targets.
        decoder: See `KernelHead`.
        root: See `kernel.fit_linear_heads`; K outputs with weights of their own if it is not given.
        mask: See `kernel.fit_linear_heads`.

    Example:
        >>> three = Ranks.integers(0, 2, template="grade {rank}")
        >>> features = {split: torch.eye(3) for split in ("train", "val")}
        >>> head = linear_probe(features, {"train": torch.arange(3), "val": torch.arange(3)}, three)
        >>> head(torch.eye(3)).argmax(1)
        tensor([0, 1, 2])
    """
    root = torch.eye(len(ranks)) if root is None else root
    found: list[tuple[float, KernelHead]] = []
    for head in fit_linear_heads(
        features["train"].cpu(), targets["train"].cpu(), root, loss, RIDGES, mask
    ):
        head.decoder = decoder
        found.append((rps(targets["val"], head(features["val"].cpu()).softmax(1), ranks), head))
    return min(found, key=lambda each: each[0])[1]


def ridge(
    features: Mapping[str, Tensor], targets: Mapping[str, Tensor], ranks: Ranks
) -> KernelHead:
    """Ridge regression of the rank values on frozen features, with normal errors; see `prediction.normal_probabilities`.

    Strength and standard deviation of the error are chosen by validation RPS.

    Args:
        features: Image features of each split.
        targets: Rank indices of each split.
        ranks: The label space; its values need not be evenly spaced.

    Example:
        >>> three = Ranks.integers(0, 2, template="grade {rank}")
        >>> line, rank = torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([0, 1, 2])
        >>> features, targets = {"train": line, "val": line}, {"train": rank, "val": rank}
        >>> ridge(features, targets, three)(torch.tensor([[1.25]])).argmax(1)
        tensor([1])
    """
    values, step = ranks.values_tensor().double(), float(np.mean(np.diff(ranks.values)))
    mean, found = features["train"].double().cpu().mean(0), []
    train, val = (features[split].double().cpu() - mean for split in ("train", "val"))
    for strength in 10.0 ** np.arange(-4, 4):
        line = Ridge(alpha=strength).fit(train.numpy(), values[targets["train"].cpu()].numpy())
        distance = torch.from_numpy(line.predict(val.numpy()))[:, None] - values
        for deviation in step * np.geomspace(0.2, len(ranks), 12):
            score = rps(targets["val"], normal_probabilities(distance / deviation), ranks)
            found.append((score, line, deviation))
    _, line, deviation = min(found, key=lambda each: each[0])
    slope, start = (
        torch.from_numpy(line.coef_)[:, None].expand(-1, len(values)),
        line.intercept_ - values,
    )
    head = KernelHead(len(mean), len(values), "normal")
    head.mean.copy_(mean)
    head.weight.copy_(torch.cat([slope, start[None] / BIAS]) / deviation)
    return head
