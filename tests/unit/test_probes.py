"""Probes, which train no network: bare sentences, one axis, and CORAL with a ridge."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from l2rclip_lite.baselines import probes
from l2rclip_lite.baselines.losses import coral_loss
from l2rclip_lite.baselines.probes import bare_sentences
from l2rclip_lite.baselines.registry import OBJECTIVES
from l2rclip_lite.baselines.training import frozen_head
from l2rclip_lite.config import Config, Controls
from l2rclip_lite.data import OrdinalDataset
from l2rclip_lite.heads.kernel import fit_linear_heads
from l2rclip_lite.method.model import L2RCLIP
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.towers.load import load_towers
from l2rclip_lite.training_data import TrainingData

UNEVEN = Ranks(
    ("1930s", "1940s", "1970s"), (1930, 1940, 1970), "a photo from the {rank}", unit="years"
)


def test_zero_shot_reads_the_bare_sentences(leaves: OrdinalDataset, small: Config) -> None:
    """Raw, or centred: the mean of the five texts moved to the origin.

    Whatever the prompts have learned plays no part.
    """
    model = L2RCLIP(load_towers("tiny/random"), leaves.ranks, small)
    torch.nn.init.ones_(model.prompts.context)

    raw = model.towers.encode_text(leaves.ranks.sentences)
    centred = F.normalize(raw - raw.mean(0), dim=1)
    assert torch.allclose(bare_sentences(model, raw=True), raw, atol=1e-5)
    assert torch.allclose(bare_sentences(model, raw=False), centred, atol=1e-5)


def test_zero_shot_is_centred_only_where_the_texts_of_the_run_are(
    leaves: OrdinalDataset, small: Config
) -> None:
    """Without centring both names are one method."""
    config = replace(small, controls=Controls(centre=False))
    model = L2RCLIP(load_towers("tiny/random"), leaves.ranks, config)
    assert torch.equal(bare_sentences(model, raw=False), bare_sentences(model, raw=True))


FOUR = Ranks.integers(0, 3, template="grade {rank}")
STEPS = torch.arange(4)
LINE = F.pad(STEPS[:, None].float(), (0, 1))  # rank k is at (k, 0)


def both(train: object, val: object) -> dict[str, Tensor]:
    """Return tensors of both splits."""
    return {"train": torch.as_tensor(train), "val": torch.as_tensor(val)}


@pytest.mark.parametrize(
    ("train", "targets", "val", "expected"),
    [
        # the ends lead along the ranks, but those between them stray sideways: covariance
        # −1.5 (0, 0) − 0.5 (1, 6) + 0.5 (2, −6) + 1.5 (3, 0) = (5, −6)
        ([[0, 0], [1, 6], [2, -6], [3, 0]], STEPS, LINE, (3, 0)),
        # the only image of the highest rank strays by 2, and the covariance follows it less:
        # −0.2 · 3 (1, 0) + 0.8 · 3 (2, 0) + 1.8 (3, 2) = (9.6, 3.6), around the mean value of 1.2
        (
            [[0, 0], [1, 0], [2, 0], [0, 0], [1, 0], [2, 0], [0, 0], [1, 0], [2, 0], [3, 2]],
            [0, 1, 2, 0, 1, 2, 0, 1, 2, 3],
            torch.cat([LINE + torch.tensor([0, 3]), LINE - torch.tensor([0, 3])]),
            (9.6, 3.6),
        ),
    ],
    ids=["ends", "covariance"],
)
def test_the_rank_axis_is_one_of_two_directions(
    train: list[list[float]], targets: list[int], val: Tensor, expected: tuple[float, float]
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
    generator = torch.Generator().manual_seed(0)
    target = torch.arange(60) % 3
    features = torch.randn(60, 1, generator=generator) - target[:, None] + 100
    split = both(features, features)
    targets = both(target, target)

    data = TrainingData(split, targets, split)
    expected = frozen_head(OBJECTIVES["coral"], data, UNEVEN)
    answer = probes.rank_axis(split, targets, UNEVEN)
    assert torch.allclose(answer(features), expected(features), atol=1e-3)


def test_coral_of_two_ranks_is_logistic_regression() -> None:
    """Against scikit-learn, with one threshold: weights and bias are apart, as the mask says.

    With two ranks CORAL is −mean log σ(±f): C = 1 / (λ B), with the bias penalised as a weight of
    the constant 3.
    """
    generator = torch.Generator().manual_seed(0)
    target = torch.arange(40) % 2
    z = torch.randn(40, 3, generator=generator) + target[:, None]
    mask = torch.tensor([[1.0, 0.0]] * 3 + [[0.0, 1.0]])
    (head,) = fit_linear_heads(z, target, torch.ones(1, 2), coral_loss, [0.1], mask)

    centred = (z - z.mean(0)).double()
    scaled = 3 * centred / centred.norm(dim=1).mean()
    x = torch.cat([scaled, torch.full((40, 1), 3.0).double()], dim=1).numpy()
    oracle = LogisticRegression(C=1 / (0.1 * 40), fit_intercept=False, tol=1e-8)
    expected = oracle.fit(x, target.numpy()).predict_proba(x)[:, 1]

    assert head(z).sigmoid().numpy()[:, 0] == pytest.approx(expected, abs=1e-4)
