"""What stands on an image tower under another loss: linear outputs, or prompts.

The prompts are those of CoOp and OrdinalCLIP, which have the text side of L2RCLIP without
RankFormer; OrdinalCLIP interpolates the ranks between base ranks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from l2rclip_lite.method import Embeddings, Features, Logits, Scalar
from l2rclip_lite.method.prompts import RankPrompts, word_embeddings
from l2rclip_lite.method.ranks import SLOT, Ranks
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.towers.base import Towers

# A word of one token in both tokenizers; the vector of the rank takes its place.
STAND_IN = "one"
FROZEN = "-frozen"  # ends the name of a baseline that leaves the image tower as it is


def interpolation_weights(
    ranks: int, base_ranks: int, weighting: str = "linear"
) -> Float[Tensor, "rank base"]:
    r"""Return how much of each base embedding goes into each rank.

    $$w_{kb}\propto1-|k-p_b|/(K-1)\quad\text{or}\quad w_{kb}\propto1/(|k-p_b|+10^{-5})$$

    The base embeddings are at $p_b=b(K-1)/(B-1)$; each row sums to 1.

    Source: Li et al., NeurIPS 2022 (arXiv 2206.02338); xk-huang/OrdinalCLIP,
    `rank_prompt_learner.py`.

    Args:
        ranks: K.
        base_ranks: B, from 2 to K.
        weighting: `linear` blends all base embeddings into every rank; `inverse` gives a rank at a
            base embedding nearly that one alone.

    Returns:
        The weights.

    Example:
        >>> interpolation_weights(3, 2)
        tensor([[1.0000, 0.0000],
                [0.5000, 0.5000],
                [0.0000, 1.0000]])
    """
    base = torch.linspace(0, ranks - 1, base_ranks)
    gap = (torch.arange(float(ranks))[:, None] - base).abs()
    weights = 1 - gap / (ranks - 1) if weighting == "linear" else 1 / (gap + 1e-5)
    return weights / weights.sum(dim=1, keepdim=True)


class InterpolatedPrompts(RankPrompts):
    """OrdinalCLIP's text side: `[SOS] context · template with one learned rank vector [EOS]`.

    The vector of rank k is Σ_b w_kb e_b. The base embeddings e_b are learned and start at random,
    as the authors' own OrdinalCLIP does, on the scale of the tower's word embeddings; the names of
    the ranks are not read.

    Args:
        towers: The dual encoder.
        ranks: The ordered label space.
        base_ranks: B, OrdinalCLIP's own number for 62 ages; more than K are cut to K.
        weighting: See `interpolation_weights`.
        context_length: See `RankPrompts`, as for all below.
        centre: Whether text features are centred over the ranks.
        seed: Seeds the context vectors and the base embeddings.
    """

    weights: Tensor

    def __init__(
        self,
        towers: Towers,
        ranks: Ranks,
        *,
        base_ranks: int = 3,
        weighting: str = "linear",
        context_length: int = 4,
        centre: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__(
            towers,
            ranks,
            rankformer=False,
            context_length=context_length,
            centre=centre,
            seed=seed,
        )

        base_ranks = min(base_ranks, len(ranks))
        # the first rows of this seed are the context vectors
        generator = torch.Generator().manual_seed(seed)
        rows = torch.randn(context_length + base_ranks, towers.width, generator=generator)
        self.base = nn.Parameter(rows[context_length:] * self.word_std)
        self.register_buffer("weights", interpolation_weights(len(ranks), base_ranks, weighting))

        sentences = [ranks.template.replace(SLOT, STAND_IN)] * len(ranks)
        self.tokens = towers.tokenize(sentences, template=ranks.template)
        self.prompt_tokens = self.tokens.with_context(context_length)
        self.sentence_embeddings = word_embeddings(self.tokens, towers)

    def embeddings(self) -> Embeddings:
        """Return the template with the interpolated vector of each rank in place of its name."""
        sentences = super().embeddings()
        slots = self.prompt_tokens.rank_words[..., None].to(sentences.device)
        return torch.where(slots, (self.weights @ self.base)[:, None], sentences)


# CoOp: learned context before the whole sentence, as the name of a class. Source: Zhou, Yang, Loy
# and Liu, IJCV 2022 (arXiv 2109.01134).
CoopPrompts = partial(RankPrompts, rankformer=False)


def learned_prompts(model: L2RCLIP, kind: Callable[..., RankPrompts]) -> RankPrompts:
    """Return prompts with the context of a model, before anything is learned.

    Args:
        model: Towers, ranks and config.
        kind: `CoopPrompts` or `InterpolatedPrompts`.
    """
    return kind(
        model.towers,
        model.ranks,
        context_length=model.config.context_length,
        centre=model.config.controls.centre,
        seed=model.config.seed,
    )


class PromptHead(nn.Module):
    """Compute logits of images against prompts that are encoded in every call, and so learn.

    Args:
        towers: They encode the prompts.
        prompts: What learns.
    """

    def __init__(self, towers: Towers, prompts: RankPrompts) -> None:
        super().__init__()
        self.towers = towers
        self.prompts = prompts

    def forward(self, scaled: Features) -> Logits:
        """Return s·z · t_k, from s·z."""
        return scaled @ self.prompts(self.towers).T


def linear_outputs(model: L2RCLIP, more: int = 0) -> nn.Module:
    """Return K + `more` linear outputs, 0 at the start."""
    head = nn.Linear(model.towers.dim, len(model.ranks) + more)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head


def coral_outputs(model: L2RCLIP) -> nn.Module:
    """Return K−1 outputs that share one weight vector.

    Their biases start in CORAL's own falling order.
    """
    from coral_pytorch.layers import CoralLayer

    head: nn.Module = CoralLayer(model.towers.dim, len(model.ranks))
    nn.init.zeros_(head.get_parameter("coral_weights.weight"))
    return head


@dataclass(frozen=True)
class Objective:
    """A row of the table of losses.

    Args:
        number: Number of the stage that tunes the image tower; the next one learns prompts on
            cached features. It seeds the random draws and names the checkpoint, so it is never used
            twice and never changed.
        loss: Loss of a batch.
        takes: What it is called with, in this order: `outputs` of the head, `features` (unit),
            `target` (rank indices), `label` (their positions), `position` of the ranks, `scale` of
            the towers.
        head: Makes the head; its input is S · features.
        prompts: See `learned_prompts`; they learn before the image tower does, in place of a head.
        decoder: See `LinearHead`.
        adds: Whether cross-entropy is added to the loss.
        needs: A module of the extra `baselines`.

    Example:
        >>> Objective(3, F.cross_entropy).decoder
        'softmax'
    """

    number: int
    loss: Callable[..., Scalar]
    takes: tuple[str, ...] = ("outputs", "target")
    head: Callable[[L2RCLIP], nn.Module] = linear_outputs
    prompts: Callable[..., RankPrompts] | None = None
    decoder: str = "softmax"
    adds: bool = False
    needs: str | None = None

    @property
    def has_outputs(self) -> bool:
        """Whether the loss, or what is added, reads a head; else a linear probe is to answer."""
        return self.adds or "outputs" in self.takes

    def batch_loss(
        self,
        outputs: Tensor,
        target: Tensor,
        *,
        position: Tensor,
        features: Tensor | None = None,
        scale: Tensor | None = None,
    ) -> Scalar:
        """Return the loss of a batch, with the cross-entropy that some add.

        Args:
            outputs: Of the head.
            target: Rank indices.
            position: See `losses.positions`.
            features: Unit image features, where the loss takes them.
            scale: S of the towers, where the loss takes it.
        """
        may_take = {
            "outputs": outputs,
            "target": target,
            "label": position[target],
            "position": position,
            "features": features,
            "scale": scale,
        }
        loss = self.loss(*[may_take[name] for name in self.takes])
        return loss + F.cross_entropy(outputs, target) if self.adds else loss
