"""Names and shapes of a model file are known before a number of it is read."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from l2rclip_lite import files, model_file
from l2rclip_lite.config import Config
from l2rclip_lite.errors import InputError
from l2rclip_lite.method.model import L2RCLIP
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.runs.model_file import MODEL, ModelFile, read_settings

RANKS = Ranks(("new", "used", "worn"), (0, 2, 7), template="a {rank} tyre")
CONFIG = Config(towers="tiny/random", heads=2, hidden=16)


def refitted(file: Path, entries: dict[str, Any], data: bytes = b"") -> None:
    """Put more tensors into the header of a file, and more data behind its own."""
    content = file.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length]) | entries
    words = json.dumps(header).encode()
    file.write_bytes(len(words).to_bytes(8, "little") + words + content[8 + length :] + data)


@pytest.mark.parametrize(
    ("name", "epochs1"),
    [
        ("more", 30),
        ("towers.image.more", 30),
        ("towers.text.more", 30),
        ("prompts.more", 30),
        ("prompts.context", 30),
        ("head.mean", 30),
        ("temperature", 30),
        ("more", 0),
    ],
)
def test_names_and_shapes_are_known_before_a_number_is_read(
    name: str, epochs1: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hole of gigabytes takes no room on a disk, and all of it in memory."""
    file = L2RCLIP.build(RANKS, replace(CONFIG, epochs1=epochs1)).save_pretrained(tmp_path)
    length = int.from_bytes(file.read_bytes()[:8], "little")
    end = file.stat().st_size - 8 - length
    entry = {"dtype": "F32", "shape": [1], "data_offsets": [end, end + 4]}
    if name in ModelFile.read(file).tensors:
        content = ModelFile.read(file)
        replace(content, tensors={**content.tensors, name: torch.zeros(5, 5)}).write(file)
    else:
        refitted(file, {name: entry}, bytes(4))

    monkeypatch.setattr(model_file, "read_tensors", lambda *_: pytest.fail("was read"))
    with pytest.raises(InputError, match=MODEL):
        L2RCLIP.from_pretrained(tmp_path)


def test_prompts_that_nobody_trained_are_not_read(tmp_path: Path) -> None:
    """Files of earlier releases hold them; whatever they are, they are not needed."""
    file = L2RCLIP.build(RANKS, replace(CONFIG, epochs1=0)).save_pretrained(tmp_path)
    content = ModelFile.read(file)
    tensors = {**content.tensors, "prompts.more": torch.tensor(torch.nan)}
    replace(content, tensors=tensors).write(file)
    assert ModelFile.read(file).tensors.keys() == content.tensors.keys()
    L2RCLIP.from_pretrained(tmp_path)


def test_a_header_of_many_tensors_is_not_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Safetensors takes 14 s for 600,000 of them, all empty."""
    file = L2RCLIP.build(RANKS, CONFIG).save_pretrained(tmp_path)
    empty = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    refitted(file, {str(number): empty for number in range(20_000)})
    monkeypatch.setattr(files, "safe_open", lambda *_: pytest.fail("was parsed"))
    for read in (L2RCLIP.from_pretrained, lambda folder: read_settings(folder / MODEL)):
        with pytest.raises(InputError, match="it has more than 16,384 tensors"):
            read(tmp_path)
