"""The baselines' losses and readouts against other libraries, and against plain loops."""

import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import entropy
from torch import Tensor

from l2rclip_lite.baselines import OBJECTIVES, losses, probes
from l2rclip_lite.baselines.training import frozen_head
from l2rclip_lite.heads import coral_probabilities, corn_probabilities
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.training_data import TrainingData

Batch = tuple[Tensor, list[int]]
VALUES = np.array([0.0, 0.5, 1.5, 2.0, 4.5, 5.0])


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    """Draw six random outputs for each image, and the labels."""
    labels = draw(st.lists(st.integers(0, 5), min_size=2, max_size=8))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    return torch.randn(len(labels), 6, generator=generator, dtype=torch.float64), labels


def of_image(loss: str, p: np.ndarray, y: int) -> float:
    """Return the loss of one image with probabilities p."""
    mean = p @ VALUES
    if loss == "sord":  # cross-entropy against q_k ∝ exp(−|k − y|)
        q = np.exp(-np.abs(np.arange(6) - y))
        return float(-(q / q.sum()) @ np.log(p))
    if loss == "dldl_v2":  # KL(q ‖ p) + |E[v] − v_y|, with a standard deviation of 5/8 for q
        q = np.exp(-((VALUES - VALUES[y]) ** 2) / (2 * 0.625**2))
        return float(entropy(q, p) + abs(mean - VALUES[y]))
    variance = p @ (VALUES - mean) ** 2
    return float(-math.log(p[y]) + 0.2 * (mean - VALUES[y]) ** 2 / 2 + 0.05 * variance)


@given(batches())
def test_losses_of_single_images_are_their_sums(batch: Batch) -> None:
    """SORD, DLDL-v2 and Mean-Variance, one image at a time."""
    logits, labels = batch
    target = torch.tensor(labels)
    position = torch.tensor(VALUES)
    computed = {
        "sord": losses.sord_loss(logits, target),
        "dldl_v2": losses.dldl_v2_loss(logits, target, position),
        "mean_variance": losses.mean_variance_loss(logits, target, position),
    }
    rows = list(zip(logits.softmax(1).numpy(), labels, strict=True))
    for name, loss in computed.items():
        plain = np.mean([of_image(name, p, y) for p, y in rows])
        assert float(loss) == pytest.approx(plain, rel=1e-9), name


@given(batches())
def test_ordinal_entropy_is_that_of_the_released_code(batch: Batch) -> None:
    """Tightness to the centres of the present ranks, minus weighted distances of the centres.

    Weights are (gap − least) / largest over pairs a < b; an image alone in its rank is left out.
    """
    outputs, labels = batch
    target = torch.tensor(labels)
    z = F.normalize(outputs, dim=1)
    centres = {k: F.normalize(z[target == k].mean(0), dim=0) for k in sorted(set(labels))}

    near = [0.0]
    shared = [i for i, y in enumerate(labels) if labels.count(y) > 1]
    if shared:
        near = [float((z[i] - centres[labels[i]]).square().sum()) for i in shared]

    pairs = list(itertools.combinations(centres, 2))
    gaps = [VALUES[b] - VALUES[a] for a, b in pairs]
    apart = [0.0] if not pairs else []
    for (a, b), gap in zip(pairs, gaps, strict=True):
        weight = (gap - min(gaps)) / max(gaps)
        apart.append(weight * float((centres[a] - centres[b]).norm()))

    loss = losses.ordinal_entropy_loss(z, target, torch.tensor(VALUES))
    assert float(loss) == pytest.approx(float(np.mean(near) - np.mean(apart)), abs=1e-6)


@given(batches())
def test_rank_n_contrast_is_the_published_sum(batch: Batch) -> None:
    """Every anchor, every partner, every rival at least as far from the anchor in label."""
    features, labels = batch
    n = len(labels)
    distance = torch.cdist(features, features).numpy()
    total = 0.0
    for i, j in itertools.permutations(range(n), 2):
        rivals = 0.0
        for k in range(n):
            if k != i and abs(labels[i] - labels[k]) >= abs(labels[i] - labels[j]):
                rivals += math.exp(-distance[i, k] / 2)
        total += distance[i, j] / 2 + math.log(rivals)

    loss = losses.rank_n_contrast_loss(features, torch.tensor(labels).double())
    assert float(loss) == pytest.approx(total / (n * (n - 1)), rel=1e-6)


@given(batches())
def test_ordinalclip_is_that_of_the_released_code(batch: Batch) -> None:
    """Of each present rank, its column over the batch against ten times its indicator."""
    logits, labels = batch
    target = torch.tensor(labels)
    divergences = []
    for k in set(labels):
        goal = (10.0 * (target == k)).double().softmax(0)
        divergences.append(entropy(goal, logits[:, k].softmax(0)))

    plain = float(F.cross_entropy(logits, target)) + np.mean(divergences)
    assert float(losses.ordinalclip_loss(logits, target)) == pytest.approx(plain, rel=1e-9)


@given(batches())
def test_libraries_agree(batch: Batch) -> None:
    """SupCon of pytorch-metric-learning, the rank of coral-pytorch.

    SupCon leaves the anchor itself out of both sums, and images without a partner. The rank is the
    number of survivals above ½, and the median of our row.
    """
    metric_learning = pytest.importorskip("pytorch_metric_learning.losses")
    coral_pytorch = pytest.importorskip("coral_pytorch.dataset")
    outputs, labels = batch
    target = torch.tensor(labels)

    features = F.normalize(outputs, dim=1)
    expected = metric_learning.SupConLoss(temperature=1 / 5)(features, target)
    if len(set(labels)) > 1:  # of one rank theirs is 0
        supcon = losses.supcon_loss(features, target, 5.0)
        assert float(supcon) == pytest.approx(float(expected), rel=1e-6)

    logits = outputs[:, 1:].sort(dim=1, descending=True).values  # CORAL's biases are in order
    for rows, rank in (
        (coral_probabilities(logits), coral_pytorch.proba_to_label(logits.sigmoid())),
        (corn_probabilities(logits), coral_pytorch.corn_label_from_logits(logits)),
    ):
        assert torch.equal((rows.cumsum(1) < 0.5).sum(1), rank)


# --- proportional odds --------------------------------------------------------------------------


def all_thresholds(place: float, theta: np.ndarray, y: int) -> float:
    """Return Rennie and Srebro's loss, and mord's, of an image at a place among the thresholds."""
    signs = np.where(np.arange(len(theta)) < y, 1, -1)  # thresholds below the rank, and not below
    return float(np.log1p(np.exp(-signs * (place - theta))).sum())


def proportional_odds(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the probabilities of four ranks under the least loss, by plain loops.

    The ridge of 0.01 penalises thresholds as weights of the constant 3.
    """

    def objective(flat: np.ndarray) -> float:
        w, theta = np.split(flat, [x.shape[1]])
        values = [all_thresholds(row @ w, theta, rank) for row, rank in zip(x, y, strict=True)]
        return float(np.mean(values) + 0.01 / 2 * (w @ w + theta @ theta / 9))

    start = np.append(np.zeros(x.shape[1]), [-1, 0, 1])
    flat = minimize(objective, start, method="BFGS", options={"gtol": 1e-7}).x
    w, theta = np.split(flat, [x.shape[1]])
    return np.diff(expit(theta - x @ w[:, None]), prepend=0, append=1)


def test_coral_on_frozen_features_is_the_ordinal_regression_of_mord(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Proportional odds under the all-threshold loss."""
    monkeypatch.setattr(probes, "RIDGES", (0.01,))
    target = torch.tensor([0, 1, 1, 2, 3, 3]).repeat(10)
    noise = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
    features = noise + target[:, None]

    split = {"train": features, "val": features}
    data = TrainingData(split, {"train": target, "val": target}, split)
    ranks = Ranks.integers(0, 3, template="grade {rank}")
    answer = frozen_head(OBJECTIVES["coral"], data, ranks)(features).softmax(1).numpy()

    centred = (features - features.mean(0)).double()
    x = (3 * centred / centred.norm(dim=1).mean()).numpy()
    assert answer == pytest.approx(proportional_odds(x, target.numpy()), abs=1e-3)
