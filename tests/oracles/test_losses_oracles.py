"""The losses against plain loops over the paper's sums, and against pytorch-metric-learning where it is installed."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from l2rclip_lite.losses import (
    contrastive_loss,
    ordinal_pairwise_loss,
    ordinal_pairwise_loss_stage1,
    supervised_contrastive_loss,
)

Rows = np.ndarray


def draw(labels: list[int], ranks: int, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Unit images and texts, targets, and uneven increasing rank values."""
    generator = torch.Generator().manual_seed(seed)
    image = F.normalize(
        torch.randn(len(labels), 6, generator=generator, dtype=torch.float64), dim=1
    )
    text = F.normalize(torch.randn(ranks, 6, generator=generator, dtype=torch.float64), dim=1)
    values = torch.rand(ranks, generator=generator, dtype=torch.float64).add(0.1).cumsum(0)
    return image, text, torch.tensor(labels), values


def stage2(z: Rows, t: Rows, y: list[int], r: Rows, power: int) -> float:
    """(1/B) Σ ‖z_i − t_{y_i}‖² − (1/BK) Σ Σ ω_ik ‖z_i − t_k‖^p, one term at a time."""
    largest = max(abs(r[label] - value) for label in y for value in r)
    tight = sum(float(np.sum((z[i] - t[label]) ** 2)) for i, label in enumerate(y)) / len(y)
    push = 0.0
    for i, k in itertools.product(range(len(y)), range(len(r))):
        push += abs(r[y[i]] - r[k]) / largest * float(np.linalg.norm(z[i] - t[k])) ** power
    return tight - push / (len(y) * len(r))


def stage1(z: Rows, t: Rows, g: Rows, v: list[float], symmetric: bool, blind: bool) -> float:
    """The sums over pairs, with m and M taken over the same pairs; blind: every weight is 1."""
    tight = sum(float(np.sum((z[i] - g[i]) ** 2)) for i in range(len(v))) / (2 * len(v))
    pairs = [
        (i, j) for i in range(len(v)) for j in range(len(v)) if (i != j if symmetric else i < j)
    ]
    gaps = [abs(v[i] - v[j]) for i, j in pairs]
    if not gaps or (max(gaps) == 0 and not blind):
        return tight
    push = 0.0
    for (i, j), gap in zip(pairs, gaps, strict=True):
        weight = 1.0 if blind else (gap - min(gaps)) / max(gaps)
        push += weight * (
            float(np.linalg.norm(z[i] - t[j])) + float(np.linalg.norm(t[i] - t[j])) / 2
        )
    return tight - push / len(pairs)


CASES = {
    "labels": st.lists(st.integers(0, 6), min_size=1, max_size=8),
    "seed": st.integers(0, 2**31),
}


@given(**CASES, power=st.sampled_from([1, 2]))
def test_stage_2(labels: list[int], seed: int, power: int) -> None:
    """Any batch, with uneven rank values."""
    image, text, target, values = draw(labels, 7, seed)
    found = ordinal_pairwise_loss(image, text, target, values, push_power=power)
    assert float(found) == pytest.approx(
        stage2(image.numpy(), text.numpy(), labels, values.numpy(), power), abs=1e-9
    )


@example(labels=[2, 2], seed=0, symmetric=False, blind=False)  # one gap, which is 0
@given(**CASES, symmetric=st.booleans(), blind=st.booleans())
def test_stage_1(labels: list[int], seed: int, symmetric: bool, blind: bool) -> None:
    """Any batch, pulled to anchors of their own."""
    image, text, target, values = draw(labels, 7, seed)
    paired, anchor = text[target], text.flip(0)[target]
    found = ordinal_pairwise_loss_stage1(
        image, paired, anchor, values[target], symmetric=symmetric, blind=blind
    )
    plain = stage1(
        image.numpy(), paired.numpy(), anchor.numpy(), values[target].tolist(), symmetric, blind
    )
    # Blind pairs of one rank meet, where a distance of 0 is 1e-6 (see `distances`); the true order weighs them 0.
    assert float(found) == pytest.approx(plain, abs=2e-6 if blind else 1e-9)


@given(**CASES, scale=st.floats(0.1, 100))
def test_open_clip_agrees_on_texts_that_repeat(labels: list[int], seed: int, scale: float) -> None:
    """Its `ClipLoss` on batch-aligned texts, of which many are the same: it knows nothing of ranks either."""
    from open_clip.loss import ClipLoss

    image, text, target, _ = draw(labels, 7, seed)
    expected = ClipLoss()(image, text[target], torch.tensor(scale, dtype=torch.float64))
    assert float(contrastive_loss(image, text[target], scale)) == pytest.approx(
        float(expected), abs=1e-9
    )


def test_pytorch_metric_learning_agrees() -> None:
    """Its SupConLoss at temperature 1/s, in both directions; texts without an image are left out."""
    losses = pytest.importorskip("pytorch_metric_learning.losses")
    image, text, target, _ = draw([0, 1, 2, 2, 6, 1], 7, 1)
    own = torch.arange(7)
    theirs = losses.SupConLoss(temperature=1 / 5)
    for a, a_target, b, b_target in ((text, own, image, target), (image, target, text, own)):
        expected = float(theirs(a, a_target, ref_emb=b, ref_labels=b_target))
        assert float(supervised_contrastive_loss(a, b, a_target, b_target, 5.0)) == pytest.approx(
            expected, rel=1e-6
        )
