r"""The kernel head: a linear head with a prior on the ranks.

Each rank has a weight vector. Before any image is seen, the vectors of ranks k and j are expected
to be as alike as the kernel $G_{kj}$ says: because their sentences are ($TT^\top$), because their
numbers are (an RBF), or not at all ($I$, which is logistic regression). No learning rate, no
epochs, seconds on a CPU.

Some thirty heads, of several kernels and ridges, compete on a few hundred validation images, and
luck has a say in which is best: other images would prefer another. So the images are drawn anew,
with replacement, many times; each sample votes for the head that answers it best; the stack weighs
every head by its share v of votes.

$$\sum_h v_h\,[\nu\,(z-\mu),\ \beta]\,W_h=[\nu\,(z-\mu),\ \beta]\sum_h v_h\,W_h$$

The heads read the same inputs, so their mean is one head again: nothing else has to know of it.

Sources: a Gaussian prior with a covariance between tasks, as in Evgeniou, Micchelli and Pontil
2005; Breiman 1996 (Bagging predictors), of which only the choice is repeated here, not the fit.
"""

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from l2rclip_lite.heads import HeadInputs, LinearHead, Root, fit_linear_heads, validation_rps
from l2rclip_lite.method import Features, Targets, Values
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.metrics.bootstrap import resample_counts, rps_of_images

Texts = Float[Tensor, "rank width"]  # may be wider or narrower than the features
Kernel = Float[Tensor, "rank rank"]
Mixture = tuple[float, float, float]

VOTERS = 1000  # samples of the validation images
MIXTURES: dict[str, Mixture] = {  # weights of text, numbers and identity
    "nothing": (0.0, 0.0, 1.0),
    "text": (0.99, 0.0, 0.01),
    "numbers": (0.0, 0.99, 0.01),
    "both": (0.495, 0.495, 0.01),
}


def rank_kernel(text: Texts, values: Values, mixture: Mixture) -> Kernel:
    r"""Return how alike any two ranks are: by their sentences, by their numbers, and not at all.

    $$G = a\,TT^\top + b\,\Big[\exp\frac{-(x_k-x_j)^2}{2w^2}\Big]_{kj} + c\,I$$

    where x are the values, scaled to span K − 1, and w = K/2.

    Args:
        text: Unit text features T, one per rank.
        values: Value of each rank.
        mixture: The weights a, b, c ≥ 0.

    Returns:
        G, symmetric and positive semi-definite.

    Example:
        >>> kernel = rank_kernel(torch.eye(2), torch.tensor([7.0, 8.0]), (0.5, 0.4, 0.1))
        >>> kernel.round(decimals=3)  # 0.4 / √e
        tensor([[1.0000, 0.2430],
                [0.2430, 1.0000]])
    """
    count = len(values)
    a, b, c = mixture

    x = values.to(text) * (count - 1) / (values.max() - values.min())
    near = torch.exp(-2 * ((x[:, None] - x) / count) ** 2)  # 2 w² is count² / 2
    identity = torch.eye(count).to(text)
    return a * text @ text.T + b * near + c * identity


def kernel_root(kernel: Kernel) -> Root:
    """Return R with R Rᵀ = G, of a symmetric and positive semi-definite kernel G.

    Example:
        >>> kernel_root(4 * torch.eye(2, dtype=torch.double)).tolist()
        [[2.0, 0.0], [0.0, 2.0]]
    """
    spectrum, axes = np.linalg.eigh(kernel.double().cpu().numpy())
    return torch.from_numpy(axes * np.sqrt(spectrum.clip(0)))


class KernelChoice(NamedTuple):
    """A head, and what it was fitted with.

    Args:
        head: The head.
        mixture: The weights of text, numbers and identity in its kernel.
        rps: Ranked probability score of the validation images.
    """

    head: LinearHead
    mixture: Mixture
    rps: float


def stack_kernel_heads(
    features: Mapping[str, Features],
    targets: Mapping[str, Targets],
    text: Texts,
    ranks: Ranks,
    *,
    mixtures: Sequence[Mixture] = tuple(MIXTURES.values()),
    quiet: bool = True,
) -> KernelChoice:
    """Return the mean of the heads of all mixtures and ridges, weighted by votes.

    Args:
        features: Image features of "train" and "val".
        targets: Rank indices of both.
        text: Unit text features, one per rank.
        ranks: The label space.
        mixtures: At least one. Of a single one the best head is taken, and not a stack of its
            ridges, so that studies compare single heads.
        quiet: Whether to hide the progress bar.

    Returns:
        The mean head. Its `mixture` is the mean of the mixtures of the heads, weighted by votes.

    Example:
        >>> ranks = Ranks.integers(1, 2, template="{rank} apples")
        >>> z, y = torch.tensor([[1.0], [-1.0]]), torch.tensor([0, 1])
        >>> stack = stack_kernel_heads(
        ...     {"train": z, "val": z}, {"train": y, "val": y}, torch.eye(2), ranks
        ... )
        >>> stack.mixture  # the same head is the best of every sample
        (0.0, 0.0, 1.0)
    """
    candidates = list(_candidates(features, targets, text, ranks, mixtures, quiet))
    if len(mixtures) == 1:
        return min(candidates, key=lambda candidate: candidate.rps)

    val_features = features["val"].cpu().float()
    true = targets["val"].cpu().numpy()
    scores = []
    for each in candidates:
        p = each.head(val_features).softmax(dim=1)
        scores.append(rps_of_images(true, p.double().numpy()))
    votes = shares_of_votes(np.stack(scores))

    head = copy.deepcopy(candidates[0].head)  # all have the same mean and norm
    weights = torch.stack([each.head.weight for each in candidates])
    head.weight.copy_(torch.tensordot(torch.from_numpy(votes).to(weights), weights, dims=1))

    mixture = (votes @ np.array([each.mixture for each in candidates])).tolist()
    return KernelChoice(head, tuple(mixture), validation_rps(head, features, targets, ranks))


def _candidates(
    features: Mapping[str, Features],
    targets: Mapping[str, Targets],
    text: Texts,
    ranks: Ranks,
    mixtures: Sequence[Mixture],
    quiet: bool,
) -> Iterator[KernelChoice]:
    """Yield a head for each mixture and ridge; the ridges end where RPS has risen twice."""
    inputs = HeadInputs.of(features["train"], targets["train"])
    for mixture in tqdm(mixtures, "kernel head", disable=quiet or None, leave=False):
        root = kernel_root(rank_kernel(text, ranks.values_tensor(), mixture))
        rises = 0
        previous_rps = math.inf

        for head in fit_linear_heads(inputs, root, F.cross_entropy):
            val_rps = validation_rps(head, features, targets, ranks)
            yield KernelChoice(head, mixture, val_rps)

            if val_rps > previous_rps:
                rises += 1
            if rises == 2:
                break
            previous_rps = val_rps


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
