"""Images from anywhere: usual kinds show their colours; damage, bombs, other files are refused."""

import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faults import damaged, judged, many
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from l2rclip_lite.data.reading import read_image

# Colours above left, above right, below left, below right.
CORNERS = ((220, 30, 30), (30, 180, 30), (30, 30, 220), (240, 240, 40))
GREY = (16, 96, 176, 240)
GREY_AS_RGB = tuple((level, level, level) for level in GREY)


def quarters(corners: Any = CORNERS, dtype: Any = np.uint8) -> Image.Image:
    """Return 48 by 32 pixels in four flat colours."""
    pixels = np.asarray(corners, dtype).reshape(2, 2, *np.shape(corners)[1:])
    return Image.fromarray(pixels.repeat(16, 0).repeat(24, 1))


def encoded(image: Image.Image, kind: str, **settings: object) -> bytes:
    """Return the file that Pillow writes with these settings of its own."""
    file = io.BytesIO()
    image.save(file, kind, **settings)
    return file.getvalue()


OTHER_FRAMES = {"save_all": True, "append_images": [quarters().rotate(180)]}
SIXTEEN_BIT = quarters([257 * level for level in GREY], np.uint16)
KINDS: dict[str, tuple[bytes, Any]] = {
    "jpeg": (encoded(quarters(), "JPEG", quality=95, subsampling=0), CORNERS),
    "cmyk jpeg": (encoded(quarters().convert("CMYK"), "JPEG", quality=95), CORNERS),
    "palette png": (encoded(quarters().quantize(4), "PNG"), CORNERS),
    "16-bit grey png": (encoded(SIXTEEN_BIT, "PNG"), GREY_AS_RGB),
    "tiff of two pages": (encoded(quarters(), "TIFF", **OTHER_FRAMES), CORNERS),
    "animated webp": (encoded(quarters(), "WEBP", lossless=True, **OTHER_FRAMES), CORNERS),
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_of_each_kind_shows_its_colours(tmp_path: Path, kind: str) -> None:
    """Upright, RGB, transparency on white, the first frame of several; lossy within 8 of 255."""
    content, corners = KINDS[kind]
    (tmp_path / "any.jpg").write_bytes(content)  # the name does not matter
    image = read_image(tmp_path / "any.jpg")

    assert image.mode == "RGB"
    assert image.size == (48, 32)
    centres = [image.getpixel(place) for place in ((12, 8), (36, 8), (12, 24), (36, 24))]
    assert np.abs(np.subtract(centres, corners)).max() <= 8


GRADIENT = Image.radial_gradient("L").convert("RGB")
SOURCES = [content for content, _ in KINDS.values()]
SOURCES += [encoded(GRADIENT, kind) for kind in ("JPEG", "PNG", "WEBP", "TIFF")]


@many(150)
@given(st.sampled_from(SOURCES).flatmap(damaged))
def test_a_damaged_image_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    """Never filled up in silence, never a crash of a decoder."""
    file = tmp_path_factory.mktemp("images") / "damaged.jpg"
    file.write_bytes(content)
    with judged(must=False, about="damaged.jpg"):
        assert read_image(file).mode == "RGB"


def chunk(name: bytes, content: bytes) -> bytes:
    """Return a chunk of a PNG."""
    length = struct.pack(">I", len(content))
    checksum = struct.pack(">I", zlib.crc32(name + content))
    return length + name + content + checksum


def png(width: int, height: int, *, pixels: bytes = bytes(100)) -> bytes:
    """Return a PNG of one bit per pixel whose header may lie."""
    parts = [chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))]
    parts += [chunk(b"IDAT", pixels), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_a_bomb_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its header, of too many pixels or too long a line; or by the size of its file."""
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("decoded"))
    bomb = tmp_path / "bomb.png"
    for width, height in ((30_000, 30_000), (80_000_000, 1)):
        pixels = zlib.compress(bytes((width // 8 + 1) * height), 1)
        bomb.write_bytes(png(width, height, pixels=pixels))
        with judged(about="bomb.png"):
            read_image(bomb)

    bomb.write_bytes(png(8, 8))
    os.truncate(bomb, 2**31)
    with judged(about="bomb.png"):
        read_image(bomb)


OTHER_FILES = [
    b"",
    b"\xff\xd8\xff",
    b"\x80\x04cposix\nsystem\nX\x04\x00\x00\x00true\x85R.",
    b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n"
    b"(/etc/passwd) (r) file\n%%EOF\n",
    encoded(quarters(), "PPM"),
]


@pytest.mark.parametrize("content", OTHER_FILES)
def test_another_file_is_no_image(tmp_path: Path, content: bytes) -> None:
    """Pillow has forty readers, one of which would start Ghostscript; six are used."""
    (tmp_path / "leaf.jpg").write_bytes(content)
    with judged(about="leaf.jpg"):
        read_image(tmp_path / "leaf.jpg")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs POSIX")
@pytest.mark.parametrize("name", ["pipe", "device", "ring", ".", "x" * 5000, "a\0b", "\udc80"])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, name: str) -> None:
    """A pipe would wait for ever, a device never ends."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/zero")
    (tmp_path / "ring").symlink_to("ring")
    with judged():
        read_image(tmp_path / name)
