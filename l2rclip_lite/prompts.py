"""From K ranks to K text features: RankFormer and global context vectors, or random ones as a control."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from l2rclip_lite.choices import Axis
from l2rclip_lite.chunks import encode_in_chunks
from l2rclip_lite.controls import one_cycle
from l2rclip_lite.errors import InputError
from l2rclip_lite.rankformer import RankFormer
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.towers import Tokens, Towers

MAX_PAIRS = 2**28  # a gibibyte of attention weights a head


class RankPrompts(nn.Module):
    """`[SOS] context · RankFormer(words) [EOS]`, encoded by the frozen text tower.

    The M context vectors are shared by all ranks (the "global" in global context prompts), start at random on the
    scale of the tower's own word embeddings, and stand between the start token and the sentence.

    Args:
        towers: The dual encoder. It is used, not owned: its parameters do not appear among this module's.
        ranks: The ordered label space.
        context_length: Number M of context vectors; 0 leaves them out.
        rankformer: Whether to refine the word embeddings.
        centre: Whether to move the origin to the mean of the K text features and renormalise. Adjacent ages have a
            cosine of 0.94 in MiniLM's space, and what tells them apart drowns without it.
        seed: Seeds the context vectors and RankFormer.
        axis: See `RankFormer`.
        alpha: See `RankFormer`.
        learn_alpha: See `RankFormer`.
        heads: See `RankFormer`.
        hidden: See `RankFormer`.
        depth: See `RankFormer`.
        shuffled: Whether rank k gets the sentence of rank π(k) of `controls.one_cycle`: a control that speaks the
            same words about the wrong ranks.
    """

    template_embeddings: Tensor
    _towers: Towers

    def __init__(
        self,
        towers: Towers,
        ranks: Ranks,
        *,
        context_length: int = 4,
        rankformer: bool = True,
        centre: bool = True,
        seed: int = 0,
        axis: Axis = "rank",
        alpha: float = 0.1,
        learn_alpha: bool = True,
        heads: int = 8,
        hidden: int = 2048,
        depth: int = 1,
        shuffled: bool = False,
    ) -> None:
        super().__init__()
        object.__setattr__(self, "_towers", towers)  # not a sub-module: the towers belong to the model
        self.centre = centre
        sentences = ranks.sentences
        if shuffled:
            sentences = [sentences[k] for k in one_cycle(len(ranks)).tolist()]
        self.tokens = towers.tokenize(sentences, template=ranks.template)
        self._refuse_long_sentences(context_length)
        if rankformer:
            _refuse_wide_attention(axis, *self.tokens.ids.shape)
        self.full_tokens = self.tokens.with_context(context_length)
        with torch.no_grad():
            embedded = towers.embed(self.tokens.ids.to(towers.logit_scale.device))
        self.register_buffer("template_embeddings", embedded.float(), persistent=False)
        scale = float(embedded[self.tokens.words.to(embedded.device)].std())
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.context = nn.Parameter(torch.randn(context_length, towers.width) * scale)
            self.rankformer = (
                RankFormer(
                    towers.width,
                    heads=heads,
                    hidden=hidden,
                    depth=depth,
                    alpha=alpha,
                    learn_alpha=learn_alpha,
                    axis=axis,
                )
                if rankformer
                else None
            )

    def _refuse_long_sentences(self, context_length: int) -> None:
        """A sentence that the text tower would cut off loses its rank."""
        length, most = self.tokens.ids.shape[1] + context_length, self._towers.max_tokens
        if length > most:
            raise InputError(
                f"template: a sentence has {length} tokens with its {context_length} context vectors, the text tower "
                f"takes {most}; shorten the template or use a smaller --context-length."
            )

    def embeddings(self) -> Float[Tensor, "rank token width"]:
        """What goes into the text tower: refined words with the context vectors after the start token."""
        words = self.template_embeddings
        if self.rankformer is not None:
            words = self.rankformer(words, self.tokens.to(words.device))
        context = self.context.expand(len(words), -1, -1)
        return torch.cat([words[:, :1], context, words[:, 1:]], dim=1)

    def forward(self) -> Float[Tensor, "rank dim"]:
        """The K unit text features t_k, differentiable in RankFormer and context."""
        embeddings = self.embeddings()
        features = encode_in_chunks(self._towers, embeddings, self.full_tokens.to(embeddings.device))
        return centred(features) if self.centre else features

    def attention(self) -> Float[Tensor, "group query key"]:
        """RankFormer's attention weights over the template, for figures."""
        assert self.rankformer is not None, "this model was built without RankFormer"
        return self.rankformer.attention(
            self.template_embeddings, self.tokens.to(self.template_embeddings.device)
        )

    def template_features(self) -> Float[Tensor, "rank dim"]:
        """Text features of the bare sentences: no RankFormer, no context. What the language model knew before."""
        tokens: Tokens = self.tokens.to(self.template_embeddings.device)
        with torch.no_grad():
            features = encode_in_chunks(self._towers, self.template_embeddings, tokens)
        return centred(features) if self.centre else features


def _refuse_wide_attention(axis: Axis, ranks: int, tokens: int) -> None:
    """RankFormer's attention grows with the square of what attends to each other."""
    pairs = {"token": ranks * tokens**2, "rank": tokens * ranks**2, "joint": (ranks * tokens) ** 2}[axis]
    if pairs > MAX_PAIRS:
        raise InputError(
            f"axis: {axis!r} compares {pairs:,} pairs of tokens, more than {MAX_PAIRS:,}; use fewer ranks or a shorter "
            "template."
        )


class RandomPrototypes(nn.Module):
    """K random unit vectors in place of text features: the control that knows no language. Nothing in it trains.

    They get the length and, where asked for, the centring of real text features, so that nothing but their direction
    differs.

    Args:
        count: Number of ranks K.
        dim: Length of a feature.
        centre: As in `RankPrompts`.
        seed: Decides the vectors.

    Example:
        >>> control = RandomPrototypes(3, 8, seed=0)
        >>> control().norm(dim=1), len(list(control.parameters()))
        (tensor([1.0000, 1.0000, 1.0000]), 0)
    """

    features: Tensor

    def __init__(self, count: int, dim: int, *, centre: bool = True, seed: int = 0) -> None:
        super().__init__()
        drawn = torch.randn(count, dim, generator=torch.Generator().manual_seed(seed))
        features = F.normalize(drawn, dim=-1)
        self.register_buffer(  # not stored: a model stores its `rank_features`
            "features", centred(features) if centre else features, persistent=False
        )

    def forward(self) -> Float[Tensor, "rank dim"]:
        """The K vectors."""
        return self.features

    def template_features(self) -> Float[Tensor, "rank dim"]:
        """The same: there are no sentences behind them."""
        return self.features


def centred(features: Float[Tensor, "rank dim"]) -> Float[Tensor, "rank dim"]:
    """Features relative to their mean over the ranks, unit length again.

    Example:
        >>> centred(torch.tensor([[1.0, 0.1], [1.0, -0.1]])).round(decimals=2)
        tensor([[ 0.,  1.],
                [ 0., -1.]])
    """
    return F.normalize(features - features.mean(0), dim=-1)
