"""Both stages of training: what learns, the losses, the log, and where memory runs out."""

from dataclasses import replace
from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from l2rclip_lite import progress
from l2rclip_lite.config import Config
from l2rclip_lite.data import OrdinalDataset
from l2rclip_lite.errors import TrainingError
from l2rclip_lite.freezing import freeze, freezing_table, trains
from l2rclip_lite.method.losses import (
    asymmetrical_contrastive_loss,
    diversity,
    ordinal_pairwise_loss_stage1,
    ranked_probability_loss,
    tightness,
)
from l2rclip_lite.method.model import L2RCLIP
from l2rclip_lite.method.ranks import cyclic_permutation
from l2rclip_lite.training.features import TrainingData
from l2rclip_lite.training.processes import GatheredImageSide
from l2rclip_lite.training.stage import Stage
from l2rclip_lite.training.stages import stage2_loss, train_stage1, train_stage2


class RecordedStep(NamedTuple):
    """The loss of a step, and its training images in their order."""

    loss: float
    rows: Tensor


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[RecordedStep]:
    """Every step that a stage has taken."""
    recorded: list[RecordedStep] = []
    take_step = Stage.step

    def record(self: Stage, loss: Tensor, rows: Tensor) -> None:
        recorded.append(RecordedStep(float(loss.detach()), rows))
        take_step(self, loss, rows)

    monkeypatch.setattr(Stage, "step", record)
    return recorded


@pytest.fixture
def model(leaves: OrdinalDataset, small: Config) -> L2RCLIP:
    """A model of random towers, to be trained."""
    return L2RCLIP.build(leaves.ranks, small)


@pytest.fixture
def data(leaves: OrdinalDataset, model: L2RCLIP) -> TrainingData:
    """The leaves, resized and encoded."""
    return TrainingData.load(leaves, model)


@pytest.fixture
def whole_batch(small: Config) -> Config:
    """One step an epoch, on all 40 training images as they are."""
    return replace(small, batch_size=64, augment=False, epochs1=1, epochs2=1)


# --- what learns --------------------------------------------------------------------------------


def test_each_parameter_is_in_one_row_of_the_freezing_table(model: L2RCLIP) -> None:
    """The sum of the rows is the model."""
    rows = [line.split() for line in freezing_table(model).splitlines()[1:]]
    sizes = [int(row[1].replace(",", "")) for row in rows]

    assert sum(sizes) == sum(parameter.numel() for parameter in model.parameters())
    assert rows[0] == ["prompts.context", "256", "trains", "frozen"]


@pytest.mark.parametrize("stage", ["stage 1", "stage 2"])
def test_only_what_the_freezing_table_says_changes(
    stage: str, model: L2RCLIP, data: TrainingData
) -> None:
    """Every tensor before and after; besides parameters only the kept text features move."""
    before = {name: value.clone() for name, value in model.state_dict().items()}
    expected = {name for name, _ in model.named_parameters() if trains(name, stage, model.config)}

    if stage == "stage 1":
        train_stage1(model, data)
        expected.add("rank_features")
    else:
        train_stage2(model, data)

    changed = set()
    for name, value in model.state_dict().items():
        if not torch.equal(value, before[name]):
            changed.add(name)
    assert changed == expected


# --- the losses ---------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["true", "shuffled"])
def test_the_first_loss_of_stage_1_by_hand(
    order: str, leaves: OrdinalDataset, whole_batch: Config, steps: list[RecordedStep]
) -> None:
    """Contrastive + λ1 · ordinal on its texts; the negative control gives ranks other values."""
    controls = replace(whole_batch.controls, order=order)
    model = L2RCLIP.build(leaves.ranks, replace(whole_batch, lambda1=0.5, controls=controls))
    data = TrainingData.load(leaves, model)
    t = model.rank_features.clone()
    values = leaves.ranks.values_tensor()
    if order == "shuffled":
        values = values[cyclic_permutation(5)]

    train_stage1(model, data)

    (step,) = steps
    z = data.features["train"][step.rows]
    y = data.targets["train"][step.rows]
    contrastive = asymmetrical_contrastive_loss(z, t, y, model.scale)
    ordinal = ordinal_pairwise_loss_stage1(z, t[y], t[y], values[y])
    by_hand = float((contrastive + 0.5 * ordinal).detach())
    assert step.loss == pytest.approx(by_hand, rel=1e-5)


def test_the_first_loss_of_stage_2_by_hand(
    leaves: OrdinalDataset, whole_batch: Config, steps: list[RecordedStep]
) -> None:
    """Cross-entropy + λ_tight · tightness − λ_push · diversity + λ_rps · RPS, on fixed texts."""
    config = replace(whole_batch, lambda_tight=2.0, lambda_push=3.0, lambda_rps=0.7)
    model = L2RCLIP.build(leaves.ranks, config)
    data = TrainingData.load(leaves, model)

    train_stage2(model, data)

    (step,) = steps
    z = data.features["train"][step.rows]
    y = data.targets["train"][step.rows]
    t = model.rank_features
    values = leaves.ranks.values_tensor()
    logits = model.scale.detach() * z @ t.T
    by_hand = F.cross_entropy(logits, y)
    by_hand = by_hand + 2 * tightness(z, t, y)
    by_hand = by_hand - 3 * diversity(z, t, y, values)
    by_hand = by_hand + 0.7 * ranked_probability_loss(logits, y)
    assert step.loss == pytest.approx(float(by_hand), rel=1e-4)


# --- batches ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("batch_size1", "expected"), [(None, 16), (5, 5)])
def test_a_batch_of_stage_1_can_be_set(
    batch_size1: int | None, expected: int, leaves: OrdinalDataset, small: Config
) -> None:
    """A 32nd of 40 images is 2; the memory of its pairs is the square of the batch."""
    model = L2RCLIP.build(leaves.ranks, replace(small, batch_size1=batch_size1))
    data = TrainingData.load(leaves, model)
    batch = next(data.feature_batches(model, torch.Generator()))
    assert len(batch.target) == expected


def test_an_epoch_on_cached_features_has_at_most_32_steps(
    leaves: OrdinalDataset, small: Config
) -> None:
    """100 images, two per step, would be 50 steps: 4 per step make 25."""
    model = L2RCLIP.build(leaves.ranks, replace(small, batch_size=2))
    z = F.normalize(torch.ones(100, model.towers.dim), dim=1)
    y = torch.arange(100) % 5
    data = TrainingData({"train": z, "val": z}, {"train": y, "val": y}, {})

    sizes = [len(batch.target) for batch in data.feature_batches(model, torch.Generator())]

    assert sizes == [4] * 25
    assert data.feature_batch_size(model.config) == 4


# --- the log, and memory ------------------------------------------------------------------------


def test_each_epoch_is_a_line_of_a_log_file(
    leaves: OrdinalDataset, model: L2RCLIP, capsys: pytest.CaptureFixture[str]
) -> None:
    """On stderr, which is no terminal here; what takes no time has no line."""
    data = TrainingData.load(leaves, model, quiet=False)
    history = train_stage1(model, data, quiet=False)

    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("stage 1, epoch 1 of 2: loss ")
    assert f"validation RPS {history[1]['val_rps']:.3f}, MAE" in second


def test_work_that_takes_long_has_a_line_for_each_batch(
    leaves: OrdinalDataset,
    model: L2RCLIP,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Encoding, too; no bar is drawn over and over."""
    monkeypatch.setattr(progress, "LOG_INTERVAL", 1e-9)
    data = TrainingData.load(leaves, model, quiet=False)
    train_stage1(model, data, quiet=False)

    log = capsys.readouterr().err
    assert "\r" not in log.replace("\r\n", "")
    assert log.count("encoding images: ") >= 3
    assert "stage 1:  50%" in log


def too_large(*_: object) -> Tensor:
    """Ask torch's real allocator for more memory than any machine has."""
    return torch.empty(2**55)


def test_a_stage_that_runs_out_of_memory_names_the_option_that_takes_less(
    model: L2RCLIP, data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of its images; of stored features the sentences need the memory."""
    with monkeypatch.context() as patch:
        patch.setattr(L2RCLIP, "image_features", too_large)
        with pytest.raises(
            TrainingError, match=r"^stage 2: out of memory with 16 .* try --micro-batch-size 8\.$"
        ):
            train_stage2(model, data)

    monkeypatch.setattr(model.prompts, "forward", too_large)
    with pytest.raises(TrainingError, match=r"^stage 1: out of memory with 5 sentences at once; "):
        train_stage1(model, data)


def test_encoding_that_runs_out_of_memory_names_a_smaller_batch(
    leaves: OrdinalDataset, model: L2RCLIP, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one image there is none."""
    monkeypatch.setattr(L2RCLIP, "image_features", too_large)
    with pytest.raises(
        TrainingError, match=r"^encoding images: .* 10 images at once; .*--micro-batch-size 2 "
    ):
        model.encode(leaves.test, backbone=False)
    with pytest.raises(
        TrainingError,
        match=r"with a single image; .* smaller --image-size\.$",
    ):
        model.encode(leaves.test[:1], backbone=False)


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

        z = GatheredImageSide(model)(pixels, 16)
        stage2_loss(model, z, target, leaves.ranks.values_tensor()).backward()
        gradients.append([parameter.grad for parameter in parameters.values()])

    assert seen == [16, 5, 5, 5, 1, 1, 5, 5, 5]  # back from the last part to the first
    for of_whole, of_parts in zip(*gradients, strict=True):
        assert torch.allclose(of_parts, of_whole, rtol=1e-3, atol=1e-6)
