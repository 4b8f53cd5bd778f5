"""Runs that are killed, starved or disturbed: one sentence at most, no half file, and the same bytes in the end."""

import hashlib
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest
from children import SET, ended, start, train
from faults import KILLS, LONG, TRIED, judged

from l2rclip_lite.errors import InputError
from l2rclip_lite.files import read_json, read_tensors

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX")
KILLED = "SIGKILL at a random moment of `fit`"
FULL = "no space, no right, or an error of the disk at each write"
FAULTS = {"kill": "SIGKILL when half of a file is written, for each file of a run", "ENOSPC": FULL}
FAULTS |= {"gone": "the run directory is removed during the run"}
FAULTS |= {"EROFS": FULL, "EACCES": FULL, "EIO": FULL} if LONG else {}


class Calm(NamedTuple):
    """A run that nobody disturbed."""

    files: dict[str, str]
    seconds: float


def files_of(out: Path) -> dict[str, str]:
    """SHA-256 of every file of a run, but of the seconds that it took."""
    files = (file for file in out.rglob("*") if file.is_file() and file.name != ".l2r-lock")
    contents = {file.relative_to(out).as_posix(): file.read_bytes() for file in files}
    if (out / "metrics.json").is_file():
        contents["metrics.json"] = repr(read_json(out / "metrics.json") | {"seconds": 0}).encode()
    return {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}


def whole(out: Path) -> set[str]:
    """The names in a run directory, after every file under its own name was read to its end."""
    for file in (
        path for path in out.rglob("*") if path.is_file() and not path.parent.name.startswith(".")
    ):
        if file.suffix == ".json":
            read_json(file)
        elif file.suffix == ".safetensors":
            read_tensors(file)
        elif file.suffix == ".csv":
            assert file.read_bytes().endswith(b"\n"), file
    return {path.name for path in out.rglob("*")}


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Calm:
    """What all others must end in."""
    out = tmp_path_factory.mktemp("calm") / "run"
    assert ended(train, out.with_name("first")) == 0  # the server starts
    began = time.monotonic()
    assert ended(train, out) == 0
    return Calm(files_of(out), time.monotonic() - began)


def test_killed_at_random_moments(calm: Calm, tmp_path: Path) -> None:
    """Again and again, until a run is through; in the long form 200 times, wherever that is."""
    draw, kills = random.Random(time.time_ns() if LONG else 1), 0
    for number in itertools.count():
        out = tmp_path / str(number)
        while (child := start(train, out)).is_alive():
            delay = draw.uniform(0, 1.05 * calm.seconds)
            child.join(delay)
            if not child.is_alive():
                break
            child.kill()
            child.join()
            names = whole(out)
            steps = (
                "metrics.json",
                "model.safetensors",
                "stage2.safetensors",
                "stage1.safetensors",
            )
            left = next((name for name in steps if name in names), "nothing")
            KILLS.append({"share": round(min(1, delay / calm.seconds), 3), "left": left})
            TRIED[KILLED], kills = TRIED[KILLED] + 1, kills + 1
        assert child.exitcode == 0
        assert files_of(out) == calm.files
        shutil.rmtree(out)
        if kills >= (200 if LONG else 2):
            return


def test_what_a_kill_left_is_cleared(calm: Calm, tmp_path: Path) -> None:
    """Killed after its last file was written: the same command takes the checkpoint and half a file away."""
    out = tmp_path / "run"
    assert ended(train, out) == 0
    for name in ("checkpoint/stage2.safetensors", ".l2r-x7/model.safetensors"):
        (out / name).parent.mkdir()
        (out / name).touch()
    assert ended(train, out) == 0
    assert files_of(out) == calm.files
    TRIED[KILLED] += 1


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_at_each_write(calm: Calm, tmp_path: Path, fault: str) -> None:
    """At the first write of the first life, the second of the second ... of one run; in the long form of a run each.

    What is kept is whole, what is said is a sentence, and without the fault the same command ends in the same bytes.
    """
    for at in itertools.count(1):
        out = tmp_path / (f"run{at}" if LONG else "run")
        code = ended(train, out, at, fault)
        if code == 0:  # so many writes were not left
            break
        assert code == (-signal.SIGKILL if fault == "kill" else 2)
        with judged(FAULTS[fault], must=fault != "kill", about=str(tmp_path)):
            if fault != "kill":
                raise InputError((tmp_path / "said").read_text(encoding="utf-8"))
        whole(out)
        if LONG or fault == "gone":
            assert ended(train, out) == 0
            assert files_of(out) == calm.files
            shutil.rmtree(out)
            if at == 3 and not LONG:
                return
    assert files_of(out) == calm.files


def test_a_disk_that_is_too_small(calm: Calm, tmp_path: Path) -> None:
    """The system itself refuses to write on in the middle of a file; then there is room."""
    out = tmp_path / "run"
    for limit in range(200, 1_000_000, 40_000 if LONG else 400_000):
        if ended(train, out, 0, "", limit) == 0:
            break
        with judged("a disk that is too small for the run", about="run"):
            raise InputError((tmp_path / "said").read_text(encoding="utf-8"))
        whole(out)
    assert ended(train, out) == 0
    assert files_of(out) == calm.files


def test_a_second_writer_is_refused(calm: Calm, tmp_path: Path) -> None:
    """The first is stopped meanwhile, so that it cannot end; it is not disturbed."""
    out = tmp_path / "run"
    first = start(train, out)
    while first.is_alive() and not (out / "config.json").is_file():
        time.sleep(0.001)
    os.kill(first.pid or 0, signal.SIGSTOP)
    assert ended(train, out) == 2
    with judged(
        "a second `fit` on the directory of a running one", about="another process writes this run"
    ):
        raise InputError((tmp_path / "said").read_text(encoding="utf-8"))
    os.kill(first.pid or 0, signal.SIGCONT)
    first.join(120)
    assert first.exitcode == 0
    assert files_of(out) == calm.files


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupting_the_command(tmp_path: Path, number: signal.Signals) -> None:
    """Either ends it within seconds, in one sentence; exit code 128 and the signal's number, as shells have it."""
    command = [sys.executable, "-m", "l2rclip_lite", "fit", "--dataset", "leaves", "--size", "60"]
    command += ["--pixels", "64", "--device", "cpu", "--quiet", "--out", str(tmp_path / "run")]
    command += [
        word for name, value in SET.items() for word in (f"--{name.replace('_', '-')}", str(value))
    ]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    for attempt in range(10 if LONG else 1):
        with subprocess.Popen(command, stderr=-1, stdout=-1, text=True, env=environment) as run:
            while run.poll() is None and not (tmp_path / "run" / "checkpoint").exists():
                time.sleep(0.01)
            time.sleep(attempt * 0.2)
            run.send_signal(number)
            _, said = run.communicate(timeout=30)
        if run.returncode == 0:
            break
        assert (run.returncode, said.count("\n")) == (128 + number, 1), said
        assert not (tmp_path / "run" / ".l2r-lock").exists()
        TRIED["Ctrl-C or SIGTERM to the command"] += 1
        whole(tmp_path / "run")
