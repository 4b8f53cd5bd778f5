"""The baselines' losses and readouts against other libraries, and against plain loops."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit
from torch import Tensor

from l2rclip_lite.baselines import probes
from l2rclip_lite.baselines.losses import (
    corn_loss,
    dldl_v2_loss,
    mean_variance_loss,
    ordinal_entropy_loss,
    ordinalclip_loss,
    rank_n_contrast_loss,
    sord_loss,
    supcon_loss,
)
from l2rclip_lite.baselines.registry import OBJECTIVES
from l2rclip_lite.baselines.training import frozen_head
from l2rclip_lite.heads.decoders import coral_probabilities, corn_probabilities
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.training.features import TrainingData

LABELS = st.lists(st.integers(0, 5), min_size=2, max_size=8)
SEEDS = st.integers(0, 2**31)
VALUES = np.array([0.0, 0.5, 1.5, 2.0, 4.5, 5.0])


def draw(labels: list[int], seed: int) -> tuple[Tensor, Tensor]:
    """Return six random outputs for each image, and the labels."""
    generator = torch.Generator().manual_seed(seed)
    outputs = torch.randn(len(labels), 6, generator=generator, dtype=torch.float64)
    return outputs, torch.tensor(labels)


@given(labels=LABELS, seed=SEEDS)
def test_sord_is_cross_entropy_against_soft_labels(labels: list[int], seed: int) -> None:
    """q_k ∝ exp(−|k − y|), one image and one rank at a time."""
    logits, target = draw(labels, seed)
    total = 0.0
    for p, y in zip(logits.softmax(1).numpy(), labels, strict=True):
        q = np.exp(-np.abs(np.arange(6) - y))
        q = q / q.sum()
        for k in range(6):
            total -= q[k] * math.log(p[k])
    assert float(sord_loss(logits, target)) == pytest.approx(total / len(labels), rel=1e-9)


@given(labels=LABELS, seed=SEEDS)
def test_dldl_is_a_divergence_from_a_gaussian_and_the_error_of_the_mean(
    labels: list[int], seed: int
) -> None:
    """KL(q ‖ p) + |E[v] − v_y|, with a standard deviation of 1.5 for q."""
    logits, target = draw(labels, seed)
    total = 0.0
    for p, y in zip(logits.softmax(1).numpy(), labels, strict=True):
        q = np.exp(-((VALUES - VALUES[y]) ** 2) / (2 * 1.5**2))
        q = q / q.sum()
        for k in range(6):
            total += q[k] * math.log(q[k] / p[k])
        total += abs(p @ VALUES - VALUES[y])
    loss = dldl_v2_loss(logits, target, torch.tensor(VALUES), 1.5)
    assert float(loss) == pytest.approx(total / len(labels), rel=1e-9)


@given(labels=LABELS, seed=SEEDS)
def test_mean_variance_adds_two_moments_to_cross_entropy(labels: list[int], seed: int) -> None:
    """−log p_y + 0.2 (E[v] − v_y)² / 2 + 0.05 Var[v]."""
    logits, target = draw(labels, seed)
    total = 0.0
    for p, y in zip(logits.softmax(1).numpy(), labels, strict=True):
        mean = p @ VALUES
        variance = p @ (VALUES - mean) ** 2
        total -= math.log(p[y])
        total += 0.2 * (mean - VALUES[y]) ** 2 / 2
        total += 0.05 * variance
    loss = mean_variance_loss(logits, target, torch.tensor(VALUES))
    assert float(loss) == pytest.approx(total / len(labels), rel=1e-9)


@given(labels=LABELS, seed=SEEDS)
def test_ordinal_entropy_is_that_of_the_released_code(labels: list[int], seed: int) -> None:
    """Tightness to the centres of the present ranks, minus weighted distances of the centres.

    Weights are (gap − least) / largest over pairs a < b; an image alone in its rank is left out.
    """
    outputs, target = draw(labels, seed)
    z = F.normalize(outputs, dim=1)
    centres = {k: F.normalize(z[target == k].mean(0), dim=0) for k in sorted(set(labels))}

    near = []
    for i, y in enumerate(labels):
        if labels.count(y) > 1:
            near.append(float((z[i] - centres[y]).square().sum()))

    pairs = list(itertools.combinations(centres, 2))
    gaps = [VALUES[b] - VALUES[a] for a, b in pairs]
    apart = []
    for (a, b), gap in zip(pairs, gaps, strict=True):
        weight = (gap - min(gaps)) / max(gaps)
        apart.append(weight * float((centres[a] - centres[b]).norm()))

    plain = (np.mean(near) if near else 0.0) - (np.mean(apart) if apart else 0.0)
    loss = ordinal_entropy_loss(z, target, torch.tensor(VALUES))
    assert float(loss) == pytest.approx(float(plain), abs=1e-6)


@given(labels=LABELS, seed=SEEDS)
def test_rank_n_contrast_is_the_published_sum(labels: list[int], seed: int) -> None:
    """Every anchor, every partner, every rival at least as far from the anchor in label."""
    features, target = draw(labels, seed)
    n = len(labels)
    distance = torch.cdist(features, features).numpy()

    total = 0.0
    for i, j in itertools.permutations(range(n), 2):
        rivals = 0.0
        for k in range(n):
            if k != i and abs(labels[i] - labels[k]) >= abs(labels[i] - labels[j]):
                rivals += math.exp(-distance[i, k] / 2)
        total += distance[i, j] / 2 + math.log(rivals)

    loss = rank_n_contrast_loss(features, target.double())
    assert float(loss) == pytest.approx(total / (n * (n - 1)), rel=1e-6)


@given(labels=LABELS, seed=SEEDS)
def test_ordinalclip_is_that_of_the_released_code(labels: list[int], seed: int) -> None:
    """Of each present rank, its column over the batch against ten times its indicator."""
    logits, target = draw(labels, seed)
    present = sorted(set(labels))
    divergence = 0.0
    for k in present:
        goal = torch.tensor([10.0 * (y == k) for y in labels], dtype=torch.float64).softmax(0)
        column = logits[:, k].log_softmax(0)
        divergence += float((goal * (goal.log() - column)).sum())

    plain = float(F.cross_entropy(logits, target)) + divergence / len(present)
    assert float(ordinalclip_loss(logits, target)) == pytest.approx(plain, rel=1e-9)


def test_pytorch_metric_learning_agrees_on_supcon() -> None:
    """Its SupConLoss leaves the anchor itself out of both sums, and images without a partner."""
    library = pytest.importorskip("pytorch_metric_learning.losses")
    outputs, target = draw([0, 1, 2, 2, 5, 1, 1], 3)
    features = F.normalize(outputs, dim=1)
    expected = library.SupConLoss(temperature=1 / 5)(features, target)
    assert float(supcon_loss(features, target, 5.0)) == pytest.approx(float(expected), rel=1e-6)


@given(labels=LABELS, seed=SEEDS)
def test_dlordinal_agrees_on_corn(labels: list[int], seed: int) -> None:
    """The loss comes from coral-pytorch; dlordinal has one of its own."""
    library = pytest.importorskip("dlordinal.losses")
    outputs, target = draw(labels, seed)
    logits = outputs[:, 1:]
    expected = library.CORNLoss(num_classes=6)(logits, target)
    assert float(corn_loss(logits, target)) == pytest.approx(float(expected))


def median_rank(probabilities: Tensor) -> Tensor:
    """Return the first k with P(y ≤ k) ≥ ½ of each row."""
    return (probabilities.cumsum(1) < 0.5).sum(1)


@given(labels=LABELS, seed=SEEDS)
def test_coral_pytorch_reads_the_median_of_our_row(labels: list[int], seed: int) -> None:
    """Its rank is the number of survivals above ½."""
    library = pytest.importorskip("coral_pytorch.dataset")
    outputs, _ = draw(labels, seed)
    logits = outputs[:, 1:].sort(dim=1, descending=True).values  # CORAL's biases are in order

    coral = library.proba_to_label(logits.sigmoid())
    corn = library.corn_label_from_logits(logits)
    assert torch.equal(median_rank(coral_probabilities(logits)), coral)
    assert torch.equal(median_rank(corn_probabilities(logits)), corn)


# --- proportional odds --------------------------------------------------------------------------


def all_thresholds(place: float, theta: np.ndarray, y: int) -> float:
    """Return Rennie and Srebro's loss, and mord's, of an image at a place among the thresholds."""
    signs = np.where(np.arange(len(theta)) < y, 1, -1)  # thresholds below the rank, and not below
    return float(np.log1p(np.exp(-signs * (place - theta))).sum())


def likelihood(place: float, theta: np.ndarray, y: int) -> float:
    """Return −log P(y), with P(y ≤ k) = σ(θ_k − place), as statsmodels has it."""
    p = np.diff(expit(theta - place), prepend=0, append=1)[y]
    return -math.log(max(p, 1e-12))


def proportional_odds(
    loss: Callable[[float, np.ndarray, int], float], x: np.ndarray, y: np.ndarray, ridge: float
) -> np.ndarray:
    """Return the probabilities of four ranks that minimise a loss, by plain loops.

    The ridge penalises thresholds as weights of the constant 3.
    """

    def objective(flat: np.ndarray) -> float:
        w, theta = np.split(flat, [x.shape[1]])
        losses = [loss(row @ w, theta, rank) for row, rank in zip(x, y, strict=True)]
        return float(np.mean(losses) + ridge / 2 * (w @ w + theta @ theta / 9))

    start = np.append(np.zeros(x.shape[1]), [-1, 0, 1])
    flat = minimize(objective, start, method="BFGS", options={"gtol": 1e-7}).x
    w, theta = np.split(flat, [x.shape[1]])
    return np.diff(expit(theta - x @ w[:, None]), prepend=0, append=1)


def test_coral_on_frozen_features_is_the_ordinal_regression_of_mord(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Proportional odds under the all-threshold loss; by its likelihood the model is another."""
    monkeypatch.setattr(probes, "RIDGES", (0.01,))
    generator = torch.Generator().manual_seed(0)
    target = torch.tensor([0, 1, 1, 2, 3, 3]).repeat(10)
    features = torch.randn(60, 3, generator=generator) + target[:, None]

    split = {"train": features, "val": features}
    data = TrainingData(split, {"train": target, "val": target}, split)
    ranks = Ranks.integers(0, 3, template="grade {rank}")
    answer = frozen_head(OBJECTIVES["coral"], data, ranks)(features).softmax(1).numpy()

    centred = (features - features.mean(0)).double()
    x = (3 * centred / centred.norm(dim=1).mean()).numpy()
    expected = proportional_odds(all_thresholds, x, target.numpy(), 0.01)
    other = proportional_odds(likelihood, x, target.numpy(), 0.01)
    assert answer == pytest.approx(expected, abs=1e-3)
    assert np.abs(answer - other).max() > 0.02
