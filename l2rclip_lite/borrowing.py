"""Whether ranks borrow from each other: what pictures of one rank teach about the text of another."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from l2rclip_lite.errors import InputError
from l2rclip_lite.prompts import RankPrompts
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.towers import Towers


class SlotVectors(RankPrompts):
    """A control without attention: a learned vector for each slot, the same for all ranks, is added to the words.

    Args:
        towers: The dual encoder.
        ranks: The ordered label space.
        context_length: See `RankPrompts`.
        centre: See `RankPrompts`.
        seed: See `RankPrompts`.
    """

    def __init__(
        self, towers: Towers, ranks: Ranks, *, context_length: int = 4, centre: bool = True, seed: int = 0
    ) -> None:
        super().__init__(
            towers, ranks, context_length=context_length, rankformer=False, centre=centre, seed=seed
        )
        self.vectors = nn.Parameter(torch.zeros(self.template_embeddings.shape[1], towers.width))

    def embeddings(self) -> Float[Tensor, "rank token width"]:
        """What goes into the text tower: words with the vectors of their slots, the context after the start token."""
        added = self.vectors * self.tokens.words[..., None].to(self.vectors.device)
        return super().embeddings() + F.pad(added, (0, 0, len(self.context), 0))


def borrowing(
    prompts: RankPrompts, images: Float[Tensor, "rank dim"], parameters: Sequence[Tensor]
) -> Float[Tensor, "taught helped"]:
    r"""Agreement of the gradients that bring each text to its own pictures.

    $$B_{ij}=\frac{g_i\cdot g_j}{\lVert g_i\rVert\,\lVert g_j\rVert},\qquad g_i=\nabla_\theta\,(\bar z_i\cdot t_i)$$

    A small step along g_i brings text i to the mean picture z̄_i of its rank. To first order it brings text j to *its*
    pictures by g_i · g_j: above 0 rank j is helped without a picture of its own, below 0 it is harmed. (As a kernel of
    gradients this is the neural tangent kernel, Jacot, Gabriel and Hongler, NeurIPS 2018, arXiv 1806.07572.)

    Args:
        prompts: What gives the K texts t, with its centring as it is.
        images: The mean image feature of each rank, of any length.
        parameters: θ, what is trained: all of them, or a part, such as the context alone.

    Returns:
        A symmetric matrix with 1 on the diagonal, in [−1, 1].

    Raises:
        InputError: A text that these parameters cannot move.

    Example:
        >>> from l2rclip_lite import Ranks, load_towers
        >>> ranks = Ranks(("no", "low", "high"), (0, 1, 2), template="a leaf with {rank} damage")
        >>> prompts = RankPrompts(load_towers("tiny/random"), ranks, heads=2, hidden=8)
        >>> found = borrowing(prompts, prompts().detach(), [prompts.context])
        >>> found.shape, bool((found.diagonal() - 1).abs().max() < 1e-5)
        (torch.Size([3, 3]), True)
    """
    agreement = (images * prompts()).sum(dim=1)
    rows = []
    for rank, one in enumerate(agreement):
        found = torch.autograd.grad(one, parameters, retain_graph=True, materialize_grads=True)
        row = torch.cat([part.flatten() for part in found])
        if not row.any():
            raise InputError(f"borrowing: no parameter given here can move the text of rank {rank}.")
        rows.append(F.normalize(row, dim=0))
    stacked = torch.stack(rows)
    return stacked @ stacked.T


def by_gap(matrix: Float[Tensor, "rank rank"]) -> Float[Tensor, " gap"]:
    """Mean of a symmetric matrix over all pairs of ranks 1, 2, …, K−1 steps apart.

    Example:
        >>> by_gap(torch.tensor([[1.0, 0.5, 0.0], [0.5, 1.0, 0.25], [0.0, 0.25, 1.0]]))
        tensor([0.3750, 0.0000])
    """
    return torch.stack([matrix.diagonal(gap).mean() for gap in range(1, len(matrix))])
