"""Probes, which train no network: bare sentences, one axis, and CORAL with a ridge."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from l2rclip_lite.baselines import probes
from l2rclip_lite.baselines.registry import OBJECTIVES
from l2rclip_lite.baselines.training import frozen_head
from l2rclip_lite.config import Config, Controls
from l2rclip_lite.method.model import L2RCLIP
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.towers.base import Towers
from l2rclip_lite.training_data import TrainingData

FOUR = Ranks.integers(0, 3, template="grade {rank}")
STEPS = torch.arange(4)
LINE = F.pad(STEPS[:, None].float(), (0, 1))  # rank k is at (k, 0)


def test_zero_shot_reads_the_bare_sentences(tiny: Towers) -> None:
    """Centred where those of the run are: the mean of the texts is moved to the origin.

    Whatever the prompts have learned plays no part.
    """
    config = Config(towers="tiny/random", heads=2)
    model = L2RCLIP(tiny, FOUR, config)
    assert model.prompts is not None
    torch.nn.init.ones_(model.prompts.context)
    raw = tiny.encode_text(FOUR.sentences)
    centred = F.normalize(raw - raw.mean(0), dim=1)
    assert torch.allclose(probes.bare_sentences(model, raw=True), raw, atol=1e-5)
    assert torch.allclose(probes.bare_sentences(model), centred, atol=1e-5)

    model.config = replace(config, controls=Controls(centre=False))
    assert torch.allclose(probes.bare_sentences(model), raw, atol=1e-5)


def both(train: Tensor, val: Tensor) -> dict[str, Tensor]:
    """Return tensors of both splits."""
    return {"train": train, "val": val}


@pytest.mark.parametrize(
    ("train", "targets", "val", "expected"),
    [
        # the ends lead along the ranks, but those between them stray sideways: covariance
        # −1.5 (0, 0) − 0.5 (1, 6) + 0.5 (2, −6) + 1.5 (3, 0) = (5, −6)
        ([[0, 0], [1, 6], [2, -6], [3, 0]], STEPS, LINE, (3, 0)),
        # the only image of the highest rank strays by 2, and the covariance follows it less:
        # −0.2 · 3 (1, 0) + 0.8 · 3 (2, 0) + 1.8 (3, 2) = (9.6, 3.6), around the mean value of 1.2
        (
            [*([[0, 0], [1, 0], [2, 0]] * 3), [3, 2]],
            torch.tensor([0, 1, 2, 0, 1, 2, 0, 1, 2, 3]),
            torch.cat([LINE + torch.tensor([0, 3]), LINE - torch.tensor([0, 3])]),
            (9.6, 3.6),
        ),
    ],
    ids=["ends", "covariance"],
)
def test_the_rank_axis_is_one_of_two_directions(
    train: list[list[float]], targets: Tensor, val: Tensor, expected: tuple[float, float]
) -> None:
    """From end to end, or the covariance with the values: what validation images like better."""
    features = both(torch.tensor(train).float(), val.float())
    head = probes.rank_axis(features, both(targets, STEPS.repeat(len(val) // 4)), FOUR)

    direction = F.normalize(torch.tensor(expected).float(), dim=0)
    length = head.weight[:-1].norm(dim=0)
    assert torch.allclose(head.weight[:-1], direction[:, None] * length, atol=1e-4)
    assert torch.allclose(length, length[0])  # one slope for all thresholds


def test_on_a_single_feature_the_rank_axis_is_coral() -> None:
    """Which is fitted elsewhere, with the loss of coral-pytorch; the highest rank is the lowest."""
    target = torch.arange(60) % 3
    noise = torch.randn(60, 1, generator=torch.Generator().manual_seed(0))
    features = noise - target[:, None] + 100
    split = both(features, features)
    targets = both(target, target)
    uneven = Ranks(("1930s", "1940s", "1970s"), (1930, 1940, 1970), "a photo from the {rank}")

    expected = frozen_head(OBJECTIVES["coral"], TrainingData(split, targets, split), uneven)
    answer = probes.rank_axis(split, targets, uneven)
    assert torch.allclose(answer(features), expected(features), atol=1e-3)
