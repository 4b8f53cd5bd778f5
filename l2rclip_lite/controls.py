"""The one shuffle of the ranks that every negative control uses, so that controls can be compared with each other."""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor


def one_cycle(size: int) -> Int[Tensor, " rank"]:
    """A fixed random permutation π that is one cycle, so that no rank keeps its place (Sattolo 1986, seed 0).

    Args:
        size: Number of ranks K.

    Returns:
        π(0) … π(K − 1); the same for the same K, whatever the seed of a run. Two ranks can only be swapped, which
        leaves their gap as it was: controls that shuffle both sides of a gap say nothing below three ranks.

    Example:
        >>> one_cycle(5)
        tensor([2, 3, 1, 4, 0])
    """
    generator = torch.Generator().manual_seed(0)
    order = torch.arange(size)
    for last in range(size - 1, 0, -1):
        other = int(torch.randint(last, (), generator=generator))
        order[[last, other]] = order[[other, last]]
    return order
