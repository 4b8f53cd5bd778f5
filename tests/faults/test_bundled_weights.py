"""The doctor notices one bit of the weights that pip has installed."""

from pathlib import Path

import pytest
from faults import judged

from l2rclip_lite.towers import mini

pytestmark = pytest.mark.untyped


@pytest.mark.parametrize("name", [*mini.TEXT_FILES, "image", "alignment"])
def test_one_flipped_bit_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Of network, tokenizer, its config, image tower or alignment."""
    folder = mini.find_text_folder()
    source = {"image": mini.find_image_weights(), "alignment": mini.ALIGNMENT}.get(
        name, folder / name
    )
    content = bytearray(source.read_bytes())
    content[len(content) // 2] ^= 1
    for other in {*mini.TEXT_FILES} - {name}:
        (tmp_path / other).symlink_to(folder / other)
    copy = tmp_path / source.name
    copy.write_bytes(content)

    if name == "image":
        monkeypatch.setattr(mini, "find_image_weights", lambda: copy)
    elif name == "alignment":
        monkeypatch.setattr(mini, "ALIGNMENT", copy)
    else:
        monkeypatch.setattr(mini, "find_text_folder", lambda: tmp_path)
    with judged("one bit flipped in each bundled file of weights", about="SHA-256"):
        mini.check_weights()
