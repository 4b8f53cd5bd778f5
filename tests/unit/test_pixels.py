"""The same bytes from memory, from a mapped file and from decoding threads; what cannot be read stops the run."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from l2rclip_lite import pixels as stores
from l2rclip_lite.data import OrdinalDataset
from l2rclip_lite.data.base import Split
from l2rclip_lite.errors import InputError
from l2rclip_lite.images import as_bytes
from l2rclip_lite.pixels import AHEAD, Streamed, in_batches, load_pixels, map_pixels, open_pixels
from l2rclip_lite.towers import Towers, load_towers


def test_bytes_of_a_split_are_its_squashed_pictures(leaves: OrdinalDataset, tiny: Towers) -> None:
    """In order, RGB, channels first."""
    pixels = load_pixels(leaves.val, tiny)
    assert pixels.shape == (len(leaves.val), 3, 64, 64)
    for index in (0, len(leaves.val) - 1):
        expected = np.asarray(tiny.squash(leaves.val[index][0])).transpose(2, 0, 1)
        assert np.array_equal(pixels[index].numpy(), expected)
    red = as_bytes(Image.new("RGB", (2, 1), "red"))
    assert red.tolist() == [[[255, 255]], [[0, 0]], [[0, 0]]]
    assert as_bytes(Image.new("L", (2, 1), 7)).tolist() == [[[7, 7]]] * 3


def test_a_picture_that_cannot_be_read_stops_the_reading(tiny: Towers) -> None:
    """It is never replaced by another, as the released code does."""

    def read(index: int) -> Image.Image:
        if index:
            raise InputError(
                "labels.csv row 3: the image b.jpg cannot be decoded (cut off); replace the file."
            )
        return Image.new("RGB", (4, 4))

    with pytest.raises(InputError, match=r"labels\.csv row 3"):
        load_pixels(Split(["a.jpg", "b.jpg"], [0, 1], read), tiny)


TOWERS = load_towers("tiny/random")


def reds(count: int) -> tuple[Split, list[int]]:
    """Pictures whose red is their place, and the places that were read, in order."""
    asked: list[int] = []

    def read(index: int) -> Image.Image:
        asked.append(index)
        return Image.new("RGB", (4, 4), (index, 0, 0))

    return Split([str(index) for index in range(count)], [0] * count, read), asked


def test_a_mapped_file_holds_the_same_and_is_written_once(tiny: Towers, tmp_path: Path) -> None:
    """The second time no picture is opened; a file that was cut off is written anew."""
    split, asked = reds(5)
    whole, file = load_pixels(split, tiny), tmp_path / "new" / "train.bin"
    asked.clear()
    assert torch.equal(map_pixels(split, tiny, file), whole)
    assert sorted(asked) == [0, 1, 2, 3, 4]
    assert torch.equal(map_pixels(split, tiny, file)[torch.tensor([3, 1])], whole[[3, 1]])
    assert len(asked) == 5
    file.write_bytes(file.read_bytes()[:-1])
    assert torch.equal(map_pixels(split, tiny, file), whole)
    assert [path.name for path in file.parent.iterdir()] == ["train.bin"]


def test_a_disk_that_is_full_is_one_sentence(tiny: Towers, tmp_path: Path) -> None:
    """Written through a map, the first page without a place would end the process by SIGBUS."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(
            InputError, match=r"train\.bin: cannot be written \(File too large\); free some space"
        ):
            map_pixels(reds(5)[0], tiny, tmp_path / "train.bin")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.iterdir())


@given(
    batches=st.lists(st.lists(st.integers(0, 8), min_size=1, max_size=4), max_size=6), skip=st.integers(0, 3)
)
def test_streamed_pictures_are_those_asked_for(batches: list[list[int]], skip: int) -> None:
    """Announced or not, in the announced order or not."""
    split, _ = reds(9)
    streamed = Streamed(split, TOWERS, 2)
    asked = [torch.tensor(batch) for batch in batches]
    streamed.announce(asked)
    for batch in asked[skip:] + asked[:skip]:
        assert streamed[batch][:, 0, 0, 0].tolist() == batch.tolist()


def test_threads_decode_ahead_and_not_without_end(tiny: Towers) -> None:
    """With the first batch in hand the next ones are being decoded, but no more than AHEAD pictures and a batch."""
    split, asked = reds(250)
    streamed, order = Streamed(split, tiny, 1), torch.split(torch.arange(250), 16)
    streamed.announce(order)
    assert streamed[order[0]][:, 0, 0, 0].tolist() == list(range(16))
    done = threading.Event()
    streamed._pool.submit(done.set)  # one thread: it comes to this when all that was begun is decoded
    assert done.wait(10)
    assert 16 + AHEAD <= len(asked) < 16 + AHEAD + 16


def test_batches_of_a_stream_are_the_split(leaves: OrdinalDataset, tiny: Towers) -> None:
    """In their order, the last one shorter."""
    whole, streamed = load_pixels(leaves.test, tiny), Streamed(leaves.test, tiny)
    found = list(in_batches(streamed, 4))
    assert [len(part) for part in found] == [4, 4, 2]
    assert torch.equal(torch.cat(found), whole)
    assert torch.equal(streamed[3:5], whole[3:5])


@pytest.mark.parametrize(
    ("memory", "disk", "expected"),
    [(1.0, 1e12, "memory"), (1e-6, 1e12, "disk"), (1e-6, 10.0, "stream"), (None, 0.0, "memory")],
)
def test_auto_takes_what_fits(
    tiny: Towers,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    memory: float | None,
    disk: float,
    expected: str,
) -> None:
    """Half of the free memory, else half of the free disk; a system that tells nothing gets memory."""
    split, _ = reds(3)
    usage = type("Usage", (), {"free": disk})
    monkeypatch.setattr(stores, "free_memory", lambda: memory)
    monkeypatch.setattr(stores.shutil, "disk_usage", lambda folder: usage)
    file = tmp_path / "a" / "b" / "train.bin"
    found = open_pixels(split, tiny, "auto", file, quiet=True, workers=1)
    kind = "stream" if isinstance(found, Streamed) else "disk" if file.exists() else "memory"
    assert kind == expected
