"""Every baseline: it learns, answers with a rank absent, and goes on after it was killed."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from l2rclip_lite import stages
from l2rclip_lite.baselines import (
    BASELINES,
    OBJECTIVES,
    check_baselines,
    probes,
    train_baseline,
)
from l2rclip_lite.config import Config
from l2rclip_lite.data import OrdinalDataset
from l2rclip_lite.data.protocols import hold_out
from l2rclip_lite.errors import InputError
from l2rclip_lite.heads import RIDGES
from l2rclip_lite.image_side import train_kernel
from l2rclip_lite.method.optimisation import Stage
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.prediction import Prediction
from l2rclip_lite.runs import RunDirectory
from l2rclip_lite.stages import save_checkpoint
from l2rclip_lite.towers import load_towers
from l2rclip_lite.training_data import TrainingData


class Material(NamedTuple):
    """What a baseline starts from: an untrained model, and the data."""

    model: L2RCLIP
    data: TrainingData


@pytest.fixture(scope="module")
def lacking(leaves: OrdinalDataset, small: Config) -> Material:
    """Fresh towers, and leaves of which no training or validation image has the middle rank."""
    model = L2RCLIP(load_towers("tiny/random"), leaves.ranks, replace(small, upside_down=True))
    return Material(model, TrainingData.load(hold_out(leaves), model))


def train(name: str, material: Material, folder: Path | None = None) -> Tensor:
    """Return the test probabilities of a baseline."""
    run = None if folder is None else RunDirectory(folder)
    trained = train_baseline(name, material.model, material.data, run=run)
    return trained.probabilities(material.data.encode(trained, "test"))


@pytest.mark.slow
@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_answers_with_a_rank_absent(
    name: str, lacking: Material, tmp_path: Path
) -> None:
    """Five probabilities for each of ten images, after it was saved, too.

    The model that it begins with stays as it was, for the next one. It tunes the image tower only
    if its name says so, and never the text tower.
    """
    before = {key: value.clone() for key, value in lacking.model.state_dict().items()}
    model = train_baseline(name, lacking.model, lacking.data)
    answer = model.probabilities(lacking.data.encode(model, "test"))
    assert answer.shape == (10, 5)
    assert (answer >= 0).all()
    assert torch.allclose(answer.sum(1).double(), torch.ones(10).double(), atol=1e-5)

    for key, value in lacking.model.state_dict().items():
        assert torch.equal(value, before[key]), key
    changed = []
    for key, value in model.towers.state_dict().items():
        if not torch.equal(value, before[f"towers.{key}"]):
            changed.append(key)
    assert all(key.startswith("image.") for key in changed)
    assert bool(changed) == (name in OBJECTIVES)

    model.save_pretrained(tmp_path)
    prediction = L2RCLIP.from_pretrained(tmp_path).predict(lacking.data.images["test"])
    assert torch.allclose(prediction.probabilities, answer, atol=1e-5)


@pytest.mark.slow
def test_a_baseline_that_is_killed_after_an_epoch_goes_on_after_it(
    lacking: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No step of that epoch is taken again, and it ends in the bits of a run that was let be."""
    whole = train("ordinalclip", lacking, tmp_path / "whole")
    take_step = Stage.step
    steps: list[tuple[int, int]] = []

    def save_and_die(file: Path, stage: Stage) -> None:
        save_checkpoint(file, stage)
        raise KeyboardInterrupt

    def record(self: Stage, loss: Tensor) -> None:
        steps.append((self.number, len(self.history)))
        take_step(self, loss)

    monkeypatch.setattr(Stage, "step", record)
    with monkeypatch.context() as patch:
        patch.setattr(stages, "save_checkpoint", save_and_die)
        with pytest.raises(KeyboardInterrupt):
            train("ordinalclip", lacking, tmp_path / "killed")
    (first_epoch,) = {*steps}
    steps.clear()

    assert torch.equal(train("ordinalclip", lacking, tmp_path / "killed"), whole)
    assert steps
    assert first_epoch not in steps


def test_contrastive_losses_see_two_views(
    lacking: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice as many rows as images in a batch, in the same order, each augmented on its own."""
    sizes: list[int] = []

    def check_views(features: Tensor, target: Tensor, scale: Tensor) -> Tensor:
        first, second = features.chunk(2)
        assert torch.equal(*target.chunk(2))
        assert not torch.equal(first, second)
        sizes.append(len(target))
        return features.square().mean()

    objective = replace(OBJECTIVES["supcon"], loss=check_views)
    monkeypatch.setitem(OBJECTIVES, "supcon", objective)
    train("supcon", lacking)
    assert max(sizes) == 32


@pytest.fixture(scope="module")
def arc(leaves: OrdinalDataset, small: Config) -> Material:
    """Features that walk half a turn from rank 0 to rank 4."""
    model = L2RCLIP(load_towers("tiny/random"), leaves.ranks, replace(small, epochs1=12, lr1=0.03))
    rank = torch.arange(100) % 5
    angle = rank * torch.pi / 4 + torch.linspace(-0.1, 0.1, 100)
    point = F.pad(torch.stack([angle.cos(), angle.sin()], dim=1), (0, model.towers.dim - 2))
    features = dict.fromkeys(("train", "val", "test"), point)
    return Material(model, TrainingData(features, dict.fromkeys(features, rank), features))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["linear-probe", "ridge", "coop-frozen", "corn-frozen"])
def test_a_frozen_baseline_learns_what_can_be_learned(
    name: str, arc: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every head learns the five ranks; the median rank is right one time in five, and 1.2 off."""
    # under a weaker ridge DLDL-v2, whose loss has edges, takes thousands of steps
    monkeypatch.setattr(probes, "RIDGES", RIDGES[:1])
    hits = train(name, arc).argmax(1) == arc.data.targets["test"]
    assert float(hits.float().mean()) >= 0.9


@pytest.mark.parametrize("name", ["kernel", "linear-probe", "ridge", "corn-frozen"])
@pytest.mark.parametrize(("balance", "expected"), [(False, 80 / 82), (True, 2.0)])
def test_a_balanced_head_expects_the_mean_of_the_ranks(
    name: str, balance: bool, expected: float, arc: Material
) -> None:
    """The features say nothing: 40, 20, 10, 8 and 4 images of ranks 0 to 4 look alike.

    Their mean rank is (20 + 2 · 10 + 3 · 8 + 4 · 4)/82, that of the ranks is 2. Ridge cuts its
    normal error off at both ends, which moves the mean inwards.
    """
    target = torch.arange(5).repeat_interleave(torch.tensor([40, 20, 10, 8, 4]))
    point = torch.tensor([[1.0, 0.0], [-1.0, 0.0]]).repeat(41, 1)
    splits = ("train", "val", "test")
    data = TrainingData({}, dict.fromkeys(splits, target), dict.fromkeys(splits, point))

    config = replace(arc.model.config, balance=balance, image_side="kernel")
    model = L2RCLIP(arc.model.towers, arc.model.ranks, config)
    if name == "kernel":
        train_kernel(model, data)
    else:
        model = train_baseline(name, model, data)
    model.temperature.fill_(1)  # that of validation images, which are not balanced, plays no part
    answer = Prediction.of(model.probabilities(point[:2]), model.ranks)
    assert answer.expected.tolist() == pytest.approx([expected] * 2, abs=0.25)


def test_a_baseline_whose_library_is_missing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the pip command; others need none."""
    monkeypatch.setattr("l2rclip_lite.baselines.find_spec", lambda name: None)
    check_baselines(["cross-entropy"])
    sentence = r"corn-frozen needs: pip install 'l2rclip-lite\[baselines\]'"
    with pytest.raises(InputError, match=sentence):
        check_baselines(["corn-frozen"])


# --- the table of losses -------------------------------------------------------------------------


def test_names_and_numbers_of_the_registries_are_unique() -> None:
    """A loss that reads features alone has no frozen form, which could learn nothing.

    A row has the number of the tuned form, and the next one of the frozen; 1 and 2 are L2RCLIP's.
    """
    assert len(set(BASELINES)) == len(BASELINES)
    assert not {"ordinal-entropy-frozen", "supcon-frozen", "rank-n-contrast-frozen"} & {*BASELINES}
    numbers = [1, 2]
    for row in OBJECTIVES.values():
        numbers += [row.number, row.number + 1]
    assert len(set(numbers)) == len(numbers)


def batch_loss(name: str, outputs: Tensor, target: Tensor) -> Tensor:
    """Return the loss of a batch as training has it; the outputs are also the features."""
    objective = OBJECTIVES[name]
    answers = outputs
    if objective.decoder in ("coral", "corn"):
        answers = outputs[:, 1:]  # one for each threshold between two ranks

    return objective.batch_loss(
        answers,
        target,
        position=torch.tensor([0.0, 1.0, 1.0, 3.0, 4.0]).to(outputs),  # two may round to one place
        features=F.normalize(outputs, dim=1),
        scale=torch.tensor(20.0).to(outputs),
    )


@given(labels=st.lists(st.integers(0, 4), min_size=1, max_size=7), seed=st.integers(0, 2**31))
@pytest.mark.parametrize("name", OBJECTIVES)
def test_any_batch_has_a_finite_gradient(name: str, labels: list[int], seed: int) -> None:
    """One image, one label, equal images: loss and gradient are finite, whatever the order."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.tensor(labels)
    # in single precision the distance of two equal images can be 1e-3, by their order in the batch
    outputs = torch.randn(len(labels), 5, generator=generator, dtype=torch.float64)
    outputs[-1] = outputs[0]
    outputs.requires_grad_()

    loss = batch_loss(name, outputs, target)
    (gradient,) = torch.autograd.grad(loss, outputs)
    assert loss.isfinite()
    assert gradient.isfinite().all()
