"""Experiments from one data set: exact numbers, nothing added, nothing opened, every draw repeatable."""

from collections import Counter
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2rclip_lite.data import load_dataset
from l2rclip_lite.data.base import SPLITS, Card, Computed, OrdinalDataset, Split
from l2rclip_lite.data.protocols import (
    apply_protocols,
    few_shot,
    hold_out,
    long_tail,
    rebin,
    subject_disjoint,
)
from l2rclip_lite.errors import InputError
from l2rclip_lite.ranks import Ranks

COUNTS = [3, 40, 20, 0, 20, 7]


def made(counts: list[int] = COUNTS, people: list[str] | None = None) -> OrdinalDataset:
    """Training counts as given, one val and one test image per rank; `people` take turns, split by split."""

    def split(name: str, numbers: list[int]) -> Split:
        targets = [
            rank for place in range(max(numbers)) for rank, n in enumerate(numbers) if place < n
        ]
        paths = [f"{name}{i}.png" for i in range(len(targets))]
        shown = None if people is None else [people[i % len(people)] for i in range(len(targets))]
        closed = Computed(pytest.fail, ["an image was opened"] * len(paths))
        return Split(paths, targets, closed, shown, [float(i) for i in range(len(targets))])

    names = tuple(f"r{rank}" for rank in range(len(counts)))
    ranks = Ranks(names, tuple(range(10, 10 + len(counts))), "rank {rank}")
    ones = [1] * len(counts)
    parts = split("train", counts), split("val", ones), split("test", ones)
    return OrdinalDataset(
        "made", *parts, ranks, Card("made"), allow_empty_ranks=True, protocol=("published fold 0",)
    )


@pytest.mark.parametrize(
    ("options", "counts", "sentence"),
    [
        ({"few_shot": 16}, [3, 16, 16, 0, 16, 7], "few-shot: at most 16 training images per rank, 58 of 90 kept; seed 0"),
        # 40 * 0.1 and 20 * 0.1; of the two ranks with 20 the lower is the more frequent
        ({"label_shift": "2:0.1"}, [3, 4, 2, 0, 20, 7],
         "label shift: the 2 most frequent ranks keep 0.1 of their training images, 36 of 90 kept; seed 0"),
        # 1.2, 16, 8, 8, 2.8 are rounded down
        ({"label_shift": "5:0.4"}, [1, 16, 8, 0, 8, 2],
         "label shift: the 5 most frequent ranks keep 0.4 of their training images, 35 of 90 kept; seed 0"),
        # sorted 40, 20, 20, 7, 3 over 1, 2, 4, 8, 16: the last asks for 3.9 of 3 at a head of 63, so 40 it is
        ({"long_tail": 16.0}, [2, 40, 20, 0, 10, 5],
         "long tail of ratio 16: 5 ranks from 40 down to 2 training images, 77 of 90 kept; seed 0"),
        # balanced: the smallest rank decides
        ({"long_tail": 1}, [3, 3, 3, 0, 3, 3],
         "long tail of ratio 1: 5 ranks from 3 down to 3 training images, 15 of 90 kept; seed 0"),
        # of the inner ranks 1, 2, 3, 4 those from the second on, one in three; from the first on with seed 2
        ({"hold_out": 3}, [3, 40, 0, 0, 20, 7], "held out: 1 of 6 ranks (2), one in 3 between the ends; "
         "20 training and 1 validation images removed; seed 0"),
        ({"hold_out": 3, "seed": 2}, [3, 0, 20, 0, 0, 7], "held out: 2 of 6 ranks (1, 4), one in 3 between the ends; "
         "60 training and 2 validation images removed; seed 2"),
        ({"rebin": 4}, [43, 20, 20, 7], "6 ranks merged into 4 bins of 1 or 2; errors are between the means of bins"),
    ],
)  # fmt: skip
def test_exact_counts_and_the_sentence(
    options: dict[str, Any], counts: list[int], sentence: str
) -> None:
    """Training counts by hand; one sentence is added to those that are there."""
    data = apply_protocols(made(), **options)
    assert data.counts("train") == counts
    assert data.protocol == ("published fold 0", sentence)


def test_a_long_tail_is_bounded_by_its_scarcest_rank_and_exact_where_powers_are_not() -> None:
    """39 / 4 < 10 but 40 / 4 is not; 32 ** 0.8 is 16.000000000000004 to a computer, and 32 / 16 is still two."""
    assert long_tail(made([100, 100, 9]), 4).counts("train") == [39, 19, 9]
    assert long_tail(made([32] * 6), 32).counts("train") == [32, 16, 8, 4, 2, 1]
    assert long_tail(made([50, 50, 50, 50, 2, 1]), 32).counts("train") == [47, 23, 11, 5, 2, 1]


@pytest.mark.parametrize("options", [{"few_shot": 5}, {"label_shift": "3:0.2"}, {"long_tail": 10}])
def test_only_training_images_change_and_the_seed_decides_which(options: dict[str, Any]) -> None:
    """Val and test are the very same objects; names, labels and deviations stay together and in order."""
    data = made(people=["x", "y", "z"])
    thin = apply_protocols(data, **options)
    assert thin.val is data.val
    assert thin.test is data.test
    places = [int(path.removeprefix("train").removesuffix(".png")) for path in thin.train.paths]
    assert places == sorted(set(places))
    assert thin.train.targets == tuple(data.train.targets[i] for i in places)
    assert thin.train.deviations == tuple(float(i) for i in places)
    assert apply_protocols(data, **options).train.paths == thin.train.paths
    other = apply_protocols(data, seed=1, **options)
    assert other.train.paths != thin.train.paths
    assert other.counts("train") == thin.counts("train")


def test_bins_merge_names_values_and_all_three_splits() -> None:
    """Six ranks in four bins are 2, 2, 1, 1; who is shown stays, the deviations of old labels go."""
    data = made(people=["x", "y"])
    four = rebin(data, 4)
    assert four.ranks.names == ("r0 to r1", "r2 to r3", "r4", "r5")
    assert four.ranks.values == (10.5, 12.5, 14.0, 15.0)
    assert (four.ranks.template, four.ranks.unit) == (data.ranks.template, data.ranks.unit)
    for name in SPLITS:
        assert four.split(name).targets == tuple(
            [0, 0, 1, 1, 2, 3][t] for t in data.split(name).targets
        )
        assert four.split(name).subjects == data.split(name).subjects
        assert four.split(name).deviations is None


def test_new_subjects_stay_in_one_split_each() -> None:
    """Nobody in two splits, nobody lost, old order, another seed another split.

    Each rank has ten people. One goes to each part; then train takes four, until 5/0.7 > 1/0.15; then again one to each.
    """
    data = made([60, 60, 60], [f"person {i}" for i in range(30)])
    apart = subject_disjoint(data)
    who = [set(apart.split(name).subjects or ()) for name in SPLITS]
    assert sum(map(len, who)) == len(set.union(*who)) == 30
    before = [path for name in SPLITS for path in data.split(name).paths]
    for name in SPLITS:
        assert [p for p in before if p in set(apart.split(name).paths)] == list(
            apart.split(name).paths
        )
    assert apart.protocol[-1] == (
        "subject-disjoint: all 186 images split again by subject, train 114 (18 subjects), val 36 (6 subjects), "
        "test 36 (6 subjects); seed 0"
    )
    assert apply_protocols(data, subject_disjoint=True, seed=1).test.paths != apart.test.paths


def test_changes_follow_one_order_and_each_is_a_fair_draw() -> None:
    """Bins before shots, whatever is written first; steps of one seed use streams of their own."""
    data = apply_protocols(made(people=list("uvwxyz")), few_shot=2, rebin=2, subject_disjoint=True)
    assert data.counts("train") == [2, 2]
    assert [sentence.split()[0] for sentence in data.protocol[1:]] == [
        "subject-disjoint:",
        "6",
        "few-shot:",
    ]
    kept: Counter[str] = Counter()
    for seed in range(200):
        train = apply_protocols(made([4, 1]), label_shift="1:0.5", few_shot=1, seed=seed).train
        kept[train.paths[train.targets.index(0)]] += 1
    assert len(kept) == 4
    assert all(30 <= count <= 70 for count in kept.values())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"few_shot": 0}, "few_shot: Input should be greater than or equal to 1, not 0"),
        ({"label_shift": "10:0.1"}, "how many of the 5 ranks with training images are cut, .* not '10:0.1'"),
        ({"label_shift": "2"}, "such as 2:0.1, not '2'"),
        ({"label_shift": "2:1"}, "such as 2:0.1, not '2:1'"),
        ({"long_tail": float("inf")}, "long_tail: Input should be a finite number, not inf"),
        ({"long_tail": 1e308}, "leaves has too few images for 1e.308; choose a smaller ratio"),
        ({"hold_out": 9, "protocol_seed": 3}, "one in 9 holds out none of the 5 ranks of leaves with seed 3; choose"),
        ({"rebin": 5}, "leaves has 5 ranks; merge them into fewer, not 5"),
        ({"subject_disjoint": True}, "leaves does not say who is shown"),
        ({"few_shot": 2, "protocol_seed": -1}, "leaves: seed: Input should be greater than or equal to 0, not -1"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said_in_one_sentence(
    options: dict[str, Any], sentence: str
) -> None:
    """The option, the reason, and what is possible."""
    with pytest.raises(InputError, match=sentence) as caught:
        load_dataset("leaves", size=60, **options)
    assert "\n" not in str(caught.value)


SOME = st.lists(st.integers(0, 40), min_size=3, max_size=9).filter(
    lambda counts: sum(map(bool, counts)) >= 2
)


@given(SOME, st.integers(0, 5), st.integers(1, 20))
def test_fewer_shots_are_among_more(counts: list[int], seed: int, shots: int) -> None:
    """The images of n shots are a subset of those of n + 1, and never too many or too few."""
    data = made(counts)
    few, more = few_shot(data, shots, seed), few_shot(data, shots + 1, seed)
    assert set(few.train.paths) <= set(more.train.paths) <= set(data.train.paths)
    assert few.counts("train") == [min(shots, count) for count in counts]


@given(st.integers(3, 16), st.integers(2, 20), st.integers(0, 99))
def test_each_inner_rank_is_held_out_once(ranks: int, every: int, first: int) -> None:
    """`every` seeds in a row: every rank between the ends once, the ends never."""
    held: Counter[int] = Counter()
    for seed in range(first, first + every):
        with suppress(InputError):
            counts = hold_out(made([2] * ranks), every, seed).counts("train")
            held.update(rank for rank, count in enumerate(counts) if not count)
    assert held == Counter(range(1, ranks - 1))
