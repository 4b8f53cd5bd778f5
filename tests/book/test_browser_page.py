"""The page that grades a photo: its model, runtime and pictures. `tools/check_browser.mjs` uses the built page."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from pathlib import Path

import browser_answers
import browser_model
import chapters
import numpy as np
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from l2rclip_lite.config import Config
from l2rclip_lite.data import load_dataset
from l2rclip_lite.data.files import read_image
from l2rclip_lite.export import answer, open_session, read_metadata
from l2rclip_lite.plots import rank_colours

PAGE = chapters.ROOT / "book" / "_static" / "browser"
RESULTS = chapters.ROOT / "book" / "results"


def test_the_model_is_the_one_that_the_results_are_of() -> None:
    """One file, its description for the page, the settings of the script, and a table that a page may show."""
    facts = json.loads((RESULTS / "browser.json").read_text(encoding="utf-8"))
    model = PAGE / "model.onnx"
    assert hashlib.sha256(model.read_bytes()).hexdigest() == facts["model_sha256"]
    about = json.loads((PAGE / "model.json").read_text(encoding="utf-8"))
    assert about.pop("bytes") == model.stat().st_size
    assert about.pop("colours") == [to_hex(colour) for colour in rank_colours(5)]
    assert about == read_metadata(model)
    assert about["temperature"] == pytest.approx(facts["temperature"])
    assert Config.from_dict(facts["config"]) == browser_model.CONFIG
    assert facts["difference_from_pytorch"] < 1e-4
    assert facts["checked_pictures"] == facts["data"]["counts"]["test"]
    with (RESULTS / "browser.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for line, stored in zip(rows, facts["results"], strict=True):
        assert line == {name: str(value) for name, value in stored.items()}


def test_the_drawn_leaf_is_the_generators_and_is_graded(tmp_path: Path) -> None:
    """The button's picture; the model answers in probabilities, the expectation is theirs."""
    browser_model.draw_leaf(tmp_path / "leaf.png")
    drawn = read_image(PAGE / "leaf.png", "the page")
    np.testing.assert_array_equal(drawn, read_image(tmp_path / "leaf.png", "the generator"))
    probabilities, expected = answer(open_session(PAGE / "model.onnx"), drawn)
    assert probabilities.sum() == pytest.approx(1, abs=1e-5)
    assert expected == pytest.approx(float(probabilities @ np.arange(5)), abs=1e-5)


def test_the_pictures_of_the_check_are_what_a_phone_makes(tmp_path: Path) -> None:
    """One is stored on its side with a tag that turns it upright, one is transparent, one grey, one large, one tall."""
    split = load_dataset("leaves", size=60, pixels=320).test
    browser_answers.draw(split, tmp_path)
    with Image.open(tmp_path / "turned.jpg") as stored:
        assert stored.getexif()[browser_answers.EXIF_ORIENTATION] == browser_answers.TURNED
        upright = read_image(tmp_path / "turned.jpg", "test")
        leaf = split[split.targets.index(3)][0]
        assert (
            np.abs(np.asarray(upright, int) - np.asarray(leaf, int)).mean()
            < 12
            < np.abs(np.asarray(stored, int) - np.asarray(leaf, int)).mean()
        )
    for name, mode in {"grey.jpg": "L", "transparent.png": "RGBA", "phone.jpg": "RGB"}.items():
        with Image.open(tmp_path / name) as stored:
            assert stored.mode == mode
    assert {file.stem for file in tmp_path.glob("rank-*")} == {f"rank-{rank}" for rank in range(5)}


def test_the_runtime_is_the_one_that_its_note_names() -> None:
    """Version, licence and SHA-256 of each vendored file."""
    folder = chapters.ROOT / "book" / "_extra" / "ort"
    note = (folder / "README.md").read_text(encoding="utf-8")
    version = re.search(
        r"ONNX Runtime Web v([\d.]+)", (folder / "ort.wasm.min.mjs").read_text(encoding="utf-8")
    )
    assert version
    assert f"`onnxruntime-web` {version[1]}," in note
    named = dict(re.findall(r"\| `([\w.-]+)` \| `(\w{64})` \|", note))
    assert set(named) == {file.name for file in folder.iterdir()} - {
        "README.md",
        "LICENSE",
        "ThirdPartyNotices.txt",
    }
    for name, fingerprint in named.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == fingerprint
    assert (folder / "LICENSE").read_text(encoding="utf-8").startswith("MIT License")
