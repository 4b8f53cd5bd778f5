"""Both stages of training: what learns, the losses, the log, and where memory runs out."""

from dataclasses import replace
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from l2rclip_lite.config import Config
from l2rclip_lite.data import OrdinalDataset
from l2rclip_lite.errors import TrainingError
from l2rclip_lite.method.optimisation import Row, Stage
from l2rclip_lite.method.ranks import cyclic_permutation
from l2rclip_lite.method.stages import (
    ImageEncoder,
    LossSettings,
    freeze,
    stage1_loss,
    stage2_loss,
    trains,
)
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.stages import run_stage, stage1, stage1_epochs, stage2, stage2_epochs
from l2rclip_lite.training_data import TrainingData

STAGES = {"stage 1": (stage1, stage1_epochs), "stage 2": (stage2, stage2_epochs)}


@pytest.fixture
def model(leaves: OrdinalDataset, small: Config) -> L2RCLIP:
    """A model of random towers, to be trained."""
    return L2RCLIP.build(leaves.ranks, small)


@pytest.fixture
def data(leaves: OrdinalDataset, model: L2RCLIP) -> TrainingData:
    """The leaves, resized and encoded."""
    return TrainingData.load(leaves, model)


# --- what learns --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STAGES)
def test_only_what_the_freezing_table_says_changes(
    name: str, model: L2RCLIP, data: TrainingData
) -> None:
    """Every tensor before and after; besides parameters only the kept text features move.

    When a row is there, its epoch is over, the parameters are in place, and gradients are recorded.
    """
    before = {key: value.clone() for key, value in model.state_dict().items()}
    expected = {key for key, _ in model.named_parameters() if trains(key, name)}
    if name == "stage 1":
        expected.add("rank_features")

    start, train = STAGES[name]
    stage = start(model, data)
    for epoch, row in enumerate(train(model, data, stage), start=1):
        assert row["epoch"] == epoch
        assert torch.is_grad_enabled()
        assert stage.steps_taken == epoch * stage.n_steps / 2
        val_features = data.features["val"] if name == "stage 1" else data.encode(model, "val")
        scores = data.scores(model, val_features)
        assert (row["val_rps"], row["val_mae"]) == scores

    after = model.state_dict()
    assert {key for key, value in before.items() if not torch.equal(value, after[key])} == expected


# --- the losses ---------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["true", "shuffled"])
def test_the_first_loss_of_each_stage_is_that_of_its_batch(
    order: str, leaves: OrdinalDataset, small: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One step on all 40 images as they are; the negative control gives ranks other values."""
    recorded: list[tuple[float, Tensor]] = []
    take_step = Stage.step

    def record(self: Stage, loss: Tensor) -> None:
        rows = torch.randperm(40, generator=next(self.epochs()))
        recorded.append((float(loss.detach()), rows))
        take_step(self, loss)

    monkeypatch.setattr(Stage, "step", record)
    controls = replace(small.controls, order=order)
    config = replace(small, batch_size=64, augment=False, epochs1=1, epochs2=1, controls=controls)
    model = L2RCLIP.build(leaves.ranks, replace(config, preset="paper", lambda_rps=0.7))
    data = TrainingData.load(leaves, model)
    t = model.rank_features.clone()
    values = leaves.ranks.values_tensor()
    scale = model.scale
    settings = LossSettings(lambda_push=1, lambda_tight=1, lambda_rps=0.7, order=order)
    shuffled = values[cyclic_permutation(5)] if order == "shuffled" else values

    for loss_of in (
        lambda z, y: stage1_loss(z, t, y, shuffled, scale, LossSettings()),
        lambda z, y: stage2_loss(z, model.rank_features, y, values, scale, settings),
    ):
        list(stage2_epochs(model, data) if recorded else stage1_epochs(model, data))
        loss, rows = recorded[-1]
        expected = loss_of(data.features["train"][rows], data.targets["train"][rows])
        assert loss == pytest.approx(float(expected.detach()), rel=1e-4)
    assert len(recorded) == 2


# --- batches ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n_images", "settings", "expected"),
    [(40, {}, 16), (40, {"batch_size1": 5}, 5), (100, {"batch_size": 2}, 4)],
)
def test_an_epoch_on_cached_features_has_at_most_32_steps(
    n_images: int, settings: dict[str, int], expected: int, model: L2RCLIP
) -> None:
    """100 images, two per step, would be 50 steps: 4 per step make 25; or as many as are set."""
    model.config = replace(model.config, **settings)
    z = F.normalize(torch.ones(n_images, model.towers.dim), dim=1)
    data = TrainingData({"train": z}, {"train": torch.arange(n_images) % 5}, {})

    _, target = next(data.feature_batches(model, torch.Generator()))

    assert len(target) == expected


def test_balanced_epochs_draw_each_rank_alike(model: L2RCLIP) -> None:
    """Of 60, 15 and 5 images of three ranks: 80 draws, 80/3 of each rank on the mean.

    So an image of the rarest rank comes 80/15 times an epoch, one of the commonest 80/180 times,
    and at most once. Each epoch is another draw, the same for the same generator.
    """
    model.config = replace(model.config, balance=True)
    targets = torch.tensor([0] * 60 + [3] * 15 + [4] * 5)
    places = torch.arange(80.0)[:, None]
    data = TrainingData({"train": places}, {"train": targets}, {})

    counts = torch.zeros(80)
    for seed in range(200):
        batches = list(data.feature_batches(model, torch.Generator().manual_seed(seed)))
        repeated = list(data.feature_batches(model, torch.Generator().manual_seed(seed)))
        rows = torch.cat([images for images, _ in batches])[:, 0].long()
        assert torch.equal(rows, torch.cat([images for images, _ in repeated])[:, 0].long())
        assert torch.equal(targets[rows], torch.cat([target for _, target in batches]))
        epoch = rows.bincount(minlength=80)
        assert epoch[:60].max() == 1
        counts += epoch

    means = [float(counts[targets == rank].mean()) / 200 for rank in (0, 3, 4)]
    assert counts.sum() == 200 * 80
    assert means == pytest.approx([80 / 180, 80 / 45, 80 / 15], rel=0.03)
    assert counts.min() > 200 * 0.3  # no image is left out


def test_a_batch_in_parts_has_the_gradient_of_the_whole(
    leaves: OrdinalDataset, small: Config
) -> None:
    """A loss that compares all 16 images; the tower sees at most 5 at once, each of them twice."""
    pixels = torch.rand(16, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    target = torch.arange(16) % 5
    gradients = []
    seen: list[int] = []

    for micro_batch_size in (None, 5):
        config = replace(small, preset="paper", micro_batch_size=micro_batch_size)
        model = L2RCLIP.build(leaves.ranks, config)
        parameters = freeze(model, "stage 2")
        model.towers.image.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))

        z = ImageEncoder(model, micro_batch_size)(pixels)
        values = leaves.ranks.values_tensor()
        settings = LossSettings(lambda_push=1, lambda_tight=1, lambda_rps=0)
        stage2_loss(z, model.rank_features, target, values, model.scale, settings).backward()
        gradients.append([parameter.grad for parameter in parameters.values()])

    assert seen == [16, 5, 5, 5, 1, 1, 5, 5, 5]  # back from the last part to the first
    for of_whole, of_parts in zip(*gradients, strict=True):
        assert torch.allclose(of_parts, of_whole, rtol=1e-3, atol=1e-6)


# --- the log, and memory ------------------------------------------------------------------------


def finish(name: str, model: L2RCLIP, data: TrainingData) -> list[Row]:
    """Train a stage as `fit` does."""
    start, train = STAGES[name]
    stage = start(model, data)
    return run_stage(model, stage, train(model, data, stage), quiet=True)


def too_large(*_: object) -> Tensor:
    """Ask torch's real allocator for more memory than any machine has."""
    return torch.empty(2**55)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("stage 2", r"^stage 2: out of memory with 16 images at once; .*--micro-batch-size"),
        ("stage 1", r"^stage 1: out of memory with 5 sentences at once; .*--rebin"),
        ("encoding", r"^encoding images: out of memory with 10 images at once; .*batch_size"),
    ],
)
def test_memory_that_runs_out_is_one_sentence(
    name: str,
    sentence: str,
    leaves: OrdinalDataset,
    model: L2RCLIP,
    data: TrainingData,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It names what fills the memory, and an option that takes less."""
    work = partial(finish, name, model, data)
    if name == "encoding":
        work = partial(model.encode, leaves.test, backbone=False)

    monkeypatch.setattr(L2RCLIP, "image_features", too_large)
    monkeypatch.setattr(type(model.prompts), "forward", too_large)
    with pytest.raises(TrainingError, match=sentence):
        work()
