"""The baselines' losses at their edges; their numbers: docstrings and oracles."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import entropy

from l2rclip_lite.baselines.losses import (
    dldl_v2_loss,
    ordinal_entropy_loss,
    rank_n_contrast_loss,
)


def test_ordinal_entropy_of_ranks_at_one_position() -> None:
    """Values −10⁹, 0 and 10⁻⁶ are at 0, 1 and 1 in single precision: no gap, and no push."""
    position = torch.tensor([0.0, 1.0, 1.0])
    target = torch.tensor([1, 2])
    assert float(ordinal_entropy_loss(torch.eye(2), target, position)) == 0


def test_rank_n_contrast_as_released() -> None:
    """What the authors' code gives for six images in two views; test_losses.py has the fixture."""
    generator = torch.Generator().manual_seed(0)
    torch.randn(5, 8, generator=generator, dtype=torch.float64)  # the texts of the fixture
    image = F.normalize(torch.randn(6, 8, generator=generator, dtype=torch.float64), dim=1)
    views = torch.cat([image, image + 0.01])
    label = torch.tensor([0, 1, 2, 3, 4, 2.0] * 2)

    assert float(rank_n_contrast_loss(views, label)) == pytest.approx(1.815708, abs=1e-6)


@pytest.mark.parametrize(("n_ranks", "sigma"), [(5, 0.5), (17, 2.0), (62, 2.0)])
def test_dldl_v2_has_a_width_of_two_steps_but_at_most_an_eighth_of_the_scale(
    n_ranks: int, sigma: float
) -> None:
    """All ranks alike, the truth is rank 1: divergence from a Gaussian there, and (K−1)/2 − 1."""
    gap = np.arange(n_ranks) - 1.0
    gaussian = np.exp(-0.5 * (gap / sigma) ** 2)
    by_hand = entropy(gaussian, np.ones(n_ranks)) + (n_ranks - 1) / 2 - 1

    position = torch.arange(float(n_ranks))
    loss = dldl_v2_loss(torch.zeros(1, n_ranks), torch.tensor([1]), position)
    assert float(loss) == pytest.approx(by_hand, rel=1e-5)
