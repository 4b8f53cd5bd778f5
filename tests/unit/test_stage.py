"""One stage: its steps, the length of a gradient, the epoch that is kept, a runaway loss."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from l2rclip_lite.config import Config, Controls
from l2rclip_lite.data import OrdinalDataset
from l2rclip_lite.errors import TrainingError
from l2rclip_lite.model import L2RCLIP
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


def with_controls(model: L2RCLIP, controls: Controls) -> L2RCLIP:
    """Return a model of the same ranks and towers with other controls."""
    return L2RCLIP(model.towers, model.ranks, replace(model.config, controls=controls))


def test_the_schedule_counts_the_steps_of_all_epochs(model: L2RCLIP, data: TrainingData) -> None:
    """40 images, 4 a step, make 10 steps an epoch."""
    weight = nn.Parameter(torch.ones(1))
    stage = Stage(1, {"head.weight": weight}, data, model, lr=1e-3, epochs=2, batch_size=4)
    assert stage.n_steps == 20


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
    chooser = with_controls(model, Controls(select=select))
    stage = Stage(2, {"head.weight": weight}, data, chooser, lr=0.1, epochs=3)
    for epoch, _ in enumerate(stage.epochs()):
        weight.data.fill_(epoch)
        stage.epoch_losses.append(0.0)
        stage.end_epoch(answers[epoch])
    stage.restore_kept()

    assert float(weight.detach()) == kept


@pytest.mark.parametrize(("clip", "expected"), [(True, 1.0), (False, 4.0)])
def test_the_gradient_of_a_tower_is_shortened_to_length_1(
    clip: bool, expected: float, model: L2RCLIP, data: TrainingData
) -> None:
    """The gradient of a sum of 16 numbers is √16 long; that of a head is left as it is."""
    tower = nn.Parameter(torch.zeros(16))
    head = nn.Parameter(torch.zeros(9))
    parameters = {"towers.weight": tower, "head.weight": head}
    clipped = with_controls(model, Controls(clip=clip))

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
    assert " and 2 more; complete epochs are kept; use a smaller learning rate" in message
