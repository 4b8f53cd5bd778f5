"""One run on two real processes (gloo, localhost): the numbers of one process, one writer, and an end for all at once."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from l2rclip_lite import baselines, distributed, launch, stages
from l2rclip_lite.checkpoint import read_tensors
from l2rclip_lite.config import Config
from l2rclip_lite.data import OrdinalDataset
from l2rclip_lite.errors import InputError, TrainingError
from l2rclip_lite.images import augmented
from l2rclip_lite.probes import ridge
from l2rclip_lite.training import fit

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX")
BASELINES = ("cross-entropy", "supcon")
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}

SCRIPT = """
import json, os, shutil, signal, socket, sys
from dataclasses import replace
from pathlib import Path
import torch
torch.set_num_threads(1)
from l2rclip_lite import baselines, distributed, files, stages
from l2rclip_lite.config import Config
from l2rclip_lite.data import load_dataset
from l2rclip_lite.errors import InputError, TrainingError
from l2rclip_lite.probes import ridge
from l2rclip_lite.training import fit

out, config = Path(sys.argv[1]), Config(**eval(sys.argv[2]))
data = load_dataset("leaves", size=60, pixels=64)
for part in (data.train, data.val, data.test):
    list(part)

baselines.linear_probe = ridge  # quick, and no jump where a feature moves in its last bit
losses = []

def remember(stage, *rest, real=stages._step):
    losses.append((stage.number, real(stage, *rest), float(sum(p.grad.norm() for p in stage.parameters.values()))))
    return losses[-1][1]

stages._step = remember

def never(*args, **options):
    os._exit(9)

def tell(error):  # in one call: two processes write to one pipe
    os.write(1, f"{distributed.index()} {error}\\n".encode())

def stops(seed, stage, epoch, real=stages.epoch_generator):
    if (stage, epoch) == (2, 1):
        raise KeyboardInterrupt
    return real(seed, stage, epoch)

def killed(stage, *rest, real=stages._step):
    if distributed.index() == 1 and stage.number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(stage, *rest)

def work():
    if os.environ["RANK"] == "1":  # the second process may not write
        files.write_atomically = shutil.rmtree = never
    with distributed.joined("cpu"):
        fit(data, config, out / "whole", baselines=BASELINES)
        fit(data, replace(config, scheme="joint", pictures="stream"), out / "joint")
        if distributed.first():
            (out / "losses.json").write_text(json.dumps(losses))
        fit(data, replace(config, pictures="disk"), out / "from-one")  # which one process began
        stages.epoch_generator, real = stops, stages.epoch_generator
        try:
            fit(data, config, out / "from-two")
        except KeyboardInterrupt:  # one process will go on with it
            stages.epoch_generator = real
        try:
            fit(data, replace(config, seed=distributed.index()), out / "another")
        except InputError as error:
            tell(error)
        stages._step = killed
        try:
            fit(data, config, out / "lost")
        except TrainingError as error:
            tell(error)

with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
os.environ |= {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
children = []
for rank in range(2):
    children.append(os.fork())
    if not children[-1]:
        os.environ["RANK"] = str(rank)
        code = 1
        try:
            work()
            code = 0
        finally:
            sys.stderr.flush()
            os._exit(code)
print("codes", *[os.waitpid(child, 0)[1] for child in children])
"""


@pytest.fixture(scope="module")
def uneven(small: Config) -> Config:
    """40 pictures in batches of 13, 13, 13 and 1: shares of 7 and 6, and at last a picture for one process alone."""
    return replace(small, batch_size=13, lr1=1e-3, weight_decay=0.01)


@pytest.fixture(scope="module")
def two(
    leaves: OrdinalDataset, uneven: Config, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[str]]:
    """Everything that two processes do here, and what they printed."""
    out = tmp_path_factory.mktemp("two")
    with pytest.MonkeyPatch.context() as patch:
        real = stages.epoch_generator

        def stops(seed: int, stage: int, epoch: int) -> torch.Generator:
            if (stage, epoch) == (2, 1):
                raise KeyboardInterrupt
            return real(seed, stage, epoch)

        patch.setattr(stages, "epoch_generator", stops)
        with pytest.raises(KeyboardInterrupt):
            fit(leaves, uneven, out / "from-one", quiet=True)
    script = SCRIPT.replace("BASELINES", repr(BASELINES))
    command = [sys.executable, "-W", "error", "-c", script, str(out), repr(uneven.to_dict())]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False)
    told = done.stdout + done.stderr
    assert done.returncode == 0, told
    assert "codes 0 9" in done.stdout, told  # both did all of it, then the second was killed
    return out, done.stdout.splitlines()


@pytest.fixture(scope="module")
def one(leaves: OrdinalDataset, uneven: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same by one process."""
    out, losses, real = tmp_path_factory.mktemp("one"), [], stages._step

    def remember(stage: stages.Stage, *rest: Any) -> float:
        value = real(stage, *rest)
        gradients = [p.grad.norm() for p in stage.parameters.values() if p.grad is not None]
        losses.append((stage.number, value, float(sum(gradients))))
        return value

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stages, "_step", remember)
        patch.setattr(baselines, "linear_probe", ridge)
        fit(leaves, uneven, out / "whole", baselines=BASELINES, quiet=True)
        fit(leaves, replace(uneven, scheme="joint"), out / "joint", quiet=True)
    (out / "losses.json").write_text(json.dumps(losses), encoding="utf-8")
    return out


def history(folder: Path) -> list[list[float]]:
    """The rows of `history.csv`."""
    rows = (folder / "history.csv").read_text(encoding="utf-8").splitlines()[1:]
    return [[float(value) for value in row.split(",")] for row in rows]


def numbers(value: Any, name: str = "") -> dict[str, float]:
    """Every number of nested objects, by its path."""
    if isinstance(value, dict):
        return dict(chain.from_iterable(numbers(v, f"{name}/{k}").items() for k, v in value.items()))
    return {name: value}


def metrics(folder: Path) -> dict[str, float]:
    """Every number of `metrics.json`."""
    return numbers(json.loads((folder / "metrics.json").read_text(encoding="utf-8")))


@pytest.mark.slow
def test_every_step_has_loss_and_gradient_of_one_process(one: Path, two: tuple[Path, list[str]]) -> None:
    """Four steps in two epochs of stages 1 and 2, two baselines (one of two views) and joint training.

    Each loss to 1e-5 and the length of each step's gradient to 1e-4 of it: Adam alone would forgive a wrong factor.
    """
    found, expected = (torch.tensor(json.loads((at / "losses.json").read_text())) for at in (two[0], one))
    assert found[:, 0].tolist() == [number for number in (1, 2, 3, 17, 0) for _ in range(8)]
    assert torch.equal(found[:8], expected[:8]), "stage 1 is the same to the last bit"
    difference = (found - expected).abs()
    print(
        "largest differences:", difference[:, 1].max(), (difference[:, 2] / expected[:, 2].clamp(min=1)).max()
    )
    assert torch.allclose(found[:, :2], expected[:, :2], rtol=0, atol=1e-5)
    assert torch.allclose(found[:, 2], expected[:, 2], rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("run", "like"), [("whole", "whole"), ("joint", "joint"), ("from-one", "whole"), ("from-two", "whole")]
)
def test_two_processes_train_what_one_does(
    run: str, like: str, one: Path, two: tuple[Path, list[str]], leaves: OrdinalDataset, uneven: Config
) -> None:
    """Losses and judgements of every epoch, every metric and every tensor to 1e-5; what is counted, exactly.

    So, too, where one process began and two went on, and the other way round. Stage 1 is the same to the last bit.
    """
    if run == "from-two" and not (two[0] / run / "metrics.json").exists():
        kept = two[0] / run / "checkpoint" / "stage2.safetensors"
        assert kept.is_file()
        fit(leaves, uneven, two[0] / run, quiet=True)
    found, expected = history(two[0] / run), history(one / like)
    assert torch.allclose(torch.tensor(found), torch.tensor(expected), rtol=0, atol=1e-5)
    if like == "whole":
        assert found[:2] == expected[:2]
    mine, theirs = metrics(two[0] / run), metrics(one / like)
    assert mine == pytest.approx({name: theirs[name] for name in mine}, abs=1e-5)
    if run == "whole":
        assert mine.keys() == theirs.keys()
        assert any("baselines/supcon" in name for name in mine)
    counted = [name for name in mine if name.split("/")[-1] in ("accuracy", "mae", "qwk")]
    assert {"/test/accuracy", "/test/mae", "/test/qwk"} <= set(counted)
    assert [mine[name] for name in counted] == [theirs[name] for name in counted]
    tensors, others = (read_tensors(folder / "model.safetensors")[0] for folder in (two[0] / run, one / like))
    for name, value in others.items():
        assert torch.allclose(tensors[name], value, rtol=0, atol=1e-3 if "bias" in name else 1e-5), name


@pytest.mark.slow
def test_they_must_see_the_same_and_a_lost_one_is_one_sentence(two: tuple[Path, list[str]]) -> None:
    """Another seed is refused by both. When the second dies in stage 2, the first says so, and stage 1 is kept."""
    out, lines = two
    refused = [line for line in lines if "do not see the same data, settings or run" in line]
    assert sorted(line.split()[0] for line in refused) == ["0", "1"]
    assert not (out / "another").exists()
    (lost,) = [line for line in lines if "lost the others" in line]
    assert re.match(r"0 a process lost the others of its run \([^()]*by peer[^()]*\); ", lost)
    assert lost.endswith("complete epochs are kept, and the same command goes on from there.")
    kept = {path.name for path in (out / "lost" / "checkpoint").iterdir()}
    assert kept == {"features", "stage1.safetensors"}


@pytest.mark.slow
def test_one_process_killed_ends_all_in_one_sentence(tmp_path: Path) -> None:
    """`fit --processes 2` on a long run, SIGKILL for the second: exit code 2 within seconds, nobody left, an epoch kept."""
    out = tmp_path / "run"
    words = [
        "fit",
        "--dataset",
        "leaves",
        "--size",
        "60",
        "--pixels",
        "64",
        "--towers",
        "tiny/random",
        "--quiet",
    ]
    words += ["--epochs1", "0", "--epochs2", "9999", "--out", str(out), "--processes", "2"]
    command = [sys.executable, "-m", "l2rclip_lite.cli", *words]
    started = subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
    try:
        wait_for(lambda: (out / "checkpoint" / "stage2.safetensors").is_file(), 60)
        children = children_of(started.pid)
        assert len(children) == 2
        os.kill(children[1], signal.SIGKILL)
        _, said = started.communicate(timeout=10)
    finally:
        started.kill()
    assert started.returncode == 2
    sentence = (
        rf"error: process 2 of 2 \(pid {children[1]}\) was ended by SIGKILL, and the others were stopped; "
    )
    assert re.match(
        sentence + r"complete epochs are kept, and the same command goes on from there\..*--processes\.\n$",
        said,
    ), said
    wait_for(lambda: not any(Path(f"/proc/{child}").exists() for child in children), 5)


def children_of(parent: int) -> list[int]:
    """Process numbers, in the order in which they were started."""
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(parent)], capture_output=True, check=True)
    return sorted(int(pid) for pid in found.stdout.split())


def wait_for(holds: Callable[[], bool], seconds: float) -> None:
    """Until it holds, or fail."""
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.05)


@given(count=st.integers(1, 200), processes=st.integers(1, 9), block=st.sampled_from([1, 2, 32]))
def test_shares_put_together_are_the_whole(count: int, processes: int, block: int) -> None:
    """Whole blocks, none empty; padded to the same length, joined and cut off they are every row once, in order."""
    rows: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distributed, "size", lambda: processes)
        full = distributed._rows(count, block)
        for index in range(processes):
            patch.setattr(distributed, "index", lambda index=index: index)
            mine = list(range(count))[distributed.share(count, block)]
            assert 1 <= len(mine) <= full
            assert full % block == 0
            rows += mine + [-1] * (full - len(mine))
    assert rows[:count] == list(range(count))


def test_a_share_is_augmented_as_in_the_whole_batch() -> None:
    """The draws are the whole batch's: pictures 3 and 4 of 5 come out the same, and the generator stands where it did."""
    pixels = torch.randint(
        0, 256, (5, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )
    generators = [torch.Generator().manual_seed(7) for _ in range(2)]
    whole = augmented(pixels, Config(upside_down=True), generators[0])
    part = augmented(pixels[3:], Config(upside_down=True), generators[1], part=(5, slice(3, 5)))
    assert torch.equal(part, whole[3:])
    assert torch.equal(generators[0].get_state(), generators[1].get_state())


def test_alone_nothing_is_said() -> None:
    """No group, no copy: the rows, the gradients and the values are what was given."""
    rows: Tensor = torch.arange(6.0).view(3, 2)
    parameter = torch.nn.Parameter(torch.ones(2))
    parameter.grad = torch.tensor([3.0, 4.0])
    with distributed.joined("cpu"):
        assert distributed.collect(rows[distributed.share(3)], 3).data_ptr() == rows.data_ptr()
        distributed.average_gradients([parameter])
        distributed.agree("a", "letters")
        assert distributed.from_first(rows) is rows
    assert parameter.grad.tolist() == [3.0, 4.0]
    assert distributed.first()


def test_how_many_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """One needs no others; none cannot be; under `torchrun` its number holds and another is refused."""
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert [launch.launches(number) for number in (None, 1, 2)] == [False, False, True]
    with pytest.raises(InputError, match=r"^--processes: must be at least 1, not 0\.$"):
        launch.launches(0)
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert [launch.launches(number) for number in (None, 2)] == [False, False]
    with pytest.raises(InputError, match="torchrun started 2 already"):
        launch.launches(4)


@pytest.mark.untyped
def test_the_cause_is_named_not_what_followed(tmp_path: Path) -> None:
    """The first aborts because it lost the second, which was killed; an abort alone is named."""
    children = [SimpleNamespace(pid=11), SimpleNamespace(pid=12)]
    for codes, named in (([-6, -9], "2 of 2 (pid 12) was ended by SIGKILL"), ([-6, None], "1 of 2 (pid 11)")):
        with pytest.raises(TrainingError, match=f"^process {re.escape(named)}"):
            launch._verdict(children, codes, tmp_path)
