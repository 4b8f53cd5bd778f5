"""The runners of `make verify` can fail: what each of them notices, on a chapter of three cells."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import nbformat
import pytest
import verify

pytestmark = pytest.mark.slow


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
