"""Runs that are killed, starved or disturbed: one sentence at most, no half file, the same end."""

import hashlib
import itertools
import os
import random
import shutil
import signal
import time
from pathlib import Path
from typing import NamedTuple

import pytest
from children import ended, start, train
from faults import judged

from l2rclip_lite.errors import InputError
from l2rclip_lite.files import read_json, read_tensors

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX")


class Calm(NamedTuple):
    """A run that nobody disturbed."""

    files: dict[str, str]
    seconds: float


def digests(out: Path) -> dict[str, str]:
    """Return SHA-256 of every file of a run, but of the seconds that it took."""
    files = [file for file in out.rglob("*") if file.is_file() and file.name != ".l2r-lock"]
    contents = {file.relative_to(out).as_posix(): file.read_bytes() for file in files}
    if "metrics.json" in contents:
        metrics = read_json(out / "metrics.json") | {"seconds": 0}
        contents["metrics.json"] = repr(metrics).encode()
    return {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}


def read_every_file(out: Path) -> None:
    """Read every file under its own name to its end; one that is cut off raises an error."""
    for file in out.rglob("*"):
        if not file.is_file() or file.parent.name.startswith("."):
            continue
        if file.suffix == ".json":
            read_json(file)
        elif file.suffix == ".safetensors":
            read_tensors(file)
        elif file.suffix == ".csv":
            assert file.read_bytes().endswith(b"\n"), file


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Calm:
    """Return the run that all others must end in."""
    out = tmp_path_factory.mktemp("calm") / "run"
    assert ended(train, out.with_name("first")) == 0  # the server of processes starts
    start_time = time.monotonic()
    assert ended(train, out) == 0
    return Calm(digests(out), time.monotonic() - start_time)


def kill_until_it_ends(out: Path, draw: random.Random, seconds: float) -> int:
    """Start a run and kill it at random moments until it is through; return the number of kills."""
    kills = 0
    while True:
        child = start(train, out)
        delay = draw.uniform(0, 1.05 * seconds)
        child.join(delay)
        if not child.is_alive():
            assert child.exitcode == 0
            return kills

        child.kill()
        child.join()
        read_every_file(out)
        kills += 1


def test_a_run_that_is_killed_at_random_moments_ends_in_the_same_bytes(
    calm: Calm, tmp_path: Path
) -> None:
    """Twice at least, at other moments each time."""
    draw = random.Random(1)
    kills = 0
    while kills < 2:
        out = tmp_path / "run"
        kills += kill_until_it_ends(out, draw, calm.seconds)
        assert digests(out) == calm.files
        shutil.rmtree(out)


def refusal(out: Path) -> InputError:
    """Return the error that a child wrote down beside its run."""
    return InputError(out.with_name("said").read_text(encoding="utf-8"))


@pytest.mark.parametrize("fault", ["kill", "ENOSPC"])
def test_a_fault_at_each_write_leaves_whole_files_and_a_run_that_goes_on(
    calm: Calm, tmp_path: Path, fault: str
) -> None:
    """At the first write of the first life, the second of the second, and so on, of one run.

    A life takes up where the one before stopped; the last one has fewer writes left.
    """
    out = tmp_path / "run"
    for number in itertools.count(1):
        code = ended(train, out, number, fault)
        if code == 0:
            break
        assert code == (-signal.SIGKILL if fault == "kill" else 2)
        with judged(must=fault != "kill", about=str(out.parent)):
            if fault != "kill":
                raise refusal(out)
        read_every_file(out)

    assert ended(train, out) == 0
    assert digests(out) == calm.files


def test_a_second_writer_is_refused_and_the_first_is_not_disturbed(
    calm: Calm, tmp_path: Path
) -> None:
    """The first is stopped meanwhile, so that it cannot end."""
    out = tmp_path / "run"
    first = start(train, out)
    while first.is_alive() and not (out / "config.json").is_file():
        time.sleep(0.001)
    assert first.pid is not None
    os.kill(first.pid, signal.SIGSTOP)

    assert ended(train, out) == 2
    with judged(about="another process writes this run"):
        raise refusal(out)

    os.kill(first.pid, signal.SIGCONT)
    first.join(120)
    assert first.exitcode == 0
    assert digests(out) == calm.files
