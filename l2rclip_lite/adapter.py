"""A linear map on image features: what trains in place of a frozen image tower."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class FeatureMap(nn.Module):
    r"""$z\mapsto Wz/\lVert Wz\rVert$, a linear map between unit features that starts as the identity.

    It costs `dim`² parameters and no forward pass of the tower, whose features can be computed once. So the second
    stage of L2RCLIP, or a loss that compares features, can be trained in seconds on a laptop.

    Args:
        dim: Length of a feature.

    Example:
        >>> FeatureMap(2)(torch.tensor([[0.6, 0.8]])).detach()
        tensor([[0.6000, 0.8000]])
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.eye(dim))

    def forward(self, features: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        """Unit features."""
        return F.normalize(features @ self.weight.T, dim=1)
