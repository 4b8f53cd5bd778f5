"""The metrics against scikit-learn, skordinal, torchmetrics and plain loops; against SciPy in `unit`."""

import numpy as np
import pytest
import sklearn.metrics
import torch

from l2rclip_lite import metrics
from l2rclip_lite.ranks import Ranks

CASES = [
    (1, 5, 300),
    (2, 62, 200),
    (3, 2, 30),
    (4, 12, 7),
]  # seed, ranks, images; (4, …) lacks ranks


def case(seed: int, count: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, Ranks]:
    """Truth, predicted rank, probabilities and ranks with values 10, 11, …; the top rank never occurs."""
    generator = np.random.default_rng(seed)
    y = generator.integers(max(count - 1, 2), size=n)
    logits = generator.normal(size=(n, count)) - 0.5 * np.abs(np.arange(count) - y[:, None])
    weight = np.exp(logits)
    p = weight / weight.sum(1, keepdims=True)
    ranks = Ranks(tuple(f"r{k}" for k in range(count)), tuple(range(10, 10 + count)), "rank {rank}")
    return y, p.argmax(1), p, ranks


@pytest.mark.parametrize(("seed", "count", "n"), CASES)
def test_scikit_learn(seed: int, count: int, n: int) -> None:
    """Kappa with `labels=` (without, scikit-learn renumbers the ranks it sees), errors and accuracy."""
    y, pred, p, ranks = case(seed, count, n)
    labels = range(count)
    kappa = sklearn.metrics.cohen_kappa_score(y, pred, labels=list(labels), weights="quadratic")
    assert metrics.qwk(y, pred, ranks) == pytest.approx(kappa, abs=1e-12)
    assert metrics.accuracy(y, pred, ranks) == pytest.approx(
        sklearn.metrics.accuracy_score(y, pred)
    )
    expected = p @ np.array(ranks.values)
    for given in (pred + 10.0, expected):
        assert metrics.mae(y, given, ranks) == pytest.approx(
            sklearn.metrics.mean_absolute_error(y + 10, given)
        )
        error = sklearn.metrics.root_mean_squared_error(y + 10, given)
        assert metrics.rmse(y, given, ranks) == pytest.approx(error)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize(("seed", "count", "n"), CASES)
def test_auc_of_scikit_learn(seed: int, count: int, n: int, tied: bool) -> None:
    """One rank against the rest, over the ranks present, for the sample and for resamples that lack some.

    Tied: rows of sixteenths, which sum to 1 exactly, so that neither side rounds.
    """
    y, _, p, ranks = case(seed, count, n)
    if tied:
        p = np.random.default_rng(seed).multinomial(16, p) / 16

    def oracle(rows: np.ndarray) -> float:
        present = np.unique(y[rows])
        if len(present) == 1:
            return 0.5  # scikit-learn leaves it undefined
        each = [sklearn.metrics.roc_auc_score(y[rows] == k, p[rows, k]) for k in present]
        return float(np.mean(each))

    assert metrics.auc(y, p, ranks) == pytest.approx(oracle(np.arange(n)), abs=1e-12)


@pytest.mark.parametrize(("seed", "count", "n"), CASES)
def test_skordinal(seed: int, count: int, n: int) -> None:
    """AMAE, MMAE, one-off and RPS; `labels=` tells skordinal the ranks that never occur."""
    oracle = pytest.importorskip(
        "skordinal.metrics", reason="skordinal is in the extra `baselines`"
    )
    y, pred, p, ranks = case(seed, count, n)
    labels = list(range(count))
    theirs = {
        "amae": oracle.average_mean_absolute_error,
        "mmae": oracle.maximum_mean_absolute_error,
    }
    for name, score in (theirs | {"one_off": oracle.accuracy_off1_score}).items():
        assert getattr(metrics, name)(y, pred, ranks) == pytest.approx(
            score(y, pred, labels=labels)
        )
    rps = oracle.ranked_probability_score(y, p, labels=labels)
    assert metrics.rps(y, p, ranks) == pytest.approx(rps)


@pytest.mark.parametrize(("seed", "count", "n"), CASES)
def test_torchmetrics(seed: int, count: int, n: int) -> None:
    """Calibration error in float32."""
    oracle = pytest.importorskip(
        "torchmetrics.functional.classification", reason="torchmetrics is in `dev`"
    )
    y, _, p, ranks = case(seed, max(count, 3), n)
    target, rows = torch.tensor(y), torch.tensor(p, dtype=torch.float32)
    size = {"num_classes": len(ranks)}
    ece = oracle.multiclass_calibration_error(rows, target, n_bins=15, norm="l1", **size)
    assert metrics.ece(target, rows, ranks) == pytest.approx(float(ece), abs=1e-6)


@pytest.mark.parametrize(("seed", "count", "n"), CASES)
def test_plain_loops(seed: int, count: int, n: int) -> None:
    """ε-error, CS and the rank-step errors of expected values, image by image."""
    y, _, p, ranks = case(seed, count, n)
    values = list(ranks.values)
    expected = [sum(p[i][k] * values[k] for k in range(count)) for i in range(n)]
    sigma = np.linspace(0.3, 4, n)
    terms = [np.exp(-((expected[i] - values[y[i]]) ** 2) / (2 * sigma[i] ** 2)) for i in range(n)]
    assert metrics.epsilon_error(y, np.array(expected), ranks, sigma) == pytest.approx(
        1 - sum(terms) / n
    )
    close = sum(abs(expected[i] - values[y[i]]) <= 0.8 for i in range(n)) / n
    assert metrics.cs_at(y, np.array(expected), ranks, 0.8) == close
    steps = [abs(expected[i] - 10 - y[i]) for i in range(n)]  # the position is the value − 10
    by_rank = [np.mean([steps[i] for i in range(n) if y[i] == k]) for k in sorted(set(y.tolist()))]
    assert metrics.mae_rank(y, np.array(expected), ranks) == pytest.approx(np.mean(steps))
    assert metrics.amae(y, np.array(expected), ranks) == pytest.approx(np.mean(by_rank))
    assert metrics.mmae(y, np.array(expected), ranks) == pytest.approx(np.max(by_rank))
