"""`fit` on sixty small leaves: what changes when, killed and taken up again, refused, and never looking at the test part."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from l2rclip_lite import feature_cache, stages, training
from l2rclip_lite.checkpoint import Checkpoint, read_tensors
from l2rclip_lite.config import Config
from l2rclip_lite.data import OrdinalDataset, load_dataset
from l2rclip_lite.errors import InputError, TrainingError
from l2rclip_lite.losses import (
    asymmetrical_contrastive_loss,
    ordinal_pairwise_loss,
    ordinal_pairwise_loss_stage1,
)
from l2rclip_lite.metrics import evaluate
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.pixels import Streamed
from l2rclip_lite.probes import linear_probe
from l2rclip_lite.stages import Stage, epoch_generator, train_stage, trains
from l2rclip_lite.training import Pictures, Run, fit, median_rank, stage1, stage2

FILES = {"config.json", "history.csv", "metrics.json", "model.safetensors", "predictions.csv"}


@pytest.fixture(scope="module")
def run(leaves: OrdinalDataset, small: Config, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that nobody disturbed."""
    return fit(leaves, small, tmp_path_factory.mktemp("runs") / "whole", quiet=True)


def same_results(one: Path, two: Path) -> None:
    """Every tensor, and the text files byte for byte."""
    first, second = read_tensors(one / "model.safetensors"), read_tensors(two / "model.safetensors")
    assert first[1] == second[1]
    assert first[0].keys() == second[0].keys()
    for name, value in first[0].items():
        assert torch.equal(value, second[0][name]), name
    for name in ("history.csv", "metrics.json", "predictions.csv"):
        assert (one / name).read_bytes() == (two / name).read_bytes(), name


def test_the_run_directory_holds_what_it_should(run: Run, leaves: OrdinalDataset, small: Config) -> None:
    """Five files, no checkpoint, nothing half-written; and they say the same as each other."""
    assert {path.name for path in run.out.iterdir()} == FILES
    stored = json.loads((run.out / "config.json").read_text(encoding="utf-8"))
    assert Config.from_dict(stored["config"]) == replace(
        small, upside_down=True
    )  # leaves have no up and down
    assert stored["dataset"]["card"]["licence"] == "CC0 1.0"
    assert [(row["stage"], row["epoch"]) for row in run.history] == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert json.loads((run.out / "metrics.json").read_text(encoding="utf-8")) == run.metrics
    with (run.out / "predictions.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["path"] for row in rows] == list(leaves.test.paths)
    assert [int(row["target"]) for row in rows] == list(leaves.test.targets)
    probabilities = torch.tensor([[float(row[f"p_{k}"]) for k in range(5)] for row in rows])
    found = run.model.predict([leaves.test[index][0] for index in range(len(leaves.test))])
    assert torch.allclose(found.probabilities, probabilities, atol=2e-6)
    assert found.rank.tolist() == [int(row["predicted"]) for row in rows]
    assert (
        run.metrics["test"]["mae"]
        == evaluate(found.probabilities, torch.tensor(leaves.test.targets), leaves.ranks)["mae"]
    )


def test_only_what_the_freezing_table_says_changes(
    leaves: OrdinalDataset, small: Config, tmp_path: Path
) -> None:
    """Compare every tensor of the model before and after each stage: parameters, buffers, text tower and scale.

    Besides the trained parameters only `rank_features`, the cached text, moves, and only in stage 1.
    """
    model = L2RCLIP.build(leaves.ranks, small)
    pictures = Pictures.load(leaves, model, quiet=True)
    targets = (pictures.targets["train"], pictures.targets["val"])
    features = {split: model.features(pixels).clone() for split, pixels in pictures.pixels.items()}
    for number, make, cached in (
        (1, lambda: stage1(model, features, targets[0]), {"rank_features"}),
        (2, lambda: stage2(model, pictures), set()),
    ):
        before = {name: value.clone() for name, value in model.state_dict().items()}
        train_stage(make(), targets, leaves.ranks, small, Checkpoint(tmp_path), quiet=True)
        model.refresh()
        changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
        assert changed == {name for name, _ in model.named_parameters() if trains(name, number)} | cached


SCRIPT = """
import os, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from l2rclip_lite import checkpoint, files, stages, training
from l2rclip_lite.config import Config
from l2rclip_lite.data import load_dataset
from l2rclip_lite.towers import load_towers

out, config = Path(sys.argv[1]), Config(**eval(sys.argv[2]))
data = load_dataset("leaves", size=60, pixels=64)
for part in (data.train, data.val, data.test):  # what every child would draw and import again
    list(part)
load_towers("tiny/random")

def die(*args, **options):
    os.kill(os.getpid(), signal.SIGKILL)

def nth(n, real, then_die):
    calls = []
    def call(*args, **options):
        calls.append(1)
        if len(calls) == n and not then_die:
            die()
        result = real(*args, **options)
        if len(calls) == n:
            die()
        return result
    return call

def half_written(n):
    calls, real = [], files.save_file
    def save_file(tensors, path, metadata):
        calls.append(1)
        if len(calls) == n:
            Path(path).write_bytes(b"half")
            die()
        real(tensors, path, metadata=metadata)
    return save_file

def patch(kind, n):
    if kind == "step":  # in the middle of an epoch
        stages._step = nth(n, stages._step, False)
    elif kind == "saved":  # between two epochs
        checkpoint.Checkpoint.save = nth(n, checkpoint.Checkpoint.save, True)
    elif kind == "writing":  # a checkpoint's bytes are half on disk
        files.save_file = half_written(n)
    else:  # model and predictions are there, metrics.json is not
        training.rundir.write_metrics = die

for kind, n in eval(sys.argv[3]):
    child = os.fork()
    if not child:
        patch(kind, n)
        training.fit(data, config, out, quiet=True)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, (kind, n, status)
    print(kind, sorted(path.name for path in (out / "checkpoint").glob("stage*")), flush=True)
"""
# Three steps an epoch. Each life begins at the last whole epoch of the one before; the fifth dies in stage 2.
IN_STAGE_1 = (("step", 2), ("saved", 1), ("step", 2), ("writing", 1))
IN_STAGE_2 = (("step", 5), ("saved", 1), ("step", 2), ("writing", 1), ("metrics", 1))


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL") or not hasattr(os, "fork"), reason="needs POSIX")
def test_killed_nine_times_it_ends_as_if_nothing_had_been(
    run: Run, leaves: OrdinalDataset, small: Config, tmp_path: Path
) -> None:
    """SIGKILL in the middle of an epoch of each stage, right after a save, during one, and before the last file.

    Then the same call finishes it, and every tensor and every text file equals the undisturbed run's.
    """
    out = tmp_path / "run"
    command = [sys.executable, "-c", SCRIPT, str(out), repr(small.to_dict()), repr(IN_STAGE_1 + IN_STAGE_2)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    lives = [line.split(" ", 1) for line in done.stdout.splitlines()]
    assert [kind for kind, _ in lives] == [kind for kind, _ in IN_STAGE_1 + IN_STAGE_2]
    none, first, both = "[]", "['stage1.safetensors']", "['stage1.safetensors', 'stage2.safetensors']"
    assert [files for _, files in lives] == [none] + [first] * 4 + [both] * 4
    finished = fit(leaves, small, out, quiet=True)
    assert {path.name for path in out.iterdir() if not path.name.startswith(".")} == FILES
    assert finished.metrics == run.metrics
    same_results(out, run.out)


def test_killed_while_it_claims_its_directory_it_can_start_again(
    leaves: OrdinalDataset, small: Config, tmp_path: Path
) -> None:
    """Then there is no config.json yet, only what was temporary: that is nobody else's run, and does not stay."""
    out = tmp_path / "run"
    for half in (".config.json.x7f3/config.json", ".model.safetensors.a_12/.tmpUF0QYv", ".history.csv.b_3"):
        (out / half).parent.mkdir(parents=True, exist_ok=True)
        (out / half).write_text("{", encoding="utf-8")
    found = fit(leaves, replace(small, epochs1=0, epochs2=0), out, quiet=True)
    assert {path.name for path in found.out.iterdir()} == FILES


def test_one_run_at_a_time_and_none_without_its_directory(
    leaves: OrdinalDataset, small: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In stage 1 a second call is refused; in stage 2 somebody removes the directory, and it does not come back."""
    out, real, refused = tmp_path / "run", stages._step, []

    def step(stage: Stage, *rest: Any) -> float:
        if stage.number == 1 and not refused:
            with pytest.raises(InputError) as caught:
                fit(leaves, small, out, quiet=True)
            refused.append(str(caught.value))
        if stage.number == 2 and out.exists():
            shutil.rmtree(out)
        return real(stage, *rest)

    monkeypatch.setattr(stages, "_step", step)
    with pytest.raises(InputError, match=r"run: was removed or replaced while this run was at work"):
        fit(leaves, small, out, quiet=True)
    assert not out.exists()
    assert re.search(
        rf"run: process {os.getpid()} on \S+ is writing this run; wait until it is done", refused[0]
    )


def test_pictures_of_a_run_that_never_said_which_it_was_are_nobodys(
    leaves: OrdinalDataset, small: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between `.pixels` and `config.json`; then as many other pictures of the same size, under the same --out."""
    config = replace(small, epochs1=0, epochs2=0, pictures="disk")
    with monkeypatch.context() as patch:
        patch.setattr(training.rundir, "open_run", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            fit(leaves, config, tmp_path / "run", quiet=True)
    assert (tmp_path / "run" / ".pixels" / "test.bin").is_file()
    others = load_dataset("leaves", size=60, pixels=64, seed=1)
    fit(others, config, tmp_path / "run", quiet=True)
    fit(others, config, tmp_path / "new", quiet=True)
    same_results(tmp_path / "run", tmp_path / "new")


@pytest.mark.parametrize(
    "where",
    [{"pictures": "disk"}, {"pictures": "stream", "workers": 3}, {"deterministic": True}],
    ids=str,
)
def test_where_it_runs_is_not_what_it_computes(
    run: Run,
    leaves: OrdinalDataset,
    small: Config,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: dict[str, Any],
) -> None:
    """Pictures from a file or decoded in every epoch, exact operations only: it is done, and no byte is another."""
    out, real, seen = tmp_path / "run", stages._step, set()

    def step(stage: Stage, *rest: Any) -> float:
        if stage.number == 2:
            if torch.are_deterministic_algorithms_enabled():
                seen.add("deterministic")
            if (out / ".pixels" / "train.bin").is_file():
                seen.add("disk")
            if announced and all(torch.equal(*pair) for pair in zip(announced[-1], asked, strict=True)):
                seen.add("stream")
        return real(stage, *rest)

    announced: list[Any] = []
    asked = torch.split(torch.randperm(40, generator=epoch_generator(0, 2, 1)), 16)
    tell = Streamed.announce
    monkeypatch.setattr(Streamed, "announce", lambda self, b: (announced.append(b), tell(self, b))[1])
    monkeypatch.setattr(stages, "_step", step)
    fit(leaves, replace(small, **where), out, quiet=True)
    assert seen == {"deterministic" if "deterministic" in where else where["pictures"]}
    assert {path.name for path in out.iterdir()} == FILES
    same_but_settings(out, run.out)


def same_but_settings(one: Path, two: Path) -> None:
    """Every tensor, and the text files byte for byte; the config in the metadata may name another place."""
    first, second = (read_tensors(out / "model.safetensors")[0] for out in (one, two))
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    for name in ("history.csv", "metrics.json", "predictions.csv"):
        assert (one / name).read_bytes() == (two / name).read_bytes(), name


def test_a_cache_serves_another_run(
    run: Run, leaves: OrdinalDataset, small: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The features of the untrained tower are read, not computed again, and stay; the run is the same bit for bit."""
    cached, cache = replace(small, cache=str(tmp_path / "kept")), tmp_path / "kept"
    fit(leaves, replace(cached, epochs1=1, epochs2=0), tmp_path / "first", quiet=True)
    kept = sorted(path.name for path in cache.iterdir())
    assert len(kept) == 3  # a piece a split
    encoded: list[int] = []
    monkeypatch.setattr(
        feature_cache, "shared_features", lambda model, pixels, **how: encoded.append(len(pixels))
    )
    fit(leaves, cached, tmp_path / "second", quiet=True)
    assert encoded == []
    assert sorted(path.name for path in cache.iterdir()) == kept
    same_but_settings(tmp_path / "second", run.out)


def test_micro_batches_have_the_gradient_of_the_whole_batch(
    run: Run, leaves: OrdinalDataset, small: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """16 pictures as 5 + 5 + 5 + 1: an ordinal loss over the batch cannot be summed over its parts, and is not."""
    real, sizes = L2RCLIP._encode, []

    def encode(self: L2RCLIP, pixels: Tensor) -> Tensor:
        if not torch.is_inference_mode_enabled():
            sizes.append(len(pixels))
        return real(self, pixels)

    monkeypatch.setattr(L2RCLIP, "_encode", encode)
    parts = fit(leaves, replace(small, micro_batch=5), tmp_path / "run", quiet=True)
    assert sizes[:8] == [5, 5, 5, 1, 1, 5, 5, 5]  # forwards, and on the way back once more
    for mine, whole in zip(parts.history, run.history, strict=True):
        assert mine["loss"] == pytest.approx(whole["loss"], abs=1e-5)
    alone = fit(leaves, replace(small, batch_size=5), tmp_path / "alone", quiet=True)
    assert abs(alone.history[2]["loss"] - run.history[2]["loss"]) > 1e-3


def test_a_finished_run_is_loaded_not_trained(
    run: Run, leaves: OrdinalDataset, small: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also on another number of threads, which is where it runs, not what it is."""

    def never(*args: object, **options: object) -> None:
        raise AssertionError("trained again")

    before = {path.name: path.stat().st_mtime_ns for path in run.out.iterdir()}
    monkeypatch.setattr(training, "train_stage", never)
    again = fit(leaves, replace(small, threads=1), run.out, quiet=True)
    assert again.metrics == run.metrics
    assert again.history == run.history
    assert {path.name: path.stat().st_mtime_ns for path in run.out.iterdir()} == before
    image = leaves.test[0][0]
    assert torch.equal(again.model.predict([image]).probabilities, run.model.predict([image]).probabilities)


def test_a_finished_run_is_cleaned_where_a_kill_prevented_it(
    run: Run, leaves: OrdinalDataset, small: Config, tmp_path: Path
) -> None:
    """Killed after `metrics.json` and before the checkpoint was removed: the next call leaves the five files."""
    out = tmp_path / "run"
    shutil.copytree(run.out, out)
    (out / "checkpoint").mkdir()
    (out / "checkpoint" / "stage1.safetensors").write_bytes(b"old")
    (out / ".model.safetensors.x7f3").write_bytes(b"half")
    fit(leaves, small, out, quiet=True)
    assert {path.name for path in out.iterdir()} == FILES


def test_validation_never_touches_the_test_part(
    run: Run, leaves: OrdinalDataset, small: Config, tmp_path: Path
) -> None:
    """Give the test part other pictures and other labels: training, choice of epoch and model stay bit for bit."""
    other = leaves.train.subset(range(len(leaves.test)))
    changed = fit(replace(leaves, test=other), small, tmp_path / "run", quiet=True)
    assert changed.history == run.history
    assert changed.metrics["val"] == run.metrics["val"]
    assert changed.metrics["test"] != run.metrics["test"]
    for name, value in changed.model.state_dict().items():
        assert torch.equal(value, run.model.state_dict()[name]), name


def test_another_config_or_other_data_is_refused(run: Run, leaves: OrdinalDataset, small: Config) -> None:
    """The sentence names what differs; the run is left as it is."""
    with pytest.raises(InputError, match=r"holds a run with another lr1, seed; choose a new --out"):
        fit(leaves, replace(small, seed=1, lr1=1e-5), run.out, quiet=True)
    fewer = replace(leaves, train=leaves.train[:-1])
    with pytest.raises(InputError, match="holds a run with another data set; choose"):
        fit(fewer, small, run.out, quiet=True)
    assert {path.name for path in run.out.iterdir()} == FILES


def test_a_folder_that_is_no_run_is_refused(leaves: OrdinalDataset, small: Config, tmp_path: Path) -> None:
    """Somebody's photographs, a file, a config.json of another program: nothing is written."""
    for name, content in (
        ("photo.jpg", "x"),
        ("config.json", "{}"),
        ("config.json", "[]"),
        ("config.json", "{"),
    ):
        folder = tmp_path / f"{name}{len(content)}{content == '[]'}"
        folder.mkdir()
        (folder / name).write_text(content, encoding="utf-8")
        with pytest.raises(InputError, match=r"choose (a new or empty|another) --out\.$"):
            fit(leaves, small, folder, quiet=True)
        assert [path.name for path in folder.iterdir()] == [name]
    with pytest.raises(InputError, match="exists and is not a run directory"):
        fit(leaves, small, tmp_path / "photo.jpg1False" / "photo.jpg", quiet=True)


def unfinished(leaves: OrdinalDataset, config: Config, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that stopped between the stages."""
    with monkeypatch.context() as patch:
        patch.setattr(training, "stage2", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            fit(leaves, config, out, quiet=True)


def test_damaged_leftovers_are_refused_by_name(
    leaves: OrdinalDataset, small: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cached features, the checkpoint, and `metrics.json` of a finished run: the sentence names the file."""
    unfinished(leaves, small, tmp_path / "run", monkeypatch)
    for number, pattern in enumerate(("stage1.safetensors", "features/*.safetensors")):
        out = tmp_path / str(number)
        shutil.copytree(tmp_path / "run", out)
        file = next((out / "checkpoint").glob(pattern))
        file.write_bytes(file.read_bytes()[:100])
        with pytest.raises(InputError, match=rf"{file.name}: damaged"):
            fit(leaves, small, out, quiet=True)
    (tmp_path / "run" / "metrics.json").write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match=r"metrics\.json"):
        fit(leaves, small, tmp_path / "run", quiet=True)


def test_a_loss_that_blows_up_is_one_sentence_and_stage_1_is_kept(
    leaves: OrdinalDataset, small: Config, tmp_path: Path
) -> None:
    """A learning rate of 10¹⁸ in stage 2: it says what to do, and the finished stage is still there."""
    with pytest.raises(
        TrainingError,
        match=r"^stage 2, epoch 1, step 2 of 3: the loss is nan on .*\(--lr2, now 1e\+18\) with a new --out",
    ) as caught:
        fit(leaves, replace(small, lr2=1e18), tmp_path / "run", quiet=True)
    assert "\n" not in str(caught.value)
    assert {path.name for path in (tmp_path / "run" / "checkpoint").iterdir()} == {
        "features",
        "stage1.safetensors",
    }


MEMORY = (
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried to allocate"
    ),
    MemoryError(),
)


@pytest.mark.parametrize("error", MEMORY, ids=["cuda", "cpu", "python"])
def test_memory_that_runs_out_is_one_sentence(
    error: Exception,
    run: Run,
    leaves: OrdinalDataset,
    small: Config,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the two settings that help; the same call goes on afterwards to the same end."""

    def full(*args: object, **options: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr("l2rclip_lite.schemes.ordinal_pairwise_loss", full)
        with pytest.raises(
            TrainingError, match=r"^out of memory at --batch-size 16, --image-size default; complete epochs"
        ):
            fit(leaves, small, tmp_path / "run", quiet=True)
    assert (tmp_path / "run" / "checkpoint" / "stage1.safetensors").is_file()
    fit(leaves, small, tmp_path / "run", quiet=True)
    same_results(tmp_path / "run", run.out)


def test_other_errors_are_not_called_memory(
    leaves: OrdinalDataset, small: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug stays a bug."""
    monkeypatch.setattr(
        training, "evaluate", lambda *args, **options: (_ for _ in ()).throw(RuntimeError("shape"))
    )
    with pytest.raises(RuntimeError, match=r"^shape$"):
        fit(leaves, small, tmp_path / "run", quiet=True)


def test_threads_and_random_state_are_put_back(run: Run, leaves: OrdinalDataset, small: Config) -> None:
    """A library call must not change what its caller has set."""
    state, threads = torch.random.get_rng_state(), torch.get_num_threads()
    fit(leaves, replace(small, threads=2), run.out, quiet=True)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_gpu_that_is_not_there_is_refused(
    leaves: OrdinalDataset, small: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`device="cuda"` without one is an error, not a slow surprise."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(TrainingError, match="no CUDA GPU is visible"):
        fit(leaves, replace(small, device="cuda"), tmp_path / "run", quiet=True)


def test_the_losses_of_the_stages_are_the_two_published_sums(leaves: OrdinalDataset, small: Config) -> None:
    """Stage 1: L_i2t + L_t2i + λ1·L_1 with each image's own text as partner and anchor. Stage 2: CE + λ2·L_cop.

    On five images, with values and text features of the model; stage 1 takes cached features, stage 2 encodes anew.
    """
    model = L2RCLIP.build(leaves.ranks, replace(small, augment=False, lambda1=0.5, lambda2=0.25))
    pictures = Pictures.load(leaves, model, quiet=True)
    features = {split: model.features(pixels).clone() for split, pixels in pictures.pixels.items()}
    chosen, generator = torch.tensor([0, 5, 9, 11, 23]), torch.Generator()
    image, text = features["train"][chosen], model.rank_features
    target, values = pictures.targets["train"][chosen], torch.arange(5.0)
    assert len(set(target.tolist())) > 2
    first = stage1(model, features, pictures.targets["train"]).loss(chosen, generator)
    contrastive = asymmetrical_contrastive_loss(image, text, target, model.scale)
    ordinal = ordinal_pairwise_loss_stage1(image, text[target], text[target], values[target])
    assert float(first.detach()) == pytest.approx(float((contrastive + 0.5 * ordinal).detach()), rel=1e-5)
    second = stage2(model, pictures).loss(chosen, generator)
    entropy = F.cross_entropy(model.scale * image @ text.T, target)
    ordinal = ordinal_pairwise_loss(image, text, target, values)
    assert float(second.detach()) == pytest.approx(float((entropy + 0.25 * ordinal).detach()), rel=1e-5)


SETTINGS: tuple[Callable[[Config], Config], ...] = (
    lambda c: replace(c, context_length=0, axis="joint", depth=2),
    lambda c: replace(c, rankformer=False, centre=False, symmetric=True),
    lambda c: replace(c, epochs1=0, order="blind", normalise="global", push_power=2, schedule="step"),
    lambda c: replace(c, epochs1=0, epochs2=0),
    lambda c: replace(
        c, epochs1=1, epochs2=1, precision="bf16", learn_alpha=False, axis="token", batch_size=39
    ),
)


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS)
def test_every_switch_trains_and_reads_back(
    setting: Callable[[Config], Config], leaves: OrdinalDataset, small: Config, tmp_path: Path
) -> None:
    """No context, no RankFormer, no stage, half precision, a last batch of one: each gives a complete run."""
    config = setting(replace(small, epochs1=1, epochs2=1))
    found = fit(leaves, config, tmp_path / "run", quiet=True)
    assert {path.name for path in found.out.iterdir()} == FILES
    assert len(found.history) == config.epochs1 + config.epochs2
    assert all(value == value for row in found.history for value in row.values()), "no NaN"
    assert fit(leaves, config, tmp_path / "run", quiet=True).history == found.history


@pytest.mark.slow
def test_baselines_start_where_the_model_started(
    run: Run, leaves: OrdinalDataset, small: Config, tmp_path: Path
) -> None:
    """Asked for later they are added to the run and change nothing else; and the towers are fresh, not fine-tuned.

    The probe's figures are those of frozen features of new towers; the cross-entropy head's do not depend on what was
    trained before it.
    """
    out = tmp_path / "run"
    shutil.copytree(run.out, out)
    later = fit(leaves, small, out, baselines=("linear-probe", "cross-entropy"), quiet=True)
    assert later.history == run.history
    fixed = {name: value for name, value in later.metrics.items() if name != "baselines"}
    assert fixed == {name: value for name, value in run.metrics.items() if name != "baselines"}
    assert later.metrics["baselines"].keys() == {"median-rank", "linear-probe", "cross-entropy"}
    model = L2RCLIP.build(leaves.ranks, small)
    pictures = Pictures.load(leaves, model, quiet=True)
    features = {split: model.features(pixels).clone() for split, pixels in pictures.pixels.items()}
    frozen = evaluate(
        linear_probe(features, pictures.targets, leaves.ranks), pictures.targets["test"], leaves.ranks
    )
    assert {name: later.metrics["baselines"]["linear-probe"][name] for name in frozen} == pytest.approx(
        frozen
    )
    at_once = fit(leaves, small, tmp_path / "other", baselines=("cross-entropy",), quiet=True)
    assert at_once.metrics["baselines"]["cross-entropy"] == later.metrics["baselines"]["cross-entropy"]
    same = {name: value for name, value in at_once.metrics.items() if name != "baselines"}
    assert same == fixed


def test_the_median_rank_by_hand(leaves: OrdinalDataset) -> None:
    """Balanced ranks 0 … 4: always 2, so the MAE is (2 + 1 + 0 + 1 + 2)/5 = 1.2 and one image in five is right."""
    found = median_rank(leaves)
    assert found["mae"] == pytest.approx(1.2)
    assert found["accuracy"] == pytest.approx(0.2)


def test_the_run_is_a_record(run: Run) -> None:
    """It cannot be changed by accident."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        run.metrics = {}  # type: ignore[misc]
