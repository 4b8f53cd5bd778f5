"""Every chapter in the runners of `make verify`, and proof that these runners can fail."""

from __future__ import annotations

import shutil
from pathlib import Path

import chapters
import nbformat
import pytest
import verify

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("runner", ["papermill", "nbval", "colab"])  # the book is built in test_book.py
@pytest.mark.parametrize("source", chapters.sources(), ids=lambda path: path.stem)
def test_chapter_runs(source: Path, runner: str) -> None:
    """The chapter passes this runner."""
    verify.RUNNERS[runner](source)


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
