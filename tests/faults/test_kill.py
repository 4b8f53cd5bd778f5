"""Runs that are killed, starved or disturbed: one sentence at most, no half file, and the same bytes in the end."""

from __future__ import annotations

import errno
import hashlib
import itertools
import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from faults import KILLS, LONG, TRIED, judged, painted
from safetensors import safe_open

from l2rclip_lite.config import Config
from l2rclip_lite.errors import InputError
from l2rclip_lite.training import fit

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX")
CONFIG = Config(towers="tiny/random", epochs1=2, epochs2=2, batch_size=16, heads=2, hidden=32, device="cpu", threads=1)
CONFIG = replace(CONFIG, upside_down=True)
STAGES = ("stage1", "stage2")


@dataclass(frozen=True)
class Calm:
    """A run that nobody disturbed: its files, its seconds, and how many files it wrote."""

    files: dict[str, Any]
    seconds: float
    writes: int


def files_of(out: Path) -> dict[str, Any]:
    """SHA-256 of every file of a run; of metrics.json what it says, without the seconds that it took."""
    found: dict[str, Any] = {
        file.relative_to(out).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in out.rglob("*")
        if file.is_file() and file.name not in (".lock", "README.md")
    }
    if "metrics.json" in found:
        found["metrics.json"] = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
        found["metrics.json"].pop("seconds", None)
    return found


def train(config: Config, out: Path, at: int = 0, fault: str = "", limit: int = 0) -> None:
    """In a child: train; at write number `at` something happens; no file may have more than `limit` bytes."""
    real, writes = os.fsync, itertools.count(1)

    def fsync(descriptor: int) -> None:
        if next(writes) == at:
            if fault == "gone":
                shutil.rmtree(out, ignore_errors=True)
            elif fault == "kill":
                file = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
                os.truncate(file, file.stat().st_size // 2)
                os.kill(os.getpid(), signal.SIGKILL)
            else:
                number = getattr(errno, fault)
                raise OSError(number, os.strerror(number))
        real(descriptor)

    os.fsync = fsync
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        fit(painted()[:3], config, out, ranks=painted()[3], quiet=True)
    except InputError as error:
        out.parent.joinpath("said").write_text(str(error), encoding="utf-8")
        os._exit(2)
    os._exit(0)


def start(*given: Any) -> BaseProcess:
    """A child that trains."""
    child = multiprocessing.get_context("fork").Process(target=train, args=given)
    child.start()
    return child


def ended(*given: Any) -> int | None:
    """Exit code of a child that was let be; minus the signal that killed it."""
    child = start(*given)
    child.join(120)
    return child.exitcode


def whole(out: Path) -> None:
    """Every file under its own name can be read to its end."""
    for file in (path for path in out.rglob("*") if path.is_file() and not path.parent.name.startswith(".")):
        if file.suffix == ".json":
            json.loads(file.read_text(encoding="utf-8"))
        elif file.suffix == ".safetensors":
            with safe_open(file, "pt") as stored:
                assert all(stored.get_tensor(name) is not None for name in stored.keys())  # noqa: SIM118
        elif file.suffix == ".csv":
            assert file.read_bytes().endswith(b"\n"), file


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Calm:
    """What all others must end in."""
    out, began, writes, real = tmp_path_factory.mktemp("calm") / "run", time.monotonic(), itertools.count(), os.fsync
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: (next(writes), real(descriptor))[1])
        fit(painted()[:3], CONFIG, out, ranks=painted()[3], quiet=True)
    found = files_of(out)
    assert {"config.json", "history.csv", "metrics.json", "predictions.csv", "model.safetensors"} <= found.keys()
    return Calm(found, time.monotonic() - began, next(writes))


def test_killed_at_random_moments(calm: Calm, tmp_path: Path) -> None:
    """Again and again, until a run is through; in the long form 200 times, wherever that is."""
    draw, kills = random.Random(time.time_ns() if LONG else 1), 0
    for number in itertools.count():
        out = tmp_path / str(number)
        while (child := start(CONFIG, out)).is_alive():
            delay = draw.uniform(0, 1.05 * calm.seconds)
            child.join(delay)
            if not child.is_alive():
                break
            child.kill()
            child.join()
            whole(out)
            names = {path.name for path in out.rglob("*")}
            left = next((name for name in ("metrics.json", "model.safetensors") if name in names), None)
            left = left or next((s for s in STAGES[::-1] if f"{s}.safetensors" in names), "nothing")
            KILLS.append({"share": round(min(1, delay / calm.seconds), 3), "left": left})
            TRIED["killed"], kills = TRIED["killed"] + 1, kills + 1
        assert child.exitcode == 0
        assert files_of(out) == calm.files
        shutil.rmtree(out)
        if kills >= (200 if LONG else 2):
            return


@pytest.mark.parametrize("stage", STAGES)
def test_killed_in_either_stage(calm: Calm, tmp_path: Path, stage: str) -> None:
    """As soon as the first epoch of a stage is kept: the next life does not begin anew."""
    out = tmp_path / "run"
    child = start(CONFIG, out)
    while not (out / "checkpoint" / f"{stage}.safetensors").is_file():
        assert child.is_alive()
        time.sleep(0.001)
    child.kill()
    child.join()
    assert not (out / "metrics.json").exists()
    assert ended(CONFIG, out) == 0
    assert files_of(out) == calm.files
    TRIED["killed"] += 1


def test_what_a_kill_left_is_cleared(calm: Calm, tmp_path: Path) -> None:
    """Killed after its last file was written: the same command takes the checkpoint and half a file away."""
    out = tmp_path / "run"
    fit(painted()[:3], CONFIG, out, ranks=painted()[3], quiet=True)
    for name in ("checkpoint/stage2.safetensors", ".model.safetensors.x7/model.safetensors"):
        (out / name).parent.mkdir()
        (out / name).touch()
    fit(painted()[:3], CONFIG, out, ranks=painted()[3], quiet=True)
    assert files_of(out) == calm.files
    TRIED["killed"] += 1


@pytest.mark.skipif(not LONG, reason="minutes: make faults")
def test_killed_with_the_real_towers(tmp_path: Path) -> None:
    """MiniTowers: batch normalisation, a text tower of six layers."""
    config = replace(CONFIG, towers="mini", image_size=64, epochs1=1)
    assert ended(config, tmp_path / "calm") == 0
    for at in range(2, 9):
        ended(config, tmp_path / "run", at, "kill")
        TRIED["killed"] += 1
    assert ended(config, tmp_path / "run") == 0
    assert files_of(tmp_path / "run") == files_of(tmp_path / "calm")


FAULTS = {"kill": "killed-writing", "ENOSPC": "disk-full", "gone": "directory-gone"}
FAULTS |= {"EROFS": "disk-full", "EACCES": "disk-full", "EIO": "disk-full"} if LONG else {}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_at_each_write(calm: Calm, tmp_path: Path, fault: str) -> None:
    """At the first write of the first life, the second of the second ... of one run; in the long form of a run each.

    Killed with half of its bytes there, no space, no right, the directory gone: what is kept is whole, what is said is a
    sentence, and without the fault the same command ends in the same bytes.
    """
    for at in range(1, calm.writes + 1):
        out = tmp_path / (str(at) if LONG else "run")
        code = ended(CONFIG, out, at, fault)
        if code == 0:
            break  # so many writes were not left
        assert code == (-signal.SIGKILL if fault == "kill" else 2)
        with judged(FAULTS[fault], must=fault != "kill", about=str(out)):
            if fault != "kill":
                raise InputError((tmp_path / "said").read_text(encoding="utf-8"))
        whole(out)
        if LONG or fault == "gone":
            assert ended(CONFIG, out) == 0
            assert files_of(out) == calm.files
            shutil.rmtree(out)
        if fault == "gone" and not LONG and at == 3:
            return
    assert LONG or (ended(CONFIG, out) == 0 and files_of(out) == calm.files)


def test_a_disk_that_is_too_small(calm: Calm, tmp_path: Path) -> None:
    """Here the system itself refuses to write on in the middle of a file; then there is room."""
    for limit in (100, 20_000, 400_000) if not LONG else range(200, 1_000_000, 40_000):
        if ended(CONFIG, tmp_path / "run", 0, "", limit) == 0:
            break
        with judged("disk-small", about="run"):
            raise InputError((tmp_path / "said").read_text(encoding="utf-8"))
        whole(tmp_path / "run") if (tmp_path / "run").exists() else None
    assert ended(CONFIG, tmp_path / "run") == 0
    assert files_of(tmp_path / "run") == calm.files


def test_a_second_writer_is_refused(calm: Calm, tmp_path: Path) -> None:
    """The first is stopped meanwhile, so that it cannot end; it is not disturbed."""
    out = tmp_path / "run"
    first = start(CONFIG, out)
    while not (out / "config.json").is_file():
        time.sleep(0.001)
    os.kill(first.pid or 0, signal.SIGSTOP)
    try:
        with judged("two-runs", about="another process writes this run"):
            fit(painted()[:3], CONFIG, out, ranks=painted()[3], quiet=True)
    finally:
        os.kill(first.pid or 0, signal.SIGCONT)
    first.join(120)
    assert first.exitcode == 0
    assert files_of(out) == calm.files


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupting_the_command(calm: Calm, tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C ends it within seconds with one sentence and exit code 130; SIGTERM ends it as the system does."""
    words = [sys.executable, "-m", "l2rclip_lite", "fit", "--dataset", "leaves", "--size", "60", "--pixels", "64"]
    for name in ("towers", "epochs1", "epochs2", "batch_size", "heads", "hidden", "device", "threads"):
        words += [f"--{name.replace('_', '-')}", str(getattr(CONFIG, name))]
    command = [*words, "--quiet", "--out", str(tmp_path / "run")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    for attempt in range(10 if LONG else 1):
        with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as run:
            while run.poll() is None and not (tmp_path / "run" / "checkpoint" / "stage1.safetensors").exists():
                time.sleep(0.01)
            time.sleep(attempt * 0.2)
            run.send_signal(number)
            _, said = run.communicate(timeout=30)
        if run.returncode == 0:
            break
        assert "Traceback" not in said, said
        if number == signal.SIGINT:
            assert (run.returncode, said.count("\n")) == (130, 1), said
        TRIED["interrupted"] += 1
        whole(tmp_path / "run")
    subprocess.run(command, check=True, env=environment, capture_output=True)
    found = files_of(tmp_path / "run")
    for name in ("model.safetensors", "history.csv"):  # the others name the data set
        assert found[name] == calm.files[name]
