"""On another device: the numbers of the CPU, and no step that waits or sends needlessly."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pretend
import pytest
import torch
from accelerate import PartialState
from torch import Tensor

from l2rclip_lite import devices
from l2rclip_lite.baselines import OBJECTIVES, probes, train_baseline
from l2rclip_lite.config import Config
from l2rclip_lite.data import OrdinalDataset
from l2rclip_lite.method.optimisation import Stage
from l2rclip_lite.model import L2RCLIP, calibrate
from l2rclip_lite.stages import stage1_epochs, stage2_epochs
from l2rclip_lite.training import fit
from l2rclip_lite.training_data import TrainingData

Material = tuple[L2RCLIP, TrainingData]
Fresh = Callable[[dict[str, Any]], list[Material]]
IMAGES = [torch.full((3, 32, 32), shade, dtype=torch.uint8) for shade in (0, 90, 200)]
CONTROLS = {"order": "shuffled", "symmetric": True, "contrastive": "plain"}
# What a step may send: its features and ranks, or its images, their draws and ranks.
BATCH = {1: 2, 2: 3}


def check_close(of_device: Tensor, of_cpu: Tensor, config: Config) -> None:
    """Compare two answers, to the rounding of a short training."""
    exactness = 5e-2 if config.precision == "bf16" else 1e-3
    assert torch.allclose(of_device.cpu(), of_cpu, rtol=exactness, atol=exactness)


# --- the two stages -----------------------------------------------------------------------------


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int, pretend.Traffic]]]:
    """The traffic of each step but the first of an epoch, with the number of its stage.

    A step begins where the one before it ends.
    """
    traffic_of_steps = []
    take_step = Stage.step

    def step(self: Stage, loss: Tensor) -> None:
        take_step(self, loss)
        if len(self.epoch_losses) > 1 and loss.device.type == "pretend":
            traffic_of_steps.append((self.number, replace(traffic)))
        traffic.sent = []
        traffic.waits = []

    monkeypatch.setattr(Stage, "step", step)
    with pretend.watched() as traffic:
        yield traffic_of_steps


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"preset": "paper", "axis": "joint", "precision": "bf16"},
        {"preset": "paper", "controls": CONTROLS},
    ],
)
def test_both_stages_are_those_of_the_cpu(
    settings: dict[str, Any], fresh: Fresh, steps: list[tuple[int, pretend.Traffic]]
) -> None:
    """All terms and axes; a step sends its batch, and waits once: for loss and gradient."""
    histories = []
    answers = []
    for model, data in fresh(settings):
        config = model.config
        history = [*stage1_epochs(model, data), *stage2_epochs(model, data)]
        histories.append(torch.tensor([row["loss"] for row in history]))
        calibrate(model, data.encode(model, "val"), data.targets["val"])
        answers.append(model.logits(data.encode(model, "test").to(model.device)))

    check_close(histories[1], histories[0], config)
    check_close(answers[1], answers[0], config)

    assert [number for number, _ in steps] == [1, 2]
    for number, traffic in steps:
        assert len(traffic.sent) == BATCH[number], traffic.sent
        assert len(traffic.waits) == 1, traffic.waits


def test_a_run_that_was_stopped_goes_on(
    few: OrdinalDataset,
    brief: Config,
    device: torch.device,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`fit`, on the device that accelerate finds: moments and best epoch come back to it."""
    config = replace(brief, epochs1=2)
    expected = fit(few, replace(config, device="cpu"), tmp_path / "cpu", quiet=True)
    PartialState(cpu=True)
    monkeypatch.setattr(devices, "Accelerator", lambda **_: SimpleNamespace(device=device))

    def stop(row: dict[str, float]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(few, config, tmp_path / "device", quiet=True, on_epoch=stop)
    run = fit(few, config, tmp_path / "device", quiet=True)

    answers = [run.model.predict(IMAGES).probabilities for run in (run, expected)]
    check_close(*answers, config)
    for row, row_of_cpu in zip(run.history, expected.history, strict=True):
        assert row == pytest.approx(row_of_cpu, rel=1e-3)


# --- baselines, and a model in use --------------------------------------------------------------


# A model computes in bf16 whatever the objective: one on the tower and one on prompts will do.
TRAINED = [("fp32", name) for name in (*OBJECTIVES, "coral-frozen")] + [("bf16", "coop")]


@pytest.mark.parametrize(("precision", "name"), TRAINED)
def test_a_baseline_is_that_of_the_cpu(
    precision: str,
    name: str,
    untouched: dict[str, list[Material]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each row of the registry: trained, calibrated, and asked."""
    monkeypatch.setattr(probes, "RIDGES", (10.0,))  # of several, rounding might choose another
    answers = []
    for model, data in untouched[precision]:
        trained = train_baseline(name, model, data)
        assert trained.device == model.device
        answers.append(trained.probabilities(data.encode(trained, "test")))
    check_close(answers[1], answers[0], model.config)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_model_in_use_is_that_of_the_cpu(precision: str, fresh: Fresh, tmp_path: Path) -> None:
    """Encoded, calibrated, called in training mode, saved, loaded, moved and asked."""
    answers = []
    for model, data in fresh({"precision": precision}):
        calibrate(model, data.features["val"], data.targets["val"])
        pixels = torch.stack([model.transform()(image) for image in IMAGES])
        answers.append((model.train()(pixels.to(model.device)).detach(), model.encode(IMAGES)))

        model.eval().save_pretrained(tmp_path)
        loaded = L2RCLIP.from_pretrained(tmp_path).to(model.device)
        assert torch.equal(
            loaded.predict(IMAGES).probabilities, model.predict(IMAGES).probabilities
        )

    for of_cpu, of_device in zip(*answers, strict=True):
        check_close(of_device, of_cpu, model.config)
