"""One bit of the weights that the package ships is noticed before anything is parsed."""

from pathlib import Path

import pytest
import torch
from faults import judged

from l2rclip_lite import load_towers
from l2rclip_lite.towers import mini

pytestmark = pytest.mark.untyped


def flipped_copy(source: Path, folder: Path) -> Path:
    """Return a copy of a file in which one bit is another."""
    content = bytearray(source.read_bytes())
    content[len(content) // 2] ^= 1
    copy = folder / source.name
    copy.write_bytes(content)
    return copy


FLIPPED = "one bit flipped in each bundled file of weights"


@pytest.fixture
def unparsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail where weights are parsed."""
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("parsed"))


@pytest.mark.usefixtures("unparsed")
@pytest.mark.parametrize("name", mini.TEXT_FILES)
def test_one_bit_of_the_text_tower_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Network, tokenizer, its config: each is checked before it is parsed."""
    folder = mini.find_text_folder()
    flipped_copy(folder / name, tmp_path)
    for other in {*mini.TEXT_FILES} - {name}:
        (tmp_path / other).symlink_to(folder / other)
    monkeypatch.setattr(mini, "find_text_folder", lambda: tmp_path)
    with judged(FLIPPED, about="SHA-256"):
        load_towers("mini")


@pytest.mark.usefixtures("unparsed")
def test_one_bit_of_the_image_tower_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it is parsed."""
    copy = flipped_copy(mini.find_image_weights(), tmp_path)
    monkeypatch.setattr(mini, "find_image_weights", lambda: copy)
    with judged(FLIPPED, about="SHA-256"):
        load_towers("mini")


@pytest.mark.usefixtures("unparsed")
def test_one_bit_of_the_alignment_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it is parsed."""
    monkeypatch.setattr(mini, "ALIGNMENT", flipped_copy(mini.ALIGNMENT, tmp_path))
    with judged(FLIPPED, about="SHA-256"):
        load_towers("mini")
