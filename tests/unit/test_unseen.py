"""Seen and unseen ranks apart, by hand and for any data."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from l2rclip_lite.data.base import Card, OrdinalDataset, Split
from l2rclip_lite.metrics import evaluate
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.unseen import seen_and_unseen, unseen_ranks

RANKS = Ranks(("young", "grown", "old", "very old"), (10, 20, 40, 70), template="a {rank} face", unit="years")


def data(train: list[int], test: list[int]) -> OrdinalDataset:
    """These labels; the first training picture is the validation split."""
    parts = [
        Split([f"{name}{i}" for i in range(len(labels))], labels, lambda index: Image.new("L", (1, 1)))
        for name, labels in (("train", train), ("val", train[:1]), ("test", test))
    ]
    card = Card("faces", "", "", "", "", "")
    return OrdinalDataset("faces", *parts, RANKS, card, allow_empty_ranks=True)


def test_each_side_by_hand() -> None:
    """Ranks 1 and 2 were never trained on. Test pictures of ranks 0, 3 | 1, 2, 2; answers 0, 2 | 1, 1, 3.

    Errors in years: seen 0 and 30, mean 15; unseen 0, 20, 30, mean 50/3. All but none are at most one rank off.
    """
    faces = data([0, 3, 0], [0, 1, 3, 2, 2])
    assert unseen_ranks(faces) == [1, 2]
    found = seen_and_unseen(torch.eye(4)[[0, 1, 2, 1, 3]], faces, intervals=True)
    assert (found["n_seen"], found["n_unseen"]) == (2, 3)
    assert (found["mae_seen"], found["mae_unseen"]) == pytest.approx((15, 50 / 3))
    assert (found["mae_expected_seen"], found["mae_expected_unseen"]) == pytest.approx((15, 50 / 3))
    assert (found["accuracy_seen"], found["accuracy_unseen"]) == pytest.approx((1 / 2, 1 / 3))
    assert (found["one_off_seen"], found["one_off_unseen"]) == (1, 1)
    assert found["mae_unseen_low"] <= found["mae_unseen"] <= found["mae_unseen_high"]


def test_it_says_nothing_where_nothing_is_unseen() -> None:
    """Every rank trained on, or no test picture of the others; and nothing of seen ranks where there are none."""
    certain = torch.eye(4)[[0, 1, 2]]
    assert seen_and_unseen(certain, data([0, 1, 2, 3], [0, 1, 2])) == {}
    assert seen_and_unseen(certain, data([0, 1, 2], [0, 1, 2])) == {}
    assert seen_and_unseen(torch.eye(4)[[0]], data([0, 1], [0]), "val") == {}
    assert {name.split("_")[-1] for name in seen_and_unseen(certain, data([3], [0, 1, 2]))} == {"unseen"}


@given(
    train=st.lists(st.integers(0, 3), min_size=1, max_size=6),
    test=st.lists(st.integers(0, 3), min_size=1, max_size=12),
    seed=st.integers(0, 2**31),
)
def test_both_sides_together_are_the_whole(train: list[int], test: list[int], seed: int) -> None:
    """Any labels and answers: the two errors, weighted by their pictures, add up to the error of all."""
    faces = data(train, test)
    probabilities = torch.rand(len(test), 4, generator=torch.Generator().manual_seed(seed)).softmax(1)
    found = seen_and_unseen(probabilities, faces)
    whole = evaluate(probabilities, torch.tensor(test), RANKS)
    assert bool(found) == bool(set(test) - set(train))
    if found:
        sides = [side for side in ("seen", "unseen") if f"n_{side}" in found]
        assert sum(found[f"n_{side}"] for side in sides) == len(test)
        for name in ("mae", "mae_expected", "accuracy", "one_off"):
            total = sum(found[f"n_{side}"] * found[f"{name}_{side}"] for side in sides)
            assert total / len(test) == pytest.approx(whole[name]), name
