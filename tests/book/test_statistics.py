"""Statistics of the chapters: worked by hand, against SciPy and scikit-learn, and for any runs."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import cdist
from sklearn.decomposition import PCA

from l2rclip_book.statistics import compare, holm, ordinality, spearman_rho
from l2rclip_lite.errors import InputError


def test_ordinality_agrees_with_scipy_scikit_learn_and_a_loop() -> None:
    """Nine noisy points on a curve: SciPy's Spearman, scikit-learn's PCA, a loop over triples."""
    angle = np.linspace(0, 2, 9)
    rows = np.stack([np.cos(angle), np.sin(angle), 0.4 * np.ones(9)], 1)
    rows += 0.25 * np.random.default_rng(0).normal(size=(9, 3))
    d = cdist(rows, rows, "cosine")

    i, j = np.triu_indices(9, 1)
    gap = stats.spearmanr(j - i, d[i, j]).statistic
    in_order = []
    for a, b, c in itertools.combinations(range(9), 3):
        in_order += [d[a, b] < d[a, c], d[b, c] < d[a, c]]
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    component = stats.spearmanr(PCA(1).fit_transform(unit)[:, 0], range(9)).statistic

    expected = {"gap": gap, "triplets": np.mean(in_order), "component": abs(component)}
    assert ordinality(rows) == pytest.approx(expected, abs=1e-12)
    same = ordinality(np.ones((5, 8)))  # every comparison ties
    assert same == {"gap": 0.0, "triplets": 0.5, "component": 0.0}
    with pytest.raises(InputError, match="row 1 is zero"):
        ordinality(np.array([[1.0], [0], [1]]))


def test_numbers_that_float_noise_holds_apart_are_tied() -> None:
    """0.1 + 0.2 and 0.3 are one number, so the order is that of 1, 1, 2."""
    assert spearman_rho(np.array([[0.1 + 0.2, 0.3, 0.5]]), np.array([[1, 1, 2]])) == [1.0]
    assert compare([0.1 + 0.2, 0.1], [0.3, 0.1]) == (0, 0, 0, 1)


def test_a_p_value_counts_the_signings_that_are_as_extreme() -> None:
    """With 1, 2, −3, 4, 5, 0: of 2⁵ signings 5 have a rank sum of at most 3, on either side.

    The mean of two draws from {0, 2} is 0, 1 or 2: both ends are in the interval.
    """
    comparison = compare([10] * 6, [11, 12, 7, 14, 15, 10])
    assert comparison.difference == 1.5
    assert comparison.p == pytest.approx(10 / 32)
    assert compare([1, 1], [1, 3])[:3] == (1, 0, 2)


@given(p=st.lists(st.floats(0, 1), max_size=8), alpha=st.floats(0, 0.99))
def test_holm_rejects_what_the_step_down_procedure_rejects(p: list[float], alpha: float) -> None:
    """As many hypotheses, from the smallest p on."""
    rejected = 0
    while rejected < len(p) and sorted(p)[rejected] * (len(p) - rejected) <= alpha:
        rejected += 1
    assert sum(value <= alpha for value in holm(p, len(p))) == rejected
