"""From K ranks to K text features, by RankFormer and global context vectors."""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from l2rclip_lite.errors import InputError
from l2rclip_lite.rankformer import RankFormer
from l2rclip_lite.ranks import Ranks, cyclic_permutation
from l2rclip_lite.towers.base import Towers


class RankPrompts(nn.Module):
    """`[SOS] context · RankFormer(words) [EOS]`, encoded by the frozen text tower.

    The M context vectors are shared by all ranks (the "global" in global context prompts), start at random on the
    scale of the tower's own word embeddings, and come between the start token and the sentence.

    Args:
        towers: The dual encoder. It is read here and given again to `forward`; its parameters stay its own.
        ranks: The ordered label space.
        context_length: Number M of context vectors; 0 leaves them out.
        rankformer: Whether to refine the word embeddings.
        centre: Whether to move the origin to the mean of the K text features and renormalise. Adjacent ages have a
            cosine of 0.94 in MiniLM's space, and what tells them apart drowns without it.
        seed: Seeds the context vectors and RankFormer.
        shuffled: Whether rank k gets the sentence of rank π(k) of `cyclic_permutation`: a control that says the same
            words about the wrong ranks.
        options: What `RankFormer` takes: `axis`, `alpha`, `learn_alpha`, `heads`, `hidden`, `depth`.

    Raises:
        InputError: Sentences that the text tower would cut off, or options that `RankFormer` refuses.
    """

    template_embeddings: Tensor

    def __init__(
        self,
        towers: Towers,
        ranks: Ranks,
        *,
        context_length: int = 4,
        rankformer: bool = True,
        centre: bool = True,
        seed: int = 0,
        shuffled: bool = False,
        **options: Any,
    ) -> None:
        super().__init__()
        self.centre = centre
        sentences = ranks.sentences
        if shuffled:
            sentences = [sentences[k] for k in cyclic_permutation(len(ranks)).tolist()]
        self.tokens = towers.tokenize(sentences, template=ranks.template)
        length = self.tokens.ids.shape[1] + context_length
        if length > towers.max_tokens:
            said = f"a sentence has {length} tokens with its {context_length} context vectors"
            cure = "shorten the template or use a smaller --context-length"
            raise InputError(f"template: {said}, the text tower takes {towers.max_tokens}; {cure}.")
        self.prompt_tokens = self.tokens.with_context(context_length)
        with torch.no_grad():
            embedded = towers.embed(self.tokens.ids.to(towers.logit_scale.device)).float()
        self.register_buffer("template_embeddings", embedded, persistent=False)
        self.scale = float(embedded[self.tokens.words.to(embedded.device)].std())
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.context = nn.Parameter(torch.randn(context_length, towers.width) * self.scale)
            self.rankformer = RankFormer(towers.width, **options) if rankformer else None

    def embeddings(self) -> Float[Tensor, "rank token width"]:
        """What goes into the text tower: refined words with the context vectors in front of them."""
        words = self.template_embeddings
        if self.rankformer is not None:
            words = self.rankformer(words, self.tokens.to(words.device))
        context = self.context.expand(len(words), -1, -1)
        return self.tokens.insert(words, context)

    def forward(self, towers: Towers) -> Float[Tensor, "rank dim"]:
        """The K unit text features t_k, differentiable in RankFormer and context."""
        embeddings = self.embeddings()
        features = towers.encode_embeddings(embeddings, self.prompt_tokens.to(embeddings.device))
        return centred(features) if self.centre else features


def centred(features: Float[Tensor, "rank dim"]) -> Float[Tensor, "rank dim"]:
    """Features relative to their mean over the ranks, unit length again.

    Example:
        >>> centred(torch.tensor([[1.0, 0.1], [1.0, -0.1]])).round(decimals=2)
        tensor([[ 0.,  1.],
                [ 0., -1.]])
    """
    return F.normalize(features - features.mean(0), dim=-1)
