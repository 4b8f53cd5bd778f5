"""Encoding that loses a process that decodes, to be run in a child.

PyTorch answers the end of such a process by a signal, and so by an error wherever Python happens to
be, even after the loop over images has ended.
"""

import os
import signal
from pathlib import Path

import torch
from PIL import Image
from torch.utils.data import Dataset, get_worker_info

from l2rclip_lite.data.images import ResizedImages
from l2rclip_lite.data.pixels import scaled
from l2rclip_lite.errors import TrainingError
from l2rclip_lite.runs.encoding import encode_images


class Fatal(Dataset[Image.Image]):
    """Images of which one ends the process that decodes it, as the system does for memory."""

    def __len__(self) -> int:
        """Return the number of images."""
        return 8

    def __getitem__(self, index: int) -> Image.Image:
        """Return an image."""
        if index == 5 and get_worker_info() is not None:
            os.kill(os.getpid(), signal.SIGKILL)
        return Image.new("RGB", (8, 8))


def mean_colour(pixels: torch.Tensor) -> torch.Tensor:
    """Return a feature of each image."""
    return scaled(pixels).mean((2, 3))


def encoded_by_a_worker(images: object) -> None:
    """Encode images that a process decodes."""
    encode_images(ResizedImages(images, 8), mean_colour, batch_size=2, workers=1, quiet=True)


def lose_a_worker(sentence: Path) -> None:
    """Write what is said when a process that decodes is killed."""
    try:
        encoded_by_a_worker(Fatal())
    except TrainingError as error:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        sentence.write_text(str(error), encoding="utf-8")
    os._exit(0)
