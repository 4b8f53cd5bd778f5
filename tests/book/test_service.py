"""The service that chapter 10 shows: its lines are run, and asked from four threads at once."""

import io
import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import chapters
import pytest

from l2rclip_lite import L2RCLIP, load_dataset

pytest.importorskip("fastapi")
CHAPTER = (chapters.BOOK / "10_your_own_images.py").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_hundred_images_four_at_once_get_the_answers_of_the_model() -> None:
    """By the checkpoint that ships; what is no image is refused in a sentence, and the service goes on."""
    from fastapi.testclient import TestClient

    block = re.findall(
        r"```python\n(.*?)# ```", CHAPTER.partition("## In a service")[2], re.DOTALL
    )[0]
    code = re.sub(r"^# ?", "", block, flags=re.MULTILINE).replace("runs/leaves", "leaves")
    names: dict[str, Any] = {}
    exec(compile(code, "service.py", "exec"), names)
    client, model = TestClient(names["app"]), L2RCLIP.from_pretrained("leaves")
    assert len([line for line in code.splitlines() if line.strip()]) <= 14

    data = load_dataset("leaves", size=60, pixels=64)
    leaves = [image for image, _ in data.train][:10]
    expected = model.predict(leaves).to_frame().to_dict("records")

    def ask(number: int) -> Any:
        leaves[number % 10].save(file := io.BytesIO(), "PNG")
        headers = {"content-type": "image/png"}
        return client.post("/grade", content=file.getvalue(), headers=headers)

    with ThreadPoolExecutor(4) as four:
        answers = list(four.map(ask, range(100)))
    assert {answer.status_code for answer in answers} == {200}
    for number, answer in enumerate(answers):
        assert json.loads(answer.text) == pytest.approx(expected[number % 10], abs=1e-5)
    refused = client.post("/grade", content=b"no image", headers={"content-type": "image/png"})
    assert (refused.status_code, refused.json()) == (422, {"detail": "send one image file"})
    assert ask(0).status_code == 200
