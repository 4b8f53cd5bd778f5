"""Images of other than 8 bits a channel: the upper eight count, and no image turns black."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from l2rclip_lite.data.images import as_rgb
from l2rclip_lite.errors import InputError


def png(values: np.ndarray, colour: int) -> bytes:
    """Return a PNG of 16 bits; `colour` is 0 for grey, 2 for RGB, 6 for RGBA."""

    def chunk(name: bytes, data: bytes) -> bytes:
        length = struct.pack(">I", len(data))
        checksum = struct.pack(">I", zlib.crc32(name + data))
        return length + name + data + checksum

    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    head = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


DEEP = "nearly black; multiply the values of all images by one factor, those of 12 bits by 16"


GREY = (0, ())
RGB = (2, (3,))
RGBA = (6, (4,))
Depth = tuple[int, tuple[int, ...]]


@pytest.mark.parametrize("kind", [GREY, RGB], ids=["grey", "RGB"])
def test_of_16_bits_the_upper_eight_count(kind: Depth, tmp_path: Path) -> None:
    """4,096 of 65,535 is 16 of 255, whatever else is shown, in a file and in an array."""
    colour, channels = kind
    values = np.full((300, 4, *channels), 65_535)
    values[0, :, ...] = 4_096
    (tmp_path / "cells.png").write_bytes(png(values, colour))

    image = as_rgb(tmp_path / "cells.png")
    assert image.getpixel((0, 0)) == (16, 16, 16)
    assert image.getpixel((0, 1)) == (255, 255, 255)
    assert np.array_equal(as_rgb(values.astype(np.uint16)), image)


def test_white_of_16_bits_with_opacity_is_white(tmp_path: Path) -> None:
    """Where it is opaque."""
    values = np.full((300, 4, 4), 65_535)
    (tmp_path / "cells.png").write_bytes(png(values, 6))
    assert as_rgb(tmp_path / "cells.png").getpixel((0, 1)) == (255, 255, 255)


def cells_of_12_bits(channels: tuple[int, ...]) -> np.ndarray:
    """Return the values of a microscope's image: at most 4,095, and opaque."""
    values = np.random.default_rng(0).integers(0, 4_096, (8, 8, *channels))
    if channels == (4,):
        values[..., 3] = 65_535
    return values


@pytest.mark.parametrize("kind", [GREY, RGB, RGBA], ids=["grey", "RGB", "RGBA"])
def test_an_image_of_12_bits_is_refused_not_black(kind: Depth, tmp_path: Path) -> None:
    """As a file, and as Pillow opens it."""
    colour, channels = kind
    file = tmp_path / "cells.png"
    file.write_bytes(png(cells_of_12_bits(channels), colour))
    for image in (file, Image.open(io.BytesIO(file.read_bytes()))):
        with pytest.raises(InputError, match=DEEP):
            as_rgb(image)


@pytest.mark.parametrize("channels", [(), (3,)], ids=["grey", "RGB"])
def test_an_array_of_12_bits_is_refused_not_black(channels: tuple[int, ...]) -> None:
    """The sentence says what to multiply."""
    with pytest.raises(InputError, match=DEEP):
        as_rgb(cells_of_12_bits(channels).astype(np.uint16))


@pytest.mark.parametrize("kind", [GREY, RGB, RGBA], ids=["grey", "RGB", "RGBA"])
def test_12_bits_times_16_are_shown_in_full(kind: Depth, tmp_path: Path) -> None:
    """The upper eight of them."""
    colour, channels = kind
    values = cells_of_12_bits(channels)
    scaled = np.where(values == 65_535, values, values * 16)
    (tmp_path / "cells.png").write_bytes(png(scaled, colour))

    red = np.array(as_rgb(tmp_path / "cells.png"))[..., 0]
    assert np.array_equal(red, values.reshape(8, 8, -1)[..., 0] >> 4)


def test_a_tiff_that_declares_12_bits_is_read_as_such(tmp_path: Path) -> None:
    """Two values in three bytes, as microscopes pack them: 4,095 is white, 2,048 is 128."""
    entries = [(256, 4), (257, 1), (258, 12), (259, 1), (262, 1), (273, 8), (277, 1), (278, 1)]
    entries += [(279, 6)]
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    pixels = bytes.fromhex("fff800 7ff000")
    head = b"II*\0" + struct.pack("<I", 8 + len(pixels))
    tiff = head + pixels + struct.pack("<H", len(entries)) + directory + bytes(4)
    (tmp_path / "cells.tif").write_bytes(tiff)
    grey = np.array(as_rgb(tmp_path / "cells.tif"))[0, :, 0].tolist()
    assert grey == [255, 128, 127, 0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_white_stays_white_in_any_precision(dtype: torch.dtype) -> None:
    """Each of the 256 values comes back within the rounding of the type; none wraps around to 0."""
    values = torch.arange(256).div(255).to(dtype).expand(3, 1, 256)
    pixels = np.asarray(as_rgb(values))[0, :, 0].astype(int)
    errors = np.abs(pixels - np.arange(256))
    rounding = {torch.bfloat16: 1}.get(dtype, 0)
    assert pixels[-1] == 255
    assert errors.max() <= rounding
