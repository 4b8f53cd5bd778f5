"""Picture files: what they may be, how large, and how each becomes RGB; what cannot be used is refused in a sentence."""

from __future__ import annotations

import logging
import os
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from l2rclip_lite.errors import InputError

# An explicit list: of a file that is none of these Pillow would try forty other readers, and start Ghostscript for one.
READERS = (
    JpegImagePlugin.JpegImageFile,
    PngImagePlugin.PngImageFile,
    WebPImagePlugin.WebPImageFile,
    TiffImagePlugin.TiffImageFile,
    BmpImagePlugin.BmpImageFile,
    GifImagePlugin.GifImageFile,
)
FORMATS = tuple(reader.format for reader in READERS)
MAX_PIXELS = 89_000_000  # beyond any usual camera; Pillow itself warns from 89,478,485 on
MAX_BYTES = 8 * MAX_PIXELS  # so many, four channels of 16 bits each, not compressed
MAX_SCANS = 40  # of a progressive JPEG; encoders write about ten, and each is a pass over all pixels
QUICK = 8_000_000  # bytes; whatever is in so small a file is read in a second
UNSEEN = ("group3", "group4", "tiff_ccitt", "jpeg", "tiff_jpeg")  # of TIFFs in which broken places are filled
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # EXIF's orientation, and what undoes it
logging.getLogger("PIL").addHandler(logging.NullHandler())  # else Python prints what Pillow logs


def read_image(path: str | Path, where: str) -> Image.Image:
    """A picture as RGB, turned as its EXIF tag says; transparency becomes white.

    JPEG, PNG, WebP, TIFF, BMP or GIF, whatever the file is called. Of an animation or of many pages the first is
    taken. Colour profiles are not applied. A picture whose EXIF data are damaged is taken as it is stored. Nothing is
    ever put in place of a picture that cannot be read; but bits that changed inside the data of a JPEG, or an end that
    was sewn on, cannot be seen.

    Args:
        path: The file.
        where: What to call it in an error, such as "labels.csv row 7".

    Returns:
        The decoded picture.

    Raises:
        InputError: The file is missing, is no picture, is cut off, has more than `MAX_PIXELS`, or no 8-bit or 16-bit
            pixels.

    Example:
        >>> read_image("nowhere.jpg", "labels.csv row 7")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: labels.csv row 7: the image nowhere.jpg does not exist; correct ...
    """
    name = f"{where}: the image {shown(path)}"
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):  # to open a pipe would be to wait for who writes into it
            raise InputError(f"{name} is a folder, a pipe or a device; give a picture file.")
        if status.st_size > MAX_BYTES:
            raise InputError(f"{name} has more than {MAX_BYTES / 1e6:.0f} MB; save it smaller.")
        with open(path, "rb") as stream, _quiet_pillow():
            _refuse_slow(stream, status.st_size, name)
            return _decoded(stream, name)
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{name} does not exist; correct the path or remove the row.") from error
    except (
        OSError
    ) as error:  # no right to read it, a name that is too long, a ring of links, a disk that fails
        raise InputError(f"{name} cannot be read ({error.strerror}); mend that or remove the row.") from error


def _refuse_slow(stream: BinaryIO, size: int, name: str) -> None:
    """Refuse what keeps Pillow busy before it knows the size: it joins comments one by one, in quadratic time."""
    if size <= QUICK:
        return
    start = stream.read(3)
    if start == b"GIF":
        raise InputError(f"{name} is a GIF of more than {QUICK / 1e6:.0f} MB; save its first frame as PNG.")
    if start == b"\xff\xd8\xff" and _count(stream, b"Exif\0\0") > MAX_SCANS:
        raise InputError(f"{name} has EXIF data in more than {MAX_SCANS} parts; save it without.")
    stream.seek(0)


def _count(stream: BinaryIO, mark: bytes) -> int:
    """How often a mark stands in a file, but for those across the edge of a block."""
    stream.seek(0)
    return sum(block.count(mark) for block in iter(lambda: stream.read(2**20), b""))


def _decoded(stream: BinaryIO, name: str) -> Image.Image:
    """The pixels as RGB, upright."""
    try:
        with Image.open(stream, formats=FORMATS) as opened:
            _refuse_unfit(opened, stream, name)
            opened.load()
            turned = _orientation(opened)
            picture = opened.transpose(UPRIGHT[turned]) if turned in UPRIGHT else opened
            if picture.mode.startswith(
                "I;16"
            ):  # convert("RGB") would clip sixteen bits instead of scaling them
                picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
            if picture.mode in ("I", "F"):
                raise InputError(
                    f"{name} has pixels of mode {picture.mode!r}; save it with 8 bits a channel."
                )
            return on_white(picture)
    except InputError:
        raise
    except Exception as error:  # decoders raise nearly anything on broken bytes: OSError, struct.error, …
        reason = " ".join(str(error).split())[:150] or type(error).__name__
        if isinstance(error, UnidentifiedImageError):  # its own sentence names the stream, not the file
            reason = f"it is no {', '.join(FORMATS[:-1])} or {FORMATS[-1]} file, or its beginning is damaged"
        if isinstance(error, Image.DecompressionBombError):
            raise InputError(_too_large(name)) from error
        raise InputError(
            f"{name} cannot be decoded ({reason}); replace the file or remove the row."
        ) from error


def _refuse_unfit(opened: Image.Image, stream: BinaryIO, name: str) -> None:
    """Refuse what would take too much memory or time, or might be read wrongly, before a pixel is decoded."""
    width, height = opened.size
    if width * height > MAX_PIXELS:
        raise InputError(_too_large(name))
    if (kind := opened.info.get("compression")) in UNSEEN:
        raise InputError(f"{name} is a TIFF of kind {kind}, in which damage cannot be seen; save it as PNG.")
    if not opened.info.get("progressive"):
        return
    place = stream.tell()
    scans = _count(stream, b"\xff\xda")
    stream.seek(place)
    if scans > MAX_SCANS:
        raise InputError(f"{name} is a JPEG of {scans} scans, more than {MAX_SCANS}; save it anew.")


def _too_large(name: str) -> str:
    return f"{name} has more than {MAX_PIXELS / 1e6:.0f} megapixels; save it smaller."


def _orientation(opened: Image.Image) -> int:
    """EXIF's orientation; 1, which is upright, where there is none or none that can be read."""
    try:
        return int(opened.getexif().get(0x0112, 1))
    except Exception:  # a parser of broken bytes, as above; viewers show such a picture as it is stored
        return 1


def on_white(picture: Image.Image) -> Image.Image:
    """RGB; what is transparent becomes white.

    Example:
        >>> on_white(Image.new("RGBA", (1, 1), (0, 0, 0, 0))).getpixel((0, 0))
        (255, 255, 255)
    """
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return picture.convert("RGB")


def shown(path: str | Path) -> str:
    r"""A path for a sentence: on one line, with nothing in it that a terminal obeys, and not too long.

    Example:
        >>> shown("a photo.jpg"), shown("two\nlines.jpg")
        ('a photo.jpg', "'two\\nlines.jpg'")
    """
    text = str(path)
    text = text if text.isprintable() else ascii(text)
    return text if len(text) <= 300 else f"{text[:150]}…{text[-100:]}"


class _Decoding(threading.local):
    """Stands for Pillow's modules in a warnings filter, in a thread that is decoding; elsewhere for no module."""

    here = False

    def match(self, module: str) -> bool:
        """What the filter asks."""
        return self.here and module.startswith("PIL.")


_DECODING = _Decoding()
_IGNORED: Any = ("ignore", None, Warning, _DECODING, 0)


@contextmanager
def _quiet_pillow() -> Iterator[None]:
    """Keep what Pillow warns of to itself: a picture is decoded or refused, there is nothing between.

    `warnings.catch_warnings` changes the filters of all threads, and pictures are decoded by several at once.
    """
    filters: Any = warnings.filters
    if _IGNORED not in filters[:1]:
        filters.insert(0, _IGNORED)
    _DECODING.here = True
    try:
        yield
    finally:
        _DECODING.here = False
