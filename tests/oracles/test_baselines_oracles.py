"""The baselines' losses and readouts against other libraries, and against plain loops over the released code's sums."""

import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

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
from l2rclip_lite.prediction import coral_probabilities, corn_probabilities

CASES = {
    "labels": st.lists(st.integers(0, 5), min_size=2, max_size=8),
    "seed": st.integers(0, 2**31),
}
PLACES = np.array([0.0, 0.5, 1.5, 2.0, 4.5, 5.0])


def draw(labels: list[int], seed: int) -> tuple[Tensor, Tensor]:
    """Six random outputs an image, and its label."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(len(labels), 6, generator=generator, dtype=torch.float64), torch.tensor(
        labels
    )


@given(**CASES)
def test_soft_labels_and_moments(labels: list[int], seed: int) -> None:
    """SORD, DLDL-v2 and Mean-Variance, one image and one rank at a time."""
    logits, target = draw(labels, seed)
    total = dict.fromkeys(("sord", "dldl", "mean-variance"), 0.0)
    for f, y in zip(logits.numpy(), labels, strict=True):
        p = np.exp(f) / np.exp(f).sum()
        sord = np.exp(-np.abs(np.arange(6) - y))
        gauss = np.exp(-((PLACES - PLACES[y]) ** 2) / (2 * 1.5**2))
        q = gauss / gauss.sum()
        mean = sum(p[k] * PLACES[k] for k in range(6))
        total["sord"] -= sum(sord[k] / sord.sum() * math.log(p[k]) for k in range(6))
        total["dldl"] += sum(q[k] * math.log(q[k] / p[k]) for k in range(6)) + abs(mean - PLACES[y])
        variance = sum(p[k] * (PLACES[k] - mean) ** 2 for k in range(6))
        total["mean-variance"] += (
            -math.log(p[y]) + 0.2 * (mean - PLACES[y]) ** 2 / 2 + 0.05 * variance
        )
    places = torch.tensor(PLACES)
    found = {
        "sord": sord_loss(logits, target),
        "dldl": dldl_v2_loss(logits, target, places, 1.5),
        "mean-variance": mean_variance_loss(logits, target, places),
    }
    for name, value in found.items():
        assert float(value) == pytest.approx(total[name] / len(labels), rel=1e-9), name


@given(**CASES)
def test_ordinal_entropy_as_released(labels: list[int], seed: int) -> None:
    """Centres of the present ranks, pairs a < b, weights (gap − least)/largest; images alone in their rank left out."""
    drawn, target = draw(labels, seed)
    z = F.normalize(drawn, dim=1)
    centres = {k: F.normalize(z[target == k].mean(0), dim=0) for k in sorted(set(labels))}
    near = [
        float((z[i] - centres[y]).square().sum())
        for i, y in enumerate(labels)
        if labels.count(y) > 1
    ]
    pairs = list(itertools.combinations(centres, 2))
    gaps = [PLACES[b] - PLACES[a] for a, b in pairs]
    apart = [float((centres[a] - centres[b]).norm()) for a, b in pairs]
    weighted = [(gap - min(gaps)) / max(gaps) * d for gap, d in zip(gaps, apart, strict=True)]
    plain = (np.mean(near) if near else 0.0) - (np.mean(weighted) if weighted else 0.0)
    found = ordinal_entropy_loss(z, target, torch.tensor(PLACES))
    assert float(found) == pytest.approx(float(plain), abs=1e-6)


@given(**CASES)
def test_rank_n_contrast_as_published(labels: list[int], seed: int) -> None:
    """Every anchor, every partner, every rival at least as far from the anchor in label."""
    features, target = draw(labels, seed)
    n, total = len(labels), 0.0
    far = torch.cdist(features, features).numpy()
    for i, j in itertools.permutations(range(n), 2):
        rivals = [
            math.exp(-far[i, k] / 2)
            for k in range(n)
            if k != i and abs(labels[i] - labels[k]) >= abs(labels[i] - labels[j])
        ]
        total += far[i, j] / 2 + math.log(sum(rivals))
    assert float(rank_n_contrast_loss(features, target.double())) == pytest.approx(
        total / (n * (n - 1)), rel=1e-6
    )


@given(**CASES)
def test_ordinalclip_as_released(labels: list[int], seed: int) -> None:
    """For each present rank, softmax over the batch of its column against softmax of ten times its indicator."""
    logits, target = draw(labels, seed)
    total = 0.0
    for k in sorted(set(labels)):
        goal = torch.tensor([10.0 * (y == k) for y in labels], dtype=torch.float64).softmax(0)
        total += float((goal * (goal.log() - logits[:, k].log_softmax(0))).sum())
    plain = float(F.cross_entropy(logits, target)) + total / len(set(labels))
    assert float(ordinalclip_loss(logits, target)) == pytest.approx(plain, rel=1e-9)


def test_pytorch_metric_learning_agrees_on_supcon() -> None:
    """Its SupConLoss at temperature 1/s leaves the anchor itself out of both sums, and images without a partner."""
    losses = pytest.importorskip("pytorch_metric_learning.losses")
    drawn, target = draw([0, 1, 2, 2, 5, 1, 1], 3)
    features = F.normalize(drawn, dim=1)
    expected = losses.SupConLoss(temperature=1 / 5)(features, target)
    assert float(supcon_loss(features, target, 5.0)) == pytest.approx(float(expected), rel=1e-6)


@given(**CASES)
def test_dlordinal_agrees_on_corn(labels: list[int], seed: int) -> None:
    """The loss comes from coral-pytorch; dlordinal has one of its own."""
    oracle = pytest.importorskip("dlordinal.losses").CORNLoss(num_classes=6)
    logits, target = draw(labels, seed)
    assert float(corn_loss(logits[:, 1:], target)) == pytest.approx(
        float(oracle(logits[:, 1:], target))
    )


@given(**CASES)
def test_coral_pytorch_reads_the_median_of_our_row(labels: list[int], seed: int) -> None:
    """Its rank, the number of survivals above ½, is the first k with P(y ≤ k) ≥ ½."""
    oracle = pytest.importorskip("coral_pytorch.dataset")
    logits = (
        draw(labels, seed)[0][:, 1:].sort(dim=1, descending=True).values
    )  # CORAL's biases in order
    coral = oracle.proba_to_label(logits.sigmoid())
    corn = oracle.corn_label_from_logits(logits)
    for rows, expected in (
        (coral_probabilities(logits), coral),
        (corn_probabilities(logits), corn),
    ):
        assert torch.equal((rows.cumsum(1) < 0.5).sum(1), expected)
