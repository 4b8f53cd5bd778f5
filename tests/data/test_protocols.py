"""Experiments from one data set: exact numbers, nothing opened, every draw repeatable."""

from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from l2rclip_lite.data import load_dataset
from l2rclip_lite.data.base import SPLITS, Card, OrdinalDataset, Split
from l2rclip_lite.data.protocols import (
    apply_protocols,
    few_shot,
    long_tail,
    rebin,
    subject_disjoint,
)
from l2rclip_lite.errors import InputError
from l2rclip_lite.method.ranks import Ranks

COUNTS = [3, 40, 20, 0, 20, 7]


def split_of(name: str, counts: list[int], people: list[str] | None) -> Split:
    """Return images that cannot be opened; ranks take turns until each has its count."""
    targets = []
    for place in range(max(counts)):
        targets += [rank for rank, count in enumerate(counts) if place < count]

    places = range(len(targets))
    return Split(
        paths=[f"{name}{place}.png" for place in places],
        targets=targets,
        images=[None] * len(targets),
        subjects=None if people is None else [people[place % len(people)] for place in places],
        deviations=[float(place) for place in places],
    )


def data_of(counts: list[int] = COUNTS, people: list[str] | None = None) -> OrdinalDataset:
    """Return training images by `counts`, one val and one test image per rank.

    `people` take turns, split by split.
    """
    n_ranks = len(counts)
    names = tuple(f"r{rank}" for rank in range(n_ranks))
    return OrdinalDataset(
        "made",
        split_of("train", counts, people),
        split_of("val", [1] * n_ranks, people),
        split_of("test", [1] * n_ranks, people),
        Ranks(names, tuple(range(10, 10 + n_ranks)), "rank {rank}"),
        Card("made"),
        allow_empty_ranks=True,
        protocol=("published fold 0",),
    )


@pytest.mark.parametrize(
    ("options", "counts", "sentence"),
    [
        ({"few_shot": 16}, [3, 16, 16, 0, 16, 7],
         "few-shot: at most 16 training images per rank, 58 of 90 kept; seed 0"),
        # 40 * 0.1 and 20 * 0.1; of the two ranks with 20 the lower is the more frequent
        ({"label_shift": "2:0.1"}, [3, 4, 2, 0, 20, 7],
         "label shift: the 2 most frequent ranks keep 0.1 of their training images, "
         "36 of 90 kept; seed 0"),
        # 1.2, 16, 8, 8, 2.8 are rounded down
        ({"label_shift": "5:0.4"}, [1, 16, 8, 0, 8, 2],
         "label shift: the 5 most frequent ranks keep 0.4 of their training images, "
         "35 of 90 kept; seed 0"),
        # sorted 40, 20, 20, 7, 3 over 1, 2, 4, 8, 16: the last asks for 3.9 of 3 at a head of 63,
        # so 40 it is
        ({"long_tail": 16.0}, [2, 40, 20, 0, 10, 5],
         "long tail of ratio 16, 77 of 90 kept; seed 0"),
        # balanced: the smallest rank decides
        ({"long_tail": 1}, [3, 3, 3, 0, 3, 3],
         "long tail of ratio 1, 15 of 90 kept; seed 0"),
        # of the inner ranks 1, 2, 3, 4 those from the second on, one in three
        ({"hold_out": 3}, [3, 40, 0, 0, 20, 7],
         "held out: 1 of 6 ranks (2), one in 3 between the ends; seed 0"),
        # those from the first on
        ({"hold_out": 3, "seed": 2}, [3, 0, 20, 0, 0, 7],
         "held out: 2 of 6 ranks (1, 4), one in 3 between the ends; seed 2"),
        ({"rebin": 4}, [43, 20, 20, 7],
         "6 ranks merged into 4 bins; errors are between the means of bins"),
    ],
)  # fmt: skip
def test_training_counts_are_exact_and_one_sentence_is_added(
    options: dict[str, Any], counts: list[int], sentence: str
) -> None:
    """Counts by hand."""
    data = apply_protocols(data_of(), **options)
    assert data.counts("train") == counts
    assert data.protocol == ("published fold 0", sentence)


@pytest.mark.parametrize(
    ("counts", "ratio", "kept"),
    [
        ([100, 100, 9], 4, [39, 19, 9]),  # 39 / 4 < 10 but 40 / 4 is not
        # 32 ** 0.8 is 16.000000000000004 to a computer, and 32 / 16 is still two
        ([32] * 6, 32, [32, 16, 8, 4, 2, 1]),
        ([50, 50, 50, 50, 2, 1], 32, [47, 23, 11, 5, 2, 1]),
    ],
)
def test_a_long_tail_has_the_largest_head_that_fits(
    counts: list[int], ratio: float, kept: list[int]
) -> None:
    """Its scarcest rank decides, and rounding does not."""
    assert long_tail(data_of(counts), ratio).counts("train") == kept


@pytest.mark.parametrize("options", [{"few_shot": 5}, {"label_shift": "3:0.2"}, {"long_tail": 10}])
def test_only_training_images_change_and_the_seed_decides(options: dict[str, Any]) -> None:
    """Val and test are the very same objects; columns stay together and in order."""
    data = data_of(people=["x", "y", "z"])
    thin, same, other = (apply_protocols(data, seed=seed, **options) for seed in (0, 0, 1))
    assert thin.val is data.val
    assert thin.test is data.test
    assert thin.train.paths == same.train.paths
    assert thin.train.paths != other.train.paths
    assert thin.counts("train") == other.counts("train")

    places = [int(path.removeprefix("train").removesuffix(".png")) for path in thin.train.paths]
    assert places == sorted(set(places))
    assert thin.train.targets == tuple(data.train.targets[place] for place in places)
    assert thin.train.deviations == tuple(float(place) for place in places)


def test_bins_merge_names_values_and_the_targets_of_all_splits() -> None:
    """Six ranks in four bins are 2, 2, 1, 1; who is shown stays, the deviations of labels go."""
    data = data_of(people=["x", "y"])
    merged = rebin(data, 4)
    assert merged.ranks.names == ("r0 to r1", "r2 to r3", "r4", "r5")
    assert merged.ranks.values == (10.5, 12.5, 14.0, 15.0)
    assert merged.ranks.template == data.ranks.template

    bin_of = [0, 0, 1, 1, 2, 3]
    for split in SPLITS:
        before = data.split(split)
        after = merged.split(split)
        assert after.targets == tuple(bin_of[target] for target in before.targets)
        assert (after.subjects, after.deviations) == (before.subjects, None)


def test_new_splits_keep_each_subject_in_one_of_them() -> None:
    """Nobody in two splits, nobody lost, images in their old order, another seed another split."""
    data = data_of([60, 60, 60], [f"person {number}" for number in range(30)])
    apart = subject_disjoint(data)
    people = [set(apart.split(name).subjects) for name in SPLITS]
    assert sum(map(len, people)) == len(set.union(*people)) == 30

    old_order = [*data.train.paths, *data.val.paths, *data.test.paths]
    assert [path for path in old_order if path in apart.test.paths] == [*apart.test.paths]
    assert subject_disjoint(data, seed=1).test.paths != apart.test.paths


def test_changes_follow_one_order() -> None:
    """Subjects, bins, shots, whatever is written first."""
    data = data_of(people=[*"uvwxyz"])
    changed = apply_protocols(data, few_shot=2, rebin=2, subject_disjoint=True)
    assert changed.counts("train") == [2, 2]
    first_words = [sentence.split()[0] for sentence in changed.protocol[1:]]
    assert first_words == ["subject-disjoint:", "6", "few-shot:"]


def test_two_changes_of_one_seed_are_independent_draws() -> None:
    """Each of four images is kept in about fifty of two hundred seeds."""
    kept: Counter[str] = Counter()
    for seed in range(200):
        train = apply_protocols(data_of([4, 1]), label_shift="1:0.5", few_shot=1, seed=seed).train
        kept[train.paths[train.targets.index(0)]] += 1
    assert len(kept) == 4
    assert all(30 <= count <= 70 for count in kept.values())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"few_shot": 0}, "few_shot: Input should be greater than or equal to 1, not 0"),
        ({"label_shift": "10:0.1"}, "how many of the 5 ranks with .* are cut, .* not '10:0.1'"),
        ({"label_shift": "2:1"}, "such as 2:0.1, not '2:1'"),
        ({"long_tail": 1e308}, "leaves has too few images for 1e.308; choose a smaller ratio"),
        ({"hold_out": 9, "protocol_seed": 3}, "one in 9 holds out none of the 5 ranks of leaves"),
        ({"rebin": 5}, "leaves has 5 ranks; merge them into fewer, not 5"),
        ({"subject_disjoint": True}, "leaves does not say who is shown"),
        ({"subject_disjoint": True, "fold": 2}, "cuts anew, alike for every fold; leave out one"),
        ({"few_shot": 2, "protocol_seed": -1}, "leaves: seed: .* greater than or equal to 0, not"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_sentence(
    options: dict[str, Any], sentence: str
) -> None:
    """The option, the reason, and what is possible."""
    with pytest.raises(InputError, match=sentence):
        load_dataset("leaves", size=60, **options)


def test_fewer_shots_are_among_more() -> None:
    """The images of n shots are a subset of those of n + 1."""
    thin = [few_shot(data_of(), shots, seed=3) for shots in range(1, 9)]
    for few, more in pairwise(thin):
        assert set(few.train.paths) < set(more.train.paths)
