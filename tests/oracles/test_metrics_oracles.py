"""The metrics against scikit-learn, skordinal and torchmetrics."""

import numpy as np
import pytest
import sklearn.metrics

from l2rclip_lite import metrics
from l2rclip_lite.method.ranks import Ranks

CASES = [(1, 5, 300), (2, 62, 200), (3, 2, 30), (4, 12, 7)]  # seed, ranks, images; 4 lacks ranks
Drawn = tuple[np.ndarray, np.ndarray, np.ndarray, Ranks]


@pytest.fixture(params=CASES)
def drawn(request: pytest.FixtureRequest) -> Drawn:
    """Truth, predicted ranks, probabilities and ranks with values from 10 on.

    The top rank never occurs, unless there are but two.
    """
    seed, count, n = request.param
    generator = np.random.default_rng(seed)
    y = generator.integers(max(count - 1, 2), size=n)
    logits = generator.normal(size=(n, count)) - 0.5 * np.abs(np.arange(count) - y[:, None])
    weight = np.exp(logits)
    p = weight / weight.sum(1, keepdims=True)
    return y, p.argmax(1), p, Ranks.integers(10, 9 + count, template="rank {rank}")


def test_scikit_learn_agrees(drawn: Drawn) -> None:
    """Kappa with `labels=`: without, scikit-learn renumbers the ranks it sees."""
    y, pred, p, ranks = drawn
    labels = list(range(len(ranks)))
    kappa = sklearn.metrics.cohen_kappa_score(y, pred, labels=labels, weights="quadratic")
    assert metrics.qwk(y, pred, ranks) == pytest.approx(kappa, abs=1e-12)
    assert metrics.accuracy(y, pred, ranks) == sklearn.metrics.accuracy_score(y, pred)

    for answers in (pred + 10.0, p @ np.array(ranks.values)):
        mae = sklearn.metrics.mean_absolute_error(y + 10, answers)
        rmse = sklearn.metrics.root_mean_squared_error(y + 10, answers)
        assert metrics.mae(y, answers, ranks) == pytest.approx(mae)
        assert metrics.rmse(y, answers, ranks) == pytest.approx(rmse)

    # rows of sixteenths tie, and sum to 1 exactly, so that neither side rounds
    for rows in (p, np.random.default_rng(0).multinomial(16, p) / 16):
        areas = [sklearn.metrics.roc_auc_score(y == k, rows[:, k]) for k in np.unique(y)]
        assert metrics.auc(y, rows, ranks) == pytest.approx(np.mean(areas), abs=1e-12)


def test_skordinal_agrees(drawn: Drawn) -> None:
    """AMAE, MMAE, one-off and RPS; `labels=` names the ranks that never occur."""
    oracle = pytest.importorskip("skordinal.metrics", reason="it is in the extra `baselines`")
    y, pred, p, ranks = drawn
    labels = list(range(len(ranks)))
    amae = oracle.average_mean_absolute_error(y, pred, labels=labels)
    mmae = oracle.maximum_mean_absolute_error(y, pred, labels=labels)
    one_off = oracle.accuracy_off1_score(y, pred, labels=labels)
    rps = oracle.ranked_probability_score(y, p, labels=labels)
    assert metrics.amae(y, pred, ranks) == pytest.approx(amae)
    assert metrics.mmae(y, pred, ranks) == pytest.approx(mmae)
    assert metrics.one_off(y, pred, ranks) == pytest.approx(one_off)
    assert metrics.rps(y, p, ranks) == pytest.approx(rps)
