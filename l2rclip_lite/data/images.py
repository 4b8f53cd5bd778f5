"""Images: read from files, resized to squares of bytes, kept in memory."""

import hashlib
import os
import warnings
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import Int, UInt8
from PIL import Image
from torch import Tensor
from torch.utils.data import ConcatDataset, Dataset, Subset, get_worker_info
from torchvision.transforms import v2

from l2rclip_lite.data.pixels import channels_last, image_of_array, stored_bits, upright_rgb
from l2rclip_lite.errors import InputError, unreadable
from l2rclip_lite.files import is_file
from l2rclip_lite.method.ranks import rank_index

IN_MEMORY = 2**31  # bytes of resized images that are kept, of each split
OVERHEAD = 1_500  # bytes that a tensor takes beside its numbers
DECODING = 1  # changes whenever a file comes to give other pixels, and kept features with it
ACCEPTED = (
    "a path, an image of Pillow, an array of bytes (height, width, 3), "
    "or a tensor (3, height, width)"
)
ImageLike: TypeAlias = str | os.PathLike[str] | Image.Image | np.ndarray | Tensor


@runtime_checkable
class MapStyle(Protocol):
    """A sequence, or a map-style dataset of torch."""

    def __len__(self) -> int:
        """Return the number of items."""

    def __getitem__(self, index: int, /) -> Any:
        """Return one item."""


Images: TypeAlias = ImageLike | MapStyle  # one, a folder of them, or many


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
        >>> squares[0]
        (tensor([[[7, 7],
                 [7, 7]],
        <BLANKLINE>
                [[7, 7],
                 [7, 7]],
        <BLANKLINE>
                [[7, 7],
                 [7, 7]]], dtype=torch.uint8), 2)
    """

    def __init__(self, images: Any, size: int) -> None:
        # pandas would count by label
        self.images = images.tolist() if hasattr(images, "iloc") else images
        self.size = size
        self.resize = square(size)
        self.fits_in_memory = (3 * size**2 + OVERHEAD) * len(images) < IN_MEMORY
        self.kept: dict[int, tuple[Tensor, int]] = {}

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Return the resized pixels (uint8) and the rank index, or -1 without a label."""
        if index in self.kept:
            return self.kept[index]

        # a split can read a large file at a reduced scale
        reads_reduced = hasattr(self.images, "reduced")
        item = self.images.reduced(index, self.size) if reads_reduced else self.images[index]
        image, label = image_and_label(item)
        pixels = self.resize(named_rgb(image, f"image {index}", self.size))
        resized = (pixels, rank_index(label, f"image {index}"))

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


# An explicit list: Pillow would try forty other readers, and start Ghostscript for one.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF")
BLOCK = 2**16  # bytes that are read at once; larger blocks take longer for a million small files
REDUCED = 2_000_000  # pixels from which on fewer are decoded where few are wanted
MAX_PIXELS = 89_000_000  # beyond any usual camera; Pillow itself warns from 89,478,485 on
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif")


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

    Returns:
        The decoded image.

    Raises:
        InputError: The file is missing, no image, cut off, larger than 89 megapixels, or what
            `as_rgb` refuses.

    Example:
        >>> read_image("nowhere.jpg", "labels.csv row 7")
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: labels.csv row 7: the image nowhere.jpg does not exist;
        correct or remove it.
    """
    name = _file_name(path, where)
    try:
        # what Pillow warns of is either harmless or refused below, where the image has a name
        with warnings.catch_warnings(action="ignore"), Image.open(path, formats=FORMATS) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                raise ValueError(f"it has more than {MAX_PIXELS / 1e6:.0f} megapixels")
            if side is not None and opened.width * opened.height > REDUCED:
                opened.draft(None, (2 * side, 2 * side))  # does nothing unless it is a JPEG
            return upright_rgb(opened, stored_bits(opened))
    except PermissionError as error:
        raise unreadable(name, error) from error
    except Exception as error:  # on broken bytes decoders raise nearly anything
        reason = " ".join(str(error).split())[:150] or type(error).__name__
        more = "; `l2rclip data NAME --check` lists every fault at once" if where else ""
        raise InputError(
            f"{name} cannot be used ({reason}); replace or remove it{more}."
        ) from error


def file_digest(path: str | os.PathLike[str], where: str = "") -> bytes:
    """Return SHA-256 of the bytes of an image file; nothing is decoded.

    Args:
        path: The file.
        where: The row that names it, for an error.

    Raises:
        InputError: It is missing, or cannot be read.
    """
    name = _file_name(path, where)
    try:
        digest = hashlib.sha256()
        with open(path, "rb", buffering=0) as stream:
            for block in iter(partial(stream.read, BLOCK), b""):
                digest.update(block)
        return digest.digest()
    except OSError as error:
        raise unreadable(name, error) from error


def _file_name(path: str | os.PathLike[str], where: str) -> str:
    """Return how an error calls an image file, or raise one if it is not there."""
    name = f"{where}: the image {path}" if where else f"the image {path}"
    if is_file(path, name):
        return name

    problem = "does not exist"
    if os.path.exists(path):  # a pipe, say: to open one is to wait for who writes into it
        problem = "is not a file"
    elif os.path.islink(path):
        problem = "is a link to nothing"
    raise InputError(f"{name} {problem}; correct or remove it.")


class ImageFiles(Dataset[Image.Image]):
    """Image files as a dataset; each is read when it is asked for.

    Args:
        files: The files.
        where: The row that names each, for an error, such as "labels.csv row 7".

    Raises:
        InputError: When asked for a file that `read_image` refuses.

    Example:
        >>> ImageFiles(["nowhere.jpg"], ["labels.csv row 7"])[0]
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: labels.csv row 7: the image nowhere.jpg does not exist;
        correct or remove it.
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

    def reduced(self, index: int, side: int) -> Image.Image:
        """Return one image with no more pixels than a square of `side` needs, see `read_image`."""
        return read_image(self.files[index], self.where[index], side=side)

    def digest(self, index: int) -> bytes:
        """Return SHA-256 of the bytes of a file; nothing is decoded."""
        return file_digest(self.files[index], self.where[index])


def as_rgb(image: object, side: int | None = None) -> Image.Image:
    """Return any image as bytes in RGB: the one way from a picture to what the towers see.

    - A path is read, see `read_image`.
    - An image of Pillow is turned as its EXIF tag says; so is the file of a path.
    - An array is (height, width) or (height, width, channels), of bytes, 16 bits or booleans.
    - A tensor is (channels, height, width), of the same kinds, or of floats in [0, 1].
    - One channel is grey, three are RGB; a second or fourth is opacity. What is transparent
      becomes white. Palettes, CMYK and one bit are converted as Pillow does.
    - Of 16 bits the upper eight count, for all images alike: nothing is stretched. An image whose
      brightest value is below 4,096, as 12 bits stored in 16 are, would come out nearly black and
      is refused. A TIFF that declares 12 bits is read as such.

    Args:
        image: See above.
        side: See `read_image`; of a path alone.

    Returns:
        Mode RGB; the argument itself where it is that already.

    Raises:
        InputError: Something else, no pixels, channels at the wrong end, or another kind of number.

    Example:
        >>> as_rgb(Image.new("RGBA", (1, 1), (0, 0, 0, 0))).getpixel((0, 0))
        (255, 255, 255)
        >>> import torch
        >>> as_rgb(torch.zeros(8, 8, 3))
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: a tensor of shape (8, 8, 3) has its channels last; give
        x.permute(2, 0, 1).
    """
    if isinstance(image, str | os.PathLike):
        return read_image(image, side=side)

    try:
        if isinstance(image, Tensor):
            image = channels_last(image)
        if isinstance(image, np.ndarray):
            return upright_rgb(image_of_array(image), 8 * image.dtype.itemsize)
        if isinstance(image, Image.Image):
            if image.width * image.height > MAX_PIXELS:  # as of a file
                raise ValueError(f"it has more than {MAX_PIXELS / 1e6:.0f} megapixels")
            return upright_rgb(image, stored_bits(image))
    except Exception as error:  # a file that Pillow opened is decoded only now
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise InputError(f"{reason}.") from error
    raise InputError(f"{type(image).__name__} is no image; give {ACCEPTED}.")


def named_rgb(image: object, name: str, side: int | None = None) -> Image.Image:
    """Return `as_rgb(image, side)`; an error says which image it is, where it is not a path.

    Example:
        >>> named_rgb(None, "image 3")
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: image 3: NoneType is no image; give a path, an image of
        Pillow, an array of bytes (height, width, 3), or a tensor (3, height, width).
    """
    try:
        return as_rgb(image, side)
    except InputError as error:
        if isinstance(image, str | os.PathLike):
            raise
        raise InputError(f"{name}: {error}") from error


def square(side: int) -> v2.Compose:
    """Return what turns any image, see `as_rgb`, into a square of bytes.

    The whole image is squeezed into it: a crop would cut away what is graded.
    """
    resize = v2.Resize([side, side], interpolation=v2.InterpolationMode.BICUBIC, antialias=True)
    return v2.Compose([partial(as_rgb, side=side), resize, v2.ToImage(), v2.ToPureTensor()])
