"""Gradient alignment between ranks over their distance."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def mean_by_gap(matrix: Float[Tensor, "rank rank"]) -> Float[Tensor, " gap"]:
    """Mean of a symmetric matrix over all pairs of ranks 1, 2, …, K-1 apart.

    Example:
        >>> mean_by_gap(torch.tensor([[1.0, 0.5, 0.0], [0.5, 1.0, 0.25], [0.0, 0.25, 1.0]]))
        tensor([0.3750, 0.0000])
    """
    return torch.stack([matrix.diagonal(gap).mean() for gap in range(1, len(matrix))])
