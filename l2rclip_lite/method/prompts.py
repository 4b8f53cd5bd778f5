r"""The prompts of the ranks: global context vectors in front of words that RankFormer refines.

$$t_k = \mathrm{text}\big([\mathrm{SOS}]\; v_1 \dots v_M\; R'_k\; [\mathrm{EOS}]\big)$$

and then centred over the ranks, which is our choice (`RankPrompts`, `centre`).
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InputError
from ..towers.base import Tokens, Towers
from . import Embeddings, Texts
from .rankformer import Axis, RankFormer
from .ranks import Ranks, cyclic_permutation


class RankPrompts(nn.Module):
    """`[SOS] context · RankFormer(words) [EOS]`, encoded by the frozen text tower.

    The M context vectors are shared by all ranks (the "global" in global context prompts), start at
    random on the scale of the tower's own word embeddings, and come between the start token and the
    sentence.

    Args:
        towers: The dual encoder. It is read here and given again to `forward`; its parameters stay
            its own.
        ranks: The ordered label space.
        context_length: Number M of context vectors; 0 leaves them out.
        rankformer: Whether to refine the word embeddings.
        centre: Whether to move the origin to the mean of the K text features and renormalise.
            Adjacent ages have a cosine of 0.94 in MiniLM's space, and what tells them apart drowns
            without it.
        seed: Seeds the context vectors and RankFormer.
        shuffled: Whether rank k gets the sentence of rank π(k) of `cyclic_permutation`: a control
            that says the same words about the wrong ranks.
        axis: See `RankFormer`, as for all below.
        alpha: Strength of the residual.
        learn_alpha: Whether it is trained.
        heads: Attention heads.
        hidden: Inner width of the feed-forward network.
        depth: Number of blocks.

    Raises:
        InputError: Sentences that the text tower would cut off or cannot tell apart, or settings
            that `RankFormer` refuses.
    """

    sentence_embeddings: Tensor

    def __init__(  # noqa: PLR0913  (settings, by name)
        self,
        towers: Towers,
        ranks: Ranks,
        *,
        context_length: int = 4,
        rankformer: bool = True,
        centre: bool = True,
        seed: int = 0,
        shuffled: bool = False,
        axis: Axis = "rank",
        alpha: float = 0.1,
        learn_alpha: bool = True,
        heads: int = 8,
        hidden: int = 2048,
        depth: int = 1,
    ) -> None:
        super().__init__()
        self.centre = centre
        sentences = ranks.sentences
        if shuffled:
            sentences = [sentences[k] for k in cyclic_permutation(len(ranks)).tolist()]
        tokens = towers.tokenize(sentences, template=ranks.template)
        self.tokens = tokens.to(towers.logit_scale.device)
        self.prompt_tokens = self.tokens.with_context(context_length)
        _check_tokens(self.tokens, sentences, context_length, towers.max_tokens)

        embedded = word_embeddings(self.tokens, towers)
        self.register_buffer("sentence_embeddings", embedded, persistent=False)
        self.word_std = float(embedded[self.tokens.words].std())

        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # of no other device
            self.context = nn.Parameter(torch.randn(context_length, towers.width) * self.word_std)
            self.rankformer = None
            if rankformer:
                self.rankformer = RankFormer(
                    towers.width,
                    heads=heads,
                    hidden=hidden,
                    depth=depth,
                    alpha=alpha,
                    learn_alpha=learn_alpha,
                    axis=axis,
                )

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "RankPrompts":
        """Take the tokens along to another device; in each step they would wait for the copy."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        device = self.sentence_embeddings.device
        self.tokens = self.tokens.to(device)
        self.prompt_tokens = self.prompt_tokens.to(device)
        return self

    def embeddings(self) -> Embeddings:
        """Return what the text tower reads: refined words behind the context vectors."""
        words = self.sentence_embeddings
        if self.rankformer is not None:
            words = self.rankformer(words, self.tokens)
        return self.tokens.insert(words, self.context.expand(len(words), -1, -1))

    def forward(self, towers: Towers) -> Texts:
        """Return the K unit text features t_k, differentiable in RankFormer and context."""
        features = towers.encode_embeddings(self.embeddings(), self.prompt_tokens)
        return centred(features) if self.centre else features


@torch.no_grad()
def word_embeddings(tokens: Tokens, towers: Towers) -> Embeddings:
    """Return the tower's own embeddings of tokens, in fp32, on its device."""
    ids = tokens.ids.to(towers.logit_scale.device)
    return towers.embed(ids).float()


def centred(features: Texts) -> Texts:
    """Return features relative to their mean over the ranks, of unit length again.

    Example:
        >>> centred(torch.tensor([[1.0, 0.1], [1.0, -0.1]])).round(decimals=2)
        tensor([[ 0.,  1.],
                [ 0., -1.]])
    """
    return F.normalize(features - features.mean(0), dim=-1)


def _check_tokens(
    tokens: Tokens, sentences: Sequence[str], context_length: int, max_tokens: int
) -> None:
    """Refuse sentences that are cut off, and two of the same tokens, such as "Low" and "low"."""
    length = tokens.ids.shape[1] + context_length
    if length > max_tokens:
        raise InputError(
            f"template: a sentence has {length} tokens with its {context_length} context vectors, "
            f"the text tower takes {max_tokens}; shorten the template or use a smaller "
            "--context-length."
        )

    first_of: dict[tuple[int, ...], str] = {}
    for ids, sentence in zip(tokens.ids.tolist(), sentences, strict=True):
        earlier = first_of.setdefault(tuple(ids), sentence)
        if earlier != sentence:
            pair = f"{earlier!r:.99} and {sentence!r:.99}"
            raise InputError(f"ranks: the text tower reads {pair} alike; choose other words.")
