"""Squares of bytes on their way to a tower, and the features that it makes of them.

Images are resized, kept in memory where they fit, and augmented. Features are computed one batch
after the other, and kept in a folder if there is one, by the content of images and tower.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset
from torchvision.transforms.v2.functional import pil_to_tensor
from tqdm import tqdm

from l2rclip_lite.data.reading import ImageFile, as_rgb
from l2rclip_lite.devices import failures_in_words
from l2rclip_lite.errors import InputError
from l2rclip_lite.files import digest_of, read_tensors, save_tensors
from l2rclip_lite.method.ranks import rank_index
from l2rclip_lite.towers.base import Towers, scaled

IN_MEMORY = 2**31  # bytes of resized images that are kept, of each split
OVERHEAD = 1_500  # bytes that a tensor takes beside its numbers
FEATURES = "features"  # the one tensor of a file
PIECE = 16_384  # images of a file: so many are encoded anew at most after a kill
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


# --- features ---------------------------------------------------------------------------------


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
