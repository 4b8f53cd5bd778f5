r"""The answer of several kernel heads: a mean, weighted by votes of the validation images.

Some thirty heads compete on a few hundred validation images, and luck has a say in which is best:
other images would prefer another. So the images are drawn anew, with replacement, many times; each
sample votes for the head that answers it best; the stack weighs every head by its share v of votes.

$$\sum_h v_h\,[\nu\,(z-\mu),\ \beta]\,W_h=[\nu\,(z-\mu),\ \beta]\sum_h v_h\,W_h$$

The heads read the same inputs, so their mean is one head again: nothing else has to know of it.

Source: Breiman 1996 (Bagging predictors); only the choice is repeated here, not the fit.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float

from l2rclip_lite.heads.kernel import (
    MIXTURES,
    KernelChoice,
    LinearHead,
    Mixture,
    Texts,
    choose_kernel_head,
    kernel_candidates,
)
from l2rclip_lite.method.losses import Batch, Targets
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.metrics import rps, rps_of_images
from l2rclip_lite.metrics.bootstrap import resample_counts

VOTERS = 1000  # samples of the validation images


def stack_kernel_heads(
    features: Mapping[str, Batch],
    targets: Mapping[str, Targets],
    text: Texts,
    ranks: Ranks,
    *,
    mixtures: Sequence[Mixture] = tuple(MIXTURES.values()),
    quiet: bool = True,
) -> KernelChoice:
    """Return the mean of the heads of all mixtures and ridges, weighted by votes.

    Args:
        features: See `choose_kernel_head`, as for all below.
        targets: Rank indices.
        text: Unit text features.
        ranks: The label space.
        mixtures: At least one. Of a single one the best head is taken, and not a stack of its
            ridges, so that studies compare single heads.
        quiet: Whether to hide the progress bar.

    Returns:
        The mean head. Its `mixture` is the mean of the mixtures of the heads, its `ridge` the
        geometric mean of their ridges, both weighted by votes.

    Example:
        >>> ranks = Ranks.integers(1, 2, template="{rank} apples")
        >>> z, y = torch.tensor([[1.0], [-1.0]]), torch.tensor([0, 1])
        >>> stack = stack_kernel_heads(
        ...     {"train": z, "val": z}, {"train": y, "val": y}, torch.eye(2), ranks
        ... )
        >>> stack.mixture, round(stack.ridge, 6)  # the same head is the best of every sample
        ((0.0, 0.0, 1.0), 0.0001)
    """
    if len(mixtures) == 1:
        return choose_kernel_head(features, targets, text, ranks, mixtures=mixtures, quiet=quiet)

    candidates = list(kernel_candidates(features, targets, text, ranks, mixtures, quiet=quiet))
    val_features = features["val"].cpu().float()
    true = np.asarray(targets["val"].cpu())

    scores = []
    for each in candidates:
        p = each.head(val_features).softmax(dim=1)
        scores.append(rps_of_images(true, p.double().numpy()))
    votes = shares_of_votes(np.stack(scores))

    head = mean_head([each.head for each in candidates], votes)
    text_weight, numbers, identity = votes @ np.array([each.mixture for each in candidates])
    ridge = np.exp(votes @ np.log([each.ridge for each in candidates]))
    val_rps = rps(true, head(val_features).softmax(dim=1), ranks)
    return KernelChoice(
        head, (float(text_weight), float(numbers), float(identity)), float(ridge), val_rps
    )


def shares_of_votes(scores: Float[np.ndarray, "head image"]) -> Float[np.ndarray, " head"]:
    """Return how often each head has the lowest mean score, in samples of the images.

    The first vote is that of the images themselves, the others those of `VOTERS` samples.

    Args:
        scores: Of each image, lower is better. At a tie the first head has the vote.

    Example:
        >>> shares_of_votes(np.array([[0.2, 0.2], [0.3, 0.3]]))
        array([1., 0.])
    """
    best = []
    for counts in resample_counts(None, scores.shape[1], VOTERS, seed=0):
        best.append((scores @ counts).argmin(axis=0))
    votes = np.bincount(np.concatenate(best), minlength=len(scores))
    return votes / votes.sum()


def mean_head(heads: Sequence[LinearHead], weights: Float[np.ndarray, " head"]) -> LinearHead:
    """Return the head whose logits are the weighted mean of those of heads with the same inputs."""
    first = heads[0]
    every = torch.stack([head.weight for head in heads])
    weight = torch.tensordot(torch.from_numpy(weights).to(every), every, dims=1)

    head = LinearHead(len(first.mean), weight.shape[1])
    head.load_state_dict({"mean": first.mean, "norm": first.norm, "weight": weight})
    return head
