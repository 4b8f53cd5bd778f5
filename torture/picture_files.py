"""Picture files of every kind that is read, some that must not be, and ways to damage them."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

QUADRANTS = (
    (220, 30, 30),
    (30, 180, 30),
    (30, 30, 220),
    (240, 240, 40),
)  # upper left and right, lower left and right
GREYS = (16, 96, 176, 240)
WHITE = (255, 255, 255)
WIDTH, HEIGHT = 48, 32


@dataclass(frozen=True)
class Kind:
    """A picture file, and what must be seen in the middle of its four quadrants, as far as its format is exact.

    Args:
        data: The file.
        colours: RGB, upper left, upper right, lower left, lower right.
        size: Width and height.
        exact: Largest difference of a colour.
    """

    data: bytes
    colours: tuple[tuple[int, ...], ...] = QUADRANTS
    size: tuple[int, int] = (WIDTH, HEIGHT)
    exact: int = 0


def quadrants(mode: str = "RGB", colours: Any = QUADRANTS, dtype: Any = np.uint8) -> Image.Image:
    """Four flat colours."""
    return (
        Image.fromarray(pixels(colours, dtype)).convert(mode)
        if mode
        else Image.fromarray(pixels(colours, dtype))
    )


def pixels(colours: Any, dtype: Any = np.uint8) -> np.ndarray:
    """The same as numbers."""
    corners = np.asarray(colours, dtype).reshape(2, 2, *np.shape(colours)[1:])
    return corners.repeat(HEIGHT // 2, 0).repeat(WIDTH // 2, 1)


def encoded(picture: Image.Image, kind: str, **how: Any) -> bytes:
    """What Pillow writes."""
    file = io.BytesIO()
    picture.save(file, kind, **how)
    return file.getvalue()


def png(array: np.ndarray, depth: int, colour: int, *chunks: tuple[bytes, bytes], size: Any = None) -> bytes:
    """A PNG as its standard says, for what Pillow does not write: 16 bits, chunks and sizes of one's own."""
    height, width = array.shape[:2]
    rows = array.astype(">u2" if depth == 16 else np.uint8).reshape(height, -1)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    head = struct.pack(">IIBBBBB", *(size or (width, height)), depth, colour, 0, 0, 0)
    parts = [(b"IHDR", head), *chunks, (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*part) for part in parts)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def tiff(array: np.ndarray, tags: dict[int, tuple[int, int, int]] | None = None) -> bytes:
    """An uncompressed RGB TIFF of 16 bits, which Pillow does not write; `tags` are (type, count, value) by number."""
    height, width, channels = array.shape
    data = array.astype("<u2").tobytes()
    bits = 8 + len(data)
    own = {256: (4, 1, width), 257: (4, 1, height), 258: (3, 3, bits), 259: (3, 1, 1), 262: (3, 1, 2)}
    own |= {273: (4, 1, 8), 277: (3, 1, channels), 278: (4, 1, height), 279: (4, 1, len(data))} | (tags or {})
    entries = b"".join(struct.pack("<HHII", tag, *own[tag]) for tag in sorted(own))
    start = bits + 6
    head = b"II*\0" + struct.pack("<I", start)
    return head + data + struct.pack("<3H", 16, 16, 16) + struct.pack("<H", len(own)) + entries + bytes(4)


def without_marker(jpeg: bytes, marker: int) -> bytes:
    """A JPEG without its segments of one kind."""
    at, kept = 2, [jpeg[:2]]
    while jpeg[at + 1] != 0xDA:
        length = 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
        if jpeg[at + 1] != marker:
            kept.append(jpeg[at : at + length])
        at += length
    return b"".join([*kept, jpeg[at:]])


def turned(orientation: int, kind: str) -> bytes:
    """The quadrants, stored so that EXIF's orientation brings them back."""
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Pillow's number of the inverse of what undoes it
    picture = quadrants()
    if orientation in back:
        picture = picture.transpose(Image.Transpose(back[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    how: dict[str, Any] = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
    return encoded(picture, kind, exif=exif, **how)


def kinds() -> dict[str, Kind]:
    """A file of each kind, by a name."""
    rgb, first = quadrants(), quadrants()
    grey = tuple((level,) * 3 for level in GREYS)
    deep = np.array(QUADRANTS, np.uint16) * 256 + 200
    clear = [(*colour, alpha) for colour, alpha in zip(QUADRANTS, (255, 0, 255, 0), strict=True)]
    seen = tuple(WHITE if alpha == 0 else colour for *colour, alpha in clear)
    seen = tuple(tuple(colour) for colour in seen)
    rgba = quadrants("", clear)
    la = quadrants("", [(level, alpha) for level, alpha in zip(GREYS, (255, 0, 255, 0), strict=True)])
    grey_seen = (grey[0], WHITE, grey[2], WHITE)
    palette = rgb.quantize(4)
    index = palette.getpixel((WIDTH - 4, 4))
    assert isinstance(index, int)
    hole = bytes(0 if entry == index else 255 for entry in range(4))
    other = rgb.transpose(Image.Transpose.ROTATE_180)
    animated = {"save_all": True, "append_images": [other]}
    cmyk = encoded(rgb.convert("CMYK"), "JPEG", quality=95)
    bits = tuple(((0,) * 3, WHITE, WHITE, (0,) * 3))
    one = quadrants("", (0, 255, 255, 0)).convert("1")
    found = {
        "jpeg": Kind(encoded(rgb, "JPEG", quality=95, subsampling=0), exact=6),
        "progressive-jpeg": Kind(encoded(rgb, "JPEG", quality=95, subsampling=0, progressive=True), exact=6),
        "grey-jpeg": Kind(encoded(quadrants("", GREYS), "JPEG", quality=95), grey, exact=6),
        "cmyk-jpeg-of-adobe": Kind(cmyk, exact=6),
        "cmyk-jpeg-without-marker": Kind(without_marker(cmyk, 0xEE), exact=6),
        "cmyk-tiff": Kind(encoded(rgb.convert("CMYK"), "TIFF")),
        "png": Kind(encoded(rgb, "PNG")),
        "png-of-16-bits": Kind(png(pixels(deep, np.uint16), 16, 2)),
        "grey-png-of-16-bits": Kind(
            encoded(quadrants("", [g * 256 + 255 for g in GREYS], np.uint16), "PNG"), grey
        ),
        "grey-tiff-of-16-bits": Kind(
            encoded(quadrants("", [g * 256 + 255 for g in GREYS], np.uint16), "TIFF"), grey
        ),
        "tiff-of-16-bits": Kind(tiff(pixels(deep, np.uint16))),
        "palette-png-with-a-hole": Kind(
            encoded(palette, "PNG", transparency=hole), (*seen[:2], *QUADRANTS[2:])
        ),
        "palette-gif-with-a-hole": Kind(
            encoded(palette, "GIF", transparency=index), (*seen[:2], *QUADRANTS[2:])
        ),
        "rgba-png": Kind(encoded(rgba, "PNG"), seen),
        "rgba-webp": Kind(encoded(rgba, "WEBP", lossless=True), seen),
        "rgba-tiff": Kind(encoded(rgba, "TIFF"), seen),
        "grey-alpha-png": Kind(encoded(la, "PNG"), grey_seen),
        "one-bit-png": Kind(encoded(one, "PNG"), bits),
        "one-bit-tiff": Kind(encoded(one, "TIFF", compression="packbits"), bits),
        "webp": Kind(encoded(rgb, "WEBP", quality=95), exact=12),
        "tiff-lzw": Kind(encoded(rgb, "TIFF", compression="tiff_lzw")),
        "tiff-of-two-pages": Kind(encoded(first, "TIFF", **animated)),
        "bmp": Kind(encoded(rgb, "BMP")),
        "gif": Kind(encoded(palette, "GIF")),
        "animated-gif": Kind(encoded(palette, "GIF", save_all=True, append_images=[other.quantize(4)])),
        "animated-webp": Kind(encoded(first, "WEBP", lossless=True, **animated)),
        "animated-png": Kind(encoded(first, "PNG", **animated)),
    }
    for kind in ("JPEG", "PNG", "WEBP", "TIFF"):
        exact = {"JPEG": 6, "WEBP": 14}.get(kind, 0)
        for number in range(1, 9):
            found[f"exif-{number}-{kind.lower()}"] = Kind(turned(number, kind), exact=exact)
    sound = turned(1, "JPEG")
    start = sound.index(b"Exif\0\0") + 6
    broken = sound[:start] + b"\xff\0\xff\0" + sound[start + 4 :]
    found["broken-exif"] = Kind(broken, exact=6)
    for name, size in {"1x1": (1, 1), "1x10000": (1, 10_000), "10000x1": (10_000, 1)}.items():
        data = encoded(Image.new("RGB", size, QUADRANTS[0]), "PNG")
        found[name] = Kind(data, (QUADRANTS[0],) * 4, size)
    return found


def bombs() -> dict[str, bytes]:
    """Small files that ask for much memory or time."""
    blank = np.zeros((4, 4, 3))
    jpeg = encoded(Image.new("RGB", (16, 16)), "JPEG")
    frame = jpeg.index(b"\xff\xc0")
    huge = zlib.compress(bytes(50_000_000))
    gif, bmp = encoded(Image.new("P", (4, 4)), "GIF"), encoded(Image.new("RGB", (4, 4)), "BMP")
    webp = encoded(Image.new("RGB", (4, 4)), "WEBP", lossless=True)
    size = struct.pack("<I", (16_383 - 1) | (16_383 - 1) << 14)
    rows = zlib.compressobj(1)
    row = bytes(1 + 30_000 // 8)
    data = b"".join(rows.compress(row * 100) for _ in range(300)) + rows.flush()
    head = struct.pack(">IIBBBBB", 30_000, 30_000, 1, 0, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", data), (b"IEND", b""))
    scans = encoded(quadrants().resize((1024, 1024)), "JPEG", progressive=True)
    last = scans.rindex(b"\xff\xda")
    many = struct.pack(">HH", 0xFFE1, 60_008) + b"Exif\0\0" + bytes(60_000)
    table = 13 + 3 * 2 ** ((gif[10] & 7) + 1)  # where a GIF's colour table ends
    return (
        {
            "jpeg-of-many-exifs": jpeg[:2] + many * 350 + jpeg[2:],
            "gif-of-many-comments": gif[:table] + b"\x21\xfe\1c\0" * 3_000_000 + gif[table:],
            "png-that-claims-much": png(blank, 8, 2, size=(60_000, 60_000)),
            "png-that-holds-much": b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*part) for part in parts),
            "jpeg-that-claims-much": jpeg[: frame + 5] + b"\xff\xff\xff\xff" + jpeg[frame + 9 :],
            "gif-that-claims-much": gif[:6] + b"\xff\xff\xff\xff" + gif[10:],
            "bmp-that-claims-much": bmp[:18] + struct.pack("<ii", 100_000, 100_000) + bmp[26:],
            "webp-that-claims-much": webp[:21] + size + webp[25:],
            "tiff-that-claims-much": tiff(np.zeros((4, 4, 3)), {256: (4, 1, 2**31), 257: (4, 1, 2**31)}),
            "jpeg-of-many-scans": scans[:last] + (scans[last:-2]) * 2_000 + scans[-2:],
        }
        | {
            f"png-with-a-huge-{name.decode()}": png(blank, 8, 2, (name, b"x\0\0" + huge))
            for name in (b"iCCP", b"zTXt")
        }
        | {
            "tiff-of-absurd-strips": tiff(np.zeros((4, 4, 3)), {279: (4, 2**30, 8), 273: (4, 2**30, 8)}),
            "tiff-of-absurd-samples": tiff(np.zeros((4, 4, 3)), {277: (3, 1, 65_535)}),
            "tiff-of-absurd-bits": tiff(np.zeros((4, 4, 3)), {258: (3, 2**31, 8)}),
            "tiff-that-points-far-away": tiff(np.zeros((4, 4, 3)), {273: (4, 1, 2**32 - 1)}),
        }
    )


def strangers() -> dict[str, bytes]:
    """Files of other kinds that may be called `.jpg`."""
    return {
        "nothing": b"",
        "zeros": bytes(4096),
        "text": b"path,label\n1.jpg,0\n",
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
        "html": b"<!doctype html><html><body>404 not found</body></html>",
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n(/etc/passwd) (r) file\n%%EOF\n",
        "pdf": b"%PDF-1.7\n1 0 obj<<>>endobj\n",
        "pickle": b"\x80\x04cposix\nsystem\nX\x04\x00\x00\x00true\x85R.",
        "zip": b"PK\x05\x06" + bytes(18),
        "ppm": encoded(quadrants(), "PPM"),
        "ico": encoded(quadrants(), "ICO"),
        "tga": encoded(quadrants(), "TGA"),
        "jpeg-2000": encoded(quadrants(), "JPEG2000"),
        "only-the-start-of-a-jpeg": b"\xff\xd8\xff",
        "only-the-start-of-a-png": b"\x89PNG\r\n\x1a\n",
        "fax": encoded(quadrants().convert("1"), "TIFF", compression="group4"),
        "jpeg-in-a-tiff": encoded(quadrants(), "TIFF", compression="jpeg"),
        "float-tiff": encoded(Image.new("F", (8, 8)), "TIFF"),
    }


def damaged(data: bytes, generator: np.random.Generator) -> bytes:
    """A copy that was cut off, or in which bits, bytes or whole blocks are others; half of the time near the start."""
    changed = bytearray(data)
    reach = min(len(data), 512) if generator.random() < 0.5 else len(data)
    at = int(generator.integers(reach))
    way = generator.integers(5)
    length = int(generator.integers(1, 33))
    if way == 0:
        del changed[int(generator.integers(len(data))) :]
    elif way == 1:
        for place in generator.integers(0, reach, int(generator.integers(1, 9))):
            changed[place] ^= 1 << int(generator.integers(8))
    elif way == 2:
        changed[at : at + length] = generator.bytes(length)
    elif way == 3:
        del changed[at : at + length]
    else:
        changed[at:at] = changed[at : at + length] * int(generator.integers(1, 9))
    return bytes(changed)
