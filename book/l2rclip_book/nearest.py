"""K-nearest neighbours on frozen features: a rival that learns nothing, it looks things up.

A method of studies only: a model file has room for a linear head, and one with neighbours would
hand on the features of every training image.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from l2rclip_lite.heads.calibration import fit_temperature, temper
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.metrics import rps

COUNTS = (1, 3, 5, 9, 17, 33)  # of neighbours


def nearest_neighbours(
    features: Mapping[str, Float[Tensor, "_ dim"]],
    targets: Mapping[str, Int[Tensor, " _"]],
    ranks: Ranks,
) -> Float[Tensor, "batch rank"]:
    """Answer test images by the ranks of the training images whose features are most alike.

    Likeness is the cosine. The number of neighbours is chosen by validation RPS, then a temperature
    is fitted, as every baseline has one.

    Args:
        features: Image features of train, val and test.
        targets: Rank indices of train and val.
        ranks: The label space.

    Returns:
        K probabilities per test image, see `neighbour_shares`.

    Example:
        >>> two = Ranks.integers(0, 1, template="grade {rank}")
        >>> features = dict.fromkeys(("train", "val", "test"), torch.eye(2))
        >>> targets = dict.fromkeys(("train", "val"), torch.arange(2))
        >>> nearest_neighbours(features, targets, two).argmax(1)
        tensor([0, 1])
    """
    train = features["train"].cpu().numpy()
    counts = [count for count in COUNTS if count <= len(train)]
    search = NearestNeighbors(n_neighbors=counts[-1], metric="cosine").fit(train)

    near = {}
    for split in ("val", "test"):
        rows = search.kneighbors(features[split].cpu().numpy(), return_distance=False)
        near[split] = targets["train"].cpu()[torch.from_numpy(rows)]

    candidates = []
    for count in counts:
        shares = neighbour_shares(near["val"][:, :count], len(ranks))
        candidates.append((rps(targets["val"], shares, ranks), count))
    _, count = min(candidates)

    val = neighbour_shares(near["val"][:, :count], len(ranks)).log()
    test = neighbour_shares(near["test"][:, :count], len(ranks)).log()
    return torch.from_numpy(temper(test, fit_temperature(val, targets["val"])))


def neighbour_shares(
    near: Int[Tensor, "batch neighbour"], n_ranks: int
) -> Float[Tensor, "batch rank"]:
    r"""Return the shares of the ranks among n neighbours and one more that is of all ranks evenly.

    $$p_k=\frac{n_k+1/K}{n+1}$$

    So no rank has probability 0, which a logarithm would punish without end, and a neighbour that
    is alone is believed by half.

    Args:
        near: Rank indices of the neighbours of each image.
        n_ranks: K.

    Example:
        >>> neighbour_shares(torch.tensor([[2, 2, 3]]), 4)  # counts 0, 0, 2, 1, each with 1/4 more
        tensor([[0.0625, 0.0625, 0.5625, 0.3125]], dtype=torch.float64)
    """
    counts = F.one_hot(near, n_ranks).sum(1).double()
    return (counts + 1 / n_ranks) / (near.shape[1] + 1)
