r"""Failure signatures: numbers that tell which of the method's four known failures a model suffers from.

| failure | signature | fires | healthy | broken on purpose |
|---|---|---|---|---|
| RankFormer adds no order | `mixing` | < 0.005 | 0.026 … 0.22 | 0 (axis `token`; α = 0) |
| | `order_gained` | < 0.1 | 0.52 … 0.67 | 0 (α = 0) |
| the pairwise loss breaks alignment | `own_text_margin` | < −1 | −0.07 … 0.05 | −2.0 … −1.1 (λ1 = 100), −3.4, −1.7 (1000) |
| | `pairwise_share` | > 0.5 | 0.10 … 0.15 | 0.72 … 0.77 (λ1 = 100), 0.95, 0.97 (1000) |
| the context drifts | `context_drift` | > 0.5 | 0.04 … 0.16 | 0.85 … 8.3 (lr1 = 0.03, 0.1), 9 (vectors × 10) |
| | `context_size` | > 1.2 | 1.01 … 1.05 | 1.4 … 8.5 (lr1 = 0.03, 0.1), 10 (vectors × 10) |
| many-to-many pairs are ignored | `pushed_pairs` | > 0.5 | 0.00 … 0.02 | 1 (`plain`) |
| | `wasted_push` | > 0.1 | 0.00 … 0.01 | 0.24 … 0.35 (`plain`) |

Measured on generated leaves with `mini`, after stage 1, on training images: healthy on 300 leaves (10 epochs, batches of
32, seeds 0 to 4; once 30 epochs of 16) and once on 1000 leaves with the default budget; broken on 300, two or three seeds.

Some obvious candidates do not separate: the rank order within the text features (`ordinality`) falls in healthy runs, too;
the gradients of the two losses do not point against each other, whatever λ; texts turn with the context in long
healthy runs. And with λ1 = 1 a shuffled order or shuffled sentences train much like the true ones: nothing fires.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.ordinality import spearman_rho
from l2rclip_lite.signature_tensors import (
    Image,
    Target,
    check_images,
    expected_ranks,
    gradient_shares,
    influence,
    margins,
    same_rank_gradients,
    sentence_prompts,
    starting_context,
    text_features,
    word_length,
)

ORDER = "RankFormer adds no order"
ALIGNMENT = "the pairwise loss breaks alignment"
CONTEXT = "the context drifts"
PAIRS = "many-to-many pairs are ignored"


@dataclass(frozen=True)
class Signature:
    """One number and its verdict.

    Args:
        failure: The failure it is a sign of.
        name: The function that computes it.
        value: The number.
        threshold: Where it begins to fire.
        above: Whether it fires above the threshold, else below.
        meaning: What the number says, in words.

    Example:
        >>> Signature(CONTEXT, "context_drift", 8.1, 0.5, True, "way of the context").fires
        True
    """

    failure: str
    name: str
    value: float
    threshold: float
    above: bool
    meaning: str

    @property
    def fires(self) -> bool:
        """Whether the number lies on the wrong side of the threshold; NaN lies on no right side."""
        return not (self.value <= self.threshold if self.above else self.value >= self.threshold)


def mixing(model: L2RCLIP) -> Signature:
    """Mean `influence` of a rank on the others, in [0, ∞): whether ranks hear of each other at all.

    At most eight ranks, evenly spread, are disturbed.
    """
    number = len(model.ranks)
    disturbed = np.unique(np.linspace(0, number - 1, min(number, 8)).round().astype(int)).tolist()
    shares = influence(model, disturbed)
    others = torch.ones_like(shares, dtype=torch.bool)
    others[range(len(disturbed)), disturbed] = False
    meaning = "how far other texts move with the words of one rank"
    return Signature(ORDER, "mixing", float(shares[others].mean()), 0.005, False, meaning)


def order_gained(model: L2RCLIP, features: Image, target: Target) -> Signature:
    """Spearman's ρ of expected and true rank, minus the same without RankFormer; in [−2, 2]."""
    check_images(features, target)
    true = target.cpu().numpy()[None]
    answers = (expected_ranks(model, features, refine=refine).numpy()[None] for refine in (True, False))
    refined, bare = (float(spearman_rho(true, answer)[0]) for answer in answers)
    meaning = "rank correlation of the answers that RankFormer brings"
    return Signature(ORDER, "order_gained", refined - bare, 0.1, False, meaning)


def own_text_margin(model: L2RCLIP, features: Image, target: Target) -> Signature:
    """Mean of `margins`; below −1 the answers are worse than the same probability for every rank.

    An image's cross-entropy is at least the logits' lead of another text over its own, so it is at least −m_i · log K;
    a uniform answer has log K.
    """
    check_images(features, target)
    found = margins(features.cpu(), text_features(model), target.cpu(), float(model.scale.detach()))
    meaning = "lead of an image's own text over the best other, in log K"
    return Signature(ALIGNMENT, "own_text_margin", float(found.mean()), -1.0, False, meaning)


def pairwise_share(model: L2RCLIP, features: Image, target: Target) -> Signature:
    r"""Share of the ordinal pairwise loss in the pull on the features, in [0, 1].

    $$\frac{\lVert\lambda g_o\rVert}{\lVert\lambda g_o\rVert+\lVert g_c\rVert}$$

    The g are gradients along the unit sphere: of the asymmetrical and the stage-1 loss on the texts (λ1), of the
    cross-entropy and the stage-2 loss on the images (λ2). The larger share counts; above ½ order outweighs meaning.
    """
    value = max(gradient_shares(model, features, target).values())
    meaning = "share of the pairwise loss in the pull on the features"
    return Signature(ALIGNMENT, "pairwise_share", value, 0.5, True, meaning)


def context_drift(model: L2RCLIP) -> Signature:
    r"""How far the context has moved from its start: $\lVert C-C_0\rVert/\lVert C_0\rVert$, 0 without context.

    A context drawn afresh would be 1.4 away; at 0.5 a third of the way to one that has forgotten its start is done.
    """
    start = starting_context(model)
    moved = sentence_prompts(model).context.detach() - start
    value = float(moved.norm() / start.norm()) if len(start) else 0.0
    meaning = "way of the context vectors, in their starting length"
    return Signature(CONTEXT, "context_drift", value, 0.5, True, meaning)


def context_size(model: L2RCLIP) -> Signature:
    """Mean length of the context vectors, in that of the template's word embeddings; 1 without context.

    Training starts at about 1. Well above it the text tower reads what no word ever looked like.
    """
    ratio = sentence_prompts(model).context.detach().norm(dim=1) / word_length(model)
    value = float(ratio.mean()) if len(ratio) else 1.0
    return Signature(
        CONTEXT, "context_size", value, 1.2, True, "length of the context vectors, in that of words"
    )


def pushed_pairs(model: L2RCLIP, features: Image, target: Target) -> Signature:
    """Share of the pairs i ≠ j of one rank whose image and text are pushed apart; in [0, 1], 0 without such pairs."""
    _, others = same_rank_gradients(model, features, target)
    value = float((others > 0).float().mean()) if len(others) else 0.0
    return Signature(
        PAIRS, "pushed_pairs", value, 0.5, True, "share of same-rank pairs that are pushed apart"
    )


def wasted_push(model: L2RCLIP, features: Image, target: Target) -> Signature:
    """Push on pairs i ≠ j of one rank, relative to the pull on all pairs of one rank; ≥ 0.

    The texts of one rank are one tensor, so in the sum this push undoes as much pull and no more. What remains of the
    failure: a rank weighs as much as it occurs, absent ranks are never pushed, and the loss cannot reach 0.
    """
    every, others = same_rank_gradients(model, features, target)
    value = float(others.clamp_min(0).sum() / (-every).clamp_min(0).sum().clamp_min(1e-12))
    return Signature(
        PAIRS, "wasted_push", value, 0.1, True, "push on same-rank pairs, relative to their pull"
    )


def failure_signatures(model: L2RCLIP, features: Image, target: Target) -> list[Signature]:
    """Every signature, two a failure.

    Args:
        model: A model with sentences behind its text features.
        features: Its image features as they are now, of the training images: the thresholds are made for these.
        target: Rank index of each image.

    Returns:
        Eight signatures, by failure.

    Raises:
        InputError: Random prototypes, images of fewer than two ranks, or as many targets as there are no images.
    """
    of_images = (order_gained, own_text_margin, pairwise_share, pushed_pairs, wasted_push)
    gained, margin, share, pushed, wasted = (find(model, features, target) for find in of_images)
    return [mixing(model), gained, margin, share, context_drift(model), context_size(model), pushed, wasted]


def table(signatures: Sequence[Signature]) -> str:
    """The signatures as a table to print, with what each number says.

    Example:
        >>> print(table([Signature(PAIRS, "pushed_pairs", 1.0, 0.5, True, "share of pairs")]))
        signature          value  fires         verdict  what it says
        many-to-many pairs are ignored
          pushed_pairs     1.000  above 0.500   FIRES    share of pairs
    """
    lines, failure = [f"{'signature':<17}{'value':>7}  {'fires':<14}{'verdict':<9}what it says"], ""
    for one in signatures:
        if one.failure != failure:
            lines.append(failure := one.failure)
        when = f"{'above' if one.above else 'below'} {one.threshold:.3f}"
        verdict = "FIRES" if one.fires else "silent"
        lines.append(f"  {one.name:<15}{one.value:>7.3f}  {when:<14}{verdict:<9}{one.meaning}")
    return "\n".join(lines)
