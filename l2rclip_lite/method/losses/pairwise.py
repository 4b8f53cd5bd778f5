r"""The cross-modal ordinal pairwise loss, in the two forms that were released.

It pulls an image to the text of its own rank and pushes it away from the others, the further the
more their ranks differ.
"""

import math
from typing import Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from l2rclip_lite.errors import InputError
from l2rclip_lite.method.losses.checks import (
    Batch,
    Labels,
    Loss,
    Targets,
    Texts,
    Values,
    check_choice,
    check_same_shape,
    checked_target,
    full_precision,
)
from l2rclip_lite.method.ranks import cyclic_permutation

Normalise = Literal["batch", "global"]
Order = Literal["true", "blind", "shuffled"]
Paired = Float[Tensor, "text dim"]  # one row per rank, or per image


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


def rank_weights(
    target: Targets, values: Values, normalise: Normalise = "batch", order: Order = "true"
) -> Float[Tensor, "batch rank"]:
    r"""Compute the ordinal weight $\omega_{ik} = |r_{y_i}-r_k|/M$ (official `loss/ordinal_ce.py`).

    Args:
        target: Rank index of each image.
        values: Value of each rank.
        normalise: M is the largest gap in this `batch` (as released; it changes from batch to
            batch) or of the whole label space (`global`; the same image always gets the same
            weight).
        order: `true`; `blind` sets every weight to 1, which leaves the diversity without order;
            `shuffled` gives text k the value of rank π(k) of `ranks.cyclic_permutation`, which
            keeps no rank in place, the negative control.

    Returns:
        Weights in [0, 1] (`blind`: all 1).

    Raises:
        InputError: Targets or values that are no row of numbers, or another word for a setting.

    Example:
        >>> rank_weights(torch.tensor([0, 1]), torch.tensor([0.0, 1.0, 2.0]))
        tensor([[0.0000, 0.5000, 1.0000],
                [0.5000, 0.0000, 0.5000]])
    """
    target = checked_target(target)
    if values.ndim != 1:
        raise InputError(f"losses: values is {list(values.shape)}; give one number per rank.")
    values = full_precision(values)  # bytes would wrap around
    check_choice("normalise", normalise, get_args(Normalise))
    check_choice("order", order, get_args(Order))
    if order == "blind":
        return torch.ones(len(target), len(values), device=values.device)

    own_value = values.index_select(0, target)  # unlike values[target], it takes no −1
    gap = (own_value[:, None] - values).abs()
    largest = gap.max() if normalise == "batch" else values.max() - values.min()
    weights = gap / largest.clamp_min(1e-12)

    if order == "shuffled":
        columns = weights.unbind(1)  # by Python's numbers, so that none is sent to a device
        weights = torch.stack([columns[k] for k in cyclic_permutation(len(values)).tolist()], dim=1)
    return weights


def tightness(image: Batch, text: Texts, target: Targets) -> Loss:
    r"""Return the mean squared distance of an image to its own text, in [0, 4].

    It is the first term of `ordinal_pairwise_loss`.

    Example:
        >>> float(tightness(torch.eye(2), torch.eye(2), torch.tensor([0, 0])))  # (0 + 2) / 2
        1.0
    """
    target = checked_target(target, len(image))
    with torch.autocast(image.device.type, enabled=False):
        own_text = full_precision(text).index_select(0, target)  # unlike text[target], no −1
        check_same_shape(image, own_text, "images and their texts")
        return (full_precision(image) - own_text).square().sum(1).mean()


def diversity(
    image: Batch,
    text: Texts,
    target: Targets,
    values: Values,
    *,
    normalise: Normalise = "batch",
    order: Order = "true",
    push_power: int = 1,
) -> Loss:
    r"""Return the mean weighted distance of an image to all texts, in [0, 2] for p = 1.

    It is the second term of `ordinal_pairwise_loss`.

    Example:
        >>> point = torch.eye(2)
        >>> push = diversity(point, point, torch.tensor([0, 1]), torch.arange(2.0))
        >>> round(float(push), 4)  # sqrt 2 / 2
        0.7071
    """
    target = checked_target(target, len(image))
    check_choice("push_power", push_power, (1, 2))
    check_same_shape(values, text[:, 0], "values and texts")
    with torch.autocast(image.device.type, enabled=False):
        weights = rank_weights(target, values, normalise, order)
        distance = distances(full_precision(image), full_precision(text))
        return (weights * distance**push_power).mean()


def ordinal_pairwise_loss(
    image: Batch,
    text: Texts,
    target: Targets,
    values: Values,
    *,
    normalise: Normalise = "batch",
    order: Order = "true",
    push_power: int = 1,
) -> Loss:
    r"""Return the cross-modal ordinal pairwise loss of stage 2.

    $$L = \frac{1}B\sum_i \lVert z_i-t_{y_i}\rVert^2
    - \frac{1}{BK}\sum_{i,k}\omega_{ik}\lVert z_i-t_k\rVert^{p}$$

    | paper | official | here |
    |---|---|---|
    | tightness | `tightness` | `tightness`, in [0, 4] |
    | diversity | `diversity` | `diversity`, in [0, 2] for p = 1 |
    | ω | `weight` | `rank_weights` |

    The loss may be negative; that is right, not an error. It is finite for every batch: a batch of
    one and a batch of one label included.

    Source: L2RCLIP section 3.3; official `loss/ordinal_ce.py`.

    Args:
        image: Unit image features.
        text: Unit text features, one per rank.
        target: Rank index of each image.
        values: Value of each rank, increasing.
        normalise: See `rank_weights`.
        order: See `rank_weights`.
        push_power: p = 1 as released, 2 as the derivation from cross-entropy has it.

    Returns:
        A scalar.

    Raises:
        InputError: Not one whole number per image as target, not one value per text, or another
            word for a setting.

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
        image,
        text,
        target,
        values,
        normalise=normalise,
        order=order,
        push_power=push_power,
    )
    return pull - push


def ordinal_pairwise_loss_stage1(
    image: Batch,
    text: Paired,
    anchor: Paired,
    target: Labels,
    *,
    values: Values | None = None,
    symmetric: bool = False,
    blind: bool = False,
) -> Loss:
    r"""Return the cross-modal ordinal pairwise loss of stage 1.

    $$L = -\operatorname*{mean}_{i<j}\omega_{ij}\lVert z_i-t_j\rVert
    - \tfrac12\operatorname*{mean}_{i<j}\omega_{ij}\lVert t_i-t_j\rVert
    + \tfrac1{2B}\sum_i\lVert z_i-g_i\rVert^2,\quad \omega_{ij}=\frac{|y_i-y_j|-m}{M}$$

    with m and M the least and largest gap over the pairs. As released, only pairs i < j of a matrix
    that is not symmetric are used, so shuffling the batch changes the loss; `symmetric=True` uses
    all i ≠ j and does not. Where all labels agree the released code divides 0 by 0 and where the
    batch is one it fails; here the push is 0 and the tightness remains.

    All images of a rank have the same text. So image i need not meet them one by one: rank k is
    counted as often as it comes after i, $c_{ik}=\#\{j>i:y_j=k\}$, and the first mean is

    $$\operatorname*{mean}_{i<j}\omega_{ij}\lVert z_i-t_j\rVert
    = \sum_{i,k}c_{ik}\,\omega_{ik}\lVert z_i-t_k\rVert\Big/\sum_{i,k}c_{ik}$$

    of B·K terms in the place of B². Pass one text per rank and `values` for that; without `values`
    all pairs are formed, as released. The two differ by rounding.

    Controls: `blind=True` sets every ω to 1, also between images of one rank, as `rank_weights`
    does in stage 2. For the shuffled order pass shuffled values, such as
    `values[cyclic_permutation(K)]`: images and texts then follow one consistent, wrong order, in
    which a pair of one rank still has no gap.

    Source: official `loss/ordinal_ce_stage1.py`.

    Args:
        image: Unit image features z.
        text: Unit text features t, one per rank; without `values`, row i of the rank of image i.
        anchor: Unit text features g that images are pulled to, with rows as `text`; with one prompt
            for both, pass `text`.
        target: Rank index of each image; without `values`, its rank value.
        values: Value of each rank.
        symmetric: Whether to use all ordered pairs.
        blind: Whether to push every pair alike, whatever the ranks.

    Returns:
        A scalar, in [-3, 2].

    Raises:
        InputError: Not one number per image as target, or not one text and anchor per value, or per
            image without `values`.

    Example:
        >>> angle = torch.deg2rad(torch.tensor([0.0, 60.0, 120.0]))
        >>> point = torch.stack([angle.cos(), angle.sin()], dim=1)
        >>> loss = ordinal_pairwise_loss_stage1(point, point, point, torch.arange(3.0))
        >>> round(float(loss), 6)  # -sqrt 3 / 4
        -0.433013
    """
    target = checked_target(target, len(image), values=values is None)
    if values is None:
        check_same_shape(image, text, "images and texts")
        check_same_shape(image, anchor, "images and anchors")
    else:
        check_same_shape(values, text[:, 0], "values and texts")
        check_same_shape(text, anchor, "texts and anchors")

    with torch.autocast(image.device.type, enabled=False):
        image = full_precision(image)
        text = full_precision(text)
        anchor = full_precision(anchor)
        if values is None:
            pull = 0.5 * (image - anchor).square().sum(1).mean()
            push = _push_by_pair(image, text, target, symmetric, blind)
        else:
            pull = 0.5 * tightness(image, anchor, target)
            push = _push_by_rank(image, text, target, values, symmetric, blind)
        return pull - push


def _push_by_pair(image: Batch, text: Paired, target: Labels, symmetric: bool, blind: bool) -> Loss:
    """Return the push of `ordinal_pairwise_loss_stage1` from one text per image."""
    n = len(target)
    if n < 2:
        return image.new_zeros(())

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
    return (weight * push[i, j]).mean()


def _push_by_rank(
    image: Batch, text: Texts, target: Targets, values: Values, symmetric: bool, blind: bool
) -> Loss:
    """Return the push of `ordinal_pairwise_loss_stage1` from one text per rank."""
    if len(image) < 2:
        return image.new_zeros(())

    values = full_precision(values)  # bytes would wrap around
    pairs = _pairs_by_rank(target, len(values), symmetric).to(image.dtype)
    own_value = values.index_select(0, target)
    gap = (own_value[:, None] - values).abs().to(image.dtype)
    least = gap.masked_fill(pairs == 0, math.inf).min()
    largest = gap.masked_fill(pairs == 0, 0).max()

    weight = (gap - least) / largest.clamp_min(1e-12)
    if blind:
        weight = torch.ones_like(gap)
    push = distances(image, text) + 0.5 * distances(text, text).index_select(0, target)
    return (pairs / pairs.sum() * weight * push).sum()


def _pairs_by_rank(target: Targets, n_ranks: int, symmetric: bool) -> Int[Tensor, "batch rank"]:
    """Return with how many images of each rank an image is paired: with later ones, or all others.

    Example:
        >>> _pairs_by_rank(torch.tensor([0, 1, 1]), 2, symmetric=False)
        tensor([[0, 2],
                [0, 1],
                [0, 0]])
    """
    ranks = torch.arange(n_ranks, device=target.device)
    one_hot = (target[:, None] == ranks).long()  # `F.one_hot` would wait for a device
    so_far = one_hot if symmetric else one_hot.cumsum(0)
    return one_hot.sum(0) - so_far
