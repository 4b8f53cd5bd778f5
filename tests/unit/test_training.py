"""`fit` on sixty small leaves: what changes when, refused, and never looking at the test part.

A run that is killed at any moment and resumed is tried in `tests/faults`.
"""

import json
import math
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import children
import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from l2rclip_lite import progress
from l2rclip_lite.calibration import calibrate, temper
from l2rclip_lite.config import Config, Controls
from l2rclip_lite.data import OrdinalDataset
from l2rclip_lite.errors import InputError, TrainingError
from l2rclip_lite.files import read_json, write_json
from l2rclip_lite.freezing import freeze, freezing_table, trains
from l2rclip_lite.losses import (
    asymmetrical_contrastive_loss,
    diversity,
    ordinal_pairwise_loss_stage1,
    ranked_probability_loss,
    tightness,
)
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.model_file import MODEL
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.results import Run, judge, median_rank
from l2rclip_lite.training import fit as training
from l2rclip_lite.training import stage as stage_module
from l2rclip_lite.training.features import TrainingData
from l2rclip_lite.training.fit import fit
from l2rclip_lite.training.stage import Stage
from l2rclip_lite.training.stages import train_stage1, train_stage2

OTHER_RANKS = Ranks(("low", "high"), (0, 1), "{rank} damage")

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

    def step(self: Stage, loss: Tensor, rows: Tensor | None = None) -> None:
        seen.append(float(loss.detach()))
        real(self, loss, rows)

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
     {"normalise": "global"}, {"shuffled": True}, {"rankformer": False}, {"centre": False}, {"light": False},
     {"clip": False}],
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


@pytest.mark.untyped
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"ranks": OTHER_RANKS}, r"^fit: leaves has ranks of its own, .*leave ranks out\.$"),
        ({"config": {"epochs1": 1}}, r"^fit: config is of type dict; give a Config"),
        ({"cache": "c" * 300}, "^cache: 'c+ cannot be a folder .File name too long.; name another"),
        ({"cache": __file__}, "^cache: .*cannot be a folder .Not a directory."),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_with_is_refused_at_once(
    leaves: OrdinalDataset, small: Config, tmp_path: Path, change: dict[str, Any], sentence: str
) -> None:
    """Before a run directory is made; other ranks than those of the data were ignored."""
    arguments = {"data": leaves, "config": small, "out": tmp_path / "run", "quiet": True}
    with pytest.raises(InputError, match=sentence):
        fit(**arguments | change)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        (
            {"image_size": 8},
            "^image_size: 8 x 8 pixels are too few for the image tower; give a larger",
        ),
        ({"heads": 7}, "^heads: 7 heads do not divide"),
    ],
)
def test_settings_that_make_no_model_leave_nothing_behind(
    leaves: OrdinalDataset, small: Config, tmp_path: Path, setting: dict[str, Any], sentence: str
) -> None:
    """Else the corrected settings would be refused as those of another run."""
    with pytest.raises(InputError, match=sentence):
        fit(leaves, replace(small, **setting), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


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
    monkeypatch.setattr(progress, "LOG_INTERVAL", 1e-9)
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


def both(what: Callable[..., None], *given: Any) -> list[int | None]:
    """Return the exit codes of two processes that do it together, as `accelerate launch` starts them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    pair = [children.start(what, *given, rank, port) for rank in range(2)]
    for child in pair:
        child.join(120)
    return [child.exitcode for child in pair]


@pytest.mark.slow
def test_two_processes_train_one_run(tmp_path: Path) -> None:
    """One run directory, written once; a single process does not go on with what two began."""
    assert both(children.train_together, tmp_path / "run") == [0, 0]
    assert {path.name for path in (tmp_path / "run").iterdir()} == FILES


@pytest.mark.slow
def test_two_processes_get_what_one_gets(tmp_path: Path) -> None:
    """37 images by 16, or by 8 in each of two processes, are the same steps: the last has 5.

    Every term of stage 2, the ordinal weight of a batch, a head beside the tower, and a loss that
    compares two views of all images: the weights differ by rounding. They moved by 4e-5, and a
    second process that trained on other images, or by half the gradient, would differ by 1e-5 or
    more. The bias of attention is left out: that of its keys has no gradient but rounding, and Adam
    makes a step of it.
    """
    assert both(children.train_methods, tmp_path / "two", 8) == [0, 0]
    assert children.ended(children.train_methods, tmp_path / "one", 16) == 0
    for method in children.METHODS:
        one, two = (load_file(tmp_path / n / method / MODEL) for n in ("one", "two"))
        assert one.keys() == two.keys()
        towers = [
            name
            for name in one
            if name.startswith("towers.") and not name.endswith("attn.in_proj_bias")
        ]
        assert max(float((one[name] - two[name]).abs().max()) for name in towers) < 1e-6
    rows = [read_json(tmp_path / n / "stage 2" / "history.json") for n in ("one", "two")]
    assert [row["loss"] for row in rows[1]] == pytest.approx([row["loss"] for row in rows[0]])


@pytest.mark.slow
def test_a_loss_that_is_not_finite_ends_all_processes(tmp_path: Path) -> None:
    """Only the second one reads the broken image; the first must not wait for it for ever."""
    assert both(children.poison, tmp_path / "run") == [2, 2]
    first, second = ((tmp_path / f"said {rank}").read_text(encoding="utf-8") for rank in range(2))
    assert first == second
    assert first.startswith("stage 2, epoch 1, step 1: the loss is nan for the images train/0")


@pytest.mark.parametrize("batch_size", [16, 64])
def test_a_run_is_resumed_by_as_many_processes_as_began_it(
    leaves: OrdinalDataset,
    small: Config,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    batch_size: int,
) -> None:
    """Steps, and so the schedule and the draws of an epoch, are those of their number.

    Of 64 images a step, one process and two take as many steps, and draw otherwise all the same.
    """
    small = replace(small, batch_size=batch_size)

    def stop(row: dict[str, float]) -> None:
        if row["stage"] == 2:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        fit(leaves, small, tmp_path / "run", quiet=True, on_epoch=stop)
    with monkeypatch.context() as patch:
        patch.setattr(stage_module, "step_size", lambda batch_size: 2 * batch_size)  # of two
        with pytest.raises(InputError) as error:
            fit(leaves, small, tmp_path / "run", quiet=True)
    assert f"begun with {batch_size} images a step, by 1 process(es)" in str(error.value)
    assert fit(leaves, small, tmp_path / "run", quiet=True).history[-1]["epoch"] == 2


def test_a_run_of_an_earlier_release_is_loaded(
    leaves: OrdinalDataset, small: Config, tmp_path: Path
) -> None:
    """Its record holds the values of the preset as settings, and none of the newer ones."""
    run = fit(leaves, small, tmp_path / "run", quiet=True)
    stored = read_json(run.out / "config.json")
    assert stored["used"]["lambda_rps"] == 1
    assert stored["config"]["lambda_rps"] is None
    old = stored.pop("used")
    del old["batch_size1"], old["controls"]["clip"]
    write_json(run.out / "config.json", stored | {"config": old})
    assert fit(leaves, small, run.out, quiet=True).metrics == run.metrics
    other = replace(small, preset="paper", controls=Controls(clip=False))
    changed = r"another controls\.clip, lambda_push, lambda_rps, lambda_tight, preset;"
    with pytest.raises(InputError, match=changed):
        fit(leaves, other, run.out, quiet=True)


def test_without_an_epoch_of_stage_1_the_texts_are_the_plain_sentences(
    leaves: OrdinalDataset, small: Config, tmp_path: Path
) -> None:
    """No noise in front of them, no word shortened by α; also of a model that is loaded again."""
    plain = Controls(centre=False)
    config = replace(small, epochs1=0, epochs2=1, controls=plain)
    run = fit(leaves, config, tmp_path / "run", quiet=True)
    expected = run.model.towers.encode_text(leaves.ranks.sentences)
    assert torch.allclose(run.model.rank_features, expected, atol=1e-6)
    run.model.save_pretrained(tmp_path)
    assert torch.equal(L2RCLIP.from_pretrained(tmp_path).rank_features, run.model.rank_features)
    assert "prompts" not in freezing_table(L2RCLIP.build(leaves.ranks, config))


def test_a_batch_of_stage_1_can_be_set(leaves: OrdinalDataset, small: Config) -> None:
    """A 32nd of 40 images is 2; the memory of its pairs is the square of the batch."""
    for size1, expected in ((None, 16), (5, 5)):
        model = L2RCLIP.build(leaves.ranks, replace(small, batch_size1=size1))
        data = TrainingData.load(leaves, model)
        batches = data.feature_batches(model, torch.Generator())
        assert len(next(batches).target) == expected


def test_a_runaway_step_names_its_images(leaves: OrdinalDataset, small: Config) -> None:
    """Whoever reads it can look at them; a baseline is called by its name."""
    model = L2RCLIP.build(leaves.ranks, small)
    data = TrainingData.load(leaves, model)
    weight = torch.nn.Parameter(torch.ones(1))
    stage = Stage(27, {"head.weight": weight}, data, model, lr=0.1, epochs=1, name="rps")
    rows = torch.arange(3, 13)
    first, *_ = leaves.train.paths[3:]
    with pytest.raises(TrainingError) as error:
        stage.step(weight.sum() * math.inf, rows)
    assert str(error.value).startswith(
        f"rps, epoch 1, step 1: the loss is inf for the images {first}, "
    )
    assert " and 2 more; complete epochs are kept; use a smaller learning rate" in str(error.value)


def test_the_kept_epoch_is_chosen_as_the_controls_say(
    leaves: OrdinalDataset, small: Config
) -> None:
    """Three epochs: a sure one with one mistake, a cautious one without, and a bad one."""
    target = TrainingData.load(leaves, L2RCLIP.build(leaves.ranks, small)).targets["val"]
    right = F.one_hot(target, 5).float()
    sure = right.clone()
    sure[0] = sure[0].roll(1)
    cautious = 0.05 * right + 0.19
    answers = (sure, cautious, torch.full_like(right, 0.2))
    for select, kept in (("rps", 0), ("mae", 1), ("last", 2)):
        model = L2RCLIP.build(leaves.ranks, replace(small, controls=Controls(select=select)))
        data = TrainingData.load(leaves, model)
        weight = torch.nn.Parameter(torch.zeros(1))
        stage = Stage(2, {"head.weight": weight}, data, model, lr=0.1, epochs=3)
        for epoch, _ in enumerate(stage.epochs()):
            weight.data.fill_(epoch)
            stage.losses.append(0.0)
            stage.end_epoch(answers[epoch])
        stage.restore_best()
        assert float(weight.detach()) == kept


def test_out_of_memory_is_one_sentence(
    leaves: OrdinalDataset, small: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the real allocator: it says what to try, and nothing else is caught."""
    model = L2RCLIP.build(leaves.ranks, small)
    data = TrainingData.load(leaves, model)
    monkeypatch.setattr(L2RCLIP, "image_features", lambda *_: torch.empty(2**55))
    with pytest.raises(TrainingError, match=r"^stage 2: out of memory with 16 .*--batch-size 8\.$"):
        train_stage2(model, data)
    with pytest.raises(TrainingError, match=r"^encoding images: .* 10 images at once; .* 2\.$"):
        model.encode(leaves.test, backbone=False)
    with pytest.raises(TrainingError, match="with a single image; use another device"):
        model.encode(leaves.test[:1], backbone=False)
    monkeypatch.setattr(model.prompts, "forward", lambda *_: torch.empty(2**55))
    with pytest.raises(TrainingError, match=r"^stage 1: out of memory .*--batch-size1 8\.$"):
        train_stage1(model, data)


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
    sizes = [len(batch.target) for batch in data.feature_batches(model, torch.Generator())]
    assert sizes == [4] * 25
    size = data.feature_batch_size(model.config)
    stage = Stage(1, freeze(model, "stage 1"), data, model, lr=1e-3, epochs=2, batch_size=size)
    assert stage.steps == 50
