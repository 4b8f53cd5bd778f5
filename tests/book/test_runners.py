"""The runners of `make verify` can fail: each on a chapter of three cells."""

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
import setup_cell
import verify

pytestmark = pytest.mark.slow


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
    assert wheel.stat().st_size <= 6e6  # 4e6 of them are the relative that ships
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
    """Each runner's result beside that of other kernels; a chapter that is gone is forgotten."""
    monkeypatch.setattr(verify, "RECORD", tmp_path / "proof.json")
    monkeypatch.setattr(verify.chapters, "sources", lambda: [tiny])
    kept = {"00_gone": {"avx2": {}}, "01_tiny": {"avx2": "kept", "sse": "of before"}}
    verify.RECORD.write_text(json.dumps(kept), encoding="utf-8")

    def fails(source: Path) -> str:
        sys.exit("no kernel\nmore")

    monkeypatch.setitem(verify.RUNNERS, "colab", fails)
    monkeypatch.setitem(verify.RUNNERS, "nbval", lambda source: "passed")
    verify.record({"01_tiny": verify.prove_chapter(tiny, ["nbval", "colab", "book"])}, "sse")

    record = json.loads(verify.RECORD.read_text(encoding="utf-8"))
    assert list(record) == ["01_tiny"]
    assert record["01_tiny"]["avx2"] == "kept"
    proof = record["01_tiny"]["sse"]
    assert proof["source"] == chapters.source_hash(tiny)
    results = {runner: (end["ok"], end["note"]) for runner, end in proof["runners"].items()}
    assert results == {"nbval": (True, "passed"), "colab": (False, "no kernel")}


def test_a_command_runs_with_the_kernels_of_another_processor() -> None:
    """In its own process, which can say so; a kind that no processor has is refused."""
    say = "import kernels; print(kernels.kind())"
    tools = str(Path(kernels.__file__).parent)
    command = [sys.executable, kernels.__file__, "sse", sys.executable, "-c", say]
    environment = os.environ | {"PYTHONPATH": tools}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.stdout.strip() == kernels.kinds_here()[-1], done.stderr

    command[2] = "mmx"
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert "no kernels 'mmx' here" in done.stderr
    assert kernels.other() in kernels.KINDS
