"""What a row of a study holds beside the usual metrics: ranks without images, and single images."""

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from l2rclip_lite.data.base import OrdinalDataset
from l2rclip_lite.metrics import evaluate, medians, rps_of_images


def unseen_ranks(data: OrdinalDataset) -> list[int]:
    """Return the indices of the ranks without a training image.

    Example:
        >>> from l2rclip_lite.data import load_dataset
        >>> unseen_ranks(load_dataset("leaves", size=60, hold_out=3))
        [2]
    """
    return [rank for rank, count in enumerate(data.counts("train")) if count == 0]


def seen_and_unseen(
    probabilities: Float[Tensor, "batch rank"], data: OrdinalDataset
) -> dict[str, float]:
    """Compute test metrics on images of seen and of unseen ranks apart, over answers of any rank.

    Args:
        probabilities: K per test image.
        data: Its training split says which ranks are unseen.

    Returns:
        `n`, `mae`, `mae_expected` (both in the unit of the ranks), `accuracy` and `one_off`, each
        with `_seen` and with `_unseen`. Nothing where the test split shows no unseen rank; only
        `_unseen` where it shows no other.

    Example:
        >>> from l2rclip_lite.data import load_dataset
        >>> data = load_dataset("leaves", size=60, hold_out=3)  # rank 2 is unseen, 2 test images
        >>> always_lowest = torch.eye(5)[torch.zeros(10, dtype=torch.long)]
        >>> scores = seen_and_unseen(always_lowest, data)
        >>> scores["n_seen"], scores["mae_seen"], scores["n_unseen"], scores["mae_unseen"]
        (8.0, 2.0, 2.0, 2.0)
    """
    target = torch.tensor(data.test.targets)
    unseen = torch.isin(target, torch.tensor(unseen_ranks(data), dtype=target.dtype))
    if not unseen.any():
        return {}

    scores: dict[str, float] = {}
    for name, part in (("seen", ~unseen), ("unseen", unseen)):
        if part.any():
            metrics = evaluate(probabilities[part], target[part], data.ranks)
            for metric in ("n", "mae", "mae_expected", "accuracy", "one_off"):
                scores[f"{metric}_{name}"] = metrics[metric]
    return scores


def image_scores(probabilities: Float[Tensor, "batch rank"], data: OrdinalDataset) -> pd.DataFrame:
    """Compute the part of each test image in the three figures that are reported.

    Args:
        probabilities: K per test image.
        data: Whose test split it is.

    Returns:
        A row per image: `path`; `subject`, such as a tree, or the path where there is none; `rps`;
        `error` of the median and its `true` and `expected` value in the unit of the ranks; `hit` of
        the most probable rank.
    """
    p = probabilities.double().numpy()
    true = np.array(data.test.targets)
    values = np.array(data.ranks.values)
    scores = {
        "path": data.test.paths,
        "subject": data.test.subjects or data.test.paths,
        "rps": rps_of_images(true, p),
        "error": np.abs(values[medians(p)] - values[true]),
        "hit": p.argmax(1) == true,
        "true": values[true],
        "expected": p @ values,
    }
    return pd.DataFrame(scores)
