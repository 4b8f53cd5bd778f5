"""Images of any kind as RGB: files, images of Pillow, arrays and tensors; and lists of them."""

import hashlib
import os
import stat
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import torch
from PIL import ExifTags, Image, ImageOps
from torch import Tensor
from torchvision.transforms.v2.functional import to_dtype, to_pil_image

from l2rclip_lite.errors import InputError, reason, unreadable

# An explicit list: Pillow would try forty other readers, and start Ghostscript for one.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif")
REDUCED = 2_000_000  # pixels from which on fewer are decoded where few are wanted
MAX_PIXELS = 89_000_000  # beyond any usual camera; Pillow itself warns from 89,478,485 on
MAX_SIDE = 65_535  # as of a JPEG
MAX_BYTES = 2_000_000_000
ImageLike: TypeAlias = str | os.PathLike[str] | Image.Image | np.ndarray | Tensor


@runtime_checkable
class MapStyle(Protocol):
    """A sequence, or a map-style dataset of torch."""

    def __len__(self) -> int:
        """Return the number of items."""

    def __getitem__(self, index: int, /) -> Any:
        """Return one item."""


Images: TypeAlias = ImageLike | MapStyle  # one, a folder of them, or many


def read_image(
    path: str | os.PathLike[str], where: str = "", side: int | None = None
) -> Image.Image:
    """Read an image file as RGB, see `as_rgb`.

    Of an animation or of many pages the first is taken. Colour profiles are not applied. A JPEG
    file of more than 2 megapixels whose small version is wanted is decoded at a half, a quarter or
    an eighth of its size, at least twice what is wanted. That is three times as fast. After
    resizing, values of photographs differ by up to 2 of 255, those of stripes one or two pixels
    wide by up to 20.

    Args:
        path: A JPEG, PNG, WebP, TIFF, BMP or GIF file.
        where: The row that names it, for an error, such as "labels.csv row 7".
        side: Of the square that it will be resized to, pixels; None reads all pixels.

    Raises:
        InputError: The file is missing, no image, cut off, larger than 89 megapixels, or what
            `as_rgb` refuses.

    Example:
        >>> read_image("nowhere.jpg", "labels.csv row 7")
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: labels.csv row 7: the image nowhere.jpg cannot be used (No
        such file or directory); replace or remove it; `l2rclip data NAME --check` lists every fault
        at once.
    """
    # what Pillow warns of is either harmless or refused, where the image has a name
    with (
        _reading(path, where),
        warnings.catch_warnings(action="ignore"),
        Image.open(path, formats=FORMATS) as opened,
    ):
        n_pixels = opened.width * opened.height
        if n_pixels > MAX_PIXELS:
            raise ValueError(f"it has more than {MAX_PIXELS / 1e6:.0f} megapixels")
        if max(opened.size) > MAX_SIDE:  # a line of them could not be resized
            raise ValueError(f"it is wider or higher than {MAX_SIDE:,} pixels")
        if side is not None and n_pixels > REDUCED:
            opened.draft(None, (2 * side, 2 * side))  # does nothing unless it is a JPEG
        return _upright_rgb(opened)


@lru_cache(maxsize=2**17)
def _sha256(path: str, size: int, changed: int) -> bytes:
    """Return SHA-256 of a file of this size, changed at this time."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()


def status_of(path: str | os.PathLike[str]) -> os.stat_result:
    """Return the status of a file.

    Raises:
        OSError: It is missing, or may not be seen.
        ValueError: It is no file, or too large to be read.
    """
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):  # to open a pipe would be to wait for its writer
        raise ValueError("it is no file")
    if status.st_size > MAX_BYTES:  # of holes, which take no room on a disk
        raise ValueError(f"it has more than {MAX_BYTES / 1e9:.0f} GB")
    return status


@contextmanager
def _reading(path: str | os.PathLike[str], where: str) -> Iterator[os.stat_result]:
    """Yield the status of an image file; what is raised about the file becomes one sentence."""
    name = f"{where}: the image {path}" if where else f"the image {path}"
    try:
        yield status_of(path)
    except PermissionError as error:
        raise unreadable(name, error) from error
    except Exception as error:  # on broken bytes decoders raise nearly anything
        more = "; `l2rclip data NAME --check` lists every fault at once" if where else ""
        problem = f"cannot be used ({reason(error)}); replace or remove it{more}"
        raise InputError(f"{name} {problem}.") from error


@dataclass(slots=True)
class ImageFile:
    """An image file that is read when a split asks for it.

    Args:
        path: The file.
        where: The row that names it, for an error, such as "labels.csv row 7".
    """

    path: str | os.PathLike[str]
    where: str = ""

    def read(self, side: int | None = None) -> Image.Image:
        """Return the image as RGB, with no more pixels than a square of `side` needs.

        Raises:
            InputError: A file that `read_image` refuses.
        """
        return read_image(self.path, self.where, side)

    def digest(self) -> bytes:
        """Return SHA-256 of the bytes of the file, which is hashed anew if it has changed.

        Raises:
            InputError: It is missing, or cannot be read.
        """
        with _reading(self.path, self.where) as status:
            return _sha256(os.fspath(self.path), status.st_size, status.st_mtime_ns)


def as_rgb(image: object, side: int | None = None, name: str = "") -> Image.Image:
    """Return any image as bytes in RGB: the one way from a picture to what the towers see.

    - A path is read, see `read_image`.
    - An image of Pillow is turned as its EXIF tag says; so is the file of a path.
    - An array is (height, width) or (height, width, channels), of bytes or 16 bits.
    - A tensor is (channels, height, width), of the same kinds, or of floats in [0, 1].
    - One channel is grey, three are RGB; a second or fourth is opacity. What is transparent
      becomes white. Palettes, CMYK and one bit are converted as Pillow does.
    - Of 16 bits the upper eight count, for all images alike: nothing is stretched. An image whose
      brightest value is below 4,096, as 12 bits stored in 16 are, would come out nearly black and
      is refused, if it is grey or an array.

    Args:
        image: See above.
        side: See `read_image`; of a path alone.
        name: What the error of an image that is no path begins with, such as "image 3: ".

    Returns:
        Mode RGB; the argument itself where it is that already.

    Raises:
        InputError: Something else, no pixels, channels at the wrong end, or another kind of number.

    Example:
        >>> as_rgb(Image.new("RGBA", (1, 1), (0, 0, 0, 0))).getpixel((0, 0))
        (255, 255, 255)
        >>> as_rgb(torch.zeros(8, 8, 3))
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: pic should not have > 4 channels. Got 8 channels; give a
        path, an image of Pillow, an array of bytes (height, width, 3), or a tensor (3, height,
        width).
    """
    if isinstance(image, str | os.PathLike):
        return read_image(image, side=side)

    try:
        if isinstance(image, Tensor):
            image = _bytes_of(image).movedim(-3, -1).numpy()
        if isinstance(image, np.ndarray):
            image = to_pil_image(_upper_eight(image))
        if not isinstance(image, Image.Image):
            raise TypeError(f"{type(image).__name__} is no image")
        return _upright_rgb(image)
    except Exception as error:  # a file that Pillow opened is decoded only now
        raise InputError(
            f"{name}{str(error).rstrip('.')}; give a path, an image of Pillow, an array of bytes "
            "(height, width, 3), or a tensor (3, height, width)."
        ) from error


def _upright_rgb(image: Image.Image) -> Image.Image:
    """Return an image of Pillow upright, as RGB, on white."""
    if not (image.width and image.height):
        raise ValueError(f"it has no pixels ({image.width} x {image.height})")
    if image.mode in ("I", "F"):
        raise ValueError(f"its pixels of mode {image.mode} have more than 16 bits")

    image.load()
    if _orientation(image) != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):  # convert("RGB") would clip
        image = Image.fromarray(_upper_eight(np.asarray(image)))
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))

    if image.mode == "RGB" and type(image) is Image.Image:
        return image
    rgb = image.convert("RGB")
    rgb.info = {}  # its tags were followed
    return rgb


def _orientation(image: Image.Image) -> int:
    """Return how an EXIF tag says that an image is to be turned; damaged EXIF says nothing."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # on broken bytes Pillow raises nearly anything
        return 1


def _upper_eight(values: np.ndarray) -> np.ndarray:
    """Return bytes, or the upper ones of 16 bits; refuse an image that looks as if it had 12."""
    if values.dtype == np.uint8:
        return values
    if values.dtype.kind != "u" or values.dtype.itemsize != 2:
        raise ValueError(f"its numbers are {values.dtype}")
    if values.max() < 4_096:
        raise ValueError(
            "its brightest value is below 4,096 of 65,535, nearly black; "
            "multiply the values of all images by one factor, those of 12 bits by 16"
        )
    return (values >> 8).astype(np.uint8)


def _bytes_of(tensor: Tensor) -> Tensor:
    """Return a tensor on the CPU, floats in [0, 1] as bytes."""
    tensor = tensor.detach().cpu()
    if not tensor.is_floating_point():
        return tensor

    tensor = tensor.float()  # of 16 bits, times 255 would round past 255 and wrap around
    if not -0.1 < tensor.min() <= tensor.max() < 1.1:  # bicubic filters overshoot by less
        raise ValueError("its numbers are neither bytes nor in [0, 1], as after Normalize")
    return to_dtype(tensor.clamp(0, 1), torch.uint8, True)


def pixel_digest(image: Image.Image) -> bytes:
    """Return SHA-256 of the size and the pixels of an RGB image."""
    size = f"{image.width} x {image.height}".encode()
    return hashlib.sha256(size + image.tobytes()).digest()


def image_list(images: Any) -> Any:
    """Return a sequence of images: those of a folder, one alone, or what is a sequence already.

    Args:
        images: A folder, one image as `as_rgb` takes it, or a sequence or map-style dataset.

    Raises:
        InputError: A link leads out of the folder, or one in it cannot be read.

    Example:
        >>> len(image_list("leaf.png")), len(image_list(["a.png", "b.png"]))
        (1, 2)
    """
    if isinstance(images, str | os.PathLike) and os.path.isdir(images):
        paths, problems = scan_folder(images)
        if problems:
            raise problems[0]
        return paths

    if hasattr(images, "iloc") and images.ndim == 1:
        return images.tolist()  # pandas would count by label

    if isinstance(images, Tensor | np.ndarray):
        single = images.ndim in (0, 2, 3)
    else:
        single = isinstance(images, str | bytes | Image.Image | Mapping) or hasattr(images, "iloc")
    return [images] if single or not isinstance(images, MapStyle) else images


def paths_of(images: MapStyle) -> list[str | Path]:
    """Return the paths of images; none where not each is a path.

    Example:
        >>> paths_of(["a.png", "b.png"]), paths_of(["a.png", Image.new("L", (4, 4))])
        (['a.png', 'b.png'], [])
    """
    paths: list[str | Path] = []
    for index in range(len(images)):
        image = images[index]
        if not isinstance(image, str | Path):
            return []
        paths.append(image)
    return paths


def scan_folder(folder: str | os.PathLike[str]) -> tuple[list[Path], list[InputError]]:
    """Return the images of a folder and of those in it, and an error for whatever is left out.

    Hidden files and folders are passed over. Left out are links to an image or a folder elsewhere,
    and folders that cannot be listed. Both lists are sorted.
    """
    images: list[Path] = []
    problems: list[InputError] = []
    root = os.path.realpath(folder)

    folders = [Path(folder)]
    while folders:
        parent = folders.pop()
        try:
            entries = [*os.scandir(parent)]
        except OSError as error:
            problems.append(unreadable(parent, error))
            continue

        for entry in entries:
            if entry.name.startswith("."):
                continue

            path = parent / entry.name
            is_image = path.suffix.lower() in IMAGE_SUFFIXES
            if entry.is_dir(follow_symlinks=False):
                folders.append(path)
            elif is_image or os.path.isdir(path):  # a link
                if entry.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(root):
                    fix = "put the file itself there"
                    problems.append(InputError(f"{path} leads out of {folder}; {fix}."))
                elif is_image:
                    images.append(path)

    return sorted(images), sorted(problems, key=str)
