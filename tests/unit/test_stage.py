"""One stage: its steps and draws, the epoch that is kept, a gradient that is too long."""

import math
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from l2rclip_lite.config import Config, Controls
from l2rclip_lite.data import OrdinalDataset
from l2rclip_lite.errors import TrainingError
from l2rclip_lite.method.model import L2RCLIP
from l2rclip_lite.training.features import TrainingData
from l2rclip_lite.training.stage import Stage


@pytest.fixture(scope="module")
def model(leaves: OrdinalDataset, small: Config) -> L2RCLIP:
    """A model whose own parameters nobody trains here."""
    return L2RCLIP.build(leaves.ranks, small)


@pytest.fixture(scope="module")
def data(leaves: OrdinalDataset, model: L2RCLIP) -> TrainingData:
    """The leaves, resized and encoded."""
    return TrainingData.load(leaves, model)


@pytest.fixture
def right(data: TrainingData) -> Tensor:
    """Probabilities of the validation images that are all right, and sure of it."""
    return F.one_hot(data.targets["val"], 5).float()


def having(model: L2RCLIP, **settings: Any) -> L2RCLIP:
    """Return a model of the same ranks and towers with other settings."""
    return L2RCLIP(model.towers, model.ranks, replace(model.config, **settings))


# --- steps --------------------------------------------------------------------------------------


def test_the_schedule_counts_the_steps_of_all_epochs(model: L2RCLIP, data: TrainingData) -> None:
    """40 images, 8 a step, make 10 steps in two epochs: 2 rise, and 8 fall along a cosine.

    A weight whose gradient is always 1 moves by the learning rate.
    """
    weight = nn.Parameter(torch.zeros(1))
    warming = having(model, warmup=0.2, weight_decay=0.0)
    stage = Stage(1, {"head.weight": weight}, data, warming, lr=2.0, epochs=2, batch_size=8)

    places = [0.0]
    for _ in range(10):
        stage.step(weight.sum())
        places.append(float(weight.detach()))

    falling = [1 + math.cos(math.pi * step / 8) for step in range(8)]
    assert (-np.diff(places)).tolist() == pytest.approx([1.0, 2.0, *falling], abs=1e-4)


@pytest.mark.parametrize(("number", "name"), [(1, "prompts.context"), (2, "towers.image.proj")])
@pytest.mark.parametrize(("weight_decay", "expected"), [(0.0, 1.0), (0.01, 0.9)])
def test_weight_decay_is_a_penalty_in_the_gradient(
    weight_decay: float,
    expected: float,
    number: int,
    name: str,
    model: L2RCLIP,
    data: TrainingData,
) -> None:
    """Adam makes a whole step of a gradient that is the penalty alone; AdamW would end at 0.999."""
    weight = nn.Parameter(torch.ones(1))
    decaying = having(model, weight_decay=weight_decay)
    stage = Stage(number, {name: weight}, data, decaying, lr=0.1, epochs=1, batch_size=40)
    stage.step(0 * weight.sum())
    assert float(weight.detach()) == pytest.approx(expected, abs=1e-5)


def test_a_parameter_with_a_factor_learns_so_many_times_faster(
    model: L2RCLIP, data: TrainingData
) -> None:
    """As CORAL's biases do."""
    weight = nn.Parameter(torch.zeros(1))
    bias = nn.Parameter(torch.zeros(1))
    parameters = {"head.weight": weight, "head.coral_bias": bias}
    factors = {"coral_bias": 5.0}
    stage = Stage(1, parameters, data, model, lr=0.1, epochs=1, batch_size=40, factors=factors)

    stage.step(weight.sum() + bias.sum())

    assert float(weight.detach()) == pytest.approx(-0.1, abs=1e-5)
    assert float(bias.detach()) == pytest.approx(-0.5, abs=1e-5)


def first_draws(model: L2RCLIP, data: TrainingData, number: int) -> list[float]:
    """Return the first draw of each of two epochs of a stage."""
    weight = nn.Parameter(torch.zeros(1))
    stage = Stage(number, {"head.weight": weight}, data, model, lr=0.1, epochs=2)
    return [float(torch.rand(1, generator=generator)) for generator in stage.epochs()]


def test_seed_stage_and_epoch_decide_the_draws(model: L2RCLIP, data: TrainingData) -> None:
    """Two epochs of two stages under two seeds are eight different draws, each time the same."""
    draws = []
    for seed, number in product((0, 1), (1, 2)):
        seeded = having(model, seed=seed)
        draws += first_draws(seeded, data, number)
        assert first_draws(seeded, data, number) == draws[-2:]
    assert len({*draws}) == 8


# --- the epoch that is kept ---------------------------------------------------------------------


@pytest.mark.parametrize(("name", "kept"), [("head.weight", 0), ("towers.weight", 1)])
def test_of_a_head_the_best_epoch_is_kept_and_of_a_tower_the_last(
    name: str, kept: int, model: L2RCLIP, data: TrainingData, right: Tensor
) -> None:
    """Where the first of two epochs is right on all validation images, and the second is wrong."""
    weight = nn.Parameter(torch.zeros(3))
    stage = Stage(2, {name: weight}, data, model, lr=1.0, epochs=2)
    answers = (right, right.flip(1))
    weights = []

    for epoch, _ in enumerate(stage.epochs()):
        stage.step(weight.sum())
        stage.end_epoch(answers[epoch])
        weights.append(weight.detach().clone())
    history = stage.restore_kept()

    assert history[0]["val_mae"] == 0
    assert torch.equal(weight, weights[kept])
    assert not torch.equal(weight, weights[1 - kept])


@pytest.mark.parametrize(("select", "kept"), [("rps", 0), ("mae", 1), ("last", 2)])
def test_the_kept_epoch_is_chosen_as_the_controls_say(
    select: str, kept: int, model: L2RCLIP, data: TrainingData, right: Tensor
) -> None:
    """Three epochs: a sure one with one mistake, a cautious one without, and a bad one."""
    sure = right.clone()
    sure[0] = sure[0].roll(1)
    cautious = 0.05 * right + 0.19
    undecided = torch.full_like(right, 0.2)
    answers = (sure, cautious, undecided)

    weight = nn.Parameter(torch.zeros(1))
    chooser = having(model, controls=Controls(select=select))
    stage = Stage(2, {"head.weight": weight}, data, chooser, lr=0.1, epochs=3)
    for epoch, _ in enumerate(stage.epochs()):
        weight.data.fill_(epoch)
        stage.epoch_losses.append(0.0)
        stage.end_epoch(answers[epoch])
    stage.restore_kept()

    assert float(weight.detach()) == kept


@pytest.mark.parametrize(("order", "kept"), [((0, 1, 1), 1), ((1, 0, 1), 0)])
def test_of_equal_rps_the_lower_mae_decides_and_then_the_earlier_epoch(
    order: tuple[int, ...], kept: int, model: L2RCLIP, data: TrainingData, right: Tensor
) -> None:
    """An image of rank 0 is taken for rank 1, or half believed to be 4: (3/4)² = 4 · (3/8)²."""
    image = data.targets["val"].tolist().index(0)
    one_off = right.clone()
    one_off[image] = torch.tensor([0.25, 0.75, 0, 0, 0])
    unsure = right.clone()
    unsure[image] = torch.tensor([0.625, 0, 0, 0, 0.375])
    answers = (one_off, unsure)

    weight = nn.Parameter(torch.zeros(1))
    stage = Stage(1, {"head.weight": weight}, data, model, lr=0.1, epochs=3)
    for epoch, _ in enumerate(stage.epochs()):
        weight.data.fill_(epoch)
        stage.epoch_losses.append(0.0)
        stage.end_epoch(answers[order[epoch]])
    history = stage.restore_kept()

    assert {row["val_rps"] for row in history} == {0.5625 / len(right)}
    assert float(weight.detach()) == kept


# --- what goes wrong ----------------------------------------------------------------------------


@pytest.mark.parametrize(("clip", "expected"), [(True, 1.0), (False, 4.0)])
def test_the_gradient_of_a_tower_is_shortened_to_length_1(
    clip: bool, expected: float, model: L2RCLIP, data: TrainingData
) -> None:
    """The gradient of a sum of 16 numbers is √16 long; that of a head is left as it is."""
    tower = nn.Parameter(torch.zeros(16))
    head = nn.Parameter(torch.zeros(9))
    parameters = {"towers.weight": tower, "head.weight": head}
    clipped = having(model, controls=Controls(clip=clip))

    stage = Stage(2, parameters, data, clipped, lr=1.0, epochs=1)
    stage.step(tower.sum() + head.sum())

    assert float(tower.grad.norm()) == pytest.approx(expected)
    assert float(head.grad.norm()) == pytest.approx(3)


def test_a_runaway_step_names_its_images(
    leaves: OrdinalDataset, model: L2RCLIP, data: TrainingData
) -> None:
    """Whoever reads it can look at them; a baseline is called by its name."""
    weight = nn.Parameter(torch.ones(1))
    stage = Stage(27, {"head.weight": weight}, data, model, lr=0.1, epochs=1, name="rps")

    with pytest.raises(TrainingError) as error:
        stage.step(weight.sum() * math.inf, torch.arange(3, 13))

    message = str(error.value)
    start = f"rps, epoch 1, step 1: the loss is inf for the images {leaves.train.paths[3]}, "
    assert message.startswith(start)
    assert " and 2 more; complete epochs are kept; fit another run with a smaller" in message

    stage = Stage(1, {"head.weight": weight}, data, model, lr=0.1, epochs=1)
    with pytest.raises(TrainingError, match=r"rate \(--lr1, now 0\.1\) with a new --out\.$"):
        stage.end_epoch(torch.full((10, 5), math.nan))
