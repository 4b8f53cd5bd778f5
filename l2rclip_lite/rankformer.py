"""RankFormer: token-level attention over the rank sentences, blended back as a residual."""

from __future__ import annotations

from typing import Any, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from l2rclip_lite.choices import Axis
from l2rclip_lite.errors import InputError
from l2rclip_lite.towers import Tokens


class RankFormer(nn.Module):
    r"""Refines the word embeddings R of K rank sentences (L2RCLIP, section 3.2).

    $$R' = (1-\alpha)\,R + \alpha\,\mathrm{FFN}(\mathrm{MSA}(\mathrm{LN}(R)))$$

    | paper | here | meaning |
    |---|---|---|
    | R | `embeddings` | word embeddings, K sentences of n tokens |
    | α | `alpha` | strength of the residual, a number or a learned scalar |
    | MSA | `attention_layer` | multi-head self-attention along `axis` |

    The paper's words leave open along which axis tokens attend, so it is a switch: `token` looks inside one sentence
    (what other copies do: no rank ever sees another), `rank` looks at the same slot of all K sentences, `joint` at all
    K·n tokens. Start, end and padding are never read and never changed. The last layer starts at zero, so R' starts at
    (1 − α)·R: the template itself, a little shorter.

    Args:
        width: Length D of a word embedding.
        heads: Attention heads.
        hidden: Inner width of the FFN.
        depth: Number of MSA + FFN blocks inside the blend.
        alpha: Strength α in [0, 1], at the start if it is learned.
        learn_alpha: Whether α is trained.
        axis: `"token"`, `"rank"` or `"joint"`.

    Example:
        >>> former = RankFormer(width=8, heads=2, alpha=0.1)
        >>> mask = torch.ones(3, 4, dtype=torch.bool)
        >>> tokens = Tokens(torch.ones(3, 4, dtype=torch.long), mask, mask, mask)
        >>> embeddings = torch.ones(3, 4, 8)
        >>> round(float(former(embeddings, tokens)[0, 0, 0].detach()), 3)  # at the start: (1 - alpha) R
        0.9
    """

    alpha: Tensor

    def __init__(
        self,
        width: int,
        *,
        heads: int = 8,
        hidden: int = 2048,
        depth: int = 1,
        alpha: float = 0.1,
        learn_alpha: bool = True,
        axis: Axis = "rank",
    ) -> None:
        super().__init__()
        if axis not in get_args(Axis):
            raise InputError(f"axis: {axis!r} is unknown; choose one of {', '.join(get_args(Axis))}.")
        if width % heads:
            raise InputError(f"heads: {heads} heads do not divide the embedding width {width}.")
        self.axis = axis
        start = torch.tensor(float(alpha))
        if learn_alpha:
            self.alpha = nn.Parameter(start)
        else:
            self.register_buffer("alpha", start)
        self.norm = nn.LayerNorm(width)
        self.attention_layers = nn.ModuleList(
            nn.MultiheadAttention(width, heads, batch_first=True) for _ in range(depth)
        )
        self.ffn_layers = nn.ModuleList(
            nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width)) for _ in range(depth)
        )
        last: Any = self.ffn_layers[-1]
        nn.init.zeros_(last[2].weight)
        nn.init.zeros_(last[2].bias)

    def forward(
        self, embeddings: Float[Tensor, "rank token width"], tokens: Tokens
    ) -> Float[Tensor, "rank token width"]:
        """R to R′.

        Args:
            embeddings: Word embeddings R.
            tokens: Which slots hold words.

        Returns:
            R′; equal to R on start, end and padding.
        """
        refined, _ = self._refine(embeddings, tokens.words)
        blended = (1 - self.alpha) * embeddings + self.alpha * refined
        return torch.where(tokens.words[..., None], blended, embeddings)

    @torch.no_grad()
    def attention(
        self, embeddings: Float[Tensor, "rank token width"], tokens: Tokens
    ) -> Float[Tensor, "group query key"]:
        """Attention weights of the first block, averaged over heads, for figures.

        Returns:
            A map for each sentence (`token`), for each slot (`rank`), or a single one over all tokens (`joint`). Rows
            of real words add to 1; rows of other slots are 0.
        """
        _, weights = self._refine(embeddings, tokens.words, need_weights=True)
        assert weights is not None
        return weights

    def _refine(
        self, embeddings: Tensor, words: Bool[Tensor, "rank token"], need_weights: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """FFN(MSA(LN(R))) along the axis, and the first block's attention weights on request."""
        x, real = self._group(self.norm(embeddings)), self._group(words)
        # A group without a single word would make softmax NaN: let it look at itself, its result is never used.
        ignore = ~real & real.any(dim=1, keepdim=True)
        weights = None
        for attention, ffn in zip(self.attention_layers, self.ffn_layers, strict=True):
            x, found = attention(x, x, x, key_padding_mask=ignore, need_weights=need_weights)
            if weights is None and found is not None:
                weights = found * real[..., None]
            x = ffn(x)
        return self._ungroup(x, embeddings), weights

    def _group(self, x: Tensor) -> Tensor:
        """(rank, token, …) to (group, member, …): those that attend to each other share a group."""
        if self.axis == "token":
            return x
        return x.transpose(0, 1) if self.axis == "rank" else x.flatten(0, 1)[None]

    def _ungroup(self, x: Tensor, like: Tensor) -> Tensor:
        """The inverse of `_group`."""
        if self.axis == "token":
            return x
        return x.transpose(0, 1) if self.axis == "rank" else x[0].view_as(like)
