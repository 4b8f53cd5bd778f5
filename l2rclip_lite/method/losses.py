r"""The losses of L2RCLIP: contrastive, ordinal pairwise in its two released forms, and RPS.

$$L_1 = L_{\mathrm{contrastive}} + \lambda_1 L_{\mathrm{pairwise,1}},\quad
L_2 = \mathrm{CE} + \lambda_{\mathrm{tight}} T - \lambda_{\mathrm{push}} D
+ \lambda_{\mathrm{rps}}\,\mathrm{RPS}$$

Notation: image features $z_i$ (B of them) and text features $t_k$ (K of them) are unit vectors,
$y_i$ is the rank of image i, $r_k$ the value of rank k. For unit vectors
$z\cdot t = 1-\lVert z-t\rVert^2/2$, so cross-entropy pulls an image to its own text and pushes
*all* texts away alike; it is blind to order. The pairwise loss pushes by rank distance. All
distances are computed in fp32, also under autocast. The scale s is above 0. Each loss raises an
`InputError` where its target is not one whole number per image, or a setting is misspelt.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, Literal, TypeVar, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..errors import InputError
from . import Features, Labels, Logits, Scalar, Scale, Targets, Texts, Values
from .ranks import of_other_ranks

Normalise = Literal["batch", "global"]
Order = Literal["true", "blind", "shuffled"]
Loss = TypeVar("Loss", bound=Callable[..., Tensor])


def in_full_precision(loss: Loss) -> Loss:
    """Let a loss compute in fp32, as half precision cannot hold the square of a small distance."""

    @wraps(loss)
    def in_fp32(*arguments: Any, **settings: Any) -> Any:
        device = next(filter(torch.is_tensor, [*arguments, *settings.values()])).device
        widened = {name: as_fp32(x) for name, x in settings.items()}
        with torch.autocast(device.type, enabled=False):
            return loss(*map(as_fp32, arguments), **widened)

    return in_fp32  # type: ignore[return-value]


def as_fp32(x: Any) -> Any:
    """Return a tensor of half precision as fp32, and anything else as it is."""
    is_half = torch.is_tensor(x) and x.dtype in (torch.float16, torch.bfloat16)
    return x.float() if is_half else x


@in_full_precision
def asymmetrical_contrastive_loss(
    image: Features, text: Texts, target: Targets, scale: Scale
) -> Scalar:
    r"""Return the asymmetrical contrastive loss: an image has one text, a text has many images.

    $$L = \mathrm{CE}(s\,z_iT^\top, y_i) + L_{t2i}$$

    with `supervised_contrastive_loss` from text to image. Ranks that are absent from the batch are
    left out of $L_{t2i}$ and stay in the cross-entropy. Source: L2RCLIP section 3.4.

    Example:
        >>> point = torch.eye(2)
        >>> loss = asymmetrical_contrastive_loss(point, point, torch.tensor([0, 1]), 1.0)
        >>> loss.round(decimals=6)
        tensor(0.6265)
    """
    target = checked_target(target, len(image))
    ranks = torch.arange(len(text), device=text.device)

    image_to_text = F.cross_entropy(scale * image @ text.T, target)
    text_to_image = supervised_contrastive_loss(text, image, ranks, target, scale)
    return image_to_text + text_to_image


@in_full_precision
def supervised_contrastive_loss(
    anchor: Float[Tensor, "anchor dim"],
    other: Float[Tensor, "other dim"],
    anchor_target: Int[Tensor, " anchor"],
    other_target: Int[Tensor, " other"],
    scale: Scale,
) -> Scalar:
    r"""Return the contrastive loss with many positives an anchor (official `loss/supcontrast.py`).

    $$L = -\frac1{A}\sum_a\frac1{|P(a)|}\sum_{i\in P(a)}
    \log\operatorname{softmax}_i(s\,a\cdot o_i)$$

    P(a) are the other features with the target of anchor a.

    Returns:
        A scalar ≥ 0. Anchors without a partner are left out (released: NaN), and add 0.

    Example:
        >>> point = torch.eye(2)
        >>> label = torch.tensor([0, 1])
        >>> loss = supervised_contrastive_loss(point, point, label, label, 1.0)
        >>> round(float(loss), 6)  # log(1 + 1/e)
        0.313262
    """
    anchor_target = checked_target(anchor_target, len(anchor))
    other_target = checked_target(other_target, len(other))
    logits = scale * anchor @ other.T
    return mean_over_partners(logits, anchor_target[:, None] == other_target)


def mean_over_partners(
    logits: Float[Tensor, "anchor other"], positive: Bool[Tensor, "anchor other"]
) -> Scalar:
    r"""Return the mean of $-\log\operatorname{softmax}$ over partners, then over anchors."""
    counts = positive.sum(1)
    # without a partner an anchor adds 0; to pick the others out, a device would be waited for
    total = (logits.log_softmax(dim=1) * positive).sum(1)
    mean = total / counts.clamp_min(1)
    return -mean.sum() / (counts > 0).sum().clamp_min(1)


@in_full_precision
def contrastive_loss(image: Features, text: Features, scale: Scale) -> Scalar:
    r"""Return CLIP's symmetric contrastive loss, InfoNCE.

    $$L = \tfrac12\big(\mathrm{CE}(s\,Z T^\top, i) + \mathrm{CE}(s\,T Z^\top, i)\big)$$

    Row i of the texts belongs to image i and to no other: two images of one rank count as each
    other's negatives, although their texts are the same. That is the mistake which
    `asymmetrical_contrastive_loss` repairs: the loss is at least log m if every rank of the batch
    has m images. Source: Radford et al. 2021, figure 3.

    Example:
        >>> same = torch.tensor([[1.0, 0.0], [1.0, 0.0]])  # two images of one rank
        >>> contrastive_loss(same, same, 100.0).round(decimals=6)  # never better than log 2
        tensor(0.6931)
    """
    logits = scale * image @ text.T
    own = torch.arange(len(logits), device=logits.device)

    image_to_text = F.cross_entropy(logits, own)
    text_to_image = F.cross_entropy(logits.T, own)
    return (image_to_text + text_to_image) / 2


@in_full_precision
def ordinal_pairwise_loss_stage1(
    image: Features,
    text: Features,
    anchor: Features,
    target: Labels,
    *,
    symmetric: bool = False,
    blind: bool = False,
) -> Scalar:
    r"""Return the cross-modal ordinal pairwise loss of stage 1.

    $$L = -\operatorname*{mean}_{i<j}\omega_{ij}\lVert z_i-t_j\rVert
    - \tfrac12\operatorname*{mean}_{i<j}\omega_{ij}\lVert t_i-t_j\rVert
    + \tfrac1{2B}\sum_i\lVert z_i-g_i\rVert^2,\quad \omega_{ij}=\frac{|r_i-r_j|-m}{M}$$

    with $r_i$ the value of the rank of image i, and m and M the least and largest gap over the
    pairs. As released, only pairs i < j of a matrix
    that is not symmetric are used, so shuffling the batch changes the loss; `symmetric=True` uses
    all i ≠ j and does not. Where all labels agree the released code divides 0 by 0 and where the
    batch is one it fails; here the push is 0 and the tightness remains.

    For the shuffled order pass shuffled values: images and texts then follow one consistent, wrong
    order, in which a pair of one rank still has no gap.

    Source: official `loss/ordinal_ce_stage1.py`.

    Args:
        image: Unit image features z.
        text: Unit text features t, row i of the rank of image i.
        anchor: Unit text features g that images are pulled to; with one prompt for both, `text`.
        target: Rank value of each image.
        symmetric: Whether to use all ordered pairs.
        blind: Whether every ω is 1, also between images of one rank.

    Returns:
        A scalar, in [-3, 2].

    Example:
        >>> angle = torch.deg2rad(torch.tensor([0.0, 60.0, 120.0]))
        >>> point = torch.stack([angle.cos(), angle.sin()], dim=1)
        >>> loss = ordinal_pairwise_loss_stage1(point, point, point, torch.arange(3.0))
        >>> round(float(loss), 6)  # -sqrt 3 / 4
        -0.433013
    """
    target = checked_target(target, len(image), values=True)
    pull = 0.5 * (image - anchor).square().sum(1).mean()
    n = len(image)
    if n < 2:
        return pull

    # indices, not a mask: to count its pairs, a device would be waited for
    pairs = torch.triu_indices(n, n, offset=1, device=image.device)
    if symmetric:
        pairs = torch.cat([pairs, pairs.flip(0)], dim=1)
    i, j = pairs
    gap = (target[:, None] - target).abs().to(image.dtype)[i, j]

    weight = (gap - gap.min()) / gap.max().clamp_min(1e-12)
    if blind:
        weight = torch.ones_like(gap)
    push = distances(image, text) + 0.5 * distances(text, text)
    return pull - (weight * push[i, j]).mean()


def ordinal_pairwise_loss(
    image: Features,
    text: Texts,
    target: Targets,
    values: Values,
    *,
    normalise: Normalise = "batch",
    order: Order = "true",
    push_power: int = 1,
) -> Scalar:
    r"""Return the cross-modal ordinal pairwise loss of stage 2.

    $$L = \frac{1}B\sum_i \lVert z_i-t_{y_i}\rVert^2
    - \frac{1}{BK}\sum_{i,k}\omega_{ik}\lVert z_i-t_k\rVert^{p}$$

    The first term is `tightness`, the second `diversity`, ω are `rank_weights`. The loss may be
    negative; that is right, not an error. It is finite for every batch, also of one image or label.

    Source: L2RCLIP section 3.3; official `loss/ordinal_ce.py`.

    Args:
        image: Unit image features.
        text: Unit text features, one per rank.
        target: Rank index of each image.
        values: Value of each rank, increasing.
        normalise: See `rank_weights`.
        order: See `rank_weights`.
        push_power: p = 1 as released, 2 as the derivation from cross-entropy has it.

    Example:
        >>> angle = torch.deg2rad(torch.tensor([0.0, 60.0, 120.0]))
        >>> text = torch.stack([angle.cos(), angle.sin()], dim=1)
        >>> perfect = ordinal_pairwise_loss(
        ...     text[[0, 2]], text, torch.tensor([0, 2]), torch.arange(3.0)
        ... )
        >>> round(float(perfect), 6)  # -(1 + 2 sqrt 3) / 6
        -0.744017
    """
    pull = tightness(image, text, target)
    push = diversity(
        image, text, target, values, normalise=normalise, order=order, push_power=push_power
    )
    return pull - push


@in_full_precision
def tightness(image: Features, text: Texts, target: Targets) -> Scalar:
    r"""Return the mean squared distance of an image to its own text, in [0, 4].

    Example:
        >>> float(tightness(torch.eye(2), torch.eye(2), torch.tensor([0, 0])))  # (0 + 2) / 2
        1.0
    """
    target = checked_target(target, len(image))
    own_text = text.index_select(0, target)  # unlike text[target], no −1
    return (image - own_text).square().sum(1).mean()


@in_full_precision
def diversity(
    image: Features,
    text: Texts,
    target: Targets,
    values: Values,
    *,
    normalise: Normalise = "batch",
    order: Order = "true",
    push_power: int = 1,
) -> Scalar:
    r"""Return the mean weighted distance of an image to all texts, in [0, 2] for p = 1.

    Example:
        >>> point = torch.eye(2)
        >>> push = diversity(point, point, torch.tensor([0, 1]), torch.arange(2.0))
        >>> round(float(push), 4)  # sqrt 2 / 2
        0.7071
    """
    target = checked_target(target, len(image))
    weights = rank_weights(target, values, normalise, order)
    distance = distances(image, text)
    return (weights * distance**push_power).mean()


def rank_weights(
    target: Targets, values: Values, normalise: Normalise = "batch", order: Order = "true"
) -> Float[Tensor, "batch rank"]:
    r"""Compute the ordinal weight $\omega_{ik} = |r_{y_i}-r_k|/M$ (official `loss/ordinal_ce.py`).

    The release subtracts the least gap first, as stage 1 does; here that is 0, since the columns
    hold each image's own rank.

    Args:
        target: Rank index of each image.
        values: Value of each rank.
        normalise: M is the largest gap from any image of the `batch` to any of the K ranks (as
            released; it changes from batch to batch) or of the whole label space (`global`).
        order: `true`; `blind` sets every weight to 1; `shuffled` gives text k the value of rank
            π(k) of `ranks.cyclic_permutation`, the negative control.

    Returns:
        Weights in [0, 1] (`blind`: all 1).

    Example:
        >>> rank_weights(torch.tensor([0, 1]), torch.tensor([0.0, 1.0, 2.0]))
        tensor([[0.0000, 0.5000, 1.0000],
                [0.5000, 0.0000, 0.5000]])
    """
    if order not in get_args(Order) or normalise not in get_args(Normalise):
        raise InputError(f"losses: no such weights: {normalise=!r:.80}, {order=!r:.80}.")
    values = values.to(torch.promote_types(values.dtype, torch.float32))  # bytes would wrap around
    if order == "blind":
        return torch.ones(len(target), len(values), device=values.device)

    own_value = values.index_select(0, target)  # unlike values[target], it takes no −1
    gap = (own_value[:, None] - values).abs()
    largest = gap.max() if normalise == "batch" else values.max() - values.min()
    weights = gap / largest.clamp_min(1e-12)

    return of_other_ranks(weights, dim=1) if order == "shuffled" else weights


def distances(
    a: Float[Tensor, "row dim"], b: Float[Tensor, "column dim"]
) -> Float[Tensor, "row column"]:
    r"""Return all distances $\lVert a_i-b_j\rVert$, with a finite gradient where two points meet.

    Example:
        >>> distances(torch.eye(2), torch.eye(2)).round(decimals=4)
        tensor([[0.0000, 1.4142],
                [1.4142, 0.0000]])
    """
    squared = a.square().sum(1)[:, None] + b.square().sum(1) - 2 * a @ b.T
    return squared.clamp_min(1e-12).sqrt()


@in_full_precision
def ranked_probability_loss(logits: Logits, target: Targets) -> Scalar:
    r"""Return the ranked probability score: squared distance of two cumulative distributions.

    $$L = \frac1B\sum_i\sum_{k<K}\Big(\sum_{j\le k}p_{ij}-[y_i\le k]\Big)^2,
    \quad p_i=\operatorname{softmax}(l_i)$$

    Each term is the Brier score of one question, "is the rank at most k?". That score is proper, so
    the expected loss is least at the true distribution: unlike the pairwise loss it depends on the
    order *and* is proper. It is in [0, K−1]. Source: Epstein 1969.

    Example:
        >>> logits = torch.tensor([[0.2, 0.4, 0.2, 0.2], [0.5, 0.05, 0.1, 0.35]]).log()
        >>> loss = ranked_probability_loss(logits, torch.tensor([0, 3]))
        >>> round(float(loss), 4)  # (0.84 + 0.975) / 2
        0.9075
    """
    target = checked_target(target, len(logits))
    cumulative = logits.softmax(dim=1).cumsum(dim=1)
    reached = F.one_hot(target, logits.shape[1]).cumsum(dim=1)  # it refuses what is no rank
    return (cumulative - reached.to(logits)).square().sum(dim=1).mean()


def checked_target(target: Tensor, rows: int, *, values: bool = False) -> Tensor:
    """Return targets as indices of 64 bits, or as `values` of ranks; a device is not waited for.

    Bytes or booleans would be a mask in place of indices, and a second axis a table of pairs: both
    give another loss without a word.

    Raises:
        InputError: Not one whole number for each of so many `rows`, or no image.

    Example:
        >>> checked_target(torch.tensor([1, 0], dtype=torch.uint8), 2)
        tensor([1, 0])
        >>> checked_target(torch.tensor([[1.0]]), 1)
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: losses: target is torch.float32 [1, 1]; give one whole
        number per image, of 1.
    """
    is_real = target.is_floating_point()
    is_whole = not (is_real or target.is_complex() or target.dtype == torch.bool)
    is_allowed = is_whole or (values and is_real)

    if not is_allowed or target.ndim != 1 or len(target) != rows or rows == 0:
        wanted = "number" if values else "whole number"
        shape = f"{target.dtype} {list(target.shape)}"
        raise InputError(f"losses: target is {shape}; give one {wanted} per image, of {rows}.")
    return target.long() if is_whole else target
