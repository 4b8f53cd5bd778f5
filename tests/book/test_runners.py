"""The runners of `make verify` can fail, each on a chapter of three cells; slides of chapters."""

import os
import re
import shutil
import subprocess
import sys
from operator import attrgetter
from pathlib import Path

import chapters
import kernels
import nbformat
import pytest
import setup_cell
import slides
import verify

from l2rclip_lite.files import write_json

pytestmark = pytest.mark.slow
TOOLS = Path(kernels.__file__).parent


def test_nbval_compares_texts(tiny: Path, tmp_path: Path) -> None:
    """A page that shows 4 where the code prints 3 fails."""
    source = Path(shutil.copy(tiny, tmp_path))
    good = tiny.with_suffix(".ipynb").read_text(encoding="utf-8")
    page = source.with_suffix(".ipynb")
    page.write_text(good.replace("steps 3", "steps 4"), encoding="utf-8")
    with pytest.raises(SystemExit, match="failed"):
        verify.nbval(source)


def test_the_setup_cell_installs_the_wheel_where_the_package_is_missing(
    tiny: Path, tmp_path: Path
) -> None:
    """In an empty folder it does; a chapter that reads a file beside its notebook fails there."""
    page = nbformat.read(tiny.with_suffix(".ipynb"), as_version=4)
    source = setup_cell.CELL.format(address=setup_cell.address())
    page.cells.insert(1, nbformat.v4.new_code_cell(source, metadata={"tags": ["setup"]}))
    chapter = tmp_path / "01_tiny.ipynb"
    nbformat.write(page, chapter)

    wheel = verify.make_wheel()
    assert wheel.stat().st_size <= 9e6  # 4e6 of them are the relative that ships, 3e6 photographs
    assert verify.colab(chapter) == f"{wheel.name} alone in an empty folder"


def test_every_chapter_has_the_setup_cell_of_this_release() -> None:
    """Word for word."""
    for source in chapters.sources():
        text = source.read_text(encoding="utf-8")
        assert setup_cell.renew(text) == text, f"{source.name}: run tools/setup_cell.py"


def test_a_proof_is_made_again_where_the_code_has_changed(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What failed, another runner and an older package are no proof."""
    monkeypatch.setattr(verify, "RECORD", tmp_path / "proof.json")
    results = {"nbval": {"ok": True}, "colab": {"ok": False}}
    for package, proved in ((chapters.package_hash(), True), ("older", False)):
        proof = {"source": chapters.source_hash(tiny), "package": package, "runners": results}
        write_json(verify.RECORD, {tiny.stem: {kernels.kind(): proof}})
        assert verify.proved(tiny, ["nbval"]) == proved

    write_json(
        verify.RECORD, {tiny.stem: {kernels.kind(): verify.code_of(tiny) | {"runners": results}}}
    )
    assert not verify.proved(tiny, ["nbval", "colab"])
    assert not verify.proved(tiny, ["papermill"])


@pytest.mark.parametrize(
    ("kind", "answer"), [("sse", kernels.kinds_here()[-1]), ("mmx", "no kernels 'mmx' here")]
)
def test_a_command_runs_with_the_kernels_of_another_processor(kind: str, answer: str) -> None:
    """In its own process, which can say so; a kind that no processor has is refused."""
    say = "import kernels; print(kernels.kind())"
    command = [sys.executable, kernels.__file__, kind, sys.executable, "-c", say]
    environment = os.environ | {"PYTHONPATH": str(TOOLS)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert answer in done.stdout + done.stderr


@pytest.mark.parametrize("source", chapters.sources()[:11], ids=attrgetter("stem"))
def test_a_main_chapter_has_slides(source: Path) -> None:
    """A title, a sentence, up to three figures with caption and alt text; no link to a page."""
    deck = slides.slides_of(source.with_suffix(".ipynb"))
    figures = re.findall(r'<img src="data:image/png;base64,[^"]+" alt="[^"]+"><figcaption>.', deck)
    assert 1 <= len(figures) <= 3
    assert deck.count("<section>") == len(figures) + 2
    assert re.search(r"<h2>[^<]+</h2><p>.{20,}</p>", deck)
    assert "<a " not in deck
