"""The losses on two fixtures: one drawn by seed (the released code's numbers), one for paper and pencil."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from l2rclip_lite.losses import (
    OrdinalPairwiseLoss,
    asymmetrical_contrastive_loss,
    contrastive_loss,
    distances,
    ordinal_pairwise_loss,
    ordinal_pairwise_loss_stage1,
    rank_weights,
    supervised_contrastive_loss,
)

Y = torch.tensor([0, 1, 2, 3, 4, 2])
RANKS = torch.arange(5.0, dtype=torch.float64)
SHUFFLE = [2, 3, 5, 0, 4, 1]


def unit(rows: int, generator: torch.Generator, dim: int = 8) -> Tensor:
    """Random unit vectors in float64."""
    return F.normalize(torch.randn(rows, dim, generator=generator, dtype=torch.float64), dim=1)


@pytest.fixture
def seeded() -> tuple[Tensor, Tensor]:
    """Five texts and six images of eight dimensions, seed 0; guarded, since every number below hangs on them."""
    generator = torch.Generator().manual_seed(0)
    text = unit(5, generator)
    image = unit(6, generator)
    assert float(text.sum()) == pytest.approx(-1.326266, abs=1e-6)
    assert float(image.sum()) == pytest.approx(-0.485903, abs=1e-6)
    return image, text


@pytest.fixture
def pencil() -> Tensor:
    """Texts of ranks 0, 1, 2 on the unit circle at 0°, 60°, 120°: neighbours are 1 apart, the ends √3."""
    angle = torch.deg2rad(torch.tensor([0.0, 60.0, 120.0], dtype=torch.float64))
    return torch.stack([angle.cos(), angle.sin()], dim=1)


THREE = torch.arange(3.0, dtype=torch.float64)


def test_stage_2_as_released(seeded: tuple[Tensor, Tensor]) -> None:
    """L = tightness − diversity = 1.552406 − 0.526174 = 1.026232.

    The labels reach both ends, so M = 4 in the batch and in the whole label space: both normalisations agree.
    With every weight 1 the diversity is the mean distance 1.319327, and 1.552406 − 1.319327 = 0.233079.
    """
    image, text = seeded
    tightness = (image - text[Y]).square().sum(1).mean()
    diversity = tightness - ordinal_pairwise_loss(image, text, Y, RANKS)
    assert float(tightness) == pytest.approx(1.552406, abs=1e-6)
    assert float(diversity) == pytest.approx(0.526174, abs=1e-6)
    assert float(ordinal_pairwise_loss(image, text, Y, RANKS, normalise="global")) == pytest.approx(
        1.026232, abs=1e-6
    )
    assert float(ordinal_pairwise_loss(image, text, Y, RANKS, order="blind")) == pytest.approx(
        0.233079, abs=1e-6
    )
    assert float(OrdinalPairwiseLoss(RANKS)(image, text, Y)) == pytest.approx(1.026232, abs=1e-6)


def test_stage_2_by_hand(pencil: Tensor) -> None:
    """Images of ranks 0 and 2; M = 2, so each row of weights is 0, ½, 1 outwards from its own rank.

    Perfect images, at 0° and 120°: tightness 0; row pushes 0 + ½·1 + 1·√3; mean of the six entries (1 + 2√3)/6.
    Both at 60°: tightness 1; every end is 1 away, the middle 0; row pushes 0 + 0 + 1, mean 1/3; L = 2/3.
    Squared push for the perfect images: rows ½·1 + 1·3, mean 7/6, L = −7/6.
    """
    target = torch.tensor([0, 2])
    assert float(ordinal_pairwise_loss(pencil[[0, 2]], pencil, target, THREE)) == pytest.approx(
        -(1 + 2 * math.sqrt(3)) / 6
    )
    middle = pencil[[1, 1]]
    assert float(ordinal_pairwise_loss(middle, pencil, target, THREE)) == pytest.approx(2 / 3, abs=1e-6)
    squared = ordinal_pairwise_loss(pencil[[0, 2]], pencil, target, THREE, push_power=2)
    assert float(squared) == pytest.approx(-7 / 6)


def test_the_two_normalisations_differ_when_the_batch_misses_an_end(pencil: Tensor) -> None:
    """One perfect image of rank 1: gaps 1, 0, 1, so M = 1 in the batch and 2 in the label space.

    Push over three entries: (1 + 0 + 1)/3 = 2/3 with weights 1, and half of it with weights ½.
    """
    target = torch.tensor([1])
    assert float(ordinal_pairwise_loss(pencil[[1]], pencil, target, THREE)) == pytest.approx(-2 / 3)
    apart = ordinal_pairwise_loss(pencil[[1]], pencil, target, THREE, normalise="global")
    assert float(apart) == pytest.approx(-1 / 3)


def test_weights_follow_values_and_the_control_keeps_no_rank_in_place() -> None:
    """Values 0, 1, 4: |y − r|/4. The negative control shows each row the weights of other ranks, the same in each call."""
    values = torch.tensor([0.0, 1.0, 4.0])
    target = torch.tensor([0, 1, 2])
    true = rank_weights(target, values)
    assert torch.allclose(true, torch.tensor([[0, 0.25, 1], [0.25, 0, 0.75], [1, 0.75, 0]]))
    many = torch.arange(62.0)
    own = torch.arange(62)
    shuffled = rank_weights(own, many, order="shuffled")
    assert torch.equal(shuffled, rank_weights(own, many, order="shuffled"))
    assert torch.equal(shuffled.sort(dim=1).values, rank_weights(own, many).sort(dim=1).values), "only moved"
    assert (shuffled.diagonal() > 0).all()


def test_stage_1_as_released(seeded: tuple[Tensor, Tensor]) -> None:
    """−0.111977; the rows in another order give −0.110343, because image i meets text j only for i < j.

    Over all i ≠ j it is −0.124853 in both orders.
    """
    image, text = seeded
    paired = text[Y]
    moved = (image[SHUFFLE], paired[SHUFFLE], paired[SHUFFLE], Y[SHUFFLE])
    assert float(ordinal_pairwise_loss_stage1(image, paired, paired, Y)) == pytest.approx(-0.111977, abs=1e-6)
    assert float(ordinal_pairwise_loss_stage1(*moved)) == pytest.approx(-0.110343, abs=1e-6)
    everyone = ordinal_pairwise_loss_stage1(image, paired, paired, Y, symmetric=True)
    assert float(everyone) == pytest.approx(-0.124853, abs=1e-6)
    assert float(ordinal_pairwise_loss_stage1(*moved, symmetric=True)) == pytest.approx(float(everyone))


def test_stage_1_by_hand(pencil: Tensor) -> None:
    """Three perfect images: gaps of the pairs 01, 02, 12 are 1, 2, 1, so m = 1, M = 2 and the weights 0, ½, 0.

    Push: mean(0, ½√3, 0) = √3/6 between image and text, half of it between texts: L = −√3/6 − √3/12 = −√3/4.
    With anchors turned by 180° the tightness is ½·4 = 2 on top.
    """
    released = ordinal_pairwise_loss_stage1(pencil, pencil, pencil, THREE)
    assert float(released) == pytest.approx(-math.sqrt(3) / 4)
    assert float(ordinal_pairwise_loss_stage1(pencil, pencil, -pencil, THREE)) == pytest.approx(
        2 - math.sqrt(3) / 4
    )


def test_stage_1_blind_by_hand(pencil: Tensor) -> None:
    """Every ω = 1: texts at 0°, 60°, 120° push by 1, √3, 1 from images and half as much from each other.

    Three perfect images: L = −(3/2)(2 + √3)/3 = −(2 + √3)/2; over all ordered pairs the same. Two images of rank 0 at 0° and
    60°, with text at 0°: tightness ½·(0 + 1)/2 = ¼; image 0 is on text 1: no push. Both orders of that pair: push
    (0 + 1)/2, L = −¼. A batch of one has no pair: ½·1.
    """
    whole = -(2 + math.sqrt(3)) / 2
    for symmetric in (False, True):
        found = ordinal_pairwise_loss_stage1(pencil, pencil, pencil, THREE, symmetric=symmetric, blind=True)
        assert float(found) == pytest.approx(whole, abs=1e-5)
    image, text, same = pencil[[0, 1]], pencil[[0, 0]], torch.tensor([0, 0])
    for symmetric, expected in ((False, 0.25), (True, -0.25)):
        found = ordinal_pairwise_loss_stage1(image, text, text, same, symmetric=symmetric, blind=True)
        assert float(found) == pytest.approx(expected, abs=1e-5)
    alone = ordinal_pairwise_loss_stage1(image[1:], text[1:], text[1:], same[1:], blind=True)
    assert float(alone) == pytest.approx(0.5)


@pytest.mark.parametrize("symmetric", [False, True])
def test_stage_1_where_the_released_code_fails(symmetric: bool, pencil: Tensor) -> None:
    """All labels equal (released: 0/0) and a batch of one (released: an exception): the tightness is left.

    Images at 0° and 60° with anchors at 60° and 120° are 1 away: ½·1 = ½. A batch of two has one gap, so m = M
    and its weight (M − m)/M is 0: the push vanishes there too.
    """
    for rows, target in (((0, 1), [2, 2]), ((0,), [1]), ((0, 1), [0, 2])):
        image = pencil[list(rows)].requires_grad_()
        text = pencil[[row + 1 for row in rows]]
        loss = ordinal_pairwise_loss_stage1(image, text, text, torch.tensor(target), symmetric=symmetric)
        loss.backward()
        assert float(loss.detach()) == pytest.approx(0.5)
        assert image.grad is not None
        assert image.grad.isfinite().all()


def test_contrastive_losses_as_released(seeded: tuple[Tensor, Tensor]) -> None:
    """SupCon with text rows duplicated per image, at s = e² (logit_scale 2) and s = 1; then one anchor a rank.

    With unique anchors each rank counts once, whatever its number of images: 2.791462 for 2.677998.
    """
    image, text = seeded
    paired, own = text[Y], torch.arange(5)
    for scale, to_text, to_image in ((math.e**2, 2.710507, 2.677998), (1.0, 1.716815, 1.713975)):
        assert float(supervised_contrastive_loss(image, paired, Y, Y, scale)) == pytest.approx(
            to_text, abs=1e-6
        )
        assert float(supervised_contrastive_loss(paired, image, Y, Y, scale)) == pytest.approx(
            to_image, abs=1e-6
        )
    unique = float(supervised_contrastive_loss(text, image, own, Y, math.e**2))
    assert unique == pytest.approx(2.791462, abs=1e-6)
    both = float(asymmetrical_contrastive_loss(image, text, Y, torch.tensor(2.0, dtype=torch.float64).exp()))
    assert both == pytest.approx(2.510884 + 2.791462, abs=2e-6), "CE over ranks at s = e² is 2.510884"
    with_one = float(asymmetrical_contrastive_loss(image, text, Y, 1.0))
    to_image = float(supervised_contrastive_loss(text, image, own, Y, 1.0))
    assert with_one - to_image == pytest.approx(1.537589, abs=1e-6), "CE over ranks at s = 1"


def test_contrastive_loss_by_hand_with_an_absent_rank() -> None:
    """Texts e1, e2, e3; images e1, e1, e2 of ranks 0, 0, 1; s = log 2, so a match weighs 2 and the rest 1.

    CE: each image has softmax 2/4 at its text: log 2. Text → image: e1 sees 2, 2, 1, each positive has 2/5; e2 sees
    1, 1, 2 with 2/4. Rank 2 has no image and does not count: (log 2.5 + log 2)/2. In the released code it is 0/0.
    """
    image, text = torch.eye(3)[[0, 0, 1]], torch.eye(3)
    loss = asymmetrical_contrastive_loss(image, text, torch.tensor([0, 0, 1]), math.log(2))
    assert float(loss) == pytest.approx(math.log(2) + (math.log(2.5) + math.log(2)) / 2, abs=1e-6)
    nobody = supervised_contrastive_loss(text, image, torch.tensor([7, 8, 9]), torch.tensor([0, 0, 1]), 1.0)
    assert float(nobody) == 0


def test_plain_contrastive_by_hand() -> None:
    """The same images e1, e1, e2 of ranks 0, 0, 1, each with its own copy of a text; s = log 2, a match weighs 2.

    Images 0 and 1 see 2, 2, 1 among the texts and only one of the two equal texts counts as right: 2/5. Image 2 sees
    1, 1, 2: 2/4. Texts see the same among the images. L = (2 log 2.5 + log 2)/3, and never below (2/3) log 2, where the
    asymmetrical loss goes to 0.
    With the text e1 for all three, images cannot choose, log 3, but texts can: e1, e1, e2 get 2/5, 2/5 and 1/5.
    """
    image = torch.eye(3)[[0, 0, 1]]
    found = contrastive_loss(image, image, math.log(2))
    assert float(found) == pytest.approx((2 * math.log(2.5) + math.log(2)) / 3, abs=1e-6)
    assert float(contrastive_loss(image, image, 100.0)) == pytest.approx(2 / 3 * math.log(2), abs=1e-6)
    one_text = float(contrastive_loss(image, image[[0, 0, 0]], math.log(2)))
    assert one_text == pytest.approx((math.log(3) + (2 * math.log(2.5) + math.log(5)) / 3) / 2, abs=1e-6)
    target = torch.tensor([0, 0, 1])
    one_image_a_rank = asymmetrical_contrastive_loss(image[1:], torch.eye(3), target[1:], 100.0)
    assert float(one_image_a_rank) == pytest.approx(0, abs=1e-6)
    assert float(contrastive_loss(image[:1], image[:1], 5.0)) == 0


def every_loss(image: Tensor, text: Tensor, target: Tensor, values: Tensor) -> dict[str, Tensor]:
    """All forms of all losses."""
    paired, own = text[target], torch.arange(len(text))
    released: dict[str, Any] = {"normalise": "global", "order": "shuffled", "push_power": 2}
    return {
        "stage 2": ordinal_pairwise_loss(image, text, target, values),
        "stage 2, other options": ordinal_pairwise_loss(image, text, target, values, **released),
        "stage 2, blind": ordinal_pairwise_loss(image, text, target, values, order="blind"),
        "stage 1": ordinal_pairwise_loss_stage1(image, paired, paired, values[target]),
        "stage 1, symmetric": ordinal_pairwise_loss_stage1(
            image, paired, paired, values[target], symmetric=True
        ),
        "stage 1, blind": ordinal_pairwise_loss_stage1(
            image, paired, paired, values[target], symmetric=True, blind=True
        ),
        "plain": contrastive_loss(image, paired, 3.0),
        "supcon": supervised_contrastive_loss(text, image, own, target, 3.0),
        "contrastive": asymmetrical_contrastive_loss(image, text, target, 3.0),
    }


def test_gradients_are_those_of_the_numbers(seeded: tuple[Tensor, Tensor]) -> None:
    """Finite differences in float64, for images and texts, of every form."""
    image, text = (part.clone().requires_grad_() for part in seeded)
    for name in every_loss(image, text, Y, RANKS):
        assert torch.autograd.gradcheck(
            lambda i, t, n=name: every_loss(i, t, Y, RANKS)[n], (image, text), fast_mode=True
        ), name


def test_the_gradient_where_image_and_text_meet_is_finite() -> None:
    """The distance has no derivative at 0; √(max(d², 1e-12)) has, and it is 0."""
    a = torch.eye(3, requires_grad=True)
    distances(a, torch.eye(3)).sum().backward()
    assert a.grad is not None
    assert a.grad.isfinite().all()


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_half_precision_in_and_out(seeded: tuple[Tensor, Tensor], half: torch.dtype) -> None:
    """Half features, also under autocast: everything inside is fp32, so the numbers are those of the rounded features."""
    image, text = (part.to(half) for part in seeded)
    exact = every_loss(image.float(), text.float(), Y, RANKS.float())
    with torch.autocast("cpu", torch.bfloat16):
        found = every_loss(image.requires_grad_(), text, Y, RANKS.float())
    for name, loss in found.items():
        assert loss.dtype == torch.float32, name
        assert float(loss.detach()) == pytest.approx(float(exact[name]), abs=1e-6), name
        (gradient,) = torch.autograd.grad(loss, image, retain_graph=True)
        assert gradient.isfinite().all(), name


LABELS = st.lists(st.integers(0, 4), min_size=1, max_size=9)


@given(labels=LABELS, seed=st.integers(0, 2**31))
def test_any_batch_is_finite_and_inside_its_bounds(labels: list[int], seed: int) -> None:
    """A batch of one, of one label, with ranks absent, of anything; contrastive losses are never negative."""
    generator = torch.Generator().manual_seed(seed)
    image, text = unit(len(labels), generator).requires_grad_(), unit(5, generator)
    found = every_loss(image, text, torch.tensor(labels), RANKS)
    bounds = {
        "stage 2": (-2, 4),
        "stage 1": (-3, 2),
        "stage 1, symmetric": (-3, 2),
        "stage 1, blind": (-3, 2),
    }
    bounds |= {"supcon": (0, math.inf), "plain": (0, math.inf)}
    for name, loss in found.items():
        low, high = bounds.get(name, (-math.inf, math.inf))
        assert low <= float(loss.detach()) <= high, name
        (gradient,) = torch.autograd.grad(loss, image, retain_graph=True)
        assert gradient.isfinite().all(), name


@given(labels=LABELS, seed=st.integers(0, 2**31), shift=st.integers(-1000, 1000), step=st.floats(0.01, 100))
def test_only_relative_gaps_matter(labels: list[int], seed: int, shift: int, step: float) -> None:
    """Ranks 16 … 20 in place of 0 … 4, or in months in place of years, give the same losses."""
    generator = torch.Generator().manual_seed(seed)
    image, text, target = unit(len(labels), generator), unit(5, generator), torch.tensor(labels)
    before, after = (
        every_loss(image, text, target, RANKS),
        every_loss(image, text, target, RANKS * step + shift),
    )
    for name in before:
        assert float(after[name]) == pytest.approx(float(before[name]), abs=1e-7), name


@given(labels=LABELS, seed=st.integers(0, 2**31))
def test_the_order_of_the_batch_matters_to_the_released_stage_1_alone(labels: list[int], seed: int) -> None:
    """Any permutation; the released form is the exception that `symmetric` repairs."""
    generator = torch.Generator().manual_seed(seed)
    image, text, target = unit(len(labels), generator), unit(5, generator), torch.tensor(labels)
    moved = torch.randperm(len(labels), generator=generator)
    before, after = (
        every_loss(image, text, target, RANKS),
        every_loss(image[moved], text, target[moved], RANKS),
    )
    for name in before.keys() - {"stage 1"}:
        assert float(after[name]) == pytest.approx(float(before[name]), abs=1e-9), name
