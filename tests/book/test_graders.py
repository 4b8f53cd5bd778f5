"""What grades a photo for others: the model of the page `browser.md`.

`tools/check_browser.mjs` uses the built page.
"""

import json

import browser_model
import pytest

from l2rclip_lite.config import Config
from l2rclip_lite.export import KEY, open_session
from l2rclip_lite.files import sha256_of

PAGE = browser_model.PAGE


def test_the_model_of_the_page_is_the_one_that_the_results_are_of() -> None:
    """One file of at most 5 MB, its description for the page, the settings of the tool."""
    facts = json.loads((browser_model.RESULTS / "browser.json").read_text(encoding="utf-8"))
    model = PAGE / "model.onnx"
    assert sha256_of(model) == facts["model_sha256"]
    assert Config.from_dict(facts["config"]).used() == browser_model.CONFIG.used()
    assert facts["checked_images"] == facts["data"]["counts"]["test"]

    scores = (PAGE / "scores.md").read_text(encoding="utf-8")
    assert scores == browser_model.scores_table(facts["results"]) + "\n"
    description = json.loads((PAGE / "model.json").read_text(encoding="utf-8"))
    assert description.pop("bytes") == model.stat().st_size <= 5e6
    assert len(description.pop("colours")) == 5
    assert description["temperature"] == pytest.approx(facts["temperature"])
    assert description == json.loads(open_session(model).get_modelmeta().custom_metadata_map[KEY])
