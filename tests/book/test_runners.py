"""The runners of `make verify` can fail: what each of them notices, on a chapter of three cells."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import chapters
import kernels
import nbformat
import pytest
import setup_cell
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


@pytest.mark.parametrize("runner", ["papermill", "nbval"])
def test_a_kernel_that_dies_at_birth_is_followed_by_another(
    runner: str,
    tiny: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Two may die, as where another process has taken a port; where all three do, the runner fails and says so."""
    deaths = tmp_path / "deaths"
    (tmp_path / "sitecustomize.py").write_text(DIES.format(file=str(deaths)), encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    deaths.write_text("xx", encoding="utf-8")
    assert verify.prove(tiny, runner)["ok"]
    deaths.write_text("xxx", encoding="utf-8")
    assert not verify.prove(tiny, runner)["ok"]
    assert kernels.STILLBORN in capsys.readouterr().out
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
    """A page that says 4 where the code prints 3 fails."""
    source = Path(shutil.copy(tiny, tmp_path))
    page = source.with_suffix(".ipynb")
    good = tiny.with_suffix(".ipynb").read_text(encoding="utf-8")
    page.write_text(good, encoding="utf-8")
    assert "passed" in verify.nbval(source)
    page.write_text(good.replace("steps 3", "steps 4"), encoding="utf-8")
    with pytest.raises(SystemExit, match="failed"):
        verify.nbval(source)


def test_the_setup_cell_installs_the_wheel_where_the_package_is_missing(tiny: Path, tmp_path: Path) -> None:
    """In an empty folder it does; a chapter that reads a file beside its notebook fails there."""
    page = nbformat.read(tiny.with_suffix(".ipynb"), as_version=4)
    source = setup_cell.CELL.format(address=setup_cell.address())
    cell = nbformat.v4.new_code_cell(source, metadata={"tags": ["setup"]})
    page.cells.insert(1, cell)
    chapter = tmp_path / "01_tiny.ipynb"
    nbformat.write(page, chapter)
    assert verify.colab(chapter) == "l2rclip_lite-0.1.0-py3-none-any.whl alone in an empty folder"
    page.cells[-2].source = "open('01_tiny.py').close()"
    nbformat.write(page, chapter)
    with pytest.raises(SystemExit, match="FileNotFoundError"):
        verify.colab(chapter)
    del page.cells[1]
    nbformat.write(page, chapter)
    with pytest.raises(SystemExit, match=r"ModuleNotFoundError|FileNotFoundError"):
        verify.colab(chapter)


def test_every_chapter_has_the_setup_cell_of_this_release() -> None:
    """At most five lines of code; a source without the cell is refused."""
    assert len([line for line in setup_cell.CELL.splitlines() if line]) <= 5
    assert setup_cell.address().endswith("/v0.1.0/l2rclip_lite-0.1.0-py3-none-any.whl")
    for source in chapters.sources():
        text = source.read_text(encoding="utf-8")
        assert setup_cell.renew(text) == text, f"{source.name}: run tools/setup_cell.py"
    with pytest.raises(SystemExit, match="0 were found"):
        setup_cell.renew("# %%\nprint(1)\n")


def test_a_record_names_what_was_proved(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each runner's result is kept with the hash of the source; a chapter that is gone is forgotten."""
    monkeypatch.setattr(verify, "PROOFS", tmp_path / "proofs")
    monkeypatch.setattr(verify, "RECORD", tmp_path / "proof.json")
    monkeypatch.setattr(verify.chapters, "sources", lambda: [tiny])
    verify.RECORD.write_text('{"00_gone": {}}', encoding="utf-8")
    monkeypatch.setitem(verify.RUNNERS, "papermill", lambda source: "5 cells at smoke")
    monkeypatch.setitem(verify.RUNNERS, "nbval", lambda source: "3 passed")
    monkeypatch.setitem(verify.RUNNERS, "colab", lambda source: sys.exit("no kernel\nmore"))
    assert not verify.prove_chapter(tiny)
    verify.record([tiny], {"ok": True, "seconds": 9, "note": "no warning"})
    ((name, kept),) = json.loads(verify.RECORD.read_text(encoding="utf-8")).items()
    assert (name, kept["source"]) == ("01_tiny", chapters.source_hash(tiny))
    assert {runner: kept["runners"][runner]["ok"] for runner in verify.RUNNERS} == {
        "papermill": True, "nbval": True, "colab": False, "book": True
    }  # fmt: skip
    assert kept["runners"]["colab"]["note"] == "no kernel"
