"""Images: read from files, resized to squares of bytes, augmented, kept in memory."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageOps
from torch import Tensor, nn
from torch.utils.data import Dataset
from torchvision.transforms import v2
from torchvision.transforms.v2.functional import to_dtype

from l2rclip_lite.errors import InputError

IN_MEMORY = 2**31  # bytes of resized images that are kept


class Augment(nn.Module):
    """Random flips and light changes that keep every grade what it was, independent for each image of a batch.

    Half of the images are flipped left to right, half of them (if asked for) top to bottom; brightness and contrast
    change by up to 15 %. torchvision's transforms draw once per call; these draw once per image.

    Args:
        upside_down: Whether to flip top to bottom, too: right for a leaf, wrong for a face.
        light: Whether to change brightness and contrast.

    Example:
        >>> Augment()(torch.full((3, 2, 2), 128, dtype=torch.uint8)).shape
        torch.Size([3, 2, 2])
    """

    def __init__(self, upside_down: bool = False, *, light: bool = True) -> None:
        super().__init__()
        self.upside_down = upside_down
        self.light = light

    def forward(
        self,
        pixels: UInt8[Tensor, "*batch 3 height width"],
        generator: torch.Generator | None = None,
        draws: Float[Tensor, "4 *batch 1 1 1"] | None = None,
    ) -> UInt8[Tensor, "*batch 3 height width"]:
        """Return the images, changed.

        Args:
            pixels: One image or a batch, as bytes.
            generator: Source of the draws; None takes torch's global one.
            draws: What `torch.rand` drew for these images, in place of new draws.
        """
        if draws is None:
            draws = torch.rand(4, *pixels.shape[:-3], 1, 1, 1, generator=generator)
        mirror, turn, brightness, contrast = draws.to(pixels.device)

        pixels = torch.where(mirror < 0.5, pixels.flip(-1), pixels)
        if self.upside_down:
            pixels = torch.where(turn < 0.5, pixels.flip(-2), pixels)
        if not self.light:
            return pixels

        brightness = 0.85 + 0.3 * brightness
        contrast = 0.85 + 0.3 * contrast
        light = pixels.float() / 255
        middle = light.mean(dim=(-3, -2, -1), keepdim=True)
        light = (light * brightness - middle) * contrast + middle
        return light.clamp_(0, 1).mul_(255).round_().byte()


class ResizedImages(Dataset[tuple[Tensor, int]]):
    """Any images as squares of bytes, each with its rank index; read once and kept in memory where they fit.

    Args:
        images: A map-style dataset of (image, rank index), or a sequence of images or paths. An image comes from Pillow, is
            an array of bytes (height, width, 3), or a tensor (3, height, width) of bytes or of floats in [0, 1].
        size: Side of the squares, pixels.
    """

    def __init__(self, images: Any, size: int) -> None:
        # pandas would count by label
        self.images, self.resize = (
            images.tolist() if hasattr(images, "iloc") else images,
            square(size),
        )
        self.keep = 3 * size**2 * len(images) < IN_MEMORY
        self.kept: dict[int, tuple[Tensor, int]] = {}

    def __len__(self) -> int:
        """The number of images."""
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Bytes and rank index; -1 where an image comes without one."""
        if index in self.kept:
            return self.kept[index]
        item = self.images[index]
        image, target = item if isinstance(item, tuple) else (item, -1)
        if isinstance(image, str | Path):
            image = read_image(image)
        try:
            image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
            if isinstance(image, Tensor) and image.dtype != torch.uint8:
                if not (image.is_floating_point() and -0.1 < image.min() <= image.max() < 1.1):
                    raise ValueError(
                        "its numbers are neither bytes nor in [0, 1]"
                    )  # as after Normalize
                image = to_dtype(image.clamp(0, 1), torch.uint8, True)
            image = on_white(image) if isinstance(image, Image.Image) else image
        except (TypeError, ValueError) as error:  # floats in an array
            raise InputError(f"image {index}: {error}; give bytes (height, width, 3).") from error
        pixels = self.resize(image)
        if self.keep:
            self.kept[index] = pixels, int(target)
        return pixels, int(target)

    def fingerprint(self, about: str, weights: Iterable[Tensor]) -> str:
        """A file name for the features of these images by this tower: SHA-256 of both, as the tower sees them.

        Args:
            about: How the tower encodes.
            weights: Those of the tower.
        """
        found = hashlib.sha256(about.encode())
        for tensor in weights:
            found.update(tensor.cpu().flatten().view(torch.uint8).numpy().tobytes())
        for index in range(len(self)):
            found.update(self[index][0].numpy().tobytes())
        return f"{found.hexdigest()}.safetensors"


# An explicit list: Pillow would try forty other readers, and start Ghostscript for one.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF")
MAX_PIXELS = 89_000_000  # beyond any usual camera; Pillow itself warns from 89,478,485 on
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif")


def read_image(path: str | Path, where: str = "") -> Image.Image:
    """An image file as RGB, turned as its EXIF tag says; transparency becomes white.

    Of an animation or of many pages the first is taken. Colour profiles are not applied.

    Args:
        path: A JPEG, PNG, WebP, TIFF, BMP or GIF file.
        where: The row that names it, for an error, such as "labels.csv row 7".

    Returns:
        The decoded image.

    Raises:
        InputError: The file is missing, no image, cut off, larger than 89 megapixels, or not of 8 or 16 bits.

    Example:
        >>> read_image("nowhere.jpg", "labels.csv row 7")
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: labels.csv row 7: the image nowhere.jpg does not exist; correct or remove it.
    """
    name = f"{where}: the image {path}" if where else f"the image {path}"
    if not os.path.isfile(
        path
    ):  # a pipe is no file: to open one would be to wait for who writes into it
        raise InputError(f"{name} does not exist; correct or remove it.")
    try:
        with Image.open(path, formats=FORMATS) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                raise ValueError(f"it has more than {MAX_PIXELS / 1e6:.0f} megapixels")
            return on_white(ImageOps.exif_transpose(opened))
    except Exception as error:  # on broken bytes decoders raise nearly anything
        reason = " ".join(str(error).split())[:150] or type(error).__name__
        more = "; `l2rclip data NAME --check` lists every fault at once" if where else ""
        raise InputError(
            f"{name} cannot be used ({reason}); replace or remove it{more}."
        ) from error


def square(side: int) -> v2.Compose:
    """Return what turns an image (PIL or tensor) into a square of bytes; a crop would cut away what is graded."""
    resize = v2.Resize([side, side], interpolation=v2.InterpolationMode.BICUBIC, antialias=True)
    return v2.Compose([v2.RGB(), resize, v2.ToImage(), v2.ToPureTensor()])


def on_white(image: Image.Image) -> Image.Image:
    """RGB; what is transparent becomes white.

    Example:
        >>> on_white(Image.new("RGBA", (1, 1), (0, 0, 0, 0))).getpixel((0, 0))
        (255, 255, 255)
    """
    if image.mode.startswith("I;16"):  # convert("RGB") would clip 16 bits instead of scaling them
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError(f"its pixels of mode {image.mode} have more than 16 bits")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def images_in(folder: str | Path) -> list[Path]:
    """The images of a folder and of those in it, in the order of their names; no hidden ones."""
    images = [
        path for path in sorted(Path(folder).rglob("*")) if path.suffix.lower() in IMAGE_SUFFIXES
    ]
    return [path for path in images if "/." not in f"/{path.relative_to(folder).as_posix()}"]
