"""Images on their way into a tower: squares of bytes, and a name for their features that tells all other images apart."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, Subset
from torchvision.transforms.v2.functional import to_dtype

from l2rclip_lite.data.base import IMAGE_SUFFIXES, Computed, Split, on_white, read_image
from l2rclip_lite.errors import InputError
from l2rclip_lite.towers import Towers

IN_MEMORY = 2**31  # bytes of resized images that are kept


def images_in(folder: str | Path) -> list[Path]:
    """The images of a folder and of those in it, in the order of their names."""
    return [path for path in sorted(Path(folder).rglob("*")) if path.suffix.lower() in IMAGE_SUFFIXES]


class ResizedImages(Dataset[tuple[Tensor, int]]):
    """Any images as squares of bytes, each with its rank index; read once and kept in memory where they fit.

    Args:
        images: A map-style dataset of (image, rank index), or a sequence of images or paths. An image comes from Pillow, is
            an array of bytes (height, width, 3), or a tensor (3, height, width) of bytes or of floats in [0, 1].
        towers: Whose input size counts.
    """

    def __init__(self, images: Any, towers: Towers) -> None:
        self.images, self.resize = images, towers.resize()
        self.keep = 3 * towers.image_size**2 * len(images) < IN_MEMORY
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
            image = on_white(image) if isinstance(image, Image.Image) else to_dtype(image, torch.uint8, True)
        except TypeError as error:  # floats in an array
            raise InputError(
                f"image {index}: {error}; give bytes (height, width, 3), or a tensor."
            ) from error
        pixels = self.resize(image)
        if self.keep:
            self.kept[index] = pixels, int(target)
        return pixels, int(target)

    def fingerprint(self, towers: Towers, about: str) -> str:
        """A file name for the features of these images by this tower: SHA-256 of the content of both.

        Args:
            towers: Whose image tower encodes.
            about: How it encodes.
        """
        found = hashlib.sha256(f"{towers.image_size} {towers.mean} {towers.std} {about}".encode())
        for tensor in towers.image.state_dict().values():
            found.update(tensor.cpu().flatten().view(torch.uint8).numpy())
        for index in range(len(self)):
            found.update(self._content(index))
        return f"{found.hexdigest()}.safetensors"

    def _content(self, index: int) -> bytes:
        """SHA-256 of one image: of its file where there is one, so that it is not decoded."""
        images: Any = self.images
        if isinstance(images, Split) and images.transform is None:
            images = images.images
        while isinstance(images, Subset):
            images, index = images.dataset, images.indices[index]
        if isinstance(images, Computed) and images.function is read_image:
            images = images.columns[0]  # the files
        item = images[index]
        image = item[0] if isinstance(item, tuple) else item
        if isinstance(image, str | Path):
            return hashlib.sha256(Path(image).read_bytes()).digest()
        pixels = np.asarray(on_white(image) if isinstance(image, Image.Image) else image)
        return hashlib.sha256(str(pixels.shape).encode() + pixels.tobytes()).digest()
