"""The scientific controls: what each one changes, by its direction or by its value.

A control that did nothing would be reported as no effect. Of `select` and `clip` see
test_optimisation.py.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from l2rclip_lite.config import Config, Controls, LossWeights
from l2rclip_lite.data import OrdinalDataset
from l2rclip_lite.data.images import Augment
from l2rclip_lite.method.ranks import cyclic_permutation
from l2rclip_lite.method.stages import freeze, stage1_loss, stage2_loss
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.stages import loss_settings
from l2rclip_lite.towers.base import scaled
from l2rclip_lite.training_data import TrainingData

VALUES = torch.tensor([0.0, 1.0, 2.0, 5.0, 9.0])
# A batch without the lowest and the highest rank: its largest gap is 8, that of all ranks 9.
TARGETS = torch.tensor([1, 3, 2, 2, 1])


@pytest.fixture(scope="module")
def config(small: Config) -> Config:
    """Only the terms that a control may change: contrastive + ordinal, and cross-entropy − push."""
    return replace(small, lambda1=1.0, lambda_tight=0.0, lambda_push=1.0, lambda_rps=0.0)


@pytest.fixture(scope="module")
def plain(leaves: OrdinalDataset, config: Config) -> L2RCLIP:
    """The model without a control."""
    return L2RCLIP.build(leaves.ranks, config)


def controlled(plain: L2RCLIP, controls: Controls) -> L2RCLIP:
    """Return a model that differs by its controls alone."""
    return L2RCLIP.build(plain.ranks, replace(plain.config, controls=controls))


@pytest.fixture(scope="module")
def images(plain: L2RCLIP) -> Tensor:
    """Features of five images, by seed."""
    generator = torch.Generator().manual_seed(0)
    return F.normalize(torch.randn(5, plain.towers.dim, generator=generator), dim=1)


def loss1(model: L2RCLIP, z: Tensor, y: Tensor = TARGETS) -> float:
    """Return the loss of a batch in stage 1, on the texts as they are."""
    settings = loss_settings(model.config)
    return float(stage1_loss(z, model.rank_features, y, VALUES, model.scale, settings).detach())


def loss2(model: L2RCLIP, z: Tensor, y: Tensor = TARGETS) -> Tensor:
    """Return the loss of a batch in stage 2."""
    settings = loss_settings(model.config)
    return stage2_loss(z, model.rank_features, y, VALUES, model.scale, settings).detach()


# --- losses -------------------------------------------------------------------------------------


PUSHES: dict[str, tuple[Controls, Callable[[Tensor, Tensor], Tensor]]] = {
    "none": (Controls(), lambda gap, distance: gap / 8 * distance),
    "blind": (Controls(order="blind"), lambda gap, distance: distance),
    "the gap to another rank": (
        Controls(order="shuffled"),
        lambda gap, distance: gap[:, cyclic_permutation(5)] / 8 * distance,
    ),
    "global": (Controls(normalise="global"), lambda gap, distance: gap / 9 * distance),
    "squared": (Controls(push_power=2), lambda gap, distance: gap / 8 * distance**2),
}


@pytest.mark.parametrize("name", PUSHES)
def test_the_push_by_hand(name: str, plain: L2RCLIP, images: Tensor) -> None:
    """The mean of gap · distance over images and texts, in shares of the batch's largest gap, 8."""
    controls, terms = PUSHES[name]
    model = controlled(plain, controls)
    z = images
    t = model.rank_features

    cross_entropy = F.cross_entropy(model.scale * z @ t.T, TARGETS)
    push = (cross_entropy - loss2(model, z)).detach()

    gap = (VALUES[TARGETS][:, None] - VALUES).abs()
    distance = torch.cdist(z, t, compute_mode="donot_use_mm_for_euclid_dist")
    assert float(push) == pytest.approx(float(terms(gap, distance).mean()), rel=1e-4)


def test_blind_order_has_the_lower_loss_in_stage_1(plain: L2RCLIP, images: Tensor) -> None:
    """Every weight grows to 1."""
    blind = controlled(plain, Controls(order="blind"))
    assert loss1(blind, images) < loss1(plain, images)


def test_the_plain_contrastive_loss_takes_each_pair_for_itself(
    plain: L2RCLIP, images: Tensor
) -> None:
    """CLIP's two cross-entropies, in which images of one rank are each other's negatives."""
    contrastive = controlled(plain, Controls(contrastive="plain"))
    without_order = replace(contrastive.config, lambda1=0.0)
    model = L2RCLIP.build(plain.ranks, without_order)

    logits = model.scale * images @ model.rank_features[TARGETS].T
    pairs = torch.arange(5)
    by_hand = F.cross_entropy(logits, pairs) + F.cross_entropy(logits.T, pairs)
    assert loss1(model, images) == pytest.approx(float(by_hand.detach()), rel=1e-5)


def both_stages(plain: L2RCLIP, weights: dict[str, float], z: Tensor, y: Tensor) -> Tensor:
    """Return the losses of both stages under these weights; the others are 0."""
    weights = dict.fromkeys(LossWeights._fields, 0.0) | weights
    model = L2RCLIP.build(plain.ranks, replace(plain.config, **weights))
    losses = [loss1(model, z, y), float(loss2(model, z, y))]
    return torch.tensor(losses, dtype=torch.float64)


@pytest.mark.parametrize("name", LossWeights._fields)
def test_a_weight_of_two_adds_its_term_twice(name: str, plain: L2RCLIP) -> None:
    """The loss of one stage rises by the term with weight 1, and by twice that with 2."""
    y = torch.tensor([0, 1, 3])
    z = F.normalize(plain.rank_features[[1, 1, 4]] + plain.rank_features[[0, 2, 3]], dim=1)

    without, once, twice = (both_stages(plain, {name: weight}, z, y) for weight in (0.0, 1.0, 2.0))
    rises = (once - without).tolist()

    assert rises.count(0.0) == 1
    rise = max(rises, key=abs)
    assert abs(rise) > 1e-3
    assert name == "lambda1" or (rise < 0) == (name == "lambda_push")
    assert (twice - without).tolist() == pytest.approx([2 * rise for rise in rises], rel=1e-2)


# --- texts --------------------------------------------------------------------------------------


def test_shuffled_sentences_are_those_of_other_ranks(plain: L2RCLIP) -> None:
    """Rank k has the text of π(k)."""
    shuffled = controlled(plain, Controls(shuffled=True))
    expected = plain.rank_features[cyclic_permutation(5)]
    assert torch.allclose(shuffled.rank_features, expected, atol=1e-5)
    assert not torch.allclose(shuffled.rank_features, plain.rank_features, atol=1e-2)


def test_without_rankformer_the_context_alone_learns(plain: L2RCLIP) -> None:
    """In stage 1."""
    model = controlled(plain, Controls(rankformer=False))
    assert set(freeze(model, "stage 1")) == {"prompts.context"}
    assert len(freeze(plain, "stage 1")) > 1


# --- images -------------------------------------------------------------------------------------


@pytest.mark.parametrize("light", [False, True])
def test_training_images_are_augmented_as_the_controls_say(
    light: bool, plain: L2RCLIP, leaves: OrdinalDataset
) -> None:
    """By the draws of the epoch's generator, which come after the order of the images."""
    model = controlled(plain, Controls(light=light))
    data = TrainingData.load(leaves, model)
    pixels, _ = next(data.batches(model, torch.Generator().manual_seed(0)))

    generator = torch.Generator().manual_seed(0)
    rows = torch.randperm(40, generator=generator)[:16]
    draws = torch.rand(4, 16, 1, 1, 1, generator=generator)
    stored = torch.stack([data.images["train"][row][0] for row in rows.tolist()])
    expected = Augment(light=light)(stored, draws=draws)
    assert torch.equal(pixels, model.towers.normalize(scaled(expected)))
