"""Arms of studies that no package has: cut points of a number, and nearest neighbours."""

import pytest
import torch

from l2rclip_book.study_parts import cut, nearest_neighbours
from l2rclip_lite.method.ranks import Ranks

GRADES = Ranks(("no", "low", "high"), (0, 1, 2), "{rank}")


def test_cut_points_recover_those_that_made_the_labels() -> None:
    """Grades begin at 0.3 and at 2; the median answers right but for a few images near a cut."""
    x = torch.linspace(-1, 4, 200)
    y = torch.bucketize(x, torch.tensor([0.3, 2.0]))
    half = torch.arange(200) % 2 == 0
    values = {"train": x[half], "val": x[~half], "test": x}

    p = cut(values, {"train": y[half], "val": y[~half]}, GRADES)
    median = (p.cumsum(1) < 0.5).sum(1)
    assert (median != y).sum() <= 4
    assert p.sum(1).tolist() == pytest.approx([1.0] * 200)
    assert ((p @ torch.arange(3.0).double()).diff() > -1e-9).all()


TWO = Ranks.integers(0, 1, template="grade {rank}")
# three images along each axis, the nearest of them with the wrong label, then two between
TRAIN = torch.tensor(
    [[7, 0], [7, 0.7], [7, -0.7], [0, 0.1], [0.01, 0.1], [-0.01, 0.1], [2, 2], [2, 1]]
)
LABELS = torch.tensor([1, 0, 0, 0, 1, 1, 1, 1])


def test_validation_chooses_three_neighbours_and_how_far_to_believe_them() -> None:
    """One neighbour is wrong, five are, too, and nine do not exist; lengths play no part.

    Three neighbours say rank 0 with (2 + 1/2) / (3 + 1) = 62.5 %. Three validation images in four
    agree: for two ranks RPS is the squared error of a probability, lowest at 75 %.
    """
    features = {
        "train": TRAIN,
        "val": torch.tensor([[1.0, 0.0]]).repeat(4, 1),
        "test": torch.tensor([[0.2, 0.0], [0.0, 0.2]]),
    }
    targets = {"train": LABELS, "val": torch.tensor([0, 0, 0, 1])}

    answer = nearest_neighbours(features, targets, TWO)
    assert answer.flatten().tolist() == pytest.approx([0.75, 0.25, 0.25, 0.75], abs=1e-3)
