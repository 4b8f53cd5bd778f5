"""What grades a photo for others: the model of the page `browser.md`, the service of chapter 10.

`tools/check_browser.mjs` uses the built page.
"""

import io
import json
import re
from typing import Any

import browser_model
import chapters
import pytest

from l2rclip_lite import L2RCLIP, load_dataset
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


@pytest.mark.slow
def test_a_service_answers_as_the_model_does() -> None:
    """The lines of chapter 10, with the model that ships; what is no image is refused."""
    test_client = pytest.importorskip("fastapi.testclient")
    chapter = (chapters.BOOK / "10_your_own_images.py").read_text(encoding="utf-8")
    block = re.findall(r"## In a service.*?```python\n(.*?)# ```", chapter, re.DOTALL)[0]
    code = re.sub(r"^# ?", "", block, flags=re.MULTILINE).replace("runs/leaves", "leaves")
    names: dict[str, Any] = {}
    exec(compile(code, "service.py", "exec"), names)
    client = test_client.TestClient(names["app"])

    leaf = load_dataset("leaves", size=60, pixels=64).train[0][0]
    file = io.BytesIO()
    leaf.save(file, "PNG")
    graded = client.post("/grade", content=file.getvalue())
    (expected,) = L2RCLIP.from_pretrained("leaves").predict(leaf).to_frame().to_dict("records")
    assert graded.json() == pytest.approx(expected, abs=1e-5)
    assert client.post("/grade", content=b"no image").status_code == 422
