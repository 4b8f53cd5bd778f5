"""Baselines that train no network: bare sentences, ridge regression, and linear heads."""

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
    """Return text features of the sentences as they are.

    Args:
        model: Towers, ranks and config.
        raw: Whether not to centre them over the ranks, where the config does so.
    """
    text = model.towers.encode_text(model.ranks.sentences)
    if raw or not model.config.controls.centre:
        return text
    return centred(text)


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
    """Fit a linear head on frozen features, by default logistic regression.

    Its strength is chosen by validation RPS.

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
    if root is None:
        root = torch.eye(len(ranks))
    train_features = features["train"].cpu()
    train_targets = targets["train"].cpu()
    val_features = features["val"].cpu()
    candidates: list[tuple[float, KernelHead]] = []

    for head in fit_linear_heads(train_features, train_targets, root, loss, RIDGES, mask):
        head.decoder = decoder
        probabilities = head(val_features).softmax(dim=1)
        candidates.append((rps(targets["val"], probabilities, ranks), head))

    _, best = min(candidates, key=lambda candidate: candidate[0])
    return best


def ridge(
    features: Mapping[str, Tensor], targets: Mapping[str, Tensor], ranks: Ranks
) -> KernelHead:
    """Fit ridge regression of the rank values on frozen features, with normal errors.

    Strength and standard deviation of the error are chosen by validation RPS; see
    `prediction.normal_probabilities`.

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

    head = KernelHead(len(mean), len(values), "normal")
    head.mean.copy_(mean)
    head.weight.copy_(torch.cat([slope, start[None] / BIAS]) / deviation)
    return head
