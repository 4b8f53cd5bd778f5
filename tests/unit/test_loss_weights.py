"""Each weight of `LossWeights` reaches the loss of its stage, and any batch can be trained on."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from l2rclip_lite.config import Config, LossWeights
from l2rclip_lite.data import OrdinalDataset
from l2rclip_lite.method.model import L2RCLIP
from l2rclip_lite.method.stages import stage1_loss, stage2_loss

NAMES = LossWeights._fields


@pytest.fixture(scope="module")
def model(leaves: OrdinalDataset, small: Config) -> L2RCLIP:
    """A model that nobody trains; the tests change its weights of losses."""
    return L2RCLIP.build(leaves.ranks, small)


def both_stages(model: L2RCLIP, weights: dict[str, float], z: Tensor, y: Tensor) -> Tensor:
    """Return the losses of both stages under these weights; the others are 0."""
    model.config = replace(model.config, **dict.fromkeys(NAMES, 0.0) | weights)
    values = model.ranks.values_tensor()
    text = model.rank_features
    return torch.stack([stage1_loss(model, z, text, y, values), stage2_loss(model, z, y, values)])


@pytest.mark.parametrize("name", NAMES)
def test_a_weight_of_two_adds_its_term_twice(name: str, model: L2RCLIP) -> None:
    """The loss of one stage rises by the term with weight 1, and by twice that with 2."""
    y = torch.tensor([0, 1, 3])
    z = F.normalize(model.rank_features[[1, 1, 4]] + model.rank_features[[0, 2, 3]], dim=1)

    losses = [both_stages(model, {name: weight}, z, y).detach() for weight in (0.0, 1.0, 2.0)]
    without, once, twice = losses
    rises = (once - without).tolist()

    assert rises.count(0.0) == 1
    rise = max(rises, key=abs)
    assert abs(rise) > 1e-3
    assert name == "lambda1" or (rise < 0) == (name == "lambda_push")
    assert (twice - without).tolist() == pytest.approx([2 * rise for rise in rises], rel=1e-2)
