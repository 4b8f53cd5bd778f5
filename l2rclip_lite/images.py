"""Images on their way into a tower: squares of bytes, and a name for their features that tells all other images apart."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms.v2.functional import to_dtype

from l2rclip_lite.data.base import IMAGE_SUFFIXES, on_white, read_image
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
            raise InputError(f"image {index}: {error}; give bytes (height, width, 3).") from error
        pixels = self.resize(image)
        if self.keep:
            self.kept[index] = pixels, int(target)
        return pixels, int(target)

    def fingerprint(self, towers: Towers, about: str) -> str:
        """A file name for the features of these images by this tower: SHA-256 of both, as the tower sees them.

        Args:
            towers: Whose image tower encodes.
            about: How it encodes.
        """
        found = hashlib.sha256(f"{towers.image_size} {towers.mean} {towers.std} {about}".encode())
        for tensor in towers.image.state_dict().values():
            found.update(tensor.cpu().flatten().view(torch.uint8).numpy())
        for index in range(len(self)):
            found.update(self[index][0].numpy().tobytes())
        return f"{found.hexdigest()}.safetensors"
