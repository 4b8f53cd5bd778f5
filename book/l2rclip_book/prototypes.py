"""Fixed vectors in place of text features: rivals of the sentences on a tuned tower."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from l2rclip_lite.data.base import OrdinalDataset
from l2rclip_lite.heads.kernel import MIXTURES, rank_kernel
from l2rclip_lite.towers.base import Towers


def random_prototypes(data: OrdinalDataset, towers: Towers, seed: int) -> Float[Tensor, "rank dim"]:
    """Return fixed unit vectors without any order of the ranks, in place of text features."""
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(len(data.ranks), towers.dim, generator=generator), dim=1)


def number_prototypes(data: OrdinalDataset, towers: Towers, seed: int) -> Float[Tensor, "rank dim"]:
    """Return fixed unit vectors that are as alike as the numbers of the ranks are near.

    Their cosines are those of the kernel head's numbers, see `kernel.rank_kernel`; the directions
    are random.
    """
    texts = random_prototypes(data, towers, seed).double()
    kernel = rank_kernel(texts, data.ranks.values_tensor().double(), MIXTURES["numbers"])
    directions = torch.linalg.qr(texts.T).Q.T  # orthonormal, one for each rank
    root = torch.linalg.cholesky(kernel)
    return F.normalize(root @ directions, dim=1).float()


# by the name of the method that trains towards them
PROTOTYPES = {"random-prototypes": random_prototypes, "number-prototypes": number_prototypes}
