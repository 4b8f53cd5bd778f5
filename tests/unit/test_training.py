"""`fit` on sixty small leaves: what changes when, refused, and never looking at the test part.

A run that is killed at any moment and resumed is tried in `tests/faults`.
"""

import json
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import children
import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from l2rclip_lite import progress
from l2rclip_lite.calibration import calibrate, temper
from l2rclip_lite.config import Config, Controls
from l2rclip_lite.data import OrdinalDataset
from l2rclip_lite.errors import InputError, TrainingError
from l2rclip_lite.freezing import freeze, freezing_table, trains
from l2rclip_lite.losses import (
    asymmetrical_contrastive_loss,
    diversity,
    ordinal_pairwise_loss_stage1,
    ranked_probability_loss,
    tightness,
)
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.results import Run, judge, median_rank
from l2rclip_lite.training import fit as training
from l2rclip_lite.training.features import TrainingData
from l2rclip_lite.training.fit import fit
from l2rclip_lite.training.stage import Stage
from l2rclip_lite.training.stages import train_stage1, train_stage2

FILES = {
    "config.json",
    "history.csv",
    "metrics.json",
    "model.safetensors",
    "predictions.csv",
    "README.md",
}


@pytest.fixture(scope="module")
def run(leaves: OrdinalDataset, small: Config, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that nobody disturbed."""
    return fit(leaves, small, tmp_path_factory.mktemp("runs") / "whole", quiet=True)


def test_the_run_directory_holds_what_it_should(
    run: Run, leaves: OrdinalDataset, small: Config
) -> None:
    """Six files, nothing unfinished; and they say the same as each other and as the model."""
    assert {path.name for path in run.out.iterdir()} == FILES
    stored = json.loads((run.out / "config.json").read_text(encoding="utf-8"))
    assert Config.from_dict(stored["config"]) == replace(
        small, upside_down=True
    )  # leaves lie as they like
    assert [(row["stage"], row["epoch"]) for row in run.history] == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert json.loads((run.out / "metrics.json").read_text(encoding="utf-8")) == run.metrics
    table = pd.read_csv(run.out / "predictions.csv")
    assert list(table["path"]) == list(leaves.test.paths)
    assert list(table["true_rank"]) == list(leaves.test.targets)
    found = run.model.predict([leaves.test[index][0] for index in range(len(leaves.test))])
    written = torch.tensor(table.filter(like="p_").values).float()
    assert torch.allclose(found.probabilities, written, atol=2e-6)
    assert found.rank.tolist() == list(table["predicted_rank"])


def test_only_what_the_freezing_table_says_changes(leaves: OrdinalDataset, small: Config) -> None:
    """Compare every tensor before and after each stage; besides parameters only the kept text features move.

    Each parameter is in one row of the table; the sum of the rows is the model.
    """
    model = L2RCLIP.build(leaves.ranks, replace(small, epochs1=1, epochs2=1))
    rows = [line.split() for line in freezing_table(model).splitlines()[1:]]
    size = sum(parameter.numel() for parameter in model.parameters())
    assert sum(int(row[1].replace(",", "")) for row in rows) == size
    assert rows[0] == ["prompts.context", "256", "trains", "frozen"]
    data = TrainingData.load(leaves, model)
    for stage, train, cached in (
        ("stage 1", train_stage1, {"rank_features"}),
        ("stage 2", train_stage2, set()),
    ):
        before = {name: value.clone() for name, value in model.state_dict().items()}
        train(model, data)
        after = model.state_dict()
        changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
        assert (
            changed
            == {n for n, _ in model.named_parameters() if trains(n, stage, model.config)} | cached
        )


def test_the_first_losses_by_hand(
    leaves: OrdinalDataset, small: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stage 1: contrastive + λ1 · ordinal on its texts. Stage 2: cross-entropy + λ2 · ordinal against kept texts."""
    seen: list[float] = []
    real = Stage.step

    def step(self: Stage, loss: Tensor) -> None:
        seen.append(float(loss.detach()))
        real(self, loss)

    monkeypatch.setattr(Stage, "step", step)
    config = replace(small, batch_size=64, lambda1=0.5, augment=False, epochs1=1, epochs2=1)
    config = replace(config, lambda_tight=2.0, lambda_push=3.0, lambda_rps=0.7)
    model = L2RCLIP.build(leaves.ranks, config)
    data, values = TrainingData.load(leaves, model), leaves.ranks.values_tensor()
    order = torch.randperm(
        40, generator=torch.Generator().manual_seed(31 * 0 * 100_003 + 1 * 100_003)
    )
    z, y, t = (
        data.features["train"][order],
        data.targets["train"][order],
        model.rank_features.clone(),
    )
    train_stage1(model, data)
    by_hand = asymmetrical_contrastive_loss(z, t, y, model.scale)
    by_hand = by_hand + 0.5 * ordinal_pairwise_loss_stage1(z, t[y], t[y], values[y])
    assert seen[-1] == pytest.approx(float(by_hand.detach()), rel=1e-5)
    t, scale = model.rank_features.clone(), model.scale.detach()
    train_stage2(model, data)
    by_hand = (
        F.cross_entropy(scale * z @ t.T, y)
        + 2 * tightness(z, t, y)
        - 3 * diversity(z, t, y, values)
    )
    by_hand = by_hand + 0.7 * ranked_probability_loss(scale * z @ t.T, y)
    assert seen[-1] == pytest.approx(float(by_hand.detach()), rel=1e-4)


@pytest.mark.parametrize(
    "controls",
    [{"order": "blind"}, {"order": "shuffled"}, {"contrastive": "plain"}, {"symmetric": True}, {"push_power": 2},
     {"normalise": "global"}, {"shuffled": True}, {"rankformer": False}, {"centre": False}],
    ids=str,
)  # fmt: skip
def test_every_control_changes_the_result(
    controls: dict[str, Any], run: Run, leaves: OrdinalDataset, small: Config
) -> None:
    """A control that did nothing would be reported as no effect."""
    config = replace(
        small, controls=Controls(**controls), epochs1=1, epochs2=1, batch_size=3, lambda_push=1.0
    )
    plain = replace(config, controls=Controls())
    found = []
    for each in (config, plain):
        model = L2RCLIP.build(leaves.ranks, each)
        data = TrainingData.load(leaves, model)
        found.append([row["loss"] for row in train_stage1(model, data) + train_stage2(model, data)])
    assert found[0] != found[1]


def test_a_finished_run_is_loaded_and_another_is_refused(
    run: Run, leaves: OrdinalDataset, small: Config, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nothing is trained again; other settings, other data or a folder of something else are refused by name."""
    monkeypatch.setattr(training, "train_stage1", None)
    again = fit(
        leaves, replace(small, threads=1), run.out, quiet=True
    )  # where it computes may differ
    assert (again.metrics, again.history) == (run.metrics, run.history)
    with pytest.raises(
        InputError, match=r"holds a run with another controls\.order, seed; choose a new --out"
    ):
        fit(leaves, replace(small, seed=1, controls=Controls(order="blind")), run.out, quiet=True)
    with pytest.raises(InputError, match="holds a run with another data or template"):
        fit(replace(leaves, train=leaves.train[1:]), small, run.out, quiet=True)
    if not torch.cuda.is_available():  # no slow surprise on the CPU
        with pytest.raises(TrainingError, match="no 'cuda' device is visible here"):
            fit(leaves, replace(small, device="cuda"), tmp_path / "gpu", quiet=True)
    (tmp_path / "thesis.txt").write_text("mine")
    (tmp_path / ".ssh.bak").mkdir()
    with pytest.raises(InputError, match="is not a run directory"):
        fit(leaves, small, tmp_path, quiet=True)
    assert (tmp_path / ".ssh.bak").is_dir()


def test_three_datasets_of_your_own(
    run: Run, leaves: OrdinalDataset, small: Config, tmp_path: Path
) -> None:
    """Map-style datasets of (image, rank index) with ranks give the same numbers as our own."""
    splits = (leaves.train, leaves.val, leaves.test)
    lists = [[split[index] for index in range(len(split))] for split in splits]
    config = replace(small, upside_down=True)
    found = fit(lists, config, tmp_path / "own", ranks=leaves.ranks, quiet=True)
    assert {**found.metrics, "seconds": 0} == {**run.metrics, "seconds": 0}
    with pytest.raises(InputError, match="need ranks="):
        fit(lists, config, tmp_path / "none", quiet=True)


def test_the_test_part_changes_nothing(
    run: Run, leaves: OrdinalDataset, small: Config, tmp_path: Path
) -> None:
    """Another test part, the same model."""
    other = fit(replace(leaves, test=leaves.val), small, tmp_path / "other", quiet=True)
    mine, theirs = run.model.state_dict(), other.model.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in mine.items())


def test_the_best_epoch_is_kept_not_the_last(leaves: OrdinalDataset, small: Config) -> None:
    """A rate that destroys the model after a good first epoch: what is left is the first epoch.

    The gradient of a sum of n numbers is √n long; that of a tower is shortened to 1, that of a head is not.
    """
    model = L2RCLIP.build(leaves.ranks, small)
    data, (weight, head, *_) = TrainingData.load(leaves, model), model.prompts.parameters()
    stage = Stage(2, {"towers.weight": weight, "head.weight": head}, data, model, lr=1.0, epochs=2)
    good, after = F.one_hot(data.targets["val"], 5).float(), []
    for epoch, _ in enumerate(stage.epochs()):
        stage.step(weight.sum() + 2 * head.sum())
        stage.end_epoch(good if epoch == 0 else good.flip(1))
        after.append(weight.detach().clone())
    assert (weight.grad.norm(), head.grad.norm()) == pytest.approx((1, 2))
    assert stage.restore_best()[0]["val_mae"] == 0
    assert torch.equal(weight, after[0])


def test_the_median_rank_by_hand(leaves: OrdinalDataset) -> None:
    """Eight training leaves of each of five ranks: the median is rank 2, two of ten test leaves have it."""
    found, counts = median_rank(leaves), np.array([leaves.test.targets.count(k) for k in range(5)])
    shares = np.cumsum(
        [0.2] * 5
    )  # the probabilities are the frequencies, so RPS is an honest floor
    by_rank = [((shares - (np.arange(5) >= k)) ** 2).sum() for k in range(5)]
    assert found["rps"] == pytest.approx(float(counts @ by_rank) / 10)
    assert found["mae_median"] == found["mae"]
    assert found["accuracy"] == pytest.approx(leaves.test.targets.count(2) / 10)
    assert found["mae"] == pytest.approx(
        sum(abs(target - 2) for target in leaves.test.targets) / 10
    )


def test_after_stage_1_has_a_temperature_of_its_own(
    run: Run, leaves: OrdinalDataset, small: Config
) -> None:
    """It stands beside a calibrated model in a table; stage 2 does not know of it."""
    model = L2RCLIP.build(leaves.ranks, replace(small, upside_down=True))
    data = TrainingData.load(leaves, model)
    train_stage1(model, data)
    rows = model.logits(data.features["test"]).detach()
    calibrate(model, data.features["val"], data.targets["val"])
    expected = judge(
        torch.tensor(temper(rows, float(model.temperature))), leaves.test, leaves.ranks
    )
    assert run.metrics["test_after_stage1"] == pytest.approx(expected, abs=1e-4)


def test_a_log_file_shows_each_epoch_and_long_work(
    run: Run, leaves: OrdinalDataset, small: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Whole lines on stderr, which is no terminal here; where each batch takes too long, one for each, also of encoding."""
    model = L2RCLIP.build(leaves.ranks, small)
    train_stage1(model, TrainingData.load(leaves, model, quiet=False), quiet=False)
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("stage 1, epoch 1 of 2: loss ")
    assert f"validation RPS {run.history[1]['val_rps']:.3f}, MAE" in second
    monkeypatch.setattr(progress, "EVERY", 1e-9)
    train_stage1(model, TrainingData.load(leaves, model, quiet=False), quiet=False)
    said = capsys.readouterr().err
    assert "\r" not in said.replace("\r\n", "")
    assert said.count("encoding images: ") >= 3
    assert "stage 1:  50%" in said
    assert set(run.metrics["seconds"]) == {"encoding", "stage 1", "stage 2"}


def test_features_that_were_computed_are_not_computed_again(
    leaves: OrdinalDataset, small: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same images and tower find them, by content, not by name; other images or another tower do not."""
    kept, files = tmp_path / "kept", [tmp_path / f"{index}.png" for index in range(4)]
    for index, file in enumerate(files):
        leaves.train[index][0].save(file)
    model = L2RCLIP.build(leaves.ranks, small)
    first = model.encode(files, backbone=True, cache=kept)
    other = L2RCLIP.build(leaves.ranks, replace(small, seed=1))
    with monkeypatch.context() as patch:
        patch.setattr(L2RCLIP, "_backbone", None)
        assert torch.equal(model.encode(files, backbone=True, cache=kept), first)
        for images, asked in ((files[1:], model), (files, other)):
            with pytest.raises(TypeError):
                asked.encode(images, backbone=True, cache=kept)
    files[0].write_bytes(files[1].read_bytes())  # under an old name
    assert torch.equal(model.encode(files, backbone=True, cache=kept)[0], first[1])


def test_each_epoch_is_told_once(leaves: OrdinalDataset, small: Config, tmp_path: Path) -> None:
    """An error in the second call stops the run; the same call again tells the other two rows, and no more than once."""
    told: list[dict[str, float]] = []

    def stop(row: dict[str, float]) -> None:
        told.append(row)
        if len(told) == 2:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        fit(leaves, small, tmp_path / "run", quiet=True, on_epoch=stop)
    run = fit(leaves, small, tmp_path / "run", quiet=True, on_epoch=told.append)
    assert [list(row.values()) for row in told] == [
        pytest.approx(list(row.values())) for row in run.history
    ]
    fit(leaves, small, tmp_path / "run", quiet=True, on_epoch=told.append)  # a finished run
    kernel = replace(small, epochs1=1, image_side="kernel")
    fit(leaves, kernel, tmp_path / "kernel", quiet=True, on_epoch=told.append)
    assert [(row["stage"], row["epoch"]) for row in told[4:]] == [(1, 1), (2, 1)]


@pytest.mark.slow
def test_two_processes_train_one_run(tmp_path: Path) -> None:
    """On two CPU processes, as `accelerate launch` starts them: one run directory, written once."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    both = [children.start(children.join, tmp_path / "run", rank, port) for rank in range(2)]
    for child in both:
        child.join(120)
    assert [child.exitcode for child in both] == [0, 0]
    assert {path.name for path in (tmp_path / "run").iterdir()} == FILES


@pytest.mark.slow
def test_images_that_do_not_fit_into_memory_are_read_anew() -> None:
    """Kept or read in each epoch, by one process or by workers: the same numbers."""
    assert children.ended(children.keep_or_read) == 0


def test_an_epoch_on_cached_features_has_at_most_32_steps(
    leaves: OrdinalDataset, small: Config
) -> None:
    """100 images, two per step: 4 per step make 25 steps. Adam's schedule counts the same steps."""
    model = L2RCLIP.build(leaves.ranks, replace(small, batch_size=2))
    z, y = F.normalize(torch.ones(100, model.towers.dim), dim=1), torch.arange(100) % 5
    data = TrainingData({"train": z, "val": z}, {"train": y, "val": y}, {})
    sizes = [len(target) for _, target in data.feature_batches(model, torch.Generator())]
    assert sizes == [4] * 25
    options = {"lr": 1e-3, "epochs": 2, "batch_size": data.feature_batch_size(model.config)}
    assert Stage(1, freeze(model, "stage 1"), data, model, **options).steps == 50
