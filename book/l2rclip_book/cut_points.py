"""What a relative says without new words: the expected value of its own ranks, one number an image.

It needs no training. Without a label it only orders images; with a few labels, cut points between
the ranks make probabilities of it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float, Int
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from l2rclip_lite.errors import InputError
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.metrics import rps

STRENGTHS = (0.1, 1.0, 10.0, 100.0)  # inverse penalties, of which validation images choose one


def stretched(
    values: Float[Tensor, " batch"], own: Ranks, ranks: Ranks
) -> Float[Tensor, "batch rank"]:
    """Return probabilities whose expectation is a value, moved from one scale of ranks to another.

    The lowest value of the old scale becomes the lowest of the new one, the highest the highest;
    a value between two new ranks is shared by them. The order of the images stays.

    Args:
        values: Expected values on the old scale.
        own: The old scale.
        ranks: The new one.

    Example:
        >>> tens = Ranks.integers(0, 10, template="{rank}")
        >>> stretched(torch.tensor([0.0, 5.0]), tens, Ranks.integers(1, 4, template="{rank}"))
        tensor([[1.0000, 0.0000, 0.0000, 0.0000],
                [0.0000, 0.5000, 0.5000, 0.0000]], dtype=torch.float64)
    """
    old = own.values_tensor().double()
    new = ranks.values_tensor().double()
    share = (values.double() - old[0]) / (old[-1] - old[0])
    place = new[0] + share.clamp(0, 1) * (new[-1] - new[0])

    above = torch.searchsorted(new, place).clamp(1, len(new) - 1)
    weight = (place - new[above - 1]) / (new[above] - new[above - 1])
    probabilities = torch.zeros(len(values), len(new), dtype=torch.float64)
    rows = torch.arange(len(values))
    probabilities[rows, above - 1] = 1 - weight
    probabilities[rows, above] = weight
    return probabilities


def cut(
    values: Mapping[str, Float[Tensor, " batch"]],
    targets: Mapping[str, Int[Tensor, " batch"]],
    ranks: Ranks,
) -> Float[Tensor, "batch rank"]:
    """Return probabilities of the test images by one slope and K − 1 cut points.

    P(rank > k) = σ(w x − b_k), the proportional-odds model (McCullagh 1980), fitted as one logistic
    regression on the questions "is the rank above k?"; validation RPS chooses its penalty.

    Args:
        values: One number per image of `train`, `val` and `test`.
        targets: Rank indices of `train` and `val`.
        ranks: K ranks.

    Raises:
        InputError: All training labels are of the lowest rank, or all of the highest.

    Example:
        >>> x = torch.tensor([0.0, 1.0, 2.0, 3.0])
        >>> y = torch.tensor([0, 0, 1, 1])
        >>> parts = {"train": x, "val": x, "test": x}
        >>> cut(parts, {"train": y, "val": y}, Ranks.integers(0, 1, template="{rank}")).argmax(1)
        tensor([0, 0, 1, 1])
    """
    centre = values["train"].mean()
    spread = values["train"].std().clamp_min(1e-6)
    x = {split: ((part - centre) / spread).double().numpy() for split, part in values.items()}

    questions = _questions(x["train"], len(ranks))
    above = (targets["train"].numpy()[:, None] > np.arange(len(ranks) - 1)).ravel()
    if above.all() or not above.any():
        raise InputError("cut points: all labels are of one end of the scale; add another rank.")

    candidates = []
    for strength in STRENGTHS:
        model = LogisticRegression(C=strength, fit_intercept=False, max_iter=1000)
        model.fit(questions, above)
        score = float(rps(targets["val"], _answers(model, x["val"], len(ranks)), ranks))
        candidates.append((score, _answers(model, x["test"], len(ranks))))
    return min(candidates, key=lambda candidate: candidate[0])[1]


def _questions(x: Float[np.ndarray, " batch"], n_ranks: int) -> Float[np.ndarray, "row feature"]:
    """Return a row for each image and threshold: the value, and which threshold is asked about."""
    which = np.tile(np.eye(n_ranks - 1), (len(x), 1))
    return np.column_stack([np.repeat(x, n_ranks - 1), which])


def _answers(
    model: LogisticRegression, x: Float[np.ndarray, " batch"], n_ranks: int
) -> Float[Tensor, "batch rank"]:
    """Return the probability of each rank from those of "above k"."""
    above = model.predict_proba(_questions(x, n_ranks))[:, 1].reshape(len(x), n_ranks - 1)
    falling = np.minimum.accumulate(above, axis=1)
    ends = np.pad(falling, ((0, 0), (1, 1)), constant_values=((0, 0), (1, 0)))
    return torch.from_numpy(ends[:, :-1] - ends[:, 1:])
