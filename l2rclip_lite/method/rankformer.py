r"""RankFormer: token-level attention over the rank sentences, blended back as a residual.

$$R' = (1-\alpha)\,R + \alpha\,\mathrm{FFN}(\mathrm{MSA}(\mathrm{LN}(R)))$$
"""

from typing import Literal

import torch
from torch import nn

from ..errors import InputError
from ..towers.base import Tokens
from . import Embeddings

Axis = Literal["token", "rank", "joint"]


class RankFormer(nn.Module):
    r"""Refine the word embeddings R of K rank sentences (L2RCLIP, section 3.2).

    $$R' = (1-\alpha)\,R + \alpha\,\mathrm{FFN}(\mathrm{MSA}(\mathrm{LN}(R)))$$

    | paper | here | meaning |
    |---|---|---|
    | R | `embeddings` | word embeddings, K sentences of n tokens |
    | α | `alpha` | weight of what attention adds, a number or a learned scalar |
    | MSA | `attend` | multi-head self-attention along `axis` |
    | FFN | `ffn` | two linear layers with a GELU between them |

    What we could read of the paper leaves open along which axis tokens attend, so it is a switch:
    `token` looks inside one sentence (what other copies do: no rank ever sees another), `rank`
    looks at the same slot of all K sentences, `joint` at all K·n tokens. Names of more or fewer
    tokens move the words behind them, so one slot may hold different words. Ranks have no position
    here: their order enters by the loss alone. Start, end and padding are never read and never
    changed. The last layer starts at zero, so R' starts at (1 − α)·R: the template itself, as
    shorter vectors.

    Args:
        width: Length D of a word embedding.
        heads: Attention heads.
        hidden: Inner width of the FFN.
        depth: Number of MSA + FFN blocks inside the blend, without a norm between them.
        alpha: α, from 0 to 1, at the start if it is learned; then nothing keeps it there.
        learn_alpha: Whether α is trained.
        axis: `"token"`, `"rank"` or `"joint"`.

    Raises:
        InputError: Heads that do not divide the width.

    Example:
        >>> former = RankFormer(width=8, heads=2, alpha=0.1)
        >>> mask = torch.ones(3, 4, dtype=torch.bool)
        >>> tokens = Tokens(torch.ones(3, 4, dtype=torch.long), mask, mask, mask)
        >>> refined = former(torch.ones(3, 4, 8), tokens)  # at the start (1 − α) R
        >>> round(float(refined[0, 0, 0].detach()), 3)
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
        if width % heads:
            raise InputError(f"heads: {heads} heads do not divide the embedding width {width}.")
        self.axis = axis
        strength = torch.tensor(float(alpha))
        self.alpha = nn.Parameter(strength) if learn_alpha else nn.Buffer(strength)
        self.norm = nn.LayerNorm(width)
        self.attend = nn.ModuleList()
        self.ffn = nn.ModuleList()
        for _ in range(depth):
            self.attend.append(nn.MultiheadAttention(width, heads, batch_first=True))
            inner = nn.Linear(width, hidden)
            outer = nn.Linear(hidden, width)
            self.ffn.append(nn.Sequential(inner, nn.GELU(), outer))
        nn.init.zeros_(outer.weight)
        nn.init.zeros_(outer.bias)

    def forward(self, embeddings: Embeddings, tokens: Tokens) -> Embeddings:
        """Return R′, equal to R on start, end and padding."""
        x = self.norm(embeddings)
        words = tokens.words
        if self.axis == "rank":  # attention runs along the second axis: here over the K ranks
            x = x.transpose(0, 1)
            words = words.T
        elif self.axis == "joint":
            x = x.flatten(0, 1)[None]
            words = words.flatten()[None]

        # Without a single word in a group, softmax would be NaN: the group looks at itself, and its
        # result is never used.
        ignore = ~words & words.any(dim=1, keepdim=True)
        for attend, ffn in zip(self.attend, self.ffn, strict=True):
            x = ffn(attend(x, x, x, key_padding_mask=ignore)[0])

        if self.axis == "rank":
            x = x.transpose(0, 1)
        x = x.view_as(embeddings)
        blended = (1 - self.alpha) * embeddings + self.alpha * x
        return torch.where(tokens.words[..., None], blended, embeddings)
