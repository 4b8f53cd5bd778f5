"""The loss of stage 1 against plain loops over its sums, and CLIP's against open_clip."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given
from hypothesis import strategies as st
from open_clip.loss import ClipLoss
from torch import Tensor

from l2rclip_lite.method.losses import contrastive_loss, ordinal_pairwise_loss_stage1

Rows = np.ndarray


def draw(labels: list[int], ranks: int, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return unit images and texts, targets, and uneven increasing rank values."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.randn(len(labels), 6, generator=generator, dtype=torch.float64)
    text = torch.randn(ranks, 6, generator=generator, dtype=torch.float64)
    values = torch.rand(ranks, generator=generator, dtype=torch.float64).add(0.1).cumsum(0)
    return F.normalize(image, dim=1), F.normalize(text, dim=1), torch.tensor(labels), values


def stage1(z: Rows, t: Rows, g: Rows, v: list[float], symmetric: bool, blind: bool) -> float:
    """Sums over pairs, with m and M taken over the same pairs; blind: every weight is 1."""
    B = len(v)
    tight = 0.0
    for i in range(B):
        tight += float(np.sum((z[i] - g[i]) ** 2)) / (2 * B)

    ordered_pairs = itertools.permutations if symmetric else itertools.combinations
    pairs = list(ordered_pairs(range(B), 2))
    gaps = [abs(v[i] - v[j]) for i, j in pairs]
    if not gaps or (max(gaps) == 0 and not blind):
        return tight

    push = 0.0
    for (i, j), gap in zip(pairs, gaps, strict=True):
        weight = 1.0 if blind else (gap - min(gaps)) / max(gaps)
        image_to_text = float(np.linalg.norm(z[i] - t[j]))
        text_to_text = float(np.linalg.norm(t[i] - t[j]))
        push += weight * (image_to_text + text_to_text / 2) / len(pairs)
    return tight - push


LABELS = st.lists(st.integers(0, 6), min_size=1, max_size=8)
SEEDS = st.integers(0, 2**31)


@example(labels=[2, 2], seed=0, symmetric=False, blind=False)  # one gap, which is 0
@given(labels=LABELS, seed=SEEDS, symmetric=st.booleans(), blind=st.booleans())
def test_stage_1_is_its_sum_over_pairs(
    labels: list[int], seed: int, symmetric: bool, blind: bool
) -> None:
    """Any batch, pulled to anchors of their own."""
    image, text, target, values = draw(labels, 7, seed)
    paired = text[target]
    anchor = text.flip(0)[target]
    loss = ordinal_pairwise_loss_stage1(
        image, paired, anchor, values[target], symmetric=symmetric, blind=blind
    )
    plain = stage1(
        image.numpy(), paired.numpy(), anchor.numpy(), values[target].tolist(), symmetric, blind
    )
    # Blind pairs of one rank meet, where a distance of 0 is 1e-6 (see `distances`); the true order
    # weighs them 0.
    assert float(loss) == pytest.approx(plain, abs=2e-6 if blind else 1e-9)


@given(labels=LABELS, seed=SEEDS, scale=st.floats(0.1, 100))
def test_open_clip_agrees_on_texts_that_repeat(labels: list[int], seed: int, scale: float) -> None:
    """Its `ClipLoss` takes texts of the same rank for different ones, too."""
    image, text, target, _ = draw(labels, 7, seed)
    expected = ClipLoss()(image, text[target], torch.tensor(scale, dtype=torch.float64))
    loss = contrastive_loss(image, text[target], scale)
    assert float(loss) == pytest.approx(float(expected), abs=1e-9)
