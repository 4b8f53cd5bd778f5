"""What holds for every loss and any batch: gradients, precision, range, unit, order."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from l2rclip_lite.method.losses import (
    asymmetrical_contrastive_loss,
    contrastive_loss,
    ordinal_pairwise_loss,
    ordinal_pairwise_loss_stage1,
    supervised_contrastive_loss,
)

Y = torch.tensor([0, 1, 2, 3, 4, 2])
RANKS = torch.arange(5.0, dtype=torch.float64)


def unit(rows: int, generator: torch.Generator) -> Tensor:
    """Return random unit vectors of eight dimensions in float64."""
    return F.normalize(torch.randn(rows, 8, generator=generator, dtype=torch.float64), dim=1)


def batch_of(labels: list[int], seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return images, texts and targets; the first image lies on its text."""
    generator = torch.Generator().manual_seed(seed)
    image = unit(len(labels), generator)
    text = unit(5, generator)
    image[0] = text[labels[0]]
    return image, text, torch.tensor(labels)


@pytest.fixture
def seeded() -> tuple[Tensor, Tensor]:
    """Six images and five texts."""
    generator = torch.Generator().manual_seed(0)
    text = unit(5, generator)
    image = unit(6, generator)
    return image, text


def every_loss(image: Tensor, text: Tensor, target: Tensor, values: Tensor) -> dict[str, Tensor]:
    """Return all forms of all losses."""
    paired = text[target]
    own = torch.arange(len(text))
    first = (image, paired, paired, values[target])
    other_options = ordinal_pairwise_loss(
        image, text, target, values, normalise="global", order="shuffled", push_power=2
    )
    return {
        "stage 2": ordinal_pairwise_loss(image, text, target, values),
        "stage 2, other options": other_options,
        "stage 2, blind": ordinal_pairwise_loss(image, text, target, values, order="blind"),
        "stage 1": ordinal_pairwise_loss_stage1(*first),
        "stage 1, symmetric": ordinal_pairwise_loss_stage1(*first, symmetric=True),
        "stage 1, blind": ordinal_pairwise_loss_stage1(*first, symmetric=True, blind=True),
        "plain": contrastive_loss(image, paired, 3.0),
        "supcon": supervised_contrastive_loss(text, image, own, target, 3.0),
        "contrastive": asymmetrical_contrastive_loss(image, text, target, 3.0),
    }


def test_gradients_are_those_of_the_numbers(seeded: tuple[Tensor, Tensor]) -> None:
    """Finite differences in float64, for images and texts, of every form."""
    image, text = seeded
    image.requires_grad_()
    text.requires_grad_()

    for name in every_loss(image, text, Y, RANKS):

        def loss(image: Tensor, text: Tensor, name: str = name) -> Tensor:
            return every_loss(image, text, Y, RANKS)[name]

        assert torch.autograd.gradcheck(loss, (image, text), fast_mode=True), name


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_half_precision_in_and_out(seeded: tuple[Tensor, Tensor], half: torch.dtype) -> None:
    """Everything inside is fp32, also under autocast: the numbers are those of rounded features."""
    image = seeded[0].to(half)
    text = seeded[1].to(half)
    exact = every_loss(image.float(), text.float(), Y, RANKS.float())

    with torch.autocast("cpu", torch.bfloat16):
        rounded = every_loss(image.requires_grad_(), text, Y, RANKS.float())

    for name, loss in rounded.items():
        assert loss.dtype == torch.float32, name
        assert float(loss.detach()) == pytest.approx(float(exact[name]), abs=1e-6), name
        (gradient,) = torch.autograd.grad(loss, image, retain_graph=True)
        assert gradient.isfinite().all(), name


# --- any batch ----------------------------------------------------------------------------------

LABELS = st.lists(st.integers(0, 4), min_size=1, max_size=9)
SEEDS = st.integers(0, 2**31)
RANGES: dict[str, tuple[float, float]] = {
    "stage 2": (-2, 4),  # tightness in [0, 4] minus diversity in [0, 2]
    "stage 2, blind": (-2, 4),
    "stage 2, other options": (-4, 4),  # squared distances reach 4
}
RANGES |= dict.fromkeys(("stage 1", "stage 1, symmetric", "stage 1, blind"), (-3, 2))
RANGES |= dict.fromkeys(("plain", "supcon", "contrastive"), (0, math.inf))


@example(labels=[2, 2], seed=0)  # one gap, which is 0: in the released code 0/0
@given(labels=LABELS, seed=SEEDS)
def test_any_batch_trains(labels: list[int], seed: int) -> None:
    """One image, one label, ranks absent: a loss in its range, with a finite gradient."""
    image, text, target = batch_of(labels, seed)
    for name, loss in every_loss(image.requires_grad_(), text, target, RANKS).items():
        (gradient,) = torch.autograd.grad(loss, image, retain_graph=True)
        low, high = RANGES[name]
        assert low - 1e-9 <= float(loss.detach()) <= high + 1e-9, name
        assert gradient.isfinite().all(), name


@given(
    labels=LABELS,
    seed=SEEDS,
    shift=st.integers(-1000, 1000),
    step=st.floats(0.01, 100),
)
def test_start_and_unit_of_the_ranks_change_nothing(
    labels: list[int], seed: int, shift: int, step: float
) -> None:
    """Ranks 16 … 20 in place of 0 … 4, or months in place of years."""
    batch = batch_of(labels, seed)
    other_values = every_loss(*batch, RANKS * step + shift)
    for name, loss in every_loss(*batch, RANKS).items():
        assert float(other_values[name]) == pytest.approx(float(loss), abs=1e-7), name


@given(labels=LABELS, seed=SEEDS)
def test_the_order_of_a_batch_changes_nothing(labels: list[int], seed: int) -> None:
    """Except in the released stage 1, which `symmetric` repairs."""
    image, text, target = batch_of(labels, seed)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    moved = every_loss(image[order], text, target[order], RANKS)
    losses = every_loss(image, text, target, RANKS)
    for name in losses.keys() - {"stage 1"}:
        assert float(moved[name]) == pytest.approx(float(losses[name]), abs=1e-6), name
