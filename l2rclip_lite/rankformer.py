"""RankFormer: token-level attention over the rank sentences, blended back as a residual."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from l2rclip_lite.errors import InputError
from l2rclip_lite.towers import Tokens

Axis = Literal["token", "rank", "joint"]


class RankFormer(nn.Module):
    r"""Refines the word embeddings R of K rank sentences (L2RCLIP, section 3.2).

    $$R' = (1-\alpha)\,R + \alpha\,\mathrm{FFN}(\mathrm{MSA}(\mathrm{LN}(R)))$$

    | paper | here | meaning |
    |---|---|---|
    | R | `embeddings` | word embeddings, K sentences of n tokens |
    | α | `alpha` | strength of the residual, a number or a learned scalar |
    | MSA | `attention_layers` | multi-head self-attention along `axis` |

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
        self.alpha = nn.Parameter(start) if learn_alpha else nn.Buffer(start)
        self.norm = nn.LayerNorm(width)
        self.attention_layers, self.ffn_layers = nn.ModuleList(), nn.ModuleList()
        for _ in range(depth):
            self.attention_layers.append(nn.MultiheadAttention(width, heads, batch_first=True))
            inner, outer = nn.Linear(width, hidden), nn.Linear(hidden, width)
            self.ffn_layers.append(nn.Sequential(inner, nn.GELU(), outer))
        nn.init.zeros_(outer.weight)
        nn.init.zeros_(outer.bias)

    def forward(
        self, embeddings: Float[Tensor, "rank token width"], tokens: Tokens
    ) -> Float[Tensor, "rank token width"]:
        """R to R′; equal to R on start, end and padding."""
        refined, _ = self.refine(embeddings, tokens.words)
        blended = (1 - self.alpha) * embeddings + self.alpha * refined
        return torch.where(tokens.words[..., None], blended, embeddings)

    def refine(
        self, embeddings: Float[Tensor, "rank token width"], words: Bool[Tensor, "rank token"]
    ) -> tuple[Float[Tensor, "rank token width"], Float[Tensor, "group query key"]]:
        """FFN(MSA(LN(R))), and the first block's attention weights, averaged over heads, for figures.

        A group is what attends to each other: a sentence (`token`), a slot (`rank`), or everything (`joint`).

        Args:
            embeddings: Word embeddings R.
            words: Which slots hold words; the others are never read.
        """
        x, real = self.norm(embeddings), words
        if self.axis == "rank":
            x, real = x.transpose(0, 1), real.T
        elif self.axis == "joint":
            x, real = x.flatten(0, 1)[None], real.flatten()[None]
        # A group without a single word would make softmax NaN: let it look at itself, its result is never used.
        ignore = ~real & real.any(dim=1, keepdim=True)
        weights = []
        for attention, ffn in zip(self.attention_layers, self.ffn_layers, strict=True):
            x, seen = attention(x, x, x, key_padding_mask=ignore)
            weights.append(seen * real[..., None])
            x = ffn(x)
        return (x.transpose(0, 1) if self.axis == "rank" else x.view_as(embeddings)), weights[0]
