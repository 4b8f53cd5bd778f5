"""Experiments from one data set: exact numbers, nothing added, nothing opened, every draw repeatable."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from l2rclip_lite.data import load_dataset
from l2rclip_lite.data.base import SPLITS, Card, OrdinalDataset, Split
from l2rclip_lite.errors import InputError
from l2rclip_lite.protocols import (
    apply_protocols,
    few_shot,
    hold_out,
    label_shift,
    long_tail,
    rebin,
    subject_disjoint,
)
from l2rclip_lite.ranks import Ranks

COUNTS = [3, 40, 20, 0, 20, 7]


def closed(index: int) -> Image.Image:
    """A picture that must not be looked at."""
    raise AssertionError(f"picture {index} was opened")


def made(counts: list[int] = COUNTS, people: list[str] | None = None) -> OrdinalDataset:
    """Training counts as given, one val and one test picture a rank; `people` take turns, split by split."""

    def split(name: str, numbers: list[int]) -> Split:
        targets = [rank for place in range(max(numbers)) for rank, n in enumerate(numbers) if place < n]
        paths = [f"{name}{i}.png" for i in range(len(targets))]
        shown = None if people is None else [people[i % len(people)] for i in range(len(targets))]
        return Split(
            paths, targets, closed, subjects=shown, deviations=[float(i) for i in range(len(targets))]
        )

    ranks = Ranks(tuple("abcdefghijklmnop"[: len(counts)]), tuple(range(10, 10 + len(counts))), "rank {rank}")
    card = Card("made", "", "", "", "", "")
    ones = [1] * len(counts)
    parts = split("train", counts), split("val", ones), split("test", ones)
    return OrdinalDataset("made", *parts, ranks, card, allow_empty_ranks=True, protocol=("published fold 0",))


def place(path: str) -> int:
    """The number in "train7.png"."""
    return int(path.removeprefix("train").removesuffix(".png"))


@pytest.mark.parametrize(
    ("options", "counts", "sentence"),
    [
        (
            {"few_shot": 16},
            [3, 16, 16, 0, 16, 7],
            "few-shot: at most 16 training pictures a rank, 58 of 90 kept; seed 0",
        ),
        (  # 40 * 0.1 and 20 * 0.1; of the two ranks with 20 the lower is the more frequent
            {"label_shift": "2:0.1"},
            [3, 4, 2, 0, 20, 7],
            "label shift: the 2 most frequent ranks keep 0.1 of their training pictures, 36 of 90 in all; seed 0",
        ),
        (  # 1.2, 16, 8, 8, 2.8 are rounded down
            {"label_shift": "5:0.4"},
            [1, 16, 8, 0, 8, 2],
            "label shift: the 5 most frequent ranks keep 0.4 of their training pictures, 35 of 90 in all; seed 0",
        ),
        (  # sorted 40, 20, 20, 7, 3 over 1, 2, 4, 8, 16: the last asks for 3.9 of 3 at a head of 63, so 40 it is
            {"long_tail": 16.0},
            [2, 40, 20, 0, 10, 5],
            "long tail of ratio 16: 5 ranks from 40 down to 2 training pictures, 77 of 90 in all; seed 0",
        ),
        (  # balanced: the smallest rank decides
            {"long_tail": 1},
            [3, 3, 3, 0, 3, 3],
            "long tail of ratio 1: 5 ranks from 3 down to 3 training pictures, 15 of 90 in all; seed 0",
        ),
        (  # of the inner ranks 1, 2, 3, 4 those from the second on, one in three
            {"hold_out": 3},
            [3, 40, 0, 0, 20, 7],
            "held out: 1 of 6 ranks (2), one in 3 between the ends; 20 training and 1 validation pictures removed; seed 0",
        ),
        (  # the second and the fourth
            {"hold_out": 2},
            [3, 40, 0, 0, 0, 7],
            "held out: 2 of 6 ranks (2, 4), one in 2 between the ends; 40 training and 2 validation pictures removed; "
            "seed 0",
        ),
        (  # from the first on when the seed has gone round
            {"hold_out": 3, "seed": 2},
            [3, 0, 20, 0, 0, 7],
            "held out: 2 of 6 ranks (1, 4), one in 3 between the ends; 60 training and 2 validation pictures removed; "
            "seed 2",
        ),
        (
            {"rebin": 4},
            [43, 20, 20, 7],
            "6 ranks merged into 4 bins of 1 or 2; errors are between the means of bins",
        ),
    ],
)
def test_exact_counts_and_the_sentence(options: dict[str, Any], counts: list[int], sentence: str) -> None:
    """Training counts by hand; one sentence is added to those that are there."""
    data = apply_protocols(made(), **options)
    assert data.counts("train") == counts
    assert data.protocol == ("published fold 0", sentence)


def test_a_long_tail_is_bounded_by_its_scarcest_rank() -> None:
    """Counts 100, 100, 9 at ratio 4: head / 4 < 10 allows 39, and 39, 19.5, 9.75 are rounded down."""
    assert long_tail(made([100, 100, 9]), 4).counts("train") == [39, 19, 9]


def test_a_long_tail_is_exact_where_powers_are_not() -> None:
    """32 ** 0.8 is 16.000000000000004 to a computer: 32 / 16 is still two, and three of 48 are still too many."""
    assert long_tail(made([32] * 6), 32).counts("train") == [32, 16, 8, 4, 2, 1]
    assert long_tail(made([50, 50, 50, 50, 2, 1]), 32).counts("train") == [47, 23, 11, 5, 2, 1]


@pytest.mark.parametrize("options", [{"few_shot": 5}, {"label_shift": "3:0.2"}, {"long_tail": 10}])
def test_only_training_pictures_change_and_the_seed_decides_which(options: dict[str, Any]) -> None:
    """Val and test are the very same objects; names, labels and deviations stay together and in order."""
    data = made(people=["x", "y", "z"])
    thin = apply_protocols(data, **options)
    assert thin.val is data.val
    assert thin.test is data.test
    places = [place(path) for path in thin.train.paths]
    assert places == sorted(set(places))
    assert thin.train.targets == tuple(data.train.targets[i] for i in places)
    assert thin.train.deviations == tuple(float(i) for i in places)
    assert apply_protocols(data, **options).train.paths == thin.train.paths
    other = apply_protocols(data, **options, seed=1)
    assert other.train.paths != thin.train.paths
    assert other.counts("train") == thin.counts("train")
    assert other.protocol[-1].endswith("seed 1")


def test_bins_merge_names_values_and_all_three_splits() -> None:
    """Six ranks in four bins are 2, 2, 1, 1; who is shown stays, the deviations of old labels go."""
    data = made(people=["x", "y"])
    four = rebin(data, 4)
    assert four.ranks.names == ("a to b", "c to d", "e", "f")
    assert four.ranks.values == (10.5, 12.5, 14.0, 15.0)
    assert (four.ranks.template, four.ranks.unit) == (data.ranks.template, data.ranks.unit)
    for name in SPLITS:
        assert four.split(name).targets == tuple([0, 0, 1, 1, 2, 3][t] for t in data.split(name).targets)
        assert four.split(name).paths == data.split(name).paths
        assert four.split(name).subjects == data.split(name).subjects
        assert four.split(name).deviations is None


def test_new_subjects_stand_in_one_split_each() -> None:
    """Nobody in two splits, nobody lost, about 70/15/15, another seed another split."""
    people = [f"person {i}" for i in range(30)]
    data = made([60, 60, 60], people)
    apart = subject_disjoint(data)
    who = [set(apart.split(name).subjects or ()) for name in SPLITS]
    assert sum(map(len, who)) == len(set.union(*who)) == 30
    before = [path for name in SPLITS for path in data.split(name).paths]
    assert sorted(path for name in SPLITS for path in apart.split(name).paths) == sorted(before)
    for name in SPLITS:
        assert [p for p in before if p in set(apart.split(name).paths)] == list(apart.split(name).paths)
    assert apart.protocol[-1] == (
        "subject-disjoint: all 186 pictures split again by subject, train 126 (20 subjects), val 30 (5 subjects), "
        "test 30 (5 subjects); seed 0"
    )
    assert subject_disjoint(data).test.paths == apart.test.paths
    assert apply_protocols(data, subject_disjoint=True, seed=1).test.paths != apart.test.paths
    assert len(subject_disjoint(data, shares=(1, 1, 1)).train) == pytest.approx(62, abs=7)


def test_three_subjects_are_enough_even_if_one_owns_nearly_everything() -> None:
    """Each split gets one of them, and ranks may then be without a training picture."""
    data = replace(made([30, 2], ["big"] * 30 + ["s", "t"]), allow_empty_ranks=False)
    for seed in range(10):
        apart = subject_disjoint(data, seed)
        assert apart.allow_empty_ranks
        assert all(len(set(apart.split(name).subjects or ())) == 1 for name in SPLITS)


@pytest.mark.parametrize(
    ("ranks", "held"), [(5, [2]), (20, list(range(2, 20, 3))), (62, list(range(2, 62, 3)))]
)
def test_a_third_of_the_ranks_is_held_out(ranks: int, held: list[int]) -> None:
    """5, 20 and 62 ranks: 1, 6 and 20 of them lose both kinds of pictures; test is the very same object."""
    names = tuple(f"rank{k}" for k in range(ranks))
    data = replace(made([4] * ranks), allow_empty_ranks=False) if ranks <= 16 else many(names)
    unseen = hold_out(data)
    assert len(held) == {5: 1, 20: 6, 62: 20}[ranks]
    for split in ("train", "val"):
        assert [rank for rank, count in enumerate(unseen.counts(split)) if not count] == held
        kept = [count for rank, count in enumerate(data.counts(split)) if rank not in held]
        assert [count for count in unseen.counts(split) if count] == kept
    assert unseen.test is data.test
    assert unseen.allow_empty_ranks
    assert not data.allow_empty_ranks


def many(names: tuple[str, ...]) -> OrdinalDataset:
    """More ranks than the alphabet has: three training pictures, one val and one test picture of each."""
    ranks = Ranks(names, tuple(range(len(names))), "{rank}")
    parts = [
        Split([f"{split}{i}.png" for i in range(n * len(names))], list(range(len(names))) * n, closed)
        for split, n in (("train", 3), ("val", 1), ("test", 1))
    ]
    return OrdinalDataset("many", *parts, ranks, Card("many", "", "", "", "", ""))


def test_changes_follow_one_order() -> None:
    """Bins before shots: two bins of two shots, not six ranks of two shots merged; held-out ranks before both thin."""
    data = apply_protocols(made(people=list("uvwxyz")), few_shot=2, rebin=2, subject_disjoint=True)
    assert data.counts("train") == [2, 2]
    assert [sentence.split()[0] for sentence in data.protocol[1:]] == ["subject-disjoint:", "6", "few-shot:"]


def test_one_step_after_another_is_a_fair_draw() -> None:
    """Steps of one seed use streams of their own: each of four pictures remains about as often as another."""
    kept: Counter[str] = Counter()
    for seed in range(400):
        train = apply_protocols(made([4, 1]), label_shift="1:0.5", few_shot=1, seed=seed).train
        kept[train.paths[train.targets.index(0)]] += 1
    assert len(kept) == 4
    assert all(70 <= count <= 130 for count in kept.values())


@pytest.mark.untyped
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"few_shot": 0}, "few_shot must be a whole number of 1 or more, not 0"),
        ({"few_shot": 1.5}, "few_shot must be a whole number of 1 or more, not 1.5"),
        ({"few_shot": True}, "few_shot must be a whole number of 1 or more, not True"),
        ({"label_shift": "10:0.1"}, "the number of ranks must be a whole number from 1 to 5, not 10"),
        ({"label_shift": "2"}, "such as 10:0.1, not '2'"),
        ({"label_shift": "2:much"}, "such as 10:0.1, not '2:much'"),
        ({"label_shift": "2:nan"}, "the share must be a number, not nan"),
        ({"label_shift": "2:1"}, "the share to keep must lie between 0 and 1, not 1.0"),
        ({"label_shift": "2:0"}, "the share to keep must lie between 0 and 1, not 0.0"),
        ({"long_tail": 0.5}, "the ratio must be 1 or more, not 0.5"),
        ({"long_tail": float("inf")}, "long_tail must be a number, not inf"),
        ({"long_tail": 1e308}, "made has too few training pictures for the ratio 1e.308; choose .* up to 40"),
        ({"hold_out": 1}, "hold_out must be a whole number of 2 or more, not 1"),
        (
            {"hold_out": 9, "seed": 3},
            "of the 6 ranks of made none between the ends is held out by one in 9 with seed 3",
        ),
        ({"rebin": 1}, "rebin must be a whole number from 2 to 5, not 1"),
        ({"rebin": 6}, "rebin must be a whole number from 2 to 5, not 6"),
        ({"subject_disjoint": True}, "made does not say who is shown"),
        ({"seed": -1}, "protocol_seed must be a whole number of 0 or more, not -1"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(options: dict[str, Any], sentence: str) -> None:
    """The option, the reason, and what is possible."""
    with pytest.raises(InputError, match=sentence) as caught:
        apply_protocols(made(), **options)
    assert "\n" not in str(caught.value)


def test_data_that_is_too_small_is_refused() -> None:
    """One rank has no tail, two ranks have no bins, two subjects no three splits, no share is nothing."""
    with pytest.raises(InputError, match="training pictures of one rank only"):
        long_tail(made([5, 0, 0]), 2)
    with pytest.raises(InputError, match="made: the val split is empty"):
        hold_out(replace(made([5, 5, 5]), val=made([5, 5, 5]).val[1:2]), seed=2)
    with pytest.raises(InputError, match="two ranks, which cannot be merged"):
        rebin(made([5, 5]), 2)
    with pytest.raises(InputError, match="shows 2 subject"):
        subject_disjoint(made(people=["x", "y"]))
    with pytest.raises(InputError, match="three shares above 0"):
        subject_disjoint(made(people=["x", "y", "z"]), shares=(1.0, 0.0, 1.0))


SOME = st.lists(st.integers(0, 40), min_size=3, max_size=9).filter(lambda counts: sum(map(bool, counts)) >= 2)


@given(SOME, st.integers(0, 5), st.integers(1, 20))
def test_fewer_shots_are_among_more(counts: list[int], seed: int, shots: int) -> None:
    """The pictures of n shots are a subset of those of n + 1, and never too many or too few."""
    data = made(counts)
    few, more = few_shot(data, shots, seed), few_shot(data, shots + 1, seed)
    assert set(few.train.paths) <= set(more.train.paths) <= set(data.train.paths)
    assert few.counts("train") == [min(shots, count) for count in counts]


@given(SOME, st.floats(0.01, 0.99), st.data())
def test_a_label_shift_empties_no_rank(counts: list[int], keep: float, draw: st.DataObject) -> None:
    """Thinned ranks keep at least one picture and were at least as frequent as all that are left alone."""
    top = draw.draw(st.integers(1, sum(map(bool, counts))))
    after = label_shift(made(counts), top, keep).counts("train")
    order = sorted((rank for rank, count in enumerate(counts) if count), key=lambda rank: -counts[rank])
    for number, rank in enumerate(order):
        assert after[rank] == (max(1, int(keep * counts[rank])) if number < top else counts[rank])


@given(SOME, st.one_of(st.integers(1, 45), st.floats(1, 45)))
def test_a_long_tail_has_its_ratio_and_no_larger_head_fits(counts: list[int], ratio: float) -> None:
    """The sizes are those of the definition, checked with heads counted up by hand; a refusal is justified."""
    data = made(counts)
    order = sorted((rank for rank, count in enumerate(counts) if count), key=lambda rank: -counts[rank])
    falls = [float(ratio) ** (i / (len(order) - 1)) for i in range(len(order))]

    def sizes(head: int) -> list[int]:
        return [int(head / fall + 1e-9) for fall in falls]

    def fits(head: int) -> bool:
        return all(size <= counts[rank] for size, rank in zip(sizes(head), order, strict=True))

    head = max(head for head in range(max(counts) + 1) if fits(head))
    if head < ratio:
        with pytest.raises(InputError, match="choose a whole number up to") as caught:
            long_tail(data, ratio)
        possible = int(str(caught.value).rstrip(".").rsplit(maxsplit=1)[-1])
        assert long_tail(data, possible).train.targets
        with pytest.raises(InputError, match=f"up to {possible}"):
            long_tail(data, possible + 1)
    else:
        after = long_tail(data, ratio).counts("train")
        assert [after[rank] for rank in order] == sizes(head)
        assert sum(after) == sum(sizes(head))


@given(st.integers(3, 16), st.integers(2, 20), st.integers(0, 99))
def test_each_inner_rank_is_held_out_once(ranks: int, every: int, first: int) -> None:
    """`every` seeds in a row: every rank between the ends once, the ends never; what is refused would hold out none."""
    held: Counter[int] = Counter()
    for seed in range(first, first + every):
        with suppress(InputError):
            counts = hold_out(made([2] * ranks), every, seed).counts("train")
            held.update(rank for rank, count in enumerate(counts) if not count)
    assert held == Counter(range(1, ranks - 1))


@given(st.integers(3, 16), st.data())
def test_bins_keep_the_order_and_are_nearly_equal(ranks: int, draw: st.DataObject) -> None:
    """Every rank is in one bin, bins differ by one rank at most, and a higher rank is never in a lower bin."""
    count = draw.draw(st.integers(2, ranks - 1))
    bins = rebin(made([1] * ranks), count).train.targets
    assert list(bins) == sorted(bins)
    sizes = Counter(bins)
    assert len(sizes) == count
    assert max(sizes.values()) - min(sizes.values()) <= 1


@given(st.lists(st.integers(0, 9), min_size=6, max_size=40), st.integers(0, 99))
def test_whatever_the_subjects_own_the_splits_share_nobody(owners: list[int], seed: int) -> None:
    """A refusal below three subjects; otherwise a partition within one subject of the shares."""
    people = [f"p{owner}" for owner in owners]
    data = made([len(owners), 5, 5], people)
    pool = data.train + data.val + data.test
    total = Counter(pool.subjects or ())
    if len(total) < 3:
        with pytest.raises(InputError, match="subject"):
            subject_disjoint(data, seed)
        return
    apart = subject_disjoint(data, seed)
    who = [set(apart.split(name).subjects or ()) for name in SPLITS]
    assert sum(map(len, who)) == len(set.union(*who)) == len(total)
    for name, share in zip(SPLITS, (0.7, 0.15, 0.15), strict=True):
        assert len(apart.split(name)) < share * len(pool) + max(total.values())


def test_a_seed_with_nothing_to_draw_is_refused() -> None:
    """It would be written into the run's record and mean nothing."""
    with pytest.raises(InputError, match="protocol_seed: there is nothing for it to draw"):
        load_dataset("leaves", size=60, protocol_seed=3)
    assert load_dataset("leaves", size=60, few_shot=2, protocol_seed=3).counts("train") == [2] * 5
