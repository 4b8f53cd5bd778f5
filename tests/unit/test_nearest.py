"""K-nearest neighbours of a study, by hand."""

import pytest
import torch

from l2rclip_book.study_parts import nearest_neighbours
from l2rclip_lite.method.ranks import Ranks

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
