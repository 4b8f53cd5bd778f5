"""One stage: its steps and draws, the epoch that is kept, a gradient that is too long."""

import math
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from l2rclip_lite.config import Config
from l2rclip_lite.data import OrdinalDataset
from l2rclip_lite.errors import TrainingError
from l2rclip_lite.method.optimisation import Optimisation, Scores, Stage
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.training_data import TrainingData


@pytest.fixture(scope="module")
def model(leaves: OrdinalDataset, small: Config) -> L2RCLIP:
    """A model whose own parameters nobody trains here."""
    return L2RCLIP.build(leaves.ranks, small)


@pytest.fixture(scope="module")
def data(leaves: OrdinalDataset, model: L2RCLIP) -> TrainingData:
    """The leaves, resized and encoded."""
    return TrainingData.load(leaves, model)


def stage_of(parameters: dict[str, nn.Parameter], **settings: Any) -> Stage:
    """Return a stage of 40 images in steps of 8."""
    of_stage = {"number": 1, "lr": 0.1, "n_epochs": 2, "n_images": 40, "batch_size": 8}
    for name in [*of_stage, "lr_factors", "name"]:
        if name in settings:
            of_stage[name] = settings.pop(name)
    return Stage(parameters=parameters, settings=Optimisation(**settings), **of_stage)


def test_the_answer_that_looks_at_no_image_is_that_of_the_frequencies(
    model: L2RCLIP, data: TrainingData
) -> None:
    """Its RPS is the mean over images of Σ_k (F_k - [y <= k])², of k from 0 to 3.

    Of balanced ranks they are equal, as are those of the leaves, whatever their counts are.
    """
    true = data.targets["val"].numpy()
    frequencies = np.bincount(data.targets["train"].numpy(), minlength=5) / 40
    steps = frequencies.cumsum()[None, :4] - (true[:, None] <= np.arange(4))
    constant = (steps**2).sum(axis=1).mean()

    skewed = replace(data, targets={**data.targets, "train": torch.tensor([0] * 36 + [1, 2, 3, 4])})
    for each, balance in ((data, False), (skewed, True)):
        asked = L2RCLIP(model.towers, model.ranks, replace(model.config, balance=balance))
        assert each.frequencies_rps(asked) == pytest.approx(constant)


# --- steps --------------------------------------------------------------------------------------


def test_the_schedule_counts_the_steps_of_all_epochs() -> None:
    """40 images, 8 a step, make 10 steps in two epochs: 2 rise, and 8 fall along a cosine.

    A weight whose gradient is always 1 moves by the learning rate.
    """
    weight = nn.Parameter(torch.zeros(1))
    stage = stage_of({"head.weight": weight}, lr=2.0, warmup=0.2, weight_decay=0.0)

    places = [0.0]
    for _ in range(10):
        stage.step(weight.sum())
        places.append(float(weight.detach()))

    falling = [1 + math.cos(math.pi * step / 8) for step in range(8)]
    assert (-np.diff(places)).tolist() == pytest.approx([1.0, 2.0, *falling], abs=1e-4)


def test_weight_decay_is_in_the_gradient_and_biases_of_coral_learn_faster() -> None:
    """Adam's first step is the learning rate, of the penalty alone, too; AdamW would end at 0.999.

    A bias learns five times faster.
    """
    weight = nn.Parameter(torch.ones(1))
    bias = nn.Parameter(torch.ones(1))
    parameters = {"head.weight": weight, "head.coral_bias": bias}
    settings = {"warmup": 0.0, "weight_decay": 0.01, "lr_factors": {"head.coral_bias": 5.0}}
    stage = stage_of(parameters, **settings)

    stage.step(0 * (weight + bias).sum())

    assert float(weight.detach()) == pytest.approx(0.9, abs=1e-5)
    assert float(bias.detach()) == pytest.approx(0.5, abs=1e-5)


def test_seed_stage_and_epoch_decide_the_draws() -> None:
    """Two epochs of two stages under two seeds are eight different draws, each time the same."""
    draws: list[list[float]] = [[], []]
    for turn, seed, number in product((0, 1), (0, 1), (1, 2)):
        stage = stage_of({}, seed=seed, number=number)
        draws[turn] += [float(torch.rand(1, generator=each)) for each in stage.epochs()]

    assert draws[0] == draws[1]
    assert len({*draws[0]}) == 8


@pytest.mark.parametrize(("clip", "expected"), [(True, 1.0), (False, 4.0)])
def test_the_gradient_of_a_tower_is_shortened_to_length_1(clip: bool, expected: float) -> None:
    """The gradient of a sum of 16 numbers is √16 long; that of a head is left as it is."""
    tower = nn.Parameter(torch.zeros(16))
    head = nn.Parameter(torch.zeros(9))
    parameters = {"towers.weight": tower, "head.weight": head}

    stage = stage_of(parameters, clip=clip)
    stage.step(tower.sum() + head.sum())

    assert float(tower.grad.norm()) == pytest.approx(expected)
    assert float(head.grad.norm()) == pytest.approx(3)


# --- the epoch that is kept ---------------------------------------------------------------------


RIGHT = Scores(rps=0.0, mae=0.0)
WRONG = Scores(rps=4.0, mae=4.0)
SURE = Scores(rps=0.3, mae=0.1)  # one mistake in ten
CAUTIOUS = Scores(rps=0.4, mae=0.0)  # none


@pytest.mark.parametrize(
    ("name", "select", "scores", "kept"),
    [
        ("head.weight", "auto", (RIGHT, WRONG), 0),
        ("towers.weight", "auto", (RIGHT, WRONG), 1),
        ("head.weight", "rps", (SURE, CAUTIOUS, WRONG), 0),
        ("head.weight", "mae", (SURE, CAUTIOUS, WRONG), 1),
    ],
)
def test_the_kept_epoch_is_the_last_of_a_tower_and_the_best_of_a_head(
    name: str, select: str, scores: tuple[Scores, ...], kept: int
) -> None:
    """By RPS, or as it is said; the kept score has the same names, whatever has chosen."""
    weight = nn.Parameter(torch.zeros(1))
    stage = stage_of({name: weight}, n_epochs=len(scores), select=select)

    for epoch, _ in enumerate(stage.epochs()):
        weight.data.fill_(epoch)
        stage.epoch_losses.append(0.0)
        row = stage.end_epoch(scores[epoch])
        assert (row["val_rps"], row["val_mae"]) == scores[epoch]
    stage.restore_kept()

    assert float(weight.detach()) == kept
    assert stage.kept_score.rps == scores[kept].rps


# --- what goes wrong ----------------------------------------------------------------------------


def test_a_runaway_step_names_its_place() -> None:
    """And the learning rate; a baseline is called by its name."""
    weight = nn.Parameter(torch.ones(1))
    stage = stage_of({"head.weight": weight}, name="rps")

    with pytest.raises(TrainingError) as error:
        stage.step(weight.sum() * math.inf)

    message = str(error.value)
    assert message.startswith("rps, epoch 1, step 1: the loss is inf, ")
    assert message.endswith("a smaller learning rate (--lr1, --lr2; here 0.1).")
    with pytest.raises(TrainingError, match="the length of its gradient nan"):
        stage.step((weight - 1).square().sum().sqrt())
    with pytest.raises(TrainingError, match="no finite output"):
        stage.end_epoch(Scores(math.nan, 0.0))
