"""Squares of bytes on their way to a tower: resized, kept in memory, scaled and augmented."""

import hashlib
import os
from typing import Any

import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import Dataset
from torchvision.transforms.v2.functional import pil_to_tensor

from l2rclip_lite.data.reading import ImageFile, as_rgb
from l2rclip_lite.method.ranks import rank_index

IN_MEMORY = 2**31  # bytes of resized images that are kept, of each split
OVERHEAD = 1_500  # bytes that a tensor takes beside its numbers
DECODING = 1  # changes whenever a file comes to give other pixels, and kept features with it


def squeezed(image: object, side: int, name: str = "") -> UInt8[Tensor, "3 {side} {side}"]:
    """Return any image as a square of RGB bytes: a crop would cut away what is graded."""
    rgb = as_rgb(image, side, name)
    return pil_to_tensor(rgb.resize((side, side), Image.Resampling.BICUBIC))


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

        # a split can read a large file at a reduced scale
        reads_reduced = hasattr(self.images, "reduced")
        item = self.images.reduced(index, self.size) if reads_reduced else self.images[index]
        image, label = item if isinstance(item, tuple) and len(item) == 2 else (item, -1)
        name = f"image {index}"
        resized = (squeezed(image, self.size, f"{name}: "), rank_index(label, name))

        if self.fits_in_memory:
            self.kept[index] = resized
        return resized

    def digest(self, index: int) -> bytes:
        """Return SHA-256 of an image: as its split says, of its file, or of its resized pixels."""
        if hasattr(self.images, "digest"):
            return self.images.digest(index)
        if isinstance(self.images, list) and isinstance(self.images[index], str | os.PathLike):
            return ImageFile(self.images[index]).digest()
        return hashlib.sha256(self[index][0].numpy().tobytes()).digest()


def scaled(
    pixels: UInt8[Tensor, "*batch 3 height width"],
) -> Float[Tensor, "*batch 3 height width"]:
    """Return bytes as floats in [0, 1]."""
    return pixels.float().div_(255)


class Augment(nn.Module):
    """Random flips and light changes that keep every grade, independent for each image of a batch.

    Half of the images are flipped left to right, half of them (if asked for) top to bottom;
    brightness and contrast change by up to 15 %. torchvision's transforms draw once per call; these
    draw once per image.

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
        draws: Float[Tensor, "4 *batch 1 1 1"] | None = None,
    ) -> UInt8[Tensor, "*batch 3 height width"]:
        """Return the images, changed.

        Args:
            pixels: One image or a batch, as bytes.
            draws: What `torch.rand` drew for these images; None draws from its global generator.
        """
        if draws is None:
            draws = torch.rand(4, *pixels.shape[:-3], 1, 1, 1)
        mirror, turn, brightness, contrast = draws.to(pixels.device)

        pixels = torch.where(mirror < 0.5, pixels.flip(-1), pixels)
        if self.upside_down:
            pixels = torch.where(turn < 0.5, pixels.flip(-2), pixels)
        if not self.light:
            return pixels

        brightness = 0.85 + 0.3 * brightness
        contrast = 0.85 + 0.3 * contrast
        light = scaled(pixels)
        middle = light.mean(dim=(-3, -2, -1), keepdim=True)
        light = (light * brightness - middle) * contrast + middle
        return light.clamp_(0, 1).mul_(255).round_().byte()
