"""The service of chapter 10: its lines are run, and asked from four threads at once."""

import io
import re
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import chapters
import pytest
from PIL import Image

from l2rclip_lite import L2RCLIP, load_dataset

TestClient = pytest.importorskip("fastapi.testclient").TestClient
CHAPTER = (chapters.BOOK / "10_your_own_images.py").read_text(encoding="utf-8")


def code_of_the_service() -> str:
    """Return the lines of the chapter, with the checkpoint that ships."""
    _, section = CHAPTER.split("## In a service")
    block = re.findall(r"```python\n(.*?)# ```", section, re.DOTALL)[0]
    return re.sub(r"^# ?", "", block, flags=re.MULTILINE).replace("runs/leaves", "leaves")


@pytest.fixture(scope="module")
def client() -> Any:
    """Return a client of the service."""
    code = code_of_the_service()
    assert len([line for line in code.splitlines() if line.strip()]) <= 14  # as the chapter says
    names: dict[str, Any] = {}
    exec(compile(code, "service.py", "exec"), names)
    return TestClient(names["app"])


def ask(client: Any, content: bytes) -> Any:
    """Send an image."""
    return client.post("/grade", content=content, headers={"content-type": "image/png"})


def png(image: Image.Image) -> bytes:
    """Return the file of an image."""
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


@pytest.mark.slow
def test_a_hundred_images_four_at_once_get_the_answers_of_the_model(client: Any) -> None:
    """Of the checkpoint that ships."""
    data = load_dataset("leaves", size=60, pixels=64)
    leaves = [image for image, _ in data.train][:10]
    expected = L2RCLIP.from_pretrained("leaves").predict(leaves).to_frame().to_dict("records")

    files = [png(leaves[number % 10]) for number in range(100)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(partial(ask, client), files))

    for number, answer in enumerate(answers):
        assert answer.status_code == 200
        assert answer.json() == pytest.approx(expected[number % 10], abs=1e-5)


@pytest.mark.slow
def test_what_is_no_image_is_refused_and_the_service_goes_on(client: Any) -> None:
    """In a sentence."""
    refused = ask(client, b"no image")
    assert refused.status_code == 422
    assert refused.json() == {"detail": "send one image file"}
    assert ask(client, png(Image.new("RGB", (64, 64), "green"))).status_code == 200
