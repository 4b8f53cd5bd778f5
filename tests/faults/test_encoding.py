"""Encoding that is killed, or loses a process or an image: the same features, or one sentence."""

import os
import random
import re
import time
from pathlib import Path

import pytest
from children import encode_in_pieces, ended, start
from faults import LONG, TRIED
from lost_worker import encoded_by_a_worker, lose_a_worker
from PIL import Image

from l2rclip_lite.errors import InputError

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX")
N_IMAGES = 2_000
PIECE = 256
KILLED = "SIGKILL at a random moment of encoding"


def test_encoding_that_is_killed_at_random_moments_ends_in_the_same_features(
    tmp_path: Path,
) -> None:
    """And no piece that was complete is encoded again."""
    calm = tmp_path / "calm.safetensors"
    assert ended(encode_in_pieces, tmp_path / "few", calm.with_stem("few"), 32, PIECE) == 0
    begin = time.monotonic()  # the server of processes has started
    assert ended(encode_in_pieces, tmp_path / "calm", calm, N_IMAGES, PIECE) == 0
    seconds = time.monotonic() - begin

    draw = random.Random(time.time_ns())
    for number in range(20 if LONG else 1):
        folder = tmp_path / str(number)
        out = folder.with_suffix(".safetensors")
        complete: dict[Path, int] = {}
        kills = 0
        while not out.is_file():
            child = start(encode_in_pieces, folder, out, N_IMAGES, PIECE)
            child.join(draw.uniform(0.3, 0.9) * seconds if kills < 2 else 120)
            kills += child.is_alive()
            child.kill()
            child.join()
            TRIED[KILLED] += 1

            assert complete.items() <= {file: file.stat().st_mtime_ns for file in complete}.items()
            complete = {file: file.stat().st_mtime_ns for file in folder.glob("*.safetensors")}

        assert out.read_bytes() == calm.read_bytes()
        names = {file.name for file in folder.glob("*.safetensors")}
        assert names == {file.name for file in (tmp_path / "calm").iterdir()}


def test_a_process_that_decodes_and_is_killed_is_one_sentence(tmp_path: Path) -> None:
    """It names memory and the option."""
    sentence = tmp_path / "sentence"
    assert ended(lose_a_worker, sentence) == 0
    expected = r"encoding images: the system has ended .* want of memory; try fewer --workers\."
    assert re.fullmatch(expected, sentence.read_text(encoding="utf-8"))
    TRIED["SIGKILL of a process that decodes"] += 1


def test_an_image_that_vanishes_keeps_its_sentence_in_a_process_that_decodes(
    tmp_path: Path,
) -> None:
    """Not the traceback of that process."""
    files = [tmp_path / f"{number}.png" for number in range(4)]
    for file in files[:3]:
        Image.new("RGB", (8, 8)).save(file)

    expected = r"^the image .*3\.png does not exist; correct or remove it\.$"
    with pytest.raises(InputError, match=expected):
        encoded_by_a_worker(files)
    TRIED["an image that vanishes while others are encoded"] += 1
