"""Image features, computed one batch after the other, and kept in a folder if there is one.

Kept features are named by the content of images and tower, and read only if whole.
"""

import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from l2rclip_lite.data.images import DECODING, ResizedImages
from l2rclip_lite.errors import MAX_BATCH, MAX_WORKERS, InputError, one_line, reason, whole_number
from l2rclip_lite.files import WIDEST, read_header, read_tensors, save_tensors
from l2rclip_lite.memory import fewer_images, out_of_memory_in_words
from l2rclip_lite.progress import Progress
from l2rclip_lite.towers.base import Towers

FEATURES = "features"  # the one tensor of a file
PIECE = 16_384  # images of a file


@dataclass(frozen=True)
class FeatureCache:
    """A folder of the features that one tower has computed, a file for each piece of the images.

    Args:
        folder: Where the files are; made when the first is written.
        encoder: How features are computed, see `CachedFeatures`.
        dtype: What the tower computes in.
        piece: Images of a file: so many are encoded anew at most after a kill.
    """

    folder: Path
    encoder: str
    dtype: torch.dtype
    piece: int = PIECE

    @classmethod
    def of_towers(
        cls, folder: str | Path, towers: Towers, numerics: str, dtype: torch.dtype
    ) -> "FeatureCache":
        """Return the cache of features by `Towers.backbone`.

        Args:
            folder: Where the files are.
            towers: Whose image tower encodes.
            numerics: Precision and device, which change the last bits.
            dtype: What the tower computes in.

        Raises:
            InputError: The folder cannot be one.
        """
        check_cache(folder)
        libraries = [
            f"{name} {version(name)}" for name in ("l2rclip-lite", "pillow", "torchvision")
        ]
        inputs = f"{towers.image_size} {towers.mean} {towers.std} {DECODING} {libraries}"
        weights = digest_of_weights(towers.image.state_dict().values())
        return cls(Path(folder), f"{numerics} {towers.image} {inputs} {weights}", dtype)

    def features_of(
        self, images: ResizedImages, rows: range, compute: Callable[[], Tensor]
    ) -> Float[Tensor, "batch feature"]:
        """Return the features of some images that are here, or else compute and keep them.

        Args:
            images: All that are encoded.
            rows: Which of them.
            compute: Returns their features.

        Raises:
            InputError: An image changes meanwhile, or the folder cannot be written.
        """
        file = CachedFeatures(self.folder, images, self.encoder, rows)
        features = file.read(self.dtype)
        if features is not None:
            return features

        features = compute()
        if CachedFeatures(self.folder, images, self.encoder, rows).key != file.key:
            raise InputError("encode: an image was changed while images were encoded; run again.")
        file.write(features)
        self.check_space((len(images) - rows.stop) * features[0].nbytes)
        return features

    def check_space(self, needed: int) -> None:
        """Refuse a disk without room for so many bytes more, before they are computed.

        Raises:
            InputError: What is free, together with what the folder already holds (these features
                may replace it), is less.
        """
        if not self.folder.is_dir():
            return
        held = sum(file.stat().st_size for file in self.folder.glob("*.safetensors"))
        free = shutil.disk_usage(self.folder).free
        if needed > free + held:
            raise InputError(
                f"{self.folder}: the features take {needed / 1e9:.1f} GB more, and only "
                f"{free / 1e9:.1f} are free; free some space or choose another place."
            )


class CachedFeatures:
    """The features of some images by one tower, in a file of a folder.

    The file is named by SHA-256 of what the images are, of the weights, and of how the tower
    encodes. In its metadata stand that name and SHA-256 of the features. Of an image file the bytes
    count, so that nothing is decoded to find features again; of other images what their dataset
    says by `digest`, or else the resized pixels.

    Args:
        folder: Where the files are; made when the first is written.
        images: What is encoded.
        encoder: How: weights, precision, architecture, input size, normalisation.
        rows: Which of the images.

    Example:
        >>> cached = CachedFeatures("nowhere", ResizedImages([], 8), "a linear map", range(0))
        >>> cached.read(torch.float32) is None
        True
    """

    def __init__(
        self, folder: str | Path, images: ResizedImages, encoder: str, rows: range
    ) -> None:
        digest = hashlib.sha256(encoder.encode())
        for index in rows:
            digest.update(images.digest(index))

        self.key = digest.hexdigest()
        self.file = Path(folder, f"{self.key}.safetensors")
        self.count = len(rows)

    def read(self, dtype: torch.dtype) -> Shaped[Tensor, "batch feature"] | None:
        """Return the stored features; None if there are none, or if they cannot be trusted.

        In the second case a line on stderr says so: they are computed anew.

        Args:
            dtype: What the tower computes in.
        """
        if not self.file.is_file():
            return None

        try:
            header, metadata = read_header(self.file)
            if header.keys() != {FEATURES} or metadata.get("key") != self.key:
                raise InputError(f"{self.file}: damaged, or features of something else")
            kind = header[FEATURES].dtype
            shape = tuple(header[FEATURES].shape)
            has_rows = len(shape) == 2 and shape[0] == self.count and shape[1] <= WIDEST
            if not has_rows or kind != dtype:
                raise InputError(f"{self.file}: {kind} of shape {shape}")

            features = read_tensors(self.file)[0][FEATURES]
            if metadata != self._metadata(features):
                raise InputError(f"{self.file}: damaged, or features of something else")
            if not features.isfinite().all():
                raise InputError(f"{self.file}: not finite")
        except InputError as error:
            problem = one_line(str(error)).partition(";")[0]
            print(f"{problem}; these features are computed and written anew", file=sys.stderr)
            return None
        return features

    def write(self, features: Shaped[Tensor, "batch feature"]) -> None:
        """Store features; not those of damaged weights, which are no numbers."""
        if features.isfinite().all():
            save_tensors(self.file, {FEATURES: features}, self._metadata(features))

    def _metadata(self, features: Tensor) -> dict[str, str]:
        """Return the metadata of a file of these features."""
        digest = hashlib.sha256(f"{self.key} {features.dtype} {tuple(features.shape)}".encode())
        digest.update(_bytes(features))
        return {"key": self.key, "sha256": digest.hexdigest()}


def check_cache(cache: str | Path) -> None:
    """Refuse a cache that cannot be a folder, before an hour of encoding.

    Raises:
        InputError: It is a file, or its name cannot be that of a folder.
    """
    try:
        os.listdir(cache)
    except FileNotFoundError:
        return  # it is made when there is something to keep
    except (OSError, ValueError) as error:  # a name with a null byte is a ValueError
        words = " ".join(reason(error).split())
        raise InputError(
            f"cache: {str(cache)!r:.80} cannot be a folder ({words}); name another."
        ) from error


def digest_of_weights(tensors: Iterable[Tensor]) -> str:
    """Return SHA-256 of tensors."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(_bytes(tensor.cpu()))
    return digest.hexdigest()


def _bytes(tensor: Tensor) -> bytes:
    """Return the memory of a tensor on the CPU."""
    flat = tensor.detach().contiguous().flatten()
    if flat.numel() == 0:
        return b""
    return flat.view(torch.uint8).numpy().tobytes()


def encode_images(
    images: ResizedImages,
    encode: Callable[[Tensor], Tensor],
    *,
    batch_size: int,
    workers: int,
    quiet: bool,
    cache: FeatureCache | None = None,
) -> Float[Tensor, "batch feature"]:
    """Return features of images, on the CPU.

    Args:
        images: Squares of bytes.
        encode: Returns the features of a batch of them.
        batch_size: Images at once.
        workers: Processes that decode.
        quiet: Whether to hide the progress bar.
        cache: Keeps the features of each piece of the images as soon as it is complete, and gives
            back those it has; the result is the same bit for bit.

    Raises:
        InputError: No image, one that cannot be read or changes meanwhile, a number of images or
            processes outside its bounds, or a cache that cannot be written.
        TrainingError: Memory that runs out, or a process that decodes and has ended.
    """
    batch_size = whole_number(batch_size, "batch_size", 1, MAX_BATCH)
    workers = whole_number(workers, "workers", 0, MAX_WORKERS)
    count = len(images)
    if not count:
        raise InputError("encode: no image given; pass at least one, or a folder that holds some.")

    piece = count
    if cache is not None:  # of whole batches, so that it changes none of them
        piece = max(1, cache.piece // batch_size) * batch_size
    features = torch.empty(0)  # until the first part says how wide it is

    # a quarter, as from 16 images a step on `fit` encodes 32 at once
    at_once = min(batch_size, count)
    cure = fewer_images(at_once, "another --device, or fit's --micro-batch-size", divisor=4)
    if at_once > 1:
        cure += " (in Python batch_size)"
    with (
        out_of_memory_in_words("encoding images", cure),
        Progress(desc="encoding images", total=count, disable=quiet, leave=False) as progress,
    ):
        for start in range(0, count, piece):
            rows = range(start, min(start + piece, count))
            compute = partial(_encode, images, rows, encode, batch_size, workers, progress)
            part = compute() if cache is None else cache.features_of(images, rows, compute)
            progress.update(rows.stop - progress.n)  # those that came from the cache

            if piece >= count:  # it is all of them, and is not copied
                return part
            features = _put(part, features, start, count)
    return features


def _put(part: Tensor, features: Tensor, start: int, count: int) -> Tensor:
    """Return `count` features, made at the first part, with a part of them put in at `start`."""
    if not len(features):
        features = part.new_empty(count, part.shape[1])
    features[start : start + len(part)] = part
    return features


def _encode(
    images: ResizedImages,
    rows: range,
    encode: Callable[[Tensor], Tensor],
    batch_size: int,
    workers: int,
    progress: Progress,
) -> Float[Tensor, "batch feature"]:
    """Return the features of some images, on the CPU."""
    features = torch.empty(0)
    first = 0
    loader = DataLoader(Subset(images, rows), batch_size, num_workers=workers)

    for pixels, labels in decoded(loader):
        images.remember(rows[first : first + len(pixels)], pixels, labels)
        features = _put(encode(pixels).cpu(), features, first, len(rows))
        first += len(pixels)
        progress.update(len(pixels))
    return features


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
