"""Baselines that train no network: the bare sentences, and two classical models on frozen image features."""

from __future__ import annotations

import warnings

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression, Ridge
from torch import Tensor

from l2rclip_lite.baselines.decoders import neighbour_probabilities
from l2rclip_lite.baselines.losses import Features, Outputs
from l2rclip_lite.metrics import mae, rps
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.prompts import centred
from l2rclip_lite.ranks import Ranks


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


def linear_probe(features: dict[str, Tensor], targets: dict[str, Tensor], ranks: Ranks) -> Tensor:
    """Multinomial logistic regression on frozen features; its strength is chosen by validation MAE.

    Args:
        features: Unit image features of each split.
        targets: Rank indices of each split.
        ranks: The label space; ranks absent from training get probability 0. A single rank in training
            is the answer to every image.

    Returns:
        Test probabilities, one row per image.

    Example:
        >>> three = Ranks.integers(0, 2, template="grade {rank}")
        >>> features = {split: torch.eye(2) for split in ("train", "val", "test")}
        >>> linear_probe(features, {"train": torch.tensor([1, 1]), "val": torch.tensor([0, 1])}, three)
        tensor([[0., 1., 0.],
                [0., 1., 0.]], dtype=torch.float64)
    """
    if (targets["train"] == targets["train"][0]).all():  # nothing to tell apart, which the solver refuses
        return F.one_hot(targets["train"][:1].cpu().expand(len(features["test"])), len(ranks)).double()
    rows = {split: part.numpy() for split, part in features.items()}
    with warnings.catch_warnings():  # they are ranks, however few images each has
        warnings.filterwarnings("ignore", message="The number of unique classes")
        probes = [
            LogisticRegression(C=strength, max_iter=2000).fit(rows["train"], targets["train"].numpy())
            for strength in 10.0 ** np.arange(-1, 5)
        ]
    probe = min(probes, key=lambda probe: mae(targets["val"], probe.predict(rows["val"]), ranks))
    probabilities = torch.zeros(len(rows["test"]), len(ranks), dtype=torch.float64)
    probabilities[:, probe.classes_] = torch.from_numpy(probe.predict_proba(rows["test"])).double()
    return probabilities


def ridge(features: dict[str, Tensor], targets: dict[str, Tensor], ranks: Ranks) -> Tensor:
    """Ridge regression of the rank values on frozen features; its strength is chosen by validation MAE, then RPS.

    Args:
        features: Unit image features of each split.
        targets: Rank indices of each split.
        ranks: The label space; its values need not be evenly spaced.

    Returns:
        Test probabilities: all mass on the two ranks around the predicted number, see `neighbour_probabilities`.

    Example:
        >>> three = Ranks.integers(0, 2, template="grade {rank}")
        >>> line, rank = torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([0, 1, 2])
        >>> features = {"train": line, "val": line, "test": torch.tensor([[1.25]])}
        >>> ridge(features, {"train": rank, "val": rank}, three).round(decimals=2)
        tensor([[0.0000, 0.7500, 0.2500]], dtype=torch.float64)
    """
    values = torch.tensor(ranks.values, dtype=torch.float64)
    rows = {split: part.double().numpy() for split, part in features.items()}
    answers = []
    for strength in 10.0 ** np.arange(-4, 4):
        line = Ridge(alpha=strength).fit(rows["train"], values[targets["train"]].numpy())
        val, test = (
            neighbour_probabilities(torch.from_numpy(line.predict(rows[split])), values)
            for split in ("val", "test")
        )
        answers.append((mae(targets["val"], val.argmax(1), ranks), rps(targets["val"], val, ranks), test))
    return min(answers, key=lambda answer: answer[:2])[2]
