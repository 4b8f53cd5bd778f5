"""Encoding that is killed, or loses a process or an image: the same features, or one sentence."""

import os
import random
import time
from pathlib import Path

import pytest
from children import encode_in_pieces, ended, start
from faults import LONG, TRIED

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX")
N_IMAGES = 2_000
PIECE = 256
N_RUNS = 20 if LONG else 1
KILLED = "SIGKILL at a random moment of encoding"


def times_written(folder: Path) -> dict[Path, int]:
    """Return when each piece of the features was written."""
    return {file: file.stat().st_mtime_ns for file in folder.glob("*.safetensors")}


def kill_until_it_ends(folder: Path, out: Path, draw: random.Random, seconds: float) -> int:
    """Kill encoding at two random moments, unless it is through before; return the number of kills.

    No piece that is complete is written again.
    """
    pieces: dict[Path, int] = {}
    lives = [draw.uniform(0.3, 0.9) * seconds, draw.uniform(0.3, 0.9) * seconds, 120.0]
    for kills, life in enumerate(lives):
        child = start(encode_in_pieces, folder, out, N_IMAGES, PIECE)
        child.join(life)
        was_killed = child.is_alive()
        child.kill()
        child.join()

        earlier = pieces
        pieces = times_written(folder)
        assert earlier.items() <= pieces.items()
        assert was_killed or child.exitcode == 0
        if not was_killed:
            return kills
        TRIED[KILLED] += 1
    pytest.fail("it does not end")


def test_encoding_that_is_killed_at_random_moments_ends_in_the_same_features(
    tmp_path: Path,
) -> None:
    """Once at least; in the long form twenty times, at other moments each time."""
    calm = tmp_path / "calm.safetensors"
    assert ended(encode_in_pieces, tmp_path / "few", calm.with_stem("few"), 32, PIECE) == 0
    begin = time.monotonic()  # the server of processes has started
    assert ended(encode_in_pieces, tmp_path / "calm", calm, N_IMAGES, PIECE) == 0
    seconds = time.monotonic() - begin

    draw = random.Random(time.time_ns() if LONG else 1)
    kills = 0
    for number in range(N_RUNS):
        folder = tmp_path / str(number)
        out = folder.with_suffix(".safetensors")
        kills += kill_until_it_ends(folder, out, draw, seconds)

        assert out.read_bytes() == calm.read_bytes()
        names = {file.name for file in times_written(folder)}
        assert names == {file.name for file in times_written(tmp_path / "calm")}
    assert kills >= N_RUNS
