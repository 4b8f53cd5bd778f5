"""The paired comparison against scipy.stats, and against every signing and every resample counted one by one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from l2rclip_lite.comparison import compare, compare_pooled, verdict

CASES = [(0, 6), (1, 9), (2, 25), (3, 60)]


def case(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Errors of two methods on n runs; the first is a little better."""
    generator = np.random.default_rng(seed)
    other = generator.uniform(1, 2, n)
    return other - generator.normal(0.1, 0.3, n), other


@pytest.mark.parametrize(("seed", "n"), CASES)
def test_scipy(seed: int, n: int) -> None:
    """Both p-values, and the percentile interval up to what 10 000 draws leave open."""
    one, other = case(seed, n)
    found = compare(one, other, lower_is_better=True)
    assert found.sign_p == pytest.approx(stats.binomtest(int((other > one).sum()), n).pvalue)
    assert found.wilcoxon_p == pytest.approx(
        stats.wilcoxon(other, one, method="exact" if n <= 50 else "approx").pvalue
    )
    interval = stats.bootstrap(
        (other - one,), np.mean, n_resamples=50_000, method="percentile", rng=np.random.default_rng(7)
    ).confidence_interval
    tolerance = 0.06 * np.std(other - one) / np.sqrt(n)
    assert (found.low, found.high) == pytest.approx(tuple(interval), abs=float(tolerance))


@pytest.mark.parametrize(
    "differences", [[1, 1, 2, -2, 3], [0, 1, 2, -3, 4, 5], [1, 1, 1, 1, 1], [2, -2, 1, 3, 3, 3, -1]]
)
def test_every_signing(differences: list[int]) -> None:
    """Ties and zeros: the p-value is the share of the 2^n signings whose rank sums are as uneven."""
    moved = np.array([d for d in differences if d])
    ranks = stats.rankdata(np.abs(moved))
    gap = abs((ranks * np.sign(moved)).sum())
    signings = np.array(list(itertools.product((-1, 1), repeat=len(moved))))
    expected = (np.abs((signings * ranks).sum(1)) >= gap).mean()
    found = compare(differences, [0] * len(differences), lower_is_better=False)
    assert found.wilcoxon_p == pytest.approx(expected)


def test_every_resample() -> None:
    """4^4 resamples of four pairs, and all 2² · 2⁴ of two data sets with two pairs each, counted exactly."""
    one, other = np.array([1.0, 2.0, 4.0, 3.0]), np.array([1.5, 2.2, 3.9, 5.0])
    means = [np.mean(draw) for draw in itertools.product(other - one, repeat=4)]
    found = compare(one, other, lower_is_better=True, resamples=40_000)
    assert (found.low, found.high) == pytest.approx(np.quantile(means, (0.025, 0.975)), abs=0.03)

    percent = (100 * (other - one) / other).reshape(2, 2)
    inner = [[np.mean(draw) for draw in itertools.product(row, repeat=2)] for row in percent]
    both = [
        np.mean([a, b]) for g, h in itertools.product(inner, repeat=2) for a, b in itertools.product(g, h)
    ]
    pooled = compare_pooled(one, other, ["a", "a", "b", "b"], lower_is_better=True, resamples=40_000)
    assert (pooled.low, pooled.high) == pytest.approx(np.quantile(both, (0.025, 0.975)), abs=0.5)


def test_stratified_spread() -> None:
    """Within data sets the standard error is √Σ n_g s_g² / n, s_g the spread in g; 2 × 30 are near normal."""
    one, other = case(5, 60)
    other[30:] += 3
    groups = ["a"] * 30 + ["b"] * 30
    found = compare(one, other, lower_is_better=True, groups=groups)
    parts = (other - one).reshape(2, 30)
    error = np.sqrt((30 * parts.var(1)).sum()) / 60
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * error, rel=0.04)


@pytest.mark.parametrize("n", [5, 25])
def test_false_alarms(n: int) -> None:
    """Two equal methods: the interval alone excludes 0 as often as |t| > 1.96 √((n−1)/n); the verdict keeps to α.

    The bootstrap knows the spread with n in place of n − 1 and no t distribution: 15.5 % at n = 5, 6.6 % at 25.
    """
    generator = np.random.default_rng(11)
    differences, zeros = generator.normal(size=(500, n)), np.zeros(n)
    found = [compare(each, zeros, lower_is_better=True, resamples=400) for each in differences]
    expected = 2 * stats.t.sf(1.96 * np.sqrt((n - 1) / n), n - 1)
    assert np.mean([each.low > 0 or each.high < 0 for each in found]) == pytest.approx(expected, abs=0.04)
    assert np.mean([verdict(each) != "no difference shown" for each in found]) <= 0.05 + 0.02
