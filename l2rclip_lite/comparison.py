"""Is one method better than another? Paired comparison over runs, such as the folds and seeds of a data set.

Both methods are scored on the same runs, so only the differences within a run count. What the numbers cannot say:

- Runs on one data set share pictures: folds overlap in training, seeds share the test set. The p-values and the
  interval take runs as independent, so they are too small and too narrow (Nadeau and Bengio 2003,
  doi:10.1023/A:1024068626366). They speak of other runs on these pictures, not of new pictures.
- The percentile interval is too narrow with few runs: of two equal methods with five independent pairs it excludes 0
  about one time in six, not one in twenty. Hence `verdict` asks for a small p-value too, and `smallest_p` says whether
  one was within reach.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd
from jaxtyping import Float, Real
from scipy.stats import binomtest, wilcoxon

from l2rclip_lite.errors import InputError
from l2rclip_lite.metric_inputs import Array

Figures: TypeAlias = Sequence[float] | Real[np.ndarray, " pair"] | pd.Series
Groups: TypeAlias = Sequence[str] | np.ndarray | pd.Series
Differences: TypeAlias = Float[np.ndarray, " pair"]


@dataclass(frozen=True)
class Comparison:
    """What `compare` and `compare_pooled` find; positive differences mean that the first method is better."""

    n: int  # what is counted and tested: pairs, or data sets in `compare_pooled`
    difference: float  # in the unit of the metric, or in percent in `compare_pooled`
    low: float  # the 95 % bootstrap interval of the difference
    high: float
    wins: int
    ties: int
    losses: int
    sign_p: float
    wilcoxon_p: float
    smallest_p: float  # 2^(1−n), what either test gives if all n differ, and in one direction


def pairs(
    table: pd.DataFrame,
    one: str,
    other: str,
    metric: str,
    *,
    by: Sequence[str] = ("data", "condition", "fold", "seed"),
    column: str = "arm",
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The runs that two arms share, with the metric of both, and the runs that only one of them has.

    Args:
        table: A row a run.
        one: Name of the first arm.
        other: Name of the second arm.
        metric: A column of numbers.
        by: The columns that name a run. Those that the table lacks are left out; empty cells match each other.
        column: Where the names of the arms stand.

    Returns:
        The shared runs, sorted: the columns of `by`, then `one` and `other`. The runs without a partner: the columns
        of `by`, then `lacks`, the arm that is missing. Report the second, or wait until it is empty.

    Raises:
        InputError: An unknown column or arm, twice the same arm, two rows of an arm for one run, a metric that is no
            finite number, or no shared run.

    Example:
        >>> runs = pd.DataFrame({"seed": [0, 1, 0], "arm": ["full", "full", "plain"], "mae": [3.0, 4.0, 5.0]})
        >>> shared, alone = pairs(runs, "full", "plain", "mae")
        >>> shared.to_dict("records"), alone.to_dict("records")
        ([{'seed': 0, 'one': 3.0, 'other': 5.0}], [{'seed': 1, 'lacks': 'plain'}])
    """
    names = [name for name in by if name in table]
    missing = [name for name in (column, metric) if name not in table]
    if missing or not names:
        raise InputError(f"comparison: the table lacks {missing or list(by)}; it has {list(table)}.")
    if one == other:
        raise InputError(f"comparison: {one!r} against itself; name two arms.")
    left, right = (_arm(table, arm, metric, names, column) for arm in (one, other))
    joined = left.rename(columns={metric: "one"}).merge(
        right.rename(columns={metric: "other"}), on=names, how="outer", indicator="lacks"
    )
    shared, alone = joined[joined["lacks"] == "both"], joined[joined["lacks"] != "both"]
    if shared.empty:
        raise InputError(f"comparison: {one!r} and {other!r} share no run; compare {names} of their rows.")
    lacks = alone["lacks"].astype(str).map({"left_only": other, "right_only": one})
    return (
        shared[[*names, "one", "other"]].reset_index(drop=True),
        alone[names].assign(lacks=lacks).reset_index(drop=True),
    )


def _arm(table: pd.DataFrame, arm: str, metric: str, names: list[str], column: str) -> pd.DataFrame:
    """The checked rows of one arm: the columns that name a run, and the metric."""
    rows = table.loc[table[column] == arm, [*names, metric]]
    if rows.empty:
        known = sorted(table[column].astype(str).unique())
        raise InputError(f"comparison: no row has the {column} {arm!r}; there are {known}.")
    rows = rows.where(rows.notna(), np.nan)  # in a single column pandas tells None from NaN
    for bad, what in (
        (rows.duplicated(names), "a second row"),
        (~np.isfinite(pd.to_numeric(rows[metric], errors="coerce")), f"no finite {metric}"),
    ):
        if bad.any():
            run = rows.loc[bad, names].iloc[0].to_dict()
            raise InputError(
                f"comparison: {arm!r} has {what} for {run}, {int(bad.sum())} such rows in all; repair."
            )
    return rows.astype({metric: float})


def compare(
    one: Figures,
    other: Figures,
    *,
    lower_is_better: bool,
    groups: Groups | None = None,
    seed: int = 0,
    resamples: int = 10_000,
) -> Comparison:
    """Mean difference of two methods over paired runs, in the unit of the metric, and how sure it is.

    d_i = other_i − one_i where lower is better, else one_i − other_i, rounded to 12 decimals so that float noise
    makes no difference. The interval is the 2.5 and 97.5 % quantile of the mean of resampled pairs. `sign_p` is the
    two-sided exact binomial test of wins against losses (1.0 if all tie). `wilcoxon_p` is the two-sided signed-rank
    test, with differences of 0 left out (`zero_method="wilcox"`; 1.0 if all are): exact up to 50 pairs; where some
    |d| are equal, exact up to 13 and normal above. Sources: Wilcoxon 1945, doi:10.2307/3001968; Efron and
    Tibshirani 1993, doi:10.1201/9780429246593.

    Args:
        one: The metric of the first method, a number a run.
        other: The metric of the second method on the same runs, in the same order.
        lower_is_better: True for errors, False for accuracies.
        groups: The data set of each pair. Pairs are then resampled within each data set; the mean stays that of all
            pairs.
        seed: Seed of the draws.
        resamples: Bootstrap draws. They come in mirrored pairs, so an odd number is rounded up.

    Returns:
        The order of the runs does not matter, and swapped methods turn every sign. The interval is NaN for a single
        pair, and where a group has a single pair: nothing shows how much that one varies.

    Raises:
        InputError: Not two equally long rows of finite numbers, not one group a pair, or no resamples.

    Example:
        >>> found = compare([2, 3, 3, 4, 2], [3, 5, 6, 8, 7], lower_is_better=True)
        >>> found.difference, found.wins, found.sign_p, found.wilcoxon_p, found.smallest_p
        (3.0, 5, 0.0625, 0.0625, 0.0625)
        >>> round(found.low, 1), round(found.high, 1)
        (1.8, 4.2)
    """
    left, right = _read(one, other, resamples)
    differences = np.round(right - left if lower_is_better else left - right, 12)
    parts = _split(differences, np.zeros(len(left)) if groups is None else groups)
    generator = np.random.default_rng(seed)
    total = sum(len(part) * _means(part, generator, resamples)[:, 0] for part in parts)
    alone = any(len(part) < 2 for part in parts)
    return _summary(differences, np.full(1, np.nan) if alone else np.asarray(total) / len(left))


def compare_pooled(
    one: Figures,
    other: Figures,
    groups: Groups,
    *,
    lower_is_better: bool,
    seed: int = 0,
    resamples: int = 10_000,
) -> Comparison:
    """Mean improvement of one method over another in percent, over several data sets, each with the same weight.

    q_i = 100 d_i / other_i with d_i of `compare`: percent make units comparable. A data set g has the mean q̄_g of
    its pairs; the difference is the mean of the q̄_g. The interval resamples data sets, then pairs within each one
    drawn. Runs of a data set share pictures, so data sets are counted and tested, not runs. The outer level is
    coarse: five data sets have 126 different resamples and cannot give a p below 0.0625. Source: Demšar 2006,
    https://jmlr.org/papers/v7/demsar06a.html.

    Args:
        one: The metric of the first method, a number a run.
        other: The metric of the second method on the same runs, in the same order; above 0.
        groups: The data set of each pair.
        lower_is_better: True for errors, False for accuracies.
        seed: Seed of the draws.
        resamples: Bootstrap draws, as in `compare`.

    Returns:
        `n`, wins, ties, losses and p-values are those of the data sets. The interval is NaN for a single one.
        Swapped methods do not turn the signs exactly, because the percentages then have another base.

    Raises:
        InputError: As `compare`, or a number of `other` that is not above 0 (percent of it say nothing).

    Example:
        >>> found = compare_pooled([8, 9, 3], [10, 10, 4], ["faces", "faces", "leaves"], lower_is_better=True)
        >>> found.n, found.difference, found.low, found.high  # means 15 and 25 %, in the mean 20
        (2, 20.0, 12.5, 25.0)
    """
    left, right = _read(one, other, resamples)
    bad = np.flatnonzero(right <= 0)
    if len(bad):
        raise InputError(
            f"comparison: other is {right[bad[0]]:g} in pair {bad[0]}; percent need numbers above 0."
        )
    percent = 100 * (right - left if lower_is_better else left - right) / right
    parts = _split(percent, groups)
    generator = np.random.default_rng(seed)
    count = len(parts)
    means = np.stack([_means(part, generator, resamples, count) for part in parts])
    drawn = np.tile(generator.integers(count, size=((resamples + 1) // 2, count)), (2, 1))
    pooled = np.take_along_axis(means, drawn[None], axis=0)[0].mean(-1)
    # sorted, so that the order of the runs cannot change the last digits
    centres = np.round([np.sort(part).mean() for part in parts], 9)
    return _summary(centres, pooled if count > 1 else np.full(1, np.nan))


def _read(one: Figures, other: Figures, resamples: int) -> tuple[Differences, Differences]:
    """Both rows as floats."""
    left, right = np.asarray(one, dtype=float), np.asarray(other, dtype=float)
    if left.ndim != 1 or left.shape != right.shape or not left.size:
        raise InputError(
            f"comparison: shapes {left.shape} and {right.shape}; give both methods a number a run."
        )
    bad = np.flatnonzero(~np.isfinite(left + right))
    if len(bad):
        raise InputError(
            f"comparison: pair {bad[0]} is {left[bad[0]]} and {right[bad[0]]}; give finite numbers."
        )
    if resamples < 1:
        raise InputError(f"comparison: {resamples} resamples; give at least 1.")
    return left, right


def _split(values: Differences, groups: Groups) -> list[Array]:
    """The values of each group, groups in the order of their names."""
    names = np.asarray(groups).astype(str)
    if names.shape != values.shape:
        raise InputError(f"comparison: {len(names)} groups for {len(values)} pairs; give one a pair.")
    return [values[names == name] for name in np.unique(names)]


def _means(
    values: Differences, generator: np.random.Generator, resamples: int, copies: int = 1
) -> Float[np.ndarray, "resample copy"]:
    """Means of resampled values. The second half of the draws mirrors the first: low for high and back."""
    size = len(values)
    half = generator.integers(size, size=((resamples + 1) // 2, copies, size))
    # mirrored in sorted values, negated differences give negated means: swapped methods, mirrored intervals
    return np.asarray(np.sort(values)[np.concatenate([half, size - 1 - half])].mean(-1))


def _summary(differences: Differences, means: Float[np.ndarray, " resample"]) -> Comparison:
    """Counts and tests of the differences, and the interval from the means of their resamples."""
    n, wins, losses = len(differences), int((differences > 0).sum()), int((differences < 0).sum())
    low, high = np.quantile(means, (0.025, 0.975))
    moved = differences[differences != 0]
    return Comparison(
        n=n,
        difference=float(np.sort(differences).mean()),
        low=float(low),
        high=float(high),
        wins=wins,
        ties=n - wins - losses,
        losses=losses,
        sign_p=float(binomtest(wins, len(moved)).pvalue) if len(moved) else 1.0,
        wilcoxon_p=float(wilcoxon(moved).pvalue) if len(moved) else 1.0,
        smallest_p=2.0 ** (1 - n),
    )


def holm(p_values: Sequence[float] | Float[np.ndarray, " test"]) -> list[float]:
    """Holm's step-down adjustment: compare the results with α, and the chance of any false alarm stays below α.

    The i-th smallest of m p-values becomes max_{j ≤ i} min(1, (m − j + 1) p_(j)). Source: Holm 1979,
    https://www.jstor.org/stable/4615733.

    Args:
        p_values: One a comparison, in [0, 1].

    Returns:
        The adjusted p-values in the order given, each at least as large as before and at most 1.

    Raises:
        InputError: A number outside [0, 1].

    Example:
        >>> holm([0.01, 0.5, 0.02])
        [0.03, 0.5, 0.04]
    """
    p = np.asarray(p_values, dtype=float)
    if not ((p >= 0) & (p <= 1)).all():
        raise InputError(f"comparison: p-values {p.tolist()}; give numbers from 0 to 1.")
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    return [float(value) for value in adjusted]


def verdict(comparison: Comparison, alpha: float = 0.05, *, p_value: float | None = None) -> str:
    """One of "better", "worse" and "no difference shown", said of the first method.

    "better": the whole interval lies above 0, wins outnumber losses, and the Wilcoxon p-value is at most α. "worse":
    the same on the other side. All three, because each alone is easily wrong: the interval is too narrow for few
    runs, the mean follows single runs, and p says nothing of the size. One test, chosen beforehand: the smaller of
    two p-values would be a test at more than α. The rule is not relaxed where p cannot reach α: at α = 0.05, five
    pairs or fewer never show a difference. Print `smallest_p` there; "no difference shown" is not "equal".

    Args:
        comparison: What `compare` or `compare_pooled` found.
        alpha: The level, in (0, 1).
        p_value: What to use in place of `wilcoxon_p`, such as its value after `holm` over all rows of a table.

    Raises:
        InputError: An α outside (0, 1).

    Example:
        >>> six = compare([1, 1, 1, 1, 1, 1], [2, 3, 4, 5, 6, 7], lower_is_better=True)
        >>> five = compare([1, 1, 1, 1, 1], [2, 3, 4, 5, 6], lower_is_better=True)
        >>> verdict(six), verdict(five), five.smallest_p
        ('better', 'no difference shown', 0.0625)
    """
    if not 0 < alpha < 1:
        raise InputError(f"comparison: alpha is {alpha}; give a number between 0 and 1.")
    if (comparison.wilcoxon_p if p_value is None else p_value) <= alpha:
        if comparison.low > 0 and comparison.wins > comparison.losses:
            return "better"
        if comparison.high < 0 and comparison.losses > comparison.wins:
            return "worse"
    return "no difference shown"
