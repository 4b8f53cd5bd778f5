"""Paired comparison: numbers that can be derived by hand, and what holds for any runs."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2rclip_lite.comparison import Comparison, compare, compare_pooled, holm, pairs, verdict
from l2rclip_lite.errors import InputError

figures = st.integers(0, 40).map(lambda tenths: tenths / 10)  # coarse, so that runs tie
runs = st.lists(st.tuples(figures, figures, st.sampled_from("abc")), min_size=1, max_size=8)


def table(
    *rows: tuple[object, ...], names: tuple[str, ...] = ("data", "fold", "seed", "arm", "mae")
) -> pd.DataFrame:
    """Runs by hand."""
    return pd.DataFrame(list(rows), columns=list(names))


def columns(rows: list[tuple[float, float, str]]) -> tuple[list[float], list[float], list[str]]:
    """First method, second method, data set."""
    return [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows]


def close(left: Comparison, right: Comparison) -> bool:
    """Equal up to rounding, NaN equal to NaN."""
    return all(
        getattr(left, name) == pytest.approx(value, nan_ok=True) for name, value in vars(right).items()
    )


def test_five_wins_by_hand() -> None:
    """Differences 1, 2, 3, 4, 5: 2 of the 2⁵ signings have 5 of one sign, the same 2 a rank sum of 0."""
    found = compare([1, 1, 1, 1, 1], [2, 3, 4, 5, 6], lower_is_better=True)
    assert (found.n, found.difference, found.wins, found.ties, found.losses) == (5, 3, 5, 0, 0)
    assert (found.sign_p, found.wilcoxon_p, found.smallest_p) == (0.0625, 0.0625, 0.0625)
    assert found.low > 0
    assert verdict(found) == "no difference shown"
    assert verdict(found, alpha=0.0625) == "better"


def test_a_loss_and_a_tie_by_hand() -> None:
    """Differences 1, 2, −3, 4, 5, 0, the tie left out: at most 1 tail of 5, 2 (1 + 5)/32; rank sums 12 and 3.

    Rank sums of at most 3 are {}, 1, 2, 3, 1 + 2: 5 signings of 32, twice is 10/32.
    """
    found = compare([11, 12, 7, 14, 15, 10], [10] * 6, lower_is_better=False)
    assert (found.wins, found.ties, found.losses, found.difference) == (4, 1, 1, 1.5)
    assert (found.sign_p, found.wilcoxon_p, found.smallest_p) == pytest.approx((12 / 32, 10 / 32, 1 / 32))


def test_the_interval_of_two_pairs_by_hand() -> None:
    """The mean of two draws from {0, 2} is 0, 1 or 2 with chance 1/4, 1/2, 1/4: both ends are in the 95 %."""
    found = compare([1, 1], [1, 3], lower_is_better=True)
    assert (found.difference, found.low, found.high) == (1, 0, 2)


def test_a_mean_is_resampled_within_its_data_set() -> None:
    """Data sets without spread inside leave nothing to vary, however far apart they are; unstratified it varies."""
    one, other, groups = [0, 0, 0, 0], [1, 1, 5, 5], ["a", "a", "b", "b"]
    stratified = compare(one, other, lower_is_better=True, groups=groups)
    assert (stratified.low, stratified.difference, stratified.high) == (3, 3, 3)
    plain = compare(one, other, lower_is_better=True)
    assert (plain.low, plain.high) == (1, 5)
    assert replace(plain, low=3, high=3) == stratified
    uneven = compare([0] * 5, [1, 1, 5, 5, 5], lower_is_better=True, groups=["a", "a", "b", "b", "b"])
    assert (uneven.low, uneven.difference, uneven.high) == pytest.approx((3.4, 3.4, 3.4))


def test_a_single_pair_has_no_interval() -> None:
    """One pair, or one pair of a data set, or one data set: NaN, and no verdict; p is 1 for one pair."""
    found = compare([1], [2], lower_is_better=True)
    assert (found.difference, found.sign_p, found.wilcoxon_p, found.smallest_p) == (1, 1, 1, 1)
    pooled = compare_pooled([1, 1], [2, 4], ["a", "a"], lower_is_better=True)
    assert (pooled.n, pooled.difference) == (1, 62.5)
    lonely = compare([1, 1, 1], [2, 3, 4], lower_is_better=True, groups=["a", "a", "b"])
    for each in (found, pooled, lonely):
        assert math.isnan(each.low)
        assert math.isnan(each.high)
        assert verdict(each, alpha=0.999) == "no difference shown"


def test_all_ties() -> None:
    """Nothing to test: both p-values are 1."""
    found = compare([0.5, 0.25], [0.5, 0.25], lower_is_better=True)
    assert (found.ties, found.sign_p, found.wilcoxon_p, found.low, found.high) == (2, 1, 1, 0, 0)


def test_float_noise_is_a_tie() -> None:
    """0.1 + 0.2 is not 0.3, and 0.3 − 0.1 is not 0.2 − 0: neither decides a run or orders two differences."""
    found = compare([0.1 + 0.2, 0.1, 0.0], [0.3, 0.3, 0.2], lower_is_better=True)
    assert (found.wins, found.ties) == (2, 1)
    equal = compare([0.1, 0.0, 0.2], [0.3, 0.2, 0.0], lower_is_better=True)
    assert equal.wilcoxon_p == 1  # |d| all tie: rank sums 4 and 2, and 4 or more are 4 signings of 8


def test_pooled_by_hand() -> None:
    """Faces 20 and 10 %, leaves 25, 25, 25 %, teeth −10 %: means 15, 25, −10, in the mean 10."""
    one, other = [8, 9, 3, 3, 3, 11], [10, 10, 4, 4, 4, 10]
    groups = ["faces"] * 2 + ["leaves"] * 3 + ["teeth"]
    found = compare_pooled(one, other, groups, lower_is_better=True)
    assert (found.n, found.difference, found.wins, found.losses, found.smallest_p) == (3, 10, 2, 1, 0.25)
    assert (found.sign_p, found.wilcoxon_p) == (1, 0.5)  # rank sums 2 + 3 and 1: 2 · 2/8
    assert (found.low, found.high) == pytest.approx((-10, 25))  # thrice teeth, thrice leaves: 1/27 each
    higher = compare_pooled(other, one, groups, lower_is_better=False)
    assert higher.difference == pytest.approx(100 * ((2 / 8 + 1 / 9) / 2 + 1 / 3 - 1 / 11) / 3)


def test_pooled_resamples_pairs_too() -> None:
    """Two data sets with the same mean 50 %, of 0 and 100 %: only the inner level moves, to 0 and 100 at the most.

    Both drawn data sets at 0 have chance 1/16 = 6 %, so the interval is the whole range.
    """
    found = compare_pooled([1, 0, 1, 0], [1, 1, 1, 1], ["a", "a", "b", "b"], lower_is_better=True)
    assert (found.difference, found.low, found.high) == (50, 0, 100)


@given(rows=runs, lower=st.booleans(), grouped=st.booleans())
def test_swapped_methods(rows: list[tuple[float, float, str]], lower: bool, grouped: bool) -> None:
    """Signs turn, wins and losses change places, the ends of the interval too; p stays, the verdict turns."""
    one, other, groups = columns(rows)
    by = groups if grouped else None
    here = compare(one, other, lower_is_better=lower, groups=by, resamples=200)
    there = compare(other, one, lower_is_better=lower, groups=by, resamples=200)
    turned = {"difference": -here.difference, "low": -here.high, "high": -here.low}
    assert close(there, replace(here, **turned, wins=here.losses, losses=here.wins))
    assert close(here, compare(other, one, lower_is_better=not lower, groups=by, resamples=200))
    opposite = {"better": "worse", "worse": "better", "no difference shown": "no difference shown"}
    assert verdict(there, 0.5) == opposite[verdict(here, 0.5)]


@given(rows=runs, lower=st.booleans())
def test_any_runs(rows: list[tuple[float, float, str]], lower: bool) -> None:
    """Counts add up, p lies between its floor and 1, the interval holds the mean and stays in the range."""
    one, other, groups = columns(rows)
    above = [value + 0.1 for value in other]
    for found in (
        compare(one, other, lower_is_better=lower, resamples=500),
        compare(one, other, lower_is_better=lower, groups=groups, resamples=500),
        compare_pooled(one, above, groups, lower_is_better=lower, resamples=500),
    ):
        assert found.wins + found.ties + found.losses == found.n
        for p in (found.sign_p, found.wilcoxon_p):
            assert found.smallest_p <= p * (1 + 1e-12)
            assert p <= 1
        if not math.isnan(found.low):
            assert found.low - 1e-9 <= found.difference <= found.high + 1e-9
    differences = np.array(other) - np.array(one) if lower else np.array(one) - np.array(other)
    found = compare(one, other, lower_is_better=lower)
    if len(rows) > 1:
        assert differences.min() - 1e-9 <= found.low <= found.high <= differences.max() + 1e-9


@given(rows=runs, seed=st.integers(0, 99), data=st.data())
def test_the_order_of_runs_is_nothing(
    rows: list[tuple[float, float, str]], seed: int, data: st.DataObject
) -> None:
    """Shuffled runs give the same numbers, to the last digit."""
    shuffled = data.draw(st.permutations(rows))
    found = []
    for each in (rows, shuffled):
        one, other, groups = columns(each)
        above = [value + 0.1 for value in other]
        found.append(
            (
                compare(one, other, lower_is_better=True, seed=seed, resamples=100),
                compare(one, other, lower_is_better=True, groups=groups, seed=seed, resamples=100),
                compare_pooled(one, above, groups, lower_is_better=True, seed=seed, resamples=100),
            )
        )
    assert repr(found[0]) == repr(found[1])


def test_seed_and_resamples() -> None:
    """The seed decides the draws, and nothing else; one resample is a pair of mirrored ones."""
    one, other = [1.0, 2.0, 4.0, 3.5, 0.5], [2.0, 1.5, 5.5, 4.0, 3.0]
    first, again, next_ = (
        compare(one, other, lower_is_better=True, seed=seed, resamples=50) for seed in (1, 1, 2)
    )
    assert first == again
    assert (first.low, first.high) != (next_.low, next_.high)
    assert replace(next_, low=first.low, high=first.high) == first
    single = compare(one, other, lower_is_better=True, resamples=1)
    assert single == compare(one, other, lower_is_better=True, resamples=2)


def test_series_and_arrays() -> None:
    """Columns of a table, arrays and lists are read alike."""
    shared = pd.DataFrame({"data": ["a", "a", "b", "b"], "one": [1, 2, 3, 4], "other": [2.0, 2.0, 5.0, 3.0]})
    lists = {name: column.tolist() for name, column in shared.items()}
    expected = compare(lists["one"], lists["other"], lower_is_better=True, groups=lists["data"])
    assert expected == compare(shared["one"], shared["other"], lower_is_better=True, groups=shared["data"])
    one, other, data = (shared[name].to_numpy() for name in ("one", "other", "data"))
    assert expected == compare(one, other, lower_is_better=True, groups=data)


@pytest.mark.parametrize(
    ("one", "other", "extra", "message"),
    [
        ([], [], {}, r"shapes \(0,\)"),
        ([1, 2], [1], {}, r"shapes \(2,\) and \(1,\)"),
        ([1, math.nan], [1, 2], {}, "pair 1 is nan and 2"),
        ([1, 2], [1, math.inf], {}, "pair 1 is 2.0 and inf"),
        ([1, 2], [1, 2], {"groups": ["a"]}, "1 groups for 2 pairs"),
        ([1, 2], [1, 2], {"resamples": 0}, "0 resamples"),
    ],
)
def test_what_compare_refuses(
    one: list[float], other: list[float], extra: dict[str, object], message: str
) -> None:
    """One sentence says what is wrong; the pooled comparison refuses the same."""
    with pytest.raises(InputError, match=message):
        compare(one, other, lower_is_better=True, **extra)
    with pytest.raises(InputError, match=message):
        compare_pooled(one, other, **{"groups": ["a"] * len(one)} | extra, lower_is_better=True)


@pytest.mark.parametrize("base", [0.0, -0.1])
def test_percent_of_nothing(base: float) -> None:
    """A kappa may be 0 or negative."""
    with pytest.raises(InputError, match="in pair 1; percent need numbers above 0"):
        compare_pooled([1, 1], [1, base], ["a", "b"], lower_is_better=False)


def test_pairs_by_hand() -> None:
    """Rows in any order; an empty fold matches an empty fold, NaN or None; `condition` is not in this table."""
    found = table(
        ("leaves", None, 1, "plain", 0.8),
        ("leaves", math.nan, 0, "full", 0.5),
        ("leaves", math.nan, 1, "full", 0.6),
        ("leaves", math.nan, 0, "plain", 0.7),
        ("faces", "2", 0, "full", 3.0),
        ("faces", "2", 0, "plain", 4.0),
        ("faces", "1", 0, "full", 2.0),
        ("faces", "3", 0, "plain", 9.0),
        ("faces", "1", 0, "third", 9.0),
    )
    shared, alone = pairs(found, "full", "plain", "mae")
    assert list(shared) == ["data", "fold", "seed", "one", "other"]
    assert shared[["data", "seed", "one", "other"]].to_numpy().tolist() == [
        ["faces", 0, 3.0, 4.0],
        ["leaves", 0, 0.5, 0.7],
        ["leaves", 1, 0.6, 0.8],
    ]
    assert alone.to_numpy().tolist() == [["faces", "1", 0, "plain"], ["faces", "3", 0, "full"]]
    assert list(alone) == ["data", "fold", "seed", "lacks"]
    back, rest = pairs(found, "plain", "full", "mae")
    assert back["one"].tolist() == shared["other"].tolist()
    assert rest.equals(alone)


def test_pairs_of_numbers_and_other_columns() -> None:
    """Folds as floats with NaN, arms in a column of another name, runs named by one column only."""
    found = table(
        (1.0, "x", 5), (1.0, "y", 6), (math.nan, "x", 7), (math.nan, "y", 9), names=("fold", "method", "n")
    )
    shared, alone = pairs(found, "x", "y", "n", by=("fold",), column="method")
    assert shared[["one", "other"]].to_numpy().tolist() == [[5.0, 6.0], [7.0, 9.0]]
    assert alone.empty
    assert list(alone) == ["fold", "lacks"]


@pytest.mark.parametrize(
    ("one", "other", "metric", "by", "message"),
    [
        (
            "full",
            "none",
            "mae",
            ("seed",),
            r"no row has the arm 'none'; there are \['full', 'odd', 'plain', 'twice'\]",
        ),
        ("full", "plain", "qwk", ("seed",), r"the table lacks \['qwk'\]"),
        ("full", "plain", "mae", ("run",), r"the table lacks \['run'\]"),
        ("full", "full", "mae", ("seed",), "'full' against itself"),
        ("full", "plain", "mae", ("seed",), r"share no run; compare \['seed'\]"),
        ("full", "twice", "mae", ("seed",), r"'twice' has a second row for {'seed': 0}, 1 such"),
        ("odd", "full", "mae", ("seed",), r"'odd' has no finite mae for {'seed': 0}, 1 such"),
    ],
)
def test_what_pairs_refuses(one: str, other: str, metric: str, by: tuple[str, ...], message: str) -> None:
    """One sentence with the arm, the run and the choices."""
    rows = [(0, "full", 1.0), (1, "plain", 1.0), (0, "twice", 1.0), (0, "twice", 2.0), (0, "odd", math.nan)]
    with pytest.raises(InputError, match=message):
        pairs(table(*rows, names=("seed", "arm", "mae")), one, other, metric, by=by)


def test_empty_cells_of_both_kinds_name_one_run() -> None:
    """None and NaN match across arms and are two rows for one run within an arm, also in a column of objects."""
    runs = pd.DataFrame({"arm": ["x", "y", "y"], "mae": [1.0, 2.0, 3.0]})
    runs["fold"] = pd.Series([None, math.nan, None], dtype=object)
    shared, alone = pairs(runs[:2], "x", "y", "mae", by=("fold",))
    assert shared[["one", "other"]].to_numpy().tolist() == [[1, 2]]
    assert alone.empty
    with pytest.raises(InputError, match="'y' has a second row"):
        pairs(runs, "x", "y", "mae", by=("fold",))


def test_holm_by_hand() -> None:
    """Sorted 0.01, 0.02, 0.03, 0.04 times 4, 3, 2, 1 is 0.04, 0.06, 0.06, 0.04; the last may not fall below 0.06."""
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.6, 0.6]) == [1, 1]
    assert holm([0.3]) == [0.3]
    assert holm([]) == []
    for bad in ([0.5, 1.1], [-0.1], [math.nan]):
        with pytest.raises(InputError, match="p-values"):
            holm(bad)


@given(st.lists(st.floats(0, 1), max_size=8), st.floats(0, 1))
def test_holm_for_any_numbers(p: list[float], alpha: float) -> None:
    """In [p, 1], in the order of p, and what is at most α is what the step-down procedure rejects."""
    adjusted = holm(p)
    assert all(before <= after <= 1 for before, after in zip(p, adjusted, strict=True))
    by_size = sorted(range(len(p)), key=lambda i: p[i])
    assert [adjusted[i] for i in by_size] == sorted(adjusted)
    rejected = 0
    while rejected < len(p) and p[by_size[rejected]] * (len(p) - rejected) <= alpha:
        rejected += 1
    assert sum(value <= alpha for value in adjusted) == (len(p) if alpha == 1 else rejected)


BETTER = Comparison(6, 2.0, 1.0, 3.0, 6, 0, 0, 1 / 32, 1 / 32, 1 / 32)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, "better"),
        ({"low": 0.0}, "no difference shown"),
        ({"low": math.nan, "high": math.nan}, "no difference shown"),
        ({"wilcoxon_p": 0.06}, "no difference shown"),
        ({"sign_p": 0.06}, "better"),
        ({"wins": 3, "losses": 3}, "no difference shown"),
        ({"low": -3.0, "high": -1.0, "wins": 0, "losses": 6}, "worse"),
        ({"low": -3.0, "high": 0.0, "wins": 0, "losses": 6}, "no difference shown"),
        ({"low": -3.0, "high": -1.0}, "no difference shown"),
    ],
)
def test_verdict(change: dict[str, float], expected: str) -> None:
    """Interval, majority and p-value must agree."""
    assert verdict(replace(BETTER, **change)) == expected


def test_verdict_of_a_table() -> None:
    """Holm over three rows: 1/32 becomes 3/32, above 0.05. α is the level itself, not in percent."""
    assert verdict(BETTER, p_value=holm([BETTER.wilcoxon_p] * 3)[0]) == "no difference shown"
    assert verdict(replace(BETTER, wilcoxon_p=1.0), p_value=0.0) == "better"
    for alpha in (0.0, 1.0, 5.0):
        with pytest.raises(InputError, match="alpha is"):
            verdict(BETTER, alpha)
