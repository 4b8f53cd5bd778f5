"""Baselines that train no network: the bare sentences, ridge regression, and linear heads on frozen image features."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from sklearn.linear_model import Ridge
from torch import Tensor

from l2rclip_lite.baselines.decoders import normal_probabilities
from l2rclip_lite.baselines.losses import Features, Outputs
from l2rclip_lite.kernel import RIDGES, fit_linear_heads
from l2rclip_lite.metrics import rps
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.prompts import centred
from l2rclip_lite.ranks import Ranks

softmax = partial(F.softmax, dim=1)
Answers = dict[str, Outputs]  # K probabilities per image of the splits "val" and "test"


@torch.no_grad()
def zero_shot(model: L2RCLIP, features: Features, *, raw: bool = False) -> Outputs:
    """Softmax of S · z · t against the bare sentences: no training image is used.

    Args:
        model: Its towers, ranks and config; nothing that it has learned is used.
        features: Unit image features of the towers in their starting state.
        raw: Take the text features as they are, also where the config centres them over the ranks.

    Returns:
        K probabilities per image.
    """
    text = model.towers.encode_text(model.ranks.sentences)
    if model.config.controls.centre and not raw:
        text = centred(text)
    return F.softmax(model.scale * features.to(text.device) @ text.T, dim=1).cpu()


def linear_probe(
    features: Mapping[str, Tensor],
    targets: Mapping[str, Tensor],
    ranks: Ranks,
    *,
    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
    decoder: Callable[[Tensor], Tensor] = softmax,
    root: Float[Tensor, "output column"] | None = None,
    mask: Float[Tensor, "row column"] | None = None,
) -> Answers:
    """A linear head on frozen features; its strength is chosen by validation RPS. By default it is logistic regression.

    Args:
        features: Image features of each split.
        targets: Rank indices of each split.
        ranks: The label space.
        loss: Of outputs and targets.
        decoder: Outputs to probabilities.
        root: See `kernel.fit_linear_heads`; K outputs with weights of their own if it is not given.
        mask: See `kernel.fit_linear_heads`.

    Returns:
        Probabilities of the validation and test images.

    Example:
        >>> three = Ranks.integers(0, 2, template="grade {rank}")
        >>> features = {split: torch.eye(3) for split in ("train", "val", "test")}
        >>> probe = linear_probe(features, {"train": torch.arange(3), "val": torch.arange(3)}, three)
        >>> probe["test"].argmax(1)
        tensor([0, 1, 2])
    """
    root = torch.eye(len(ranks)) if root is None else root
    found: list[tuple[float, Answers]] = []
    for head in fit_linear_heads(features["train"].cpu(), targets["train"].cpu(), root, loss, RIDGES, mask):
        answers = {split: decoder(head(features[split].cpu())) for split in ("val", "test")}
        found.append((rps(targets["val"], answers["val"], ranks), answers))
    return min(found, key=lambda each: each[0])[1]


def ridge(features: Mapping[str, Tensor], targets: Mapping[str, Tensor], ranks: Ranks) -> Answers:
    """Ridge regression of the rank values on frozen features, with normal errors.

    Strength and standard deviation of the error are chosen by validation RPS.

    Args:
        features: Image features of each split.
        targets: Rank indices of each split.
        ranks: The label space; its values need not be evenly spaced.

    Returns:
        Probabilities of the validation and test images, see `normal_probabilities`.

    Example:
        >>> three = Ranks.integers(0, 2, template="grade {rank}")
        >>> line, rank = torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([0, 1, 2])
        >>> features = {"train": line, "val": line, "test": torch.tensor([[1.25]])}
        >>> ridge(features, {"train": rank, "val": rank}, three)["test"].argmax(1)
        tensor([1])
    """
    values, step = ranks.values_tensor().double(), float(np.mean(np.diff(ranks.values)))
    rows = {split: part.double().cpu().numpy() for split, part in features.items()}
    found: list[tuple[float, Answers]] = []
    for strength in 10.0 ** np.arange(-4, 4):
        line = Ridge(alpha=strength).fit(rows["train"], values[targets["train"].cpu()].numpy())
        predicted = {split: torch.from_numpy(line.predict(rows[split])) for split in ("val", "test")}
        for deviation in step * np.geomspace(0.2, len(ranks), 12):
            answers = {
                split: normal_probabilities(each, values, deviation) for split, each in predicted.items()
            }
            found.append((rps(targets["val"], answers["val"], ranks), answers))
    return min(found, key=lambda each: each[0])[1]
