"""Images from anywhere: every usual kind shows its colours; damage, bombs and other files are refused in a sentence."""

import io
import os
import socket
import struct
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faults import TRIED, damaged, judged, many
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from l2rclip_lite.errors import InputError
from l2rclip_lite.images import read_image

CORNERS = (
    (220, 30, 30),
    (30, 180, 30),
    (30, 30, 220),
    (240, 240, 40),
)  # above left, right; below left, right
BLACK, WHITE = (0, 0, 0), (255, 255, 255)


def quarters(corners: Any = CORNERS, dtype: Any = np.uint8) -> Image.Image:
    """48 by 32 pixels in four flat colours."""
    pixels = np.asarray(corners, dtype).reshape(2, 2, *np.shape(corners)[1:])
    return Image.fromarray(pixels.repeat(16, 0).repeat(24, 1))


def encoded(image: Image.Image, kind: str, **how: Any) -> bytes:
    """What Pillow writes."""
    file = io.BytesIO()
    image.save(file, kind, **how)
    return file.getvalue()


def turned(orientation: int) -> bytes:
    """The four colours, stored so that EXIF's orientation brings them upright."""
    inverse = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Pillow's transpositions
    exif, image = Image.Exif(), quarters()
    exif[0x0112] = orientation
    if orientation in inverse:
        image = image.transpose(Image.Transpose(inverse[orientation]))
    return encoded(image, "PNG", exif=exif)


HALF_CLEAR = [(*colour, alpha) for colour, alpha in zip(CORNERS, (255, 0, 255, 0), strict=True)]
ON_WHITE = (CORNERS[0], WHITE, CORNERS[2], WHITE)
GREY = (16, 96, 176, 240)
AS_GREY = tuple((level,) * 3 for level in GREY)
OTHER = [quarters().rotate(180)]
KINDS: dict[str, tuple[bytes, Any]] = {
    "jpeg": (encoded(quarters(), "JPEG", quality=95, subsampling=0), CORNERS),
    "cmyk jpeg": (encoded(quarters().convert("CMYK"), "JPEG", quality=95), CORNERS),
    "grey jpeg": (encoded(quarters(GREY), "JPEG", quality=95), AS_GREY),
    "palette png": (encoded(quarters().quantize(4), "PNG"), CORNERS),
    "16-bit grey png": (encoded(quarters([257 * g for g in GREY], np.uint16), "PNG"), AS_GREY),
    "one-bit png": (
        encoded(quarters((0, 255, 255, 0)).convert("1"), "PNG"),
        (BLACK, WHITE, WHITE, BLACK),
    ),
    "half-clear png": (encoded(quarters(HALF_CLEAR), "PNG"), ON_WHITE),
    "half-clear webp": (encoded(quarters(HALF_CLEAR), "WEBP", lossless=True), ON_WHITE),
    "tiff, lzw": (encoded(quarters(), "TIFF", compression="tiff_lzw"), CORNERS),
    "tiff of two pages": (encoded(quarters(), "TIFF", save_all=True, append_images=OTHER), CORNERS),
    "bmp": (encoded(quarters(), "BMP"), CORNERS),
    "gif": (encoded(quarters().quantize(4), "GIF"), CORNERS),
    "animated webp": (
        encoded(quarters(), "WEBP", lossless=True, save_all=True, append_images=OTHER),
        CORNERS,
    ),
    **{f"orientation {number}": (turned(number), CORNERS) for number in range(1, 9)},
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_of_each_kind_shows_its_colours(tmp_path: Path, kind: str) -> None:
    """Upright, RGB, transparency on white, of several frames the first; a lossy one within 8 of 255."""
    data, corners = KINDS[kind]
    (tmp_path / "any.jpg").write_bytes(data)  # the name does not matter
    image = read_image(tmp_path / "any.jpg")
    assert (image.mode, image.size) == ("RGB", (48, 32))
    seen = [image.getpixel(at) for at in ((12, 8), (36, 8), (12, 24), (36, 24))]
    assert np.abs(np.subtract(seen, corners)).max() <= 8
    TRIED["images of every kind that cameras and web pages give"] += 1


SOURCES = [
    *(data for name, (data, _) in KINDS.items() if "orientation" not in name),
    *(
        encoded(Image.radial_gradient("L").convert("RGB"), kind)
        for kind in ("JPEG", "PNG", "WEBP", "TIFF")
    ),
]


@many(short=150, long=30_000)
@given(st.sampled_from(SOURCES).flatmap(damaged))
def test_a_damaged_image_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    """Never filled up in silence with something else than its format allows, never a crash of a decoder."""
    file = tmp_path_factory.getbasetemp() / "damaged.jpg"
    file.write_bytes(data)
    with judged("images with flipped bits, cuts and repeats", must=False, about="damaged.jpg"):
        assert read_image(file).mode == "RGB"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "BMP"])
def test_an_image_that_was_cut_off_is_refused(tmp_path: Path, kind: str) -> None:
    """It is not filled up with grey."""
    noise = Image.effect_noise((64, 64), 100).convert("RGB")
    (tmp_path / "half.jpg").write_bytes(encoded(noise, kind)[:1500])
    with judged("images with flipped bits, cuts and repeats", about="half.jpg"):
        read_image(tmp_path / "half.jpg")


def png(width: int, height: int, *chunks: tuple[bytes, bytes], data: bytes = b"\0" * 100) -> bytes:
    """A PNG of one bit per pixel whose header may lie."""
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    parts = ((b"IHDR", head), *chunks, (b"IDAT", data), (b"IEND", b""))
    pieces = (
        struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(pieces)


@cache
def bombs() -> dict[str, bytes]:
    """Small files that claim or hold much."""
    jpeg, gif = encoded(Image.new("RGB", (16, 16)), "JPEG"), encoded(Image.new("P", (4, 4)), "GIF")
    bmp, frame = encoded(Image.new("RGB", (4, 4)), "BMP"), jpeg.index(b"\xff\xc0")
    return {
        "png that claims": png(60_000, 60_000),
        "png that holds": png(30_000, 30_000, data=zlib.compress(bytes(3751 * 30_000), 1)),
        "png with a huge profile": png(
            4, 4, (b"iCCP", b"x\0\0" + zlib.compress(bytes(50_000_000)))
        ),
        "jpeg that claims": jpeg[: frame + 5] + b"\xff" * 4 + jpeg[frame + 9 :],
        "gif that claims": gif[:6] + b"\xff" * 4 + gif[10:],
        "bmp that claims": bmp[:18] + struct.pack("<ii", 100_000, 100_000) + bmp[26:],
    }


@pytest.mark.parametrize("name", bombs())
def test_a_bomb_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Whatever limit of Pillow the user has taken away."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    if "profile" not in name:
        monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("decoded"))
    (tmp_path / "bomb.png").write_bytes(bombs()[name])
    with judged("small image files that claim or hold gigabytes", about="bomb.png"):
        read_image(tmp_path / "bomb.png")


OTHERS = [
    b"",
    bytes(4096),
    b"\xff\xd8\xff",
    b"%PDF-1.7\n1 0 obj<<>>endobj\n",
    b"PK\x05\x06" + bytes(18),
]
OTHERS += [
    b"\x80\x04cposix\nsystem\nX\x04\x00\x00\x00true\x85R.",
    b"<!doctype html><title>404</title>",
]
OTHERS += [b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>']
OTHERS += [
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n(/etc/passwd) (r) file\n%%EOF\n"
]
OTHERS += [encoded(quarters(), kind) for kind in ("PPM", "ICO", "JPEG2000")]


@pytest.mark.parametrize("content", OTHERS, ids=lambda content: repr(content[:9]))
def test_another_file_is_no_image(tmp_path: Path, content: bytes) -> None:
    """Pillow has forty readers, one of which would start Ghostscript; six are used."""
    (tmp_path / "leaf.jpg").write_bytes(content)
    with judged("other files, folders, pipes and devices under an image's name", about="leaf.jpg"):
        read_image(tmp_path / "leaf.jpg")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs POSIX")
@pytest.mark.parametrize(
    "name", ["pipe", "device", "ring", ".", "x" * 5000, "a\0b", "\x1b[31m", "\udc80"]
)
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, name: str) -> None:
    """A pipe would wait for ever, a device never ends; a strange name does not steer the terminal."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/zero")
    (tmp_path / "ring").symlink_to("ring")
    with judged("other files, folders, pipes and devices under an image's name"):
        read_image(tmp_path / name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs POSIX")
def test_what_is_no_file_is_called_what_it_is(tmp_path: Path) -> None:
    """It is there, so "does not exist" would send the user on a search."""
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "dead.png").symlink_to("gone.png")
    (tmp_path / "device.png").symlink_to("/dev/null")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket.png"))
        for name, problem in {
            "pipe.png": "is a pipe",
            "folder.png": "is a folder",
            "dead.png": "is a link to nothing",
            "device.png": "is a device",
            "socket.png": "is a socket",
            "gone.png": "does not exist",
        }.items():
            with pytest.raises(InputError, match=rf"{name} {problem}; correct or remove it\.$"):
                read_image(tmp_path / name)
