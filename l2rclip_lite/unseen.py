"""Ranks without a training picture: which they are, and how well they are told apart from the seen ones."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from l2rclip_lite.data.base import OrdinalDataset
from l2rclip_lite.metrics import evaluate

FIGURES = ("n", "mae", "mae_expected", "accuracy", "one_off")


def unseen_ranks(data: OrdinalDataset) -> list[int]:
    """The indices of the ranks without a training picture, whoever took them away.

    Example:
        >>> from l2rclip_lite.data import load_dataset
        >>> unseen_ranks(load_dataset("leaves", size=60, hold_out=3))
        [2]
    """
    return [rank for rank, count in enumerate(data.counts("train")) if not count]


def seen_and_unseen(
    probabilities: Float[Tensor, "batch rank"],
    data: OrdinalDataset,
    split: str = "test",
    *,
    intervals: bool = False,
) -> dict[str, float]:
    """Metrics on the pictures of seen and of unseen ranks apart; the model may answer with any rank in both.

    Args:
        probabilities: A row of K for each picture of the split.
        data: Its training split says which ranks are unseen.
        split: "train", "val" or "test".
        intervals: Whether to add 95 % intervals.

    Returns:
        `n`, `mae`, `mae_expected` (both in the unit of the ranks), `accuracy` and `one_off`, each with `_seen` and with
        `_unseen`, and then `_low` and `_high` for the interval. Nothing where the split shows no unseen rank; only
        `_unseen` where it shows no other.

    Example:
        >>> from l2rclip_lite.data import load_dataset
        >>> data = load_dataset("leaves", size=60, hold_out=3)  # rank 2 is unseen; two test pictures a rank
        >>> lowest = torch.eye(5)[torch.zeros(10, dtype=torch.long)]  # says rank 0 of every picture
        >>> found = seen_and_unseen(lowest, data)
        >>> found["n_seen"], found["mae_seen"], found["n_unseen"], found["mae_unseen"]
        (8.0, 2.0, 2.0, 2.0)
    """
    target = torch.tensor(data.split(split).targets)
    unseen = torch.isin(target, torch.tensor(unseen_ranks(data), dtype=target.dtype))
    if not unseen.any():
        return {}
    found: dict[str, float] = {}
    for name, part in (("seen", ~unseen), ("unseen", unseen)):
        if not part.any():
            continue
        metrics = evaluate(probabilities[part], target[part], data.ranks, intervals=intervals)
        for figure in FIGURES:
            for end in ("", "_low", "_high"):
                if f"{figure}{end}" in metrics:
                    found[f"{figure}_{name}{end}"] = metrics[f"{figure}{end}"]
    return found
