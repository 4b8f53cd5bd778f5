"""Image features of any number of images, one batch after the other."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import DataLoader

from l2rclip_lite.bounds import MAX_BATCH, MAX_WORKERS, whole_number
from l2rclip_lite.errors import InputError
from l2rclip_lite.images import ResizedImages, scaled
from l2rclip_lite.memory import out_of_memory_in_words
from l2rclip_lite.progress import Progress
from l2rclip_lite.towers.base import Towers


def encode_images(
    images: ResizedImages,
    encode: Callable[[Tensor], Tensor],
    towers: Towers,
    device: torch.device,
    *,
    batch_size: int,
    workers: int,
    quiet: bool,
) -> Float[Tensor, "batch wide"]:
    """Return features of images, on the CPU.

    Args:
        images: Squares of bytes.
        encode: Returns the features of normalised pixels.
        towers: Their mean and standard deviation normalise the pixels.
        device: Where to compute.
        batch_size: Images at once.
        workers: Processes that decode.
        quiet: Whether to hide the progress bar.

    Raises:
        InputError: No image, one that cannot be read, or a number of images or processes outside
            its bounds.
        TrainingError: Memory that runs out.
    """
    batch_size = whole_number(batch_size, "batch_size", 1, MAX_BATCH)
    workers = whole_number(workers, "workers", 0, MAX_WORKERS)
    if not len(images):
        raise InputError("encode: no image given; pass at least one, or a folder that holds some.")

    loader = DataLoader(images, batch_size, num_workers=workers)
    at_once = min(batch_size, len(images))
    batches = []

    # a quarter, as `fit` encodes up to twice its --batch-size at once
    with out_of_memory_in_words("encoding images", at_once, "--batch-size", divisor=4):
        for pixels, _ in Progress(loader, "encoding images", disable=quiet, leave=False):
            inputs = towers.normalize(scaled(pixels.to(device)))
            batches.append(encode(inputs).cpu())

    return torch.cat(batches)
