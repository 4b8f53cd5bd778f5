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
from run_files import run

from l2rclip_lite.files import read_json, write_json

PICTURE = r'<img alt="" src="data:image/png;base64,([^"]+)">'
ACTIVE = r"<script|<a |<link|https?:|url\(|</pre>.*</pre>"
HOSTILE_CARD = "---\nlibrary_name: hub\n---\n</pre><script>alert(1)</script>"
HOSTILE_NAME = "<img src=x onerror=alert(1)>"


@pytest.fixture
def hostile_run(drawn_run: DrawnRun, tmp_path: Path) -> Path:
    """A run in a folder `a & b` with a script in its card, and its own answers as a baseline."""
    folder = tmp_path / "a & b"
    shutil.copytree(drawn_run.out, folder)
    shutil.copytree(drawn_run.out, folder / "baselines" / "ridge")
    (folder / "README.md").write_text(HOSTILE_CARD, encoding="utf-8")
    return folder


def test_the_page_holds_its_pictures_and_asks_no_server(hostile_run: Path, tmp_path: Path) -> None:
    """What others wrote stays text; the head of the model card, meant for a hub, is left out."""
    file = tmp_path / "page.html"
    assert run("report", hostile_run, "--out", file) == (0, f"{file}: open it in a browser\n", "")

    page = file.read_text(encoding="utf-8")
    pictures = re.findall(PICTURE, page)
    assert page.count("<img") == len(pictures) == 4
    for picture in pictures:
        assert Image.open(io.BytesIO(b64decode(picture))).width > 300
    assert not re.search(ACTIVE, page)
    assert "library_name" not in page
    assert "ECE has no interval, as resampling images raises it" in page
    for word in ("ridge", "after stage 1", "a &amp; b", "RankFormer adds no order?"):
        assert f">{word}</" in page
    assert "Not computed" not in page


def test_a_page_without_images_says_so_and_hostile_names_stay_text(hostile_run: Path) -> None:
    """Three pictures: the images have moved, and their names are other ones."""
    for file in hostile_run.rglob("predictions.csv"):
        answers = file.read_text(encoding="utf-8")
        hostile = re.sub(r"^images/", HOSTILE_NAME, answers, flags=re.M)
        file.write_text(hostile, encoding="utf-8")
    metrics = read_json(hostile_run / "metrics.json")
    metrics["comparison"] = {"kept": HOSTILE_NAME, "rps": {HOSTILE_NAME: 1.0}}
    write_json(hostile_run / "metrics.json", metrics)

    outcomes = {
        "pass --root if it has moved": run("report", hostile_run, "--root", "nowhere"),
        "is no test image of the data": run("report", hostile_run),
    }
    for sentence, outcome in outcomes.items():
        assert sentence in outcome.err
    page = (hostile_run / "report.html").read_text(encoding="utf-8")
    assert not re.search(ACTIVE, page)
    assert page.count("<img") == 3
    assert page.count(escape(HOSTILE_NAME)) >= 8
