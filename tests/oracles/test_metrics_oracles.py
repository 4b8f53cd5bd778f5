"""The metrics against scikit-learn, skordinal, torchmetrics and plain loops."""

import numpy as np
import pytest
import sklearn.metrics
import torch

from l2rclip_lite import metrics
from l2rclip_lite.method.ranks import Ranks

CASES = [(1, 5, 300), (2, 62, 200), (3, 2, 30), (4, 12, 7)]  # seed, ranks, images; 4 lacks ranks


def case(seed: int, count: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, Ranks]:
    """Return truth, predicted ranks, probabilities and ranks with values from 10 on.

    The top rank never occurs, unless there are but two.
    """
    generator = np.random.default_rng(seed)
    y = generator.integers(max(count - 1, 2), size=n)
    logits = generator.normal(size=(n, count)) - 0.5 * np.abs(np.arange(count) - y[:, None])
    weight = np.exp(logits)
    p = weight / weight.sum(1, keepdims=True)

    ranks = Ranks(tuple(f"r{k}" for k in range(count)), tuple(range(10, 10 + count)), "rank {rank}")
    return y, p.argmax(1), p, ranks


@pytest.mark.parametrize(("seed", "count", "n"), CASES)
def test_scikit_learn_agrees_on_kappa_and_accuracy(seed: int, count: int, n: int) -> None:
    """Kappa with `labels=`: without, scikit-learn renumbers the ranks it sees."""
    y, pred, _, ranks = case(seed, count, n)
    labels = list(range(count))
    kappa = sklearn.metrics.cohen_kappa_score(y, pred, labels=labels, weights="quadratic")
    accuracy = sklearn.metrics.accuracy_score(y, pred)
    assert metrics.qwk(y, pred, ranks) == pytest.approx(kappa, abs=1e-12)
    assert metrics.accuracy(y, pred, ranks) == pytest.approx(accuracy)


@pytest.mark.parametrize("answer", ["rank", "expected value"])
@pytest.mark.parametrize(("seed", "count", "n"), CASES)
def test_scikit_learn_agrees_on_errors(seed: int, count: int, n: int, answer: str) -> None:
    """In the units of the values."""
    y, pred, p, ranks = case(seed, count, n)
    answers = pred + 10.0 if answer == "rank" else p @ np.array(ranks.values)
    mae = sklearn.metrics.mean_absolute_error(y + 10, answers)
    rmse = sklearn.metrics.root_mean_squared_error(y + 10, answers)
    assert metrics.mae(y, answers, ranks) == pytest.approx(mae)
    assert metrics.rmse(y, answers, ranks) == pytest.approx(rmse)


def auc_by_rank(y: np.ndarray, p: np.ndarray) -> float:
    """Return the mean of scikit-learn's AUC of each present rank against the rest."""
    present = np.unique(y)
    if len(present) == 1:
        return 0.5  # scikit-learn leaves it undefined
    return float(np.mean([sklearn.metrics.roc_auc_score(y == k, p[:, k]) for k in present]))


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize(("seed", "count", "n"), CASES)
def test_scikit_learn_agrees_on_auc(seed: int, count: int, n: int, tied: bool) -> None:
    """One rank against the rest, over the ranks that are present.

    Tied: rows of sixteenths, which sum to 1 exactly, so that neither side rounds.
    """
    y, _, p, ranks = case(seed, count, n)
    if tied:
        p = np.random.default_rng(seed).multinomial(16, p) / 16
    assert metrics.auc(y, p, ranks) == pytest.approx(auc_by_rank(y, p), abs=1e-12)


@pytest.mark.parametrize(("seed", "count", "n"), CASES)
def test_skordinal_agrees_on_errors_by_rank_and_rps(seed: int, count: int, n: int) -> None:
    """AMAE, MMAE, one-off and RPS; `labels=` names the ranks that never occur."""
    oracle = pytest.importorskip("skordinal.metrics", reason="it is in the extra `baselines`")
    y, pred, p, ranks = case(seed, count, n)
    labels = list(range(count))

    amae = oracle.average_mean_absolute_error(y, pred, labels=labels)
    mmae = oracle.maximum_mean_absolute_error(y, pred, labels=labels)
    one_off = oracle.accuracy_off1_score(y, pred, labels=labels)
    rps = oracle.ranked_probability_score(y, p, labels=labels)
    assert metrics.amae(y, pred, ranks) == pytest.approx(amae)
    assert metrics.mmae(y, pred, ranks) == pytest.approx(mmae)
    assert metrics.one_off(y, pred, ranks) == pytest.approx(one_off)
    assert metrics.rps(y, p, ranks) == pytest.approx(rps)


@pytest.mark.parametrize(("seed", "count", "n"), CASES)
def test_torchmetrics_agrees_on_calibration(seed: int, count: int, n: int) -> None:
    """In float32, in 15 bins; it takes no fewer than three ranks."""
    oracle = pytest.importorskip(
        "torchmetrics.functional.classification", reason="it is in the extra `dev`"
    )
    y, _, p, ranks = case(seed, max(count, 3), n)
    target = torch.tensor(y)
    rows = torch.tensor(p, dtype=torch.float32)
    ece = oracle.multiclass_calibration_error(
        rows, target, num_classes=len(ranks), n_bins=15, norm="l1"
    )
    assert metrics.ece(target, rows, ranks) == pytest.approx(float(ece), abs=1e-6)


def expected_values(p: np.ndarray, ranks: Ranks) -> np.ndarray:
    """Return Σ_k p_k v_k, image by image."""
    return np.array([sum(row * np.array(ranks.values)) for row in p])


@pytest.mark.parametrize(("seed", "count", "n"), CASES)
def test_epsilon_error_and_cumulative_score_are_their_sums(seed: int, count: int, n: int) -> None:
    """ε = 1 − mean of exp(−(v̂ − v)² / 2σ²); CS is a share of images."""
    y, _, p, ranks = case(seed, count, n)
    answers = expected_values(p, ranks)
    sigma = np.linspace(0.3, 4, n)

    similarity = 0.0
    close = 0
    for i in range(n):
        error = answers[i] - ranks.values[y[i]]
        similarity += np.exp(-(error**2) / (2 * sigma[i] ** 2))
        close += abs(error) <= 0.8

    epsilon = metrics.epsilon_error(y, answers, ranks, sigma)
    assert epsilon == pytest.approx(1 - similarity / n)
    assert metrics.cs_at(y, answers, ranks, 0.8) == close / n


@pytest.mark.parametrize(("seed", "count", "n"), CASES)
def test_errors_in_rank_steps_are_their_sums(seed: int, count: int, n: int) -> None:
    """Over all images, and over the images of each present rank; a step is 1 here."""
    y, _, p, ranks = case(seed, count, n)
    answers = expected_values(p, ranks)
    steps = [abs(answers[i] - 10 - y[i]) for i in range(n)]
    by_rank = []
    for k in sorted(set(y.tolist())):
        by_rank.append(np.mean([step for step, label in zip(steps, y, strict=True) if label == k]))

    assert metrics.mae_rank(y, answers, ranks) == pytest.approx(np.mean(steps))
    assert metrics.amae(y, answers, ranks) == pytest.approx(np.mean(by_rank))
    assert metrics.mmae(y, answers, ranks) == pytest.approx(np.max(by_rank))
