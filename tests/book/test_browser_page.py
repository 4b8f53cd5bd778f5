"""The page that grades a photo: its model, its runtime, its images.

`tools/check_browser.mjs` uses the built page.
"""

import hashlib
import json
import re
from pathlib import Path

import browser_model
import chapters
import numpy as np
import pytest

from l2rclip_lite.config import Config
from l2rclip_lite.data import read_image
from l2rclip_lite.export import KEY, answer, open_session
from l2rclip_lite.files import sha256_of

PAGE = browser_model.PAGE


def test_the_model_is_the_one_that_the_results_are_of() -> None:
    """One file of at most 5 MB, its description for the page, the settings of the tool."""
    facts = json.loads((browser_model.RESULTS / "browser.json").read_text(encoding="utf-8"))
    model = PAGE / "model.onnx"
    assert sha256_of(model) == facts["model_sha256"]

    shown = (PAGE / "scores.md").read_text(encoding="utf-8")
    assert shown == browser_model.scores_table(facts["results"]) + "\n"
    description = json.loads((PAGE / "model.json").read_text(encoding="utf-8"))
    assert description.pop("bytes") == model.stat().st_size <= 5e6
    assert len(description.pop("colours")) == 5
    metadata = open_session(model).get_modelmeta().custom_metadata_map[KEY]
    assert description == json.loads(metadata)

    assert description["temperature"] == pytest.approx(facts["temperature"])
    assert Config.from_dict(facts["config"]).used() == browser_model.CONFIG.used()
    assert facts["checked_images"] == facts["data"]["counts"]["test"]


def test_the_drawn_leaf_is_the_generators_and_is_graded(tmp_path: Path) -> None:
    """The button's image; the model answers in probabilities, the expectation is theirs."""
    browser_model.draw_leaf(tmp_path / "leaf.png")
    drawn = read_image(PAGE / "leaf.png")
    np.testing.assert_array_equal(drawn, read_image(tmp_path / "leaf.png"))

    probabilities, expected = answer(open_session(PAGE / "model.onnx"), drawn)
    assert probabilities.sum() == pytest.approx(1, abs=1e-5)
    assert expected == pytest.approx(float(probabilities @ np.arange(5)), abs=1e-5)


def test_the_runtime_is_the_one_that_its_note_names() -> None:
    """SHA-256 of each vendored file."""
    folder = chapters.BOOK / "_extra" / "ort"
    note = (folder / "README.md").read_text(encoding="utf-8")
    digests = dict(re.findall(r"\| `([\w.-]+)` \| `(\w{64})` \|", note))
    assert {"ort.wasm.min.mjs", "ort-wasm-simd-threaded.wasm"} <= set(digests)
    for name, digest in digests.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
