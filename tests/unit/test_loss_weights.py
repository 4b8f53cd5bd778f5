"""Each weight of `LossWeights` reaches the loss of its stage, whichever terms there are."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from l2rclip_lite.config import Config, LossWeights
from l2rclip_lite.data import OrdinalDataset
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.training.stages import stage1_loss, stage2_loss


@pytest.mark.parametrize("name", LossWeights._fields)
def test_a_weight_of_two_adds_its_term_twice(
    name: str, leaves: OrdinalDataset, small: Config
) -> None:
    """The sum of both stages' losses rises by the term with weight 1, and by twice that with 2."""
    no_weights = dict.fromkeys(LossWeights._fields, 0.0)
    values = leaves.ranks.values_tensor()
    y = torch.tensor([0, 1, 3])
    sums = []

    for weight in (0.0, 1.0, 2.0):
        model = L2RCLIP.build(leaves.ranks, replace(small, **no_weights | {name: weight}))
        t = model.rank_features
        z = F.normalize(t[[1, 1, 4]] + t[[0, 2, 3]], dim=1)
        stages = stage1_loss(model, z, t, y, values) + stage2_loss(model, z, y, values)
        sums.append(float(stages.detach()))

    once = sums[1] - sums[0]
    assert abs(once) > 1e-3
    assert sums[2] - sums[0] == pytest.approx(2 * once, rel=1e-2)
