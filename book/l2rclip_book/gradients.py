"""Gradient alignment between ranks: what images of one rank teach about the text of another."""

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
    """A control without attention: one learned vector per slot, the same for all ranks, is added to the words.

    Args:
        towers: The dual encoder.
        ranks: The ordered label space.
        context_length: See `RankPrompts`.
        seed: See `RankPrompts`.
    """

    def __init__(self, towers: Towers, ranks: Ranks, *, context_length: int = 4, seed: int = 0) -> None:
        super().__init__(towers, ranks, context_length=context_length, rankformer=False, seed=seed)
        self.vectors = nn.Parameter(torch.zeros(self.template_embeddings.shape[1], towers.width))

    def embeddings(self) -> Float[Tensor, "rank token width"]:
        """What enters the text tower: words with the vectors of their slots, the context after the start token."""
        added = self.vectors * self.tokens.words[..., None]
        return super().embeddings() + F.pad(added, (0, 0, len(self.context), 0))


def gradient_alignment(
    texts: Float[Tensor, "rank dim"], images: Float[Tensor, "rank dim"], parameters: Sequence[Tensor]
) -> Float[Tensor, "taught helped"]:
    r"""Cosine of the gradients that bring each text closer to the images of its own rank.

    $$A_{ij}=\frac{g_i\cdot g_j}{\lVert g_i\rVert\,\lVert g_j\rVert},\qquad g_i=\nabla_\theta\,(\bar z_i\cdot t_i)$$

    A small step along g_i brings text i closer to the mean image feature z̄_i of its rank. To first order it brings
    text j closer to *its* images by g_i · g_j: above 0 rank j is helped without an image of its own, below 0 it is
    harmed. (As a kernel of gradients this is the neural tangent kernel, Jacot, Gabriel and Hongler, NeurIPS 2018,
    arXiv 1806.07572.)

    Args:
        texts: The K text features t, as a function of the parameters.
        images: The mean image feature of each rank, of any length.
        parameters: θ, what is trained: all parameters, or a part, such as the context alone.

    Returns:
        A symmetric matrix with 1 on the diagonal, in [-1, 1].

    Raises:
        InputError: A text that these parameters cannot move.

    Example:
        >>> from l2rclip_lite import Ranks, load_towers
        >>> ranks = Ranks(("no", "low", "high"), (0, 1, 2), template="a leaf with {rank} damage")
        >>> towers = load_towers("tiny/random")
        >>> prompts = RankPrompts(towers, ranks, heads=2, hidden=8)
        >>> texts = prompts(towers)
        >>> aligned = gradient_alignment(texts, texts.detach(), [prompts.context])
        >>> aligned.shape, bool((aligned.diagonal() - 1).abs().max() < 1e-5)
        (torch.Size([3, 3]), True)
    """
    rows = []
    for rank, agreement in enumerate((images * texts).sum(dim=1)):
        parts = torch.autograd.grad(agreement, parameters, retain_graph=True, materialize_grads=True)
        gradient = torch.cat([part.flatten() for part in parts])
        if not gradient.any():
            raise InputError(f"gradient_alignment: no parameter given here can move the text of rank {rank}.")
        rows.append(F.normalize(gradient, dim=0))
    stacked = torch.stack(rows)
    return stacked @ stacked.T


def mean_by_gap(matrix: Float[Tensor, "rank rank"]) -> Float[Tensor, " gap"]:
    """Mean of a symmetric matrix over all pairs of ranks 1, 2, …, K-1 apart.

    Example:
        >>> mean_by_gap(torch.tensor([[1.0, 0.5, 0.0], [0.5, 1.0, 0.25], [0.0, 0.25, 1.0]]))
        tensor([0.3750, 0.0000])
    """
    return torch.stack([matrix.diagonal(gap).mean() for gap in range(1, len(matrix))])
