"""Image features, computed one batch after the other, and kept in a folder if there is one.

Kept features are named by the content of images and tower.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import DataLoader, Subset
from tqdm import tqdm

from l2rclip_lite.data.images import DECODING, ResizedImages
from l2rclip_lite.devices import failures_in_words
from l2rclip_lite.errors import InputError
from l2rclip_lite.files import digest_of, read_tensors, save_tensors
from l2rclip_lite.towers.base import Towers

FEATURES = "features"  # the one tensor of a file
PIECE = 16_384  # images of a file: so many are encoded anew at most after a kill


def describe_encoder(towers: Towers, numerics: str, dtype: torch.dtype) -> str:
    """Return what decides the features of `Towers.backbone` besides the images.

    Args:
        towers: Whose image tower encodes.
        numerics: Precision and device, which change the last bits.
        dtype: What the tower computes in.
    """
    libraries = [version(name) for name in ("l2rclip-lite", "pillow", "torchvision")]
    inputs = f"{towers.image_size} {towers.mean} {towers.std} {DECODING} {libraries}"
    weights = digest_of(towers.image.state_dict())
    return f"{numerics} {dtype} {towers.image} {inputs} {weights}"


def name_of_piece(images: ResizedImages, rows: range, encoder: str) -> str:
    """Return the name of the file of the features of some images.

    It is SHA-256 of what the images are, and of the encoder. Of an image file the bytes count, so
    that nothing is decoded to find features again; of other images what their dataset says by
    `digest`, or else the resized pixels.
    """
    digest = hashlib.sha256(encoder.encode())
    for index in rows:
        digest.update(images.digest(index))
    return f"{digest.hexdigest()}.safetensors"


def encode_images(
    images: ResizedImages,
    encode: Callable[[Tensor], Tensor],
    *,
    batch_size: int,
    workers: int,
    quiet: bool,
    cache: str | Path | None = None,
    encoder: str = "",
) -> Float[Tensor, "batch feature"]:
    """Return features of images, on the CPU.

    Args:
        images: Squares of bytes.
        encode: Returns the features of a batch of them.
        batch_size: Images at once.
        workers: Processes that decode.
        quiet: Whether to hide the progress bar.
        cache: A folder that keeps the features of each `PIECE` of the images as soon as it is
            complete, and gives back those it has; the result is the same bit for bit.
        encoder: See `describe_encoder`; for a cache alone.

    Raises:
        InputError: No image, one that cannot be read, or a cache that cannot be written.
        TrainingError: Memory that runs out.
    """
    count = len(images)
    if not count:
        raise InputError("encode: no image given; pass at least one, or a folder that holds some.")

    piece = count
    if cache is not None:  # of whole batches, so that it changes none of them
        piece = max(1, PIECE // batch_size) * batch_size

    advice = f"with {min(batch_size, count)} images at once; try fewer (batch_size; fit's "
    advice += "--micro-batch-size), or another --device"
    parts = []
    with failures_in_words("encoding images", advice):
        for start in range(0, count, piece):
            rows = range(start, min(start + piece, count))
            file = None
            if cache is not None:
                file = Path(cache, name_of_piece(images, rows, encoder))
                if file.is_file():
                    parts.append(read_tensors(file)[0][FEATURES])
                    continue

            loader = DataLoader(Subset(images, rows), batch_size, num_workers=workers)
            bar = tqdm(decoded(loader), "encoding images", len(loader), disable=quiet or None)
            parts.append(torch.cat([encode(pixels).cpu() for pixels, _ in bar]))
            if file is not None:
                save_tensors(file, {FEATURES: parts[-1]}, {})
    return torch.cat(parts)


def decoded(loader: Iterable[Any]) -> Iterator[Any]:
    """Yield what a loader yields; an error of a process that decodes keeps its own sentence.

    Raises:
        InputError: An image that cannot be read.
    """
    try:
        yield from loader
    except InputError as error:  # as text: the traceback of the process, and then the sentence
        sentence = str(error).rpartition(f"{InputError.__name__}: ")[2].strip()
        raise InputError(sentence) from error
