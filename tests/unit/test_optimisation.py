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
from l2rclip_lite.method.optimisation import Stage
from l2rclip_lite.training_data import TrainingData


@pytest.fixture(scope="module")
def model(leaves: OrdinalDataset, small: Config) -> L2RCLIP:
    """A model whose own parameters nobody trains here."""
    return L2RCLIP.build(leaves.ranks, small)


@pytest.fixture(scope="module")
def data(leaves: OrdinalDataset, model: L2RCLIP) -> TrainingData:
    """The leaves, resized and encoded."""
    return TrainingData.load(leaves, model)


def stage_of(
    model: L2RCLIP, data: TrainingData, parameters: dict[str, nn.Parameter], **settings: Any
) -> Stage:
    """Return a stage of 40 images in steps of 8; settings of `Config` go to the model."""
    of_stage = {"number": 1, "lr": 0.1, "n_epochs": 2, "batch_size": 8}
    for name in [*of_stage, "lr_factors", "name"]:
        if name in settings:
            of_stage[name] = settings.pop(name)
    model = L2RCLIP(model.towers, model.ranks, replace(model.config, **settings))
    return Stage(parameters=parameters, data=data, model=model, **of_stage)


@pytest.mark.parametrize(("share", "failed"), [(0.94, False), (0.96, True), (1.5, True)])
def test_a_stage_has_failed_that_is_no_better_than_the_frequencies(
    share: float, failed: bool, model: L2RCLIP, data: TrainingData
) -> None:
    """Their RPS is the mean over images of Σ_k (F_k - [y <= k])², of k from 0 to 3.

    Of balanced ranks they are equal, as are those of the leaves, whatever their counts are.
    """
    true = data.targets["val"].numpy()
    frequencies = np.bincount(data.targets["train"].numpy(), minlength=5) / 40
    steps = frequencies.cumsum()[None, :4] - (true[:, None] <= np.arange(4))
    constant = (steps**2).sum(axis=1).mean()

    skewed = replace(data, targets={**data.targets, "train": torch.tensor([0] * 36 + [1, 2, 3, 4])})
    for each, balance in ((data, False), (skewed, True)):
        parameters = {"head.weight": nn.Parameter(torch.zeros(1))}
        stage = stage_of(model, each, parameters, balance=balance)
        stage.kept_score = (float(share * constant), 0.0)
        assert stage.has_failed() == failed


# --- steps --------------------------------------------------------------------------------------


def test_the_schedule_counts_the_steps_of_all_epochs(model: L2RCLIP, data: TrainingData) -> None:
    """40 images, 8 a step, make 10 steps in two epochs: 2 rise, and 8 fall along a cosine.

    A weight whose gradient is always 1 moves by the learning rate.
    """
    weight = nn.Parameter(torch.zeros(1))
    stage = stage_of(model, data, {"head.weight": weight}, lr=2.0, warmup=0.2, weight_decay=0.0)

    places = [0.0]
    for _ in range(10):
        stage.step(weight.sum())
        places.append(float(weight.detach()))

    falling = [1 + math.cos(math.pi * step / 8) for step in range(8)]
    assert (-np.diff(places)).tolist() == pytest.approx([1.0, 2.0, *falling], abs=1e-4)


def test_weight_decay_is_in_the_gradient_and_biases_of_coral_learn_faster(
    model: L2RCLIP, data: TrainingData
) -> None:
    """Adam's first step is the learning rate, of the penalty alone, too; AdamW would end at 0.999.

    A bias learns five times faster.
    """
    weight = nn.Parameter(torch.ones(1))
    bias = nn.Parameter(torch.ones(1))
    parameters = {"head.weight": weight, "head.coral_bias": bias}
    settings = {"warmup": 0.0, "weight_decay": 0.01, "lr_factors": {"head.coral_bias": 5.0}}
    stage = stage_of(model, data, parameters, **settings)

    stage.step(0 * (weight + bias).sum())

    assert float(weight.detach()) == pytest.approx(0.9, abs=1e-5)
    assert float(bias.detach()) == pytest.approx(0.5, abs=1e-5)


def test_seed_stage_and_epoch_decide_the_draws(model: L2RCLIP, data: TrainingData) -> None:
    """Two epochs of two stages under two seeds are eight different draws, each time the same."""
    draws: list[list[float]] = [[], []]
    for turn, seed, number in product((0, 1), (0, 1), (1, 2)):
        stage = stage_of(model, data, {}, seed=seed, number=number)
        draws[turn] += [float(torch.rand(1, generator=each)) for each in stage.epochs()]

    assert draws[0] == draws[1]
    assert len({*draws[0]}) == 8


@pytest.mark.parametrize(("clip", "expected"), [(True, 1.0), (False, 4.0)])
def test_the_gradient_of_a_tower_is_shortened_to_length_1(
    clip: bool, expected: float, model: L2RCLIP, data: TrainingData
) -> None:
    """The gradient of a sum of 16 numbers is √16 long; that of a head is left as it is."""
    tower = nn.Parameter(torch.zeros(16))
    head = nn.Parameter(torch.zeros(9))
    parameters = {"towers.weight": tower, "head.weight": head}

    stage = stage_of(model, data, parameters, controls=Controls(clip=clip))
    stage.step(tower.sum() + head.sum())

    assert float(tower.grad.norm()) == pytest.approx(expected)
    assert float(head.grad.norm()) == pytest.approx(3)


# --- the epoch that is kept ---------------------------------------------------------------------


def answers_of(data: TrainingData) -> dict[str, Tensor]:
    """Return probabilities of the validation images, by what they are."""
    right = F.one_hot(data.targets["val"], 5).float()
    image = data.targets["val"].tolist().index(0)
    sure = right.clone()
    sure[image] = sure[image].roll(1)
    return {
        "right": right,
        "wrong": right.flip(1),
        "sure, one mistake": sure,
        "cautious, none": 0.05 * right + 0.19,
    }


@pytest.mark.parametrize(
    ("name", "select", "answers", "kept"),
    [
        ("head.weight", "auto", ("right", "wrong"), 0),
        ("towers.weight", "auto", ("right", "wrong"), 1),
        ("head.weight", "rps", ("sure, one mistake", "cautious, none", "wrong"), 0),
        ("head.weight", "mae", ("sure, one mistake", "cautious, none", "wrong"), 1),
    ],
)
def test_the_kept_epoch_is_the_last_of_a_tower_and_the_best_of_a_head(
    name: str,
    select: str,
    answers: tuple[str, ...],
    kept: int,
    model: L2RCLIP,
    data: TrainingData,
) -> None:
    """By RPS; `Controls` may say otherwise."""
    weight = nn.Parameter(torch.zeros(1))
    controls = Controls(select=select)
    stage = stage_of(model, data, {name: weight}, n_epochs=len(answers), controls=controls)

    for epoch, _ in enumerate(stage.epochs()):
        weight.data.fill_(epoch)
        stage.epoch_losses.append(0.0)
        stage.end_epoch(answers_of(data)[answers[epoch]])
    stage.restore_kept()

    assert float(weight.detach()) == kept


# --- what goes wrong ----------------------------------------------------------------------------


def test_a_runaway_step_names_its_place(model: L2RCLIP, data: TrainingData) -> None:
    """And the learning rate; a baseline is called by its name."""
    weight = nn.Parameter(torch.ones(1))
    stage = stage_of(model, data, {"head.weight": weight}, name="rps")

    with pytest.raises(TrainingError) as error:
        stage.step(weight.sum() * math.inf)

    message = str(error.value)
    assert message.startswith("rps, epoch 1, step 1: the loss is inf, ")
    assert message.endswith("a smaller learning rate (--lr1, --lr2; here 0.1).")
    with pytest.raises(TrainingError, match="the length of its gradient nan"):
        stage.step((weight - 1).square().sum().sqrt())
    with pytest.raises(TrainingError, match="no finite output"):
        stage.end_epoch(torch.full((10, 5), math.nan))
