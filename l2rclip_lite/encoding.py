"""Image features of any number of images, one batch after the other."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from l2rclip_lite.bounds import MAX_BATCH, MAX_WORKERS, whole_number
from l2rclip_lite.errors import InputError
from l2rclip_lite.feature_cache import FeatureCache
from l2rclip_lite.images import ResizedImages
from l2rclip_lite.memory import out_of_memory_in_words
from l2rclip_lite.progress import Progress


def encode_images(
    images: ResizedImages,
    encode: Callable[[Tensor], Tensor],
    *,
    batch_size: int,
    workers: int,
    quiet: bool,
    cache: FeatureCache | None = None,
) -> Float[Tensor, "batch wide"]:
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

    # a quarter, as `fit` encodes up to twice its --batch-size at once
    at_once = min(batch_size, count)
    with (
        out_of_memory_in_words("encoding images", at_once, "--batch-size", divisor=4),
        Progress(desc="encoding images", total=count, disable=quiet, leave=False) as progress,
    ):
        for start in range(0, count, piece):
            rows = range(start, min(start + piece, count))
            compute = partial(_encode, images, rows, encode, batch_size, workers, progress)
            part = compute() if cache is None else _kept(cache, images, rows, compute)
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


def _kept(
    cache: FeatureCache, images: ResizedImages, rows: range, compute: Callable[[], Tensor]
) -> Float[Tensor, "batch wide"]:
    """Return the features of some images from a cache, or else compute and keep them there."""
    cached = cache.of_rows(images, rows)
    features = cached.read(cache.dtype)
    if features is None:
        features = compute()
        if cache.of_rows(images, rows).key != cached.key:
            raise InputError("encode: an image was changed while images were encoded; run again.")
        cached.write(features)
        cache.check_space((len(images) - rows.stop) * features[0].nbytes)
    return features


def _encode(
    images: ResizedImages,
    rows: range,
    encode: Callable[[Tensor], Tensor],
    batch_size: int,
    workers: int,
    progress: Progress,
) -> Float[Tensor, "batch wide"]:
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
