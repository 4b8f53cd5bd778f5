"""The runners of `make verify` can fail: each on a chapter of three cells."""

import json
import shutil
import sys
from pathlib import Path

import chapters
import kernels
import nbformat
import pytest
import release
import setup_cell
import verify

pytestmark = pytest.mark.slow


def test_a_kernel_that_dies_at_birth_is_followed_by_another() -> None:
    """As where another process has taken a port; a cell that fails is not run a second time."""
    messages = iter([kernels.STILLBORN, kernels.STILLBORN, "out of memory", "not reached"])

    def fail() -> None:
        raise RuntimeError(next(messages))

    with pytest.raises(RuntimeError, match="out of memory"):
        kernels.started(fail)
    assert next(messages) == "not reached"


def test_nbval_compares_texts(tiny: Path, tmp_path: Path) -> None:
    """A page that shows 4 where the code prints 3 fails."""
    source = Path(shutil.copy(tiny, tmp_path))
    page = source.with_suffix(".ipynb")
    good = tiny.with_suffix(".ipynb").read_text(encoding="utf-8")
    page.write_text(good.replace("steps 3", "steps 4"), encoding="utf-8")
    with pytest.raises(SystemExit, match="failed"):
        verify.nbval(source)


def test_the_setup_cell_installs_the_wheel_where_the_package_is_missing(
    tiny: Path, tmp_path: Path
) -> None:
    """In an empty folder it does; a chapter that reads a file beside its notebook fails there."""
    page = nbformat.read(tiny.with_suffix(".ipynb"), as_version=4)
    source = setup_cell.CELL.format(address=setup_cell.address())
    cell = nbformat.v4.new_code_cell(source, metadata={"tags": ["setup"]})
    page.cells.insert(1, cell)
    chapter = tmp_path / "01_tiny.ipynb"
    nbformat.write(page, chapter)

    wheel = verify.make_wheel()
    assert wheel.stat().st_size <= release.LARGEST
    assert verify.colab(chapter) == f"{wheel.name} alone in an empty folder"

    page.cells[-2].source = "open('01_tiny.py').close()"
    nbformat.write(page, chapter)
    with pytest.raises(SystemExit, match="FileNotFoundError"):
        verify.colab(chapter)


def test_every_chapter_has_the_setup_cell_of_this_release() -> None:
    """Word for word."""
    for source in chapters.sources():
        text = source.read_text(encoding="utf-8")
        assert setup_cell.renew(text) == text, f"{source.name}: run tools/setup_cell.py"


def test_a_record_names_what_was_proved(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each runner's result and the hash of the source; a chapter that is gone is forgotten."""
    monkeypatch.setattr(verify, "PROOFS", tmp_path / "proofs")
    monkeypatch.setattr(verify, "RECORD", tmp_path / "proof.json")
    monkeypatch.setattr(verify.chapters, "sources", lambda: [tiny])

    def passes(source: Path) -> str:
        return "passed"

    def fails(source: Path) -> str:
        sys.exit("no kernel\nmore")

    verify.RECORD.write_text('{"00_gone": {}}', encoding="utf-8")
    for runner in verify.RUNNERS:
        monkeypatch.setitem(verify.RUNNERS, runner, fails if runner == "colab" else passes)

    assert not verify.prove_chapter(tiny)
    verify.record([tiny], {"ok": True, "seconds": 9, "note": "no warning"})
    record = json.loads(verify.RECORD.read_text(encoding="utf-8"))
    assert list(record) == ["01_tiny"]
    assert record["01_tiny"]["source"] == chapters.source_hash(tiny)

    results = record["01_tiny"]["runners"]
    assert [runner for runner, result in results.items() if not result["ok"]] == ["colab"]
    assert results["colab"]["note"] == "no kernel"
