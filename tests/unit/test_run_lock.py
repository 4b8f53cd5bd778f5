"""Who may write a run directory: one process, until it ends by whatever cause, and only while the directory is its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from l2rclip_lite.errors import InputError
from l2rclip_lite.run_lock import LOCK, held

ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
HOLDS = "import sys, time; from pathlib import Path; from l2rclip_lite.run_lock import held\n"
HOLDS += "with held(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"


def test_it_leaves_nothing_where_nothing_was_written(tmp_path: Path) -> None:
    """Neither its files nor the folders it made; what was there, or was written, stays."""
    with held(tmp_path / "runs" / "mine"):
        assert (tmp_path / "runs" / "mine" / LOCK).is_file()
    assert not list(tmp_path.iterdir())
    with held(tmp_path / "runs" / "mine"):
        (tmp_path / "runs" / "mine" / "history.csv").touch()
    assert [path.name for path in (tmp_path / "runs" / "mine").iterdir()] == ["history.csv"]
    (tmp_path / "empty").mkdir()
    with held(tmp_path / "empty"):
        pass
    assert (tmp_path / "empty").is_dir()


def test_the_second_is_told_who_holds_it_and_a_dead_one_holds_nothing(tmp_path: Path) -> None:
    """Another process has it: a sentence with its number. SIGKILL: it is free at once."""
    command = [sys.executable, "-c", HOLDS, str(tmp_path / "run")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=ENVIRONMENT) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == b"held\n"
            wanted = (
                rf"^\S+run: process {other.pid} on \S+ is writing this run; wait until .*another --out\.$"
            )
            with pytest.raises(InputError, match=wanted), held(tmp_path / "run"):
                pass
        finally:
            other.send_signal(signal.SIGKILL)
    with held(tmp_path / "run"):
        pass
    assert not list((tmp_path / "run").iterdir())


def test_a_directory_that_was_removed_or_replaced_is_seen(tmp_path: Path) -> None:
    """The check passes until then. What stands there afterwards belongs to somebody else and is left alone."""
    with held(tmp_path / "run") as check:
        check()
        shutil.rmtree(tmp_path / "run")
        with pytest.raises(
            InputError, match=r"run: was removed or replaced while .* the same command again\.$"
        ):
            check()
        with held(tmp_path / "run") as other:
            other()
            with pytest.raises(InputError, match="was removed or replaced"):
                check()
    with held(tmp_path / "run") as check:
        shutil.rmtree(tmp_path / "run")
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / LOCK).write_text("another's", encoding="utf-8")
    assert (tmp_path / "run" / LOCK).is_file()


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    """A file stands where the folder should be."""
    (tmp_path / "taken").touch()
    wanted = r"taken/run: cannot be written \(Not a directory\); choose another --out\.$"
    with pytest.raises(InputError, match=wanted), held(tmp_path / "taken" / "run"):
        pass
