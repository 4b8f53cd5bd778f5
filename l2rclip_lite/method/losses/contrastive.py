r"""The contrastive losses: of CLIP, with many positives, and the asymmetrical one of L2RCLIP."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from l2rclip_lite.method.losses.checks import (
    Batch,
    Loss,
    Scale,
    Targets,
    Texts,
    check_scale,
    checked_target,
    full_precision,
)

NO_RANK = torch.iinfo(torch.int64).min  # a target that no image has


def supervised_contrastive_loss(
    anchor: Float[Tensor, "anchor dim"],
    other: Float[Tensor, "other dim"],
    anchor_target: Int[Tensor, " anchor"],
    other_target: Int[Tensor, " other"],
    scale: Scale,
) -> Loss:
    r"""Return the contrastive loss with many positives an anchor (official `loss/supcontrast.py`).

    $$L = -\frac1{A}\sum_a\frac1{|P(a)|}\sum_{i\in P(a)}
    \log\operatorname{softmax}_i(s\,a\cdot o_i)$$

    Args:
        anchor: Unit features of the anchors.
        other: Unit features among which each anchor has its positives.
        anchor_target: Rank index of each anchor.
        other_target: Rank index of each other feature.
        scale: s > 0, unitless.

    Returns:
        A scalar ≥ 0. Anchors without a partner are left out (released: NaN); with none at all the
        loss is 0.

    Raises:
        InputError: Not one whole number per feature as target, or another scale.

    Example:
        >>> point = torch.eye(2)
        >>> label = torch.tensor([0, 1])
        >>> loss = supervised_contrastive_loss(point, point, label, label, 1.0)
        >>> round(float(loss), 6)  # log(1 + 1/e)
        0.313262
    """
    anchor_target = checked_target(anchor_target, len(anchor))
    other_target = checked_target(other_target, len(other))
    check_scale(scale)
    with torch.autocast(anchor.device.type, enabled=False):
        logits = scale * full_precision(anchor) @ full_precision(other).T
        positive = anchor_target[:, None] == other_target
        counts = positive.sum(1)

        # without a partner an anchor adds 0; to pick the others out, a device would be waited for
        total = (logits.log_softmax(dim=1) * positive).sum(1)
        mean = total / counts.clamp_min(1)
        return -mean.sum() / (counts > 0).sum().clamp_min(1)


def asymmetrical_contrastive_loss(image: Batch, text: Texts, target: Targets, scale: Scale) -> Loss:
    r"""Return the asymmetrical contrastive loss: an image has one text, a text has many images.

    $$L = \mathrm{CE}(s\,z_iT^\top, y_i) + L_{t2i}$$

    with `supervised_contrastive_loss` from text to image. Ranks that are absent from the batch are
    texts without a partner: they are left out of $L_{t2i}$ and stay in the cross-entropy.

    Source: L2RCLIP section 3.4.

    Args:
        image: Unit image features.
        text: Unit text features, one per rank.
        target: Rank index of each image.
        scale: s > 0, unitless.

    Returns:
        A scalar ≥ 0.

    Raises:
        InputError: Not one whole number per image as target, or another scale.

    Example:
        >>> point = torch.eye(2)
        >>> loss = asymmetrical_contrastive_loss(point, point, torch.tensor([0, 1]), 1.0)
        >>> loss.round(decimals=6)
        tensor(0.6265)
    """
    target = checked_target(target, len(image))
    check_scale(scale)
    with torch.autocast(image.device.type, enabled=False):
        image = full_precision(image)
        text = full_precision(text)
        ranks = torch.arange(len(text), device=text.device)

        # torch would leave out images of rank -100 without a word
        logits = scale * image @ text.T
        image_to_text = F.cross_entropy(logits, target, ignore_index=NO_RANK)
        text_to_image = supervised_contrastive_loss(text, image, ranks, target, scale)
        return image_to_text + text_to_image


def contrastive_loss(image: Batch, text: Batch, scale: Scale) -> Loss:
    r"""Return CLIP's symmetric contrastive loss, InfoNCE.

    $$L = \tfrac12\big(\mathrm{CE}(s\,Z T^\top, i) + \mathrm{CE}(s\,T Z^\top, i)\big)$$

    Row i of the texts belongs to image i and to no other: two images of one rank count as each
    other's negatives, although their texts are the same. That is the mistake which
    `asymmetrical_contrastive_loss` repairs.

    Source: Radford et al. 2021, figure 3; open_clip's `ClipLoss`.

    Args:
        image: Unit image features Z.
        text: Unit text features T, row i of the rank of image i.
        scale: s > 0, unitless.

    Returns:
        A scalar ≥ 0, and at least log m if every rank of the batch has m images; 0 for a batch of
        one.

    Raises:
        InputError: Another scale.

    Example:
        >>> same = torch.tensor([[1.0, 0.0], [1.0, 0.0]])  # two images of one rank
        >>> contrastive_loss(same, same, 100.0).round(decimals=6)  # never better than log 2
        tensor(0.6931)
    """
    check_scale(scale)
    with torch.autocast(image.device.type, enabled=False):
        logits = scale * full_precision(image) @ full_precision(text).T
        own = torch.arange(len(logits), device=logits.device)

        image_to_text = F.cross_entropy(logits, own)
        text_to_image = F.cross_entropy(logits.T, own)
        return (image_to_text + text_to_image) / 2
