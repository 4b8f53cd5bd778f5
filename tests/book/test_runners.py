"""The runners of `make verify` can fail: what each of them notices, on a chapter of three cells."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import chapters
import kernels
import nbformat
import pytest
import verify

pytestmark = pytest.mark.slow
# What Python reads first: as many kernels as the file has letters die at once, as one does whose port was taken.
DIES = """
import os, pathlib, sys
left = pathlib.Path({file!r})
if "ipykernel_launcher" in sys.orig_argv and (letters := left.read_text()):
    left.write_text(letters[1:])
    os._exit(1)
"""


@pytest.fixture
def deaths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file; a kernel that is started dies at once and takes a letter from it, until it is empty."""
    file = tmp_path / "deaths"
    (tmp_path / "sitecustomize.py").write_text(DIES.format(file=str(file)), encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return file


@pytest.mark.parametrize("runner", ["papermill", "nbval"])
def test_a_kernel_that_dies_at_birth_is_followed_by_another(
    runner: str, tiny: Path, deaths: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two may die, as where another process has taken a port; where all three do, the runner fails and says so."""
    deaths.write_text("xx", encoding="utf-8")
    assert verify.prove(tiny, runner)["ok"]
    deaths.write_text("xxx", encoding="utf-8")
    assert not verify.prove(tiny, runner)["ok"]
    assert kernels.STILLBORN in capsys.readouterr().out
    assert not deaths.read_text(encoding="utf-8")


def test_a_unit_of_the_matrix_outlives_a_kernel_that_dies_at_birth(tmp_path: Path, deaths: Path) -> None:
    """Two may die, and the unit itself then says that there is no such study; where three do, it never starts."""
    notebook = str(tmp_path / "unit.ipynb")
    command = [sys.executable, "experiments/matrix/run.py", notebook, "-p", "STUDY", "none"]
    for letters, said in (("xx", "KeyError: 'none'"), ("xxx", f"RuntimeError: {kernels.STILLBORN}")):
        deaths.write_text(letters, encoding="utf-8")
        done = subprocess.run(
            command, cwd=chapters.ROOT, env=os.environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert said in done.stderr
        assert not deaths.read_text(encoding="utf-8")


def test_other_errors_are_not_tried_again() -> None:
    """A cell that fails fails once."""
    calls = []

    def fail() -> None:
        calls.append(1)
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        kernels.started(fail)
    assert len(calls) == 1


def test_nbval_compares_texts_but_not_seconds(tiny: Path, tmp_path: Path) -> None:
    """A page that says 4 where the code prints 3 fails; a page that took another time passes."""
    source = tmp_path / tiny.name
    shutil.copy(tiny, source)
    good = tiny.with_suffix(".ipynb").read_text(encoding="utf-8")
    page = source.with_suffix(".ipynb")
    page.write_text(good, encoding="utf-8")
    assert "passed" in verify.nbval(source)
    page.write_text(good.replace("steps 3", "steps 4"), encoding="utf-8")
    with pytest.raises(SystemExit, match="failed"):
        verify.nbval(source)


def test_colab_runner_takes_the_package_from_the_wheel(tiny: Path, tmp_path: Path) -> None:
    """It passes without the repository, and fails for a chapter that reads a file beside its notebook."""
    assert verify.colab(tiny) == "l2rclip_lite-0.1.0-py3-none-any.whl alone in an empty folder"
    page = nbformat.read(tiny.with_suffix(".ipynb"), as_version=4)
    page.cells[2].source = "open('01_tiny.py').close()"
    nbformat.write(page, tmp_path / "01_tiny.ipynb")
    with pytest.raises(SystemExit, match="FileNotFoundError"):
        verify.colab(tmp_path / "01_tiny.py")


def test_a_record_names_what_was_proved(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each runner's result is kept with the hash of the source; a chapter that is gone is forgotten."""
    monkeypatch.setattr(verify, "PROOFS", tmp_path / "proofs")
    monkeypatch.setattr(verify, "RECORD", tmp_path / "proof.json")
    monkeypatch.setattr(verify.chapters, "sources", lambda: [tiny])
    verify.RECORD.write_text('{"00_gone": {}}', encoding="utf-8")
    monkeypatch.setitem(verify.RUNNERS, "colab", lambda source: sys.exit("no kernel\nmore"))
    verify.prove_chapter(tiny, ("papermill", "colab"))
    verify.record([tiny], {"ok": True, "seconds": 9, "note": "2 pages"})
    (kept,) = json.loads(verify.RECORD.read_text(encoding="utf-8")).items()
    assert kept[0] == "01_tiny"
    assert kept[1]["source"] == verify.chapters.source_hash(tiny)
    runners = kept[1]["runners"]
    assert {name: runner["ok"] for name, runner in runners.items()} == {
        "papermill": True,
        "colab": False,
        "book": True,
    }
    assert runners["colab"]["note"] == "no kernel"
