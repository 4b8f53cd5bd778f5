"""`l2rclip report`: one page that holds all it shows, asks no server and runs no script."""

import io
import re
import shutil
from base64 import b64decode
from html import escape
from pathlib import Path

import pytest
from drawn_run import DrawnRun
from PIL import Image
from run_files import refused, run

from l2rclip_lite.files import read_json, write_json

PICTURE = r'<img alt="" src="data:image/png;base64,([^"]+)">'
ACTIVE = r"<script|<a |<link|https?:|url\(|</pre>.*</pre>"
HOSTILE_CARD = "---\nlibrary_name: hub\n---\n</pre><script>alert(1)</script>"
HOSTILE_NAME = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def hostile_run(drawn_run: DrawnRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in a folder `a & b` with a script in its card, and its own answers as a baseline."""
    folder = tmp_path_factory.mktemp("report") / "a & b"
    shutil.copytree(drawn_run.out, folder)
    shutil.copytree(drawn_run.out, folder / "baselines" / "ridge")
    (folder / "README.md").write_text(HOSTILE_CARD, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def page(hostile_run: Path) -> str:
    """The report of that run with its images."""
    file = hostile_run.with_name("page.html")
    outcome = run("report", hostile_run, "--out", file)
    assert outcome == (0, f"{file}: open it in a browser\n", "")
    return file.read_text(encoding="utf-8")


def test_the_page_holds_its_pictures_and_asks_no_server(page: str) -> None:
    """What others wrote stays text; the head of the model card, meant for a hub, is left out."""
    pictures = re.findall(PICTURE, page)
    assert page.count("<img") == len(pictures) == 4
    for picture in pictures:
        assert Image.open(io.BytesIO(b64decode(picture))).width > 300

    assert not re.search(ACTIVE, page)
    assert "library_name" not in page
    for word in ("ridge", "after stage 1", "a &amp; b"):
        assert f">{word}</" in page


def test_where_the_images_have_moved_a_sentence_says_so(hostile_run: Path) -> None:
    """Three pictures, and how to get the fourth."""
    outcome = run("report", hostile_run, "--root", "nowhere")
    assert "the page shows no image" in outcome.err

    text = (hostile_run / "report.html").read_text(encoding="utf-8")
    assert text.count("<img") == 3
    assert text.count("pass --root if it has moved") == 2  # once for the signs of failure
    assert text.count("Not computed: this one needs the test images.") == 3


def test_a_hostile_name_of_an_image_stays_text(hostile_run: Path, tmp_path: Path) -> None:
    """The images are no longer those of the run, and so are not shown."""
    folder = Path(shutil.copytree(hostile_run, tmp_path / "run"))
    for file in folder.rglob("predictions.csv"):
        answers = file.read_text(encoding="utf-8")
        hostile = re.sub(r"^images/", HOSTILE_NAME, answers, flags=re.M)
        file.write_text(hostile, encoding="utf-8")
    metrics = read_json(folder / "metrics.json")
    metrics["comparison"] = {"kept": HOSTILE_NAME, "rps": {HOSTILE_NAME: 1.0}}
    write_json(folder / "metrics.json", metrics)
    (folder / "README.md").write_text("Made for nobody.\n\n|a|\n|---|---|\n", encoding="utf-8")

    page = tmp_path / "page.html"
    outcome = run("report", folder, "--out", page)
    assert "is no test image of the data" in outcome.err

    text = page.read_text(encoding="utf-8")
    assert not re.search(ACTIVE, text)
    assert text.count("<img") == 3
    assert text.count(escape(HOSTILE_NAME)) >= 8
    assert "Made for nobody." in text
    assert "|a|" not in text


def test_without_a_library_for_figures_the_report_is_refused(
    drawn_run: DrawnRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence names it."""
    monkeypatch.setattr("l2rclip_lite.commands.finished.find_spec", lambda name: None)
    refused(run("report", drawn_run.out), "seaborn is not installed")
