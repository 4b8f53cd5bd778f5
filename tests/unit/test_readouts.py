"""From thresholds, numbers and prototypes to rows of K probabilities."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from l2rclip_lite.readouts import (
    coral_probabilities,
    corn_probabilities,
    neighbour_probabilities,
    prototype_probabilities,
)

UNEVEN = torch.tensor([1930.0, 1950.0, 1960.0, 2000.0], dtype=torch.float64)


def test_thresholds_by_hand() -> None:
    """Logits 0 and log 3 are ½ and ¾. CORAL: P(y > k) = ½, ¾, cut to ½, ½. CORN: ½, then ½ · ¾ = 3/8."""
    logits = torch.tensor([[0.0, math.log(3)]])
    assert torch.allclose(coral_probabilities(logits), torch.tensor([[0.5, 0.0, 0.5]]))
    assert torch.allclose(corn_probabilities(logits), torch.tensor([[0.5, 0.125, 0.375]]))


def test_a_number_between_uneven_ranks() -> None:
    """1952.5 is a quarter of the way from 1950 to 1960, 2000 and beyond is the last rank, 1930 and below the first."""
    found = neighbour_probabilities(torch.tensor([1952.5, 3000.0, 0.0]).double(), UNEVEN)
    assert found.tolist() == [[0, 0.75, 0.25, 0], [0, 0, 0, 1], [1, 0, 0, 0]]


@given(
    st.lists(st.floats(1900, 2030), min_size=1, max_size=5),
    st.lists(st.floats(-30, 30), min_size=6, max_size=6),
)
def test_every_row_is_a_distribution(numbers: list[float], logits: list[float]) -> None:
    """Rows sum to 1 and are nowhere negative; a number is the expectation of its row, and its mode the nearest rank."""
    predicted = torch.tensor(numbers, dtype=torch.float64)
    rows = neighbour_probabilities(predicted, UNEVEN)
    clipped = predicted.clamp(1930, 2000)
    assert torch.allclose(rows @ UNEVEN, clipped)
    nearest = (clipped[:, None] - UNEVEN).abs()
    best = nearest.gather(1, rows.argmax(1, keepdim=True))
    assert torch.allclose(best, nearest.min(1, keepdim=True).values)
    thresholds = torch.tensor(logits).view(2, 3)
    for found in (rows, coral_probabilities(thresholds), corn_probabilities(thresholds)):
        assert (found >= 0).all()
        assert torch.allclose(found.sum(1), torch.ones(len(found), dtype=found.dtype))


def test_a_rank_without_images_has_no_prototype() -> None:
    """Ranks 0 and 2 at right angles: softmax(1, 0) = 0.731059 and its rest, and rank 1 gets nothing."""
    point = torch.eye(2)
    found = prototype_probabilities(point, point[[0, 0, 1]], torch.tensor([0, 0, 2]), 3, 1.0)
    assert found[0].tolist() == pytest.approx([0.731059, 0, 0.268941], abs=1e-6)
    assert found[1].tolist() == pytest.approx([0.268941, 0, 0.731059], abs=1e-6)
