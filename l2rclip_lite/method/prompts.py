"""The text side: prompts by RankFormer and global context vectors, and K text features of them."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from l2rclip_lite.config import Axis, Config
from l2rclip_lite.errors import InputError
from l2rclip_lite.method.rankformer import RankFormer
from l2rclip_lite.method.ranks import Ranks, cyclic_permutation
from l2rclip_lite.towers.base import Tokens, Towers


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

        sentences = _sentences(ranks, shuffled)
        self.tokens = towers.tokenize(sentences, template=ranks.template)
        _check_length(self.tokens, context_length, towers)
        _check_differ(self.tokens, sentences)
        self.prompt_tokens = self.tokens.with_context(context_length)

        embedded = word_embeddings(self.tokens, towers)
        self.register_buffer("sentence_embeddings", embedded, persistent=False)
        self.word_std = float(embedded[self.tokens.words.to(embedded.device)].std())

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

    def embeddings(self) -> Float[Tensor, "rank token width"]:
        """Return what the text tower reads: refined words behind the context vectors."""
        words = self.sentence_embeddings
        if self.rankformer is not None:
            words = self.rankformer(words, self.tokens.to(words.device))
        context = self.context.expand(len(words), -1, -1)
        return self.tokens.insert(words, context)

    def forward(self, towers: Towers) -> Float[Tensor, "rank dim"]:
        """Return the K unit text features t_k, differentiable in RankFormer and context."""
        embeddings = self.embeddings()
        features = towers.encode_embeddings(embeddings, self.prompt_tokens.to(embeddings.device))
        return centred(features) if self.centre else features


def build_prompts(towers: Towers, ranks: Ranks, config: Config) -> RankPrompts:
    """Return the prompts that a config describes.

    Without an epoch of stage 1 they are the plain sentences. Context vectors that nobody trains are
    noise in front of a sentence, and RankFormer would shorten its words by α.

    Args:
        towers: The dual encoder.
        ranks: The ordered label space.
        config: Settings of context and RankFormer, and the controls.
    """
    controls = config.controls
    learns = config.stage1_epochs() > 0

    return RankPrompts(
        towers,
        ranks,
        context_length=config.context_length if learns else 0,
        rankformer=controls.rankformer and learns,
        centre=controls.centre,
        seed=config.seed,
        shuffled=controls.shuffled,
        axis=config.axis,
        alpha=config.alpha,
        learn_alpha=controls.learn_alpha,
        heads=config.heads,
        hidden=config.hidden,
        depth=config.depth,
    )


@torch.no_grad()
def word_embeddings(tokens: Tokens, towers: Towers) -> Float[Tensor, "rank token width"]:
    """Return the tower's own embeddings of tokens, in fp32, on its device."""
    ids = tokens.ids.to(towers.logit_scale.device)
    return towers.embed(ids).float()


def _sentences(ranks: Ranks, shuffled: bool) -> list[str]:
    """Return one sentence per rank; of another rank where they are shuffled."""
    sentences = ranks.sentences
    if not shuffled:
        return sentences
    return [sentences[k] for k in cyclic_permutation(len(ranks)).tolist()]


def _check_length(tokens: Tokens, context_length: int, towers: Towers) -> None:
    """Refuse sentences that the text tower would cut off."""
    length = tokens.ids.shape[1] + context_length
    if length > towers.max_tokens:
        raise InputError(
            f"template: a sentence has {length} tokens with its {context_length} context vectors, "
            f"the text tower takes {towers.max_tokens}; shorten the template or use a smaller "
            "--context-length."
        )


def _check_differ(tokens: Tokens, sentences: Sequence[str]) -> None:
    """Refuse two ranks of the same tokens, such as those of "Low" and "low"."""
    first_of: dict[tuple[int, ...], str] = {}
    for ids, sentence in zip(tokens.ids.tolist(), sentences, strict=True):
        earlier = first_of.setdefault(tuple(ids), sentence)
        if earlier != sentence:
            pair = f"{earlier!r:.99} and {sentence!r:.99}"
            raise InputError(f"ranks: the text tower reads {pair} alike; choose other words.")


def centred(features: Float[Tensor, "rank dim"]) -> Float[Tensor, "rank dim"]:
    """Return features relative to their mean over the ranks, of unit length again.

    Example:
        >>> centred(torch.tensor([[1.0, 0.1], [1.0, -0.1]])).round(decimals=2)
        tensor([[ 0.,  1.],
                [ 0., -1.]])
    """
    return F.normalize(features - features.mean(0), dim=-1)


class TextSide(nn.Module):
    """Text features of the ranks: encoded in every forward pass while they learn, else kept.

    Kept features are encoded anew as soon as something that they were computed from has changed.

    Args:
        towers: The dual encoder.
        ranks: The ordered label space.
        config: How prompts are built.
        rank_features: K fixed text features, in place of prompts.
    """

    rank_features: Tensor

    def __init__(
        self,
        towers: Towers,
        ranks: Ranks,
        config: Config,
        rank_features: Float[Tensor, "rank dim"] | None = None,
    ) -> None:
        super().__init__()
        self.ranks = ranks
        self.config = config
        self.towers = towers
        self._text_versions: tuple[tuple[int, int], ...] | None = None

        self.prompts: RankPrompts | None = None
        if rank_features is None:
            self.prompts = build_prompts(towers, ranks, config).to(towers.logit_scale.device)
            rank_features = self._encoded(self.prompts)
        self.register_buffer("rank_features", rank_features)
        self._remember_text()

        module: Any = super()  # torch has no types for its hooks
        module.register_state_dict_pre_hook(TextSide._before_state_dict)
        module.register_load_state_dict_post_hook(TextSide._after_load_state_dict)

    @torch.no_grad()
    def refresh(self) -> None:
        """Encode the prompts, and keep the K text features.

        The model does so by itself when its prompts have changed, unless they were written in a way
        that torch does not count: through `.data`, or by a fused optimiser in evaluation mode.
        """
        if self.prompts is not None:
            self.rank_features.copy_(self._encoded(self.prompts))
        self._remember_text()

    @torch.no_grad()
    def _encoded(self, prompts: RankPrompts) -> Float[Tensor, "rank dim"]:
        """Return the K text features of prompts, the same under any autocast."""
        device = self.towers.logit_scale.device.type
        with torch.autocast(device, enabled=False):
            features: Tensor = prompts(self.towers)
        return features

    def text_features(self) -> Float[Tensor, "rank dim"]:
        """Return the K unit text features t_k; differentiable while prompts or text tower learn."""
        if self.prompts is not None and self._text_learns():
            # a fused optimiser may change them, which torch does not count
            self._text_versions = None
            return self.prompts(self.towers)
        self._bring_up_to_date()
        return self.rank_features

    def _text_parameters(self) -> list[nn.Parameter]:
        """Return what `rank_features` are computed from; nothing where they are fixed."""
        if self.prompts is None:
            return []
        text: nn.Module = self.towers.text  # type: ignore[assignment]  # see `Towers`
        return [*self.prompts.parameters(), *text.parameters()]

    def _text_learns(self) -> bool:
        """Return whether text features have to be encoded in every forward pass."""
        if not self.training:
            return False
        return any(parameter.requires_grad for parameter in self._text_parameters())

    def _versions(self) -> tuple[tuple[int, int], ...]:
        """Return the identity of each text parameter, and how often torch has written into it."""
        versions = []
        for parameter in self._text_parameters():
            writes = 0 if parameter.is_inference() else parameter._version
            versions.append((id(parameter), writes))
        return tuple(versions)

    def _remember_text(self) -> None:
        """Note what `rank_features` belong to."""
        self._remembered = self._text_parameters()  # kept, so that no other gets the id of one
        self._text_versions = self._versions()

    def _bring_up_to_date(self) -> None:
        """Encode the texts if something that they were computed from has changed since.

        A compiled graph cannot read versions. It sees that texts have been learned since, not that
        somebody has written into them otherwise; `train` and `eval` see that.
        """
        if self.prompts is None:
            return

        if self._text_versions is None:
            is_current = False
        elif torch.compiler.is_compiling():
            is_current = True
        else:
            is_current = self._text_versions == self._versions()
        if not is_current:
            self.refresh()

    def _before_state_dict(self, prefix: str, keep_vars: bool) -> None:
        """Let a state hold the text features of its own prompts; torch calls it."""
        self._bring_up_to_date()

    def _after_load_state_dict(self, incompatible: Any) -> None:
        """Take the text features that came with a state as those of its prompts; torch calls it.

        To encode them anew could round otherwise.
        """
        if not any(name.endswith("rank_features") for name in incompatible.missing_keys):
            self._remember_text()
