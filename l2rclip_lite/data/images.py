"""Images: read from files, turned to RGB, squeezed into squares of bytes, kept in memory."""

import hashlib
import os
import stat
import warnings
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import torch
from jaxtyping import Int, UInt8
from PIL import ExifTags, Image, ImageOps
from torch import Tensor
from torch.utils.data import ConcatDataset, Dataset, Subset, get_worker_info
from torchvision.transforms import v2
from torchvision.transforms.v2.functional import pil_to_tensor, to_dtype, to_pil_image

from l2rclip_lite.errors import InputError, unreadable
from l2rclip_lite.method.ranks import rank_index

IN_MEMORY = 2**31  # bytes of resized images that are kept, of each split
OVERHEAD = 1_500  # bytes that a tensor takes beside its numbers
DECODING = 2  # changes whenever a file comes to give other pixels, and kept features with it
# An explicit list: Pillow would try forty other readers, and start Ghostscript for one.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif")
MAX_PIXELS = 89_000_000  # beyond any usual camera; Pillow itself warns from 89,478,485 on
ImageLike: TypeAlias = str | os.PathLike[str] | Image.Image | np.ndarray | Tensor


@runtime_checkable
class MapStyle(Protocol):
    """A sequence, or a map-style dataset of torch."""

    def __len__(self) -> int:
        """Return the number of items."""

    def __getitem__(self, index: int, /) -> Any:
        """Return one item."""


Images: TypeAlias = ImageLike | MapStyle  # one, a folder of them, or many


def read_image(path: str | os.PathLike[str], where: str = "") -> Image.Image:
    """Read an image file as RGB, see `as_rgb`.

    Of an animation or of many pages the first is taken. Colour profiles are not applied.

    Args:
        path: A JPEG, PNG, WebP, TIFF, BMP or GIF file.
        where: The row that names it, for an error, such as "labels.csv row 7".

    Raises:
        InputError: The file is missing, no image, cut off, larger than 89 megapixels, or what
            `as_rgb` refuses.

    Example:
        >>> read_image("nowhere.jpg", "labels.csv row 7")
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: labels.csv row 7: the image nowhere.jpg does not exist;
        correct or remove it.
    """
    # what Pillow warns of is either harmless or refused, where the image has a name
    with (
        _reading(path, where),
        warnings.catch_warnings(action="ignore"),
        Image.open(path, formats=FORMATS) as opened,
    ):
        if opened.width * opened.height > MAX_PIXELS:
            raise ValueError(f"it has more than {MAX_PIXELS / 1e6:.0f} megapixels")
        return _upright_rgb(opened)


def file_digest(path: str | os.PathLike[str], where: str = "") -> bytes:
    """Return SHA-256 of the bytes of an image file, which is hashed anew if it has changed.

    Args:
        path: The file.
        where: The row that names it, for an error.

    Raises:
        InputError: It is missing, or cannot be read.
    """
    with _reading(path, where) as status:
        return _sha256(os.fspath(path), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=2**17)
def _sha256(path: str, size: int, changed: int) -> bytes:
    """Return SHA-256 of a file of this size, changed at this time."""
    return hashlib.sha256(Path(path).read_bytes()).digest()


@contextmanager
def _reading(path: str | os.PathLike[str], where: str) -> Iterator[os.stat_result]:
    """Yield the status of an image file; what is raised about the file becomes one sentence."""
    name = f"{where}: the image {path}" if where else f"the image {path}"
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):  # to open a pipe would be to wait for its writer
            raise ValueError("it is no file")
        yield status
    except FileNotFoundError:
        raise InputError(f"{name} does not exist; correct or remove it.") from None
    except PermissionError as error:
        raise unreadable(name, error) from error
    except Exception as error:  # on broken bytes decoders raise nearly anything
        more = "; `l2rclip data NAME --check` lists every fault at once" if where else ""
        raise InputError(f"{name} cannot be used ({error}); replace or remove it{more}.") from error


class ImageFiles(Dataset[Image.Image]):
    """Image files as a dataset; each is read when it is asked for.

    Args:
        files: The files.
        where: The row that names each, for an error, such as "labels.csv row 7".

    Raises:
        InputError: When asked for a file that `read_image` refuses.
    """

    def __init__(self, files: Sequence[str | os.PathLike[str]], where: Sequence[str]) -> None:
        self.files = files
        self.where = where

    def __len__(self) -> int:
        """Return the number of files."""
        return len(self.files)

    def __getitem__(self, index: int) -> Image.Image:
        """Return one image as RGB."""
        return read_image(self.files[index], self.where[index])

    def digest(self, index: int) -> bytes:
        """Return SHA-256 of the bytes of a file; nothing is decoded."""
        return file_digest(self.files[index], self.where[index])


def as_rgb(image: object, name: str = "") -> Image.Image:
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
        return read_image(image)

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


def squeezed(rgb: Image.Image, side: int) -> UInt8[Tensor, "3 {side} {side}"]:
    """Return an RGB image as a square of bytes: a crop would cut away what is graded."""
    return pil_to_tensor(rgb.resize((side, side), Image.Resampling.BICUBIC))


def square(side: int) -> v2.Compose:
    """Return what turns any image, see `as_rgb`, into a square of bytes."""
    return v2.Compose([as_rgb, partial(squeezed, side=side)])


class ResizedImages(Dataset[tuple[Tensor, int]]):
    """Any images as squares of bytes, each with its rank index; read once and kept where they fit.

    Args:
        images: A map-style dataset of (image, rank index), or a sequence of images. An image is
            whatever `as_rgb` takes.
        size: Side of the squares, pixels.

    Raises:
        InputError: When asked for an item that is no image, or whose label is no whole number.

    Example:
        >>> squares = ResizedImages([(Image.new("L", (8, 4), 7), 2)], size=2)
        >>> squares[0][0][0], squares[0][1]
        (tensor([[7, 7],
                 [7, 7]], dtype=torch.uint8), 2)
    """

    def __init__(self, images: Any, size: int) -> None:
        self.images = images
        self.size = size
        self.fits_in_memory = (3 * size**2 + OVERHEAD) * len(images) < IN_MEMORY
        self.kept: dict[int, tuple[Tensor, int]] = {}

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Return the resized pixels (uint8) and the rank index, or -1 without a label."""
        if index in self.kept:
            return self.kept[index]

        image, label = image_and_label(self.images[index])
        rgb = as_rgb(image, f"image {index}: ")
        resized = (squeezed(rgb, self.size), rank_index(label, f"image {index}"))

        if self.fits_in_memory and get_worker_info() is None:  # the memory of a worker goes with it
            self.kept[index] = resized
        return resized

    def digest(self, index: int) -> bytes:
        """Return SHA-256 of an image: as its dataset says, of its file, or of its resized pixels.

        A dataset says it by a method `digest(index)`, such as `Split` has.
        """
        images, place = inside(self.images, index)
        digest: bytes | None = images.digest(place) if hasattr(images, "digest") else None
        if digest is not None:
            return digest

        if isinstance(images, list | tuple):
            image, _ = image_and_label(images[place])
            if isinstance(image, str | os.PathLike):
                return file_digest(image)
        return hashlib.sha256(self[index][0].numpy().tobytes()).digest()

    def remember(
        self,
        rows: Iterable[int],
        pixels: UInt8[Tensor, "batch 3 height width"],
        labels: Int[Tensor, " batch"],
    ) -> None:
        """Keep images that a worker has read, as `__getitem__` keeps its own."""
        if not self.fits_in_memory:
            return
        for row, image, label in zip(rows, pixels, labels, strict=True):
            if row not in self.kept:
                self.kept[row] = (image.clone(), int(label))


def inside(dataset: Any, index: int) -> tuple[Any, int]:
    """Follow `Subset` and `ConcatDataset` down to the dataset that holds an item.

    Return that dataset, and the place of the item in it.

    Example:
        >>> inside(ConcatDataset([Subset("abc", [2]), Subset("de", [1, 0])]), 2)
        ('de', 0)
    """
    while True:
        if type(dataset) is Subset:
            index = int(dataset.indices[index])
            dataset = dataset.dataset
        elif type(dataset) is ConcatDataset:
            part = bisect_right(dataset.cumulative_sizes, index)
            if part > 0:
                index -= dataset.cumulative_sizes[part - 1]
            dataset = dataset.datasets[part]
        else:
            return dataset, index


def image_and_label(item: Any) -> tuple[Any, Any]:
    """Return the image of an item and its label, -1 where it is an image alone."""
    if isinstance(item, tuple) and len(item) == 2:
        return item
    return item, -1
