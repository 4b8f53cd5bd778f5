"""Where a run's pictures are while it trains: in memory, in a file that is mapped, or decoded whenever they are needed.

What the model sees is the same bytes each time, so a run's result does not depend on the choice.
"""

from __future__ import annotations

import os
import shutil
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from math import prod
from pathlib import Path
from typing import TypeAlias

import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from l2rclip_lite import distributed
from l2rclip_lite.choices import PictureStore
from l2rclip_lite.data.base import Split
from l2rclip_lite.files import write_atomically
from l2rclip_lite.images import as_bytes
from l2rclip_lite.progress import track
from l2rclip_lite.resources import free_memory
from l2rclip_lite.towers import Towers

AHEAD = 64  # pictures, or one batch, that are decoded before they are asked for


class Streamed:
    """Pictures of a split that are decoded when they are needed, by threads that work ahead of who asks.

    Args:
        split: The pictures.
        towers: Decide the size.
        workers: Decoding threads; None takes as many as there are cores, at most 8.

    Example:
        >>> from PIL import Image
        >>> from l2rclip_lite.towers import load_towers
        >>> split = Split(["a", "b"], [0, 1], lambda index: Image.new("RGB", (4, 4), (index, 0, 0)))
        >>> streamed = Streamed(split, load_towers("tiny/random"))
        >>> len(streamed), streamed[torch.tensor([1])][0, :, 0, 0].tolist()
        (2, [1, 0, 0])
    """

    def __init__(self, split: Split, towers: Towers, workers: int | None = None) -> None:
        self._split, self._towers = split, towers
        self._workers = workers or min(8, os.cpu_count() or 1)
        self._pool = ThreadPoolExecutor(self._workers)
        self._waiting: Iterator[Tensor] = iter(())
        self._begun: deque[tuple[Tensor, list[Future[Tensor]]]] = deque()

    def __len__(self) -> int:
        """The number of pictures."""
        return len(self._split)

    def __getitem__(self, chosen: Int[Tensor, " batch"] | slice) -> UInt8[Tensor, "batch 3 height width"]:
        """The pictures at these places; at once, if `announce` named this batch as the next.

        Raises:
            InputError: A picture that is missing or cannot be read.
        """
        if isinstance(chosen, slice):
            chosen = torch.arange(len(self))[chosen]
        if self._begun and torch.equal(self._begun[0][0], chosen):
            found = self._begun.popleft()[1]
            self._begin()
        else:
            found = self._decode(chosen)
        return torch.stack([future.result() for future in found])

    def part(self, rows: slice) -> Streamed:
        """Some of the pictures, decoded no sooner."""
        return Streamed(self._split[rows], self._towers, self._workers)

    def announce(self, batches: Sequence[Tensor]) -> None:
        """Say which batches will be asked for, in which order, and begin with the first."""
        for _, futures in self._begun:
            for future in futures:
                future.cancel()
        self._begun.clear()
        self._waiting = iter(batches)
        self._begin()

    def _begin(self) -> None:
        """Let the threads have batches, as long as no more than AHEAD pictures lie ready."""
        while sum(len(batch) for batch, _ in self._begun) < AHEAD:
            batch = next(self._waiting, None)
            if batch is None:
                return
            self._begun.append((batch, self._decode(batch)))

    def _decode(self, chosen: Tensor) -> list[Future[Tensor]]:
        return [
            self._pool.submit(read_picture, self._split, self._towers, index) for index in chosen.tolist()
        ]


PixelSource: TypeAlias = UInt8[Tensor, "_ 3 height width"] | Streamed


def read_picture(split: Split, towers: Towers, index: int) -> UInt8[Tensor, "3 height width"]:
    """One picture of a split, decoded and squashed to the size of the towers."""
    return as_bytes(towers.squash(split[index][0]))


def announce(pixels: PixelSource, batches: Sequence[Tensor]) -> None:
    """Tell pictures that are decoded when needed which batches come next; others are there already."""
    if isinstance(pixels, Streamed):
        pixels.announce(batches)


def in_batches(pixels: PixelSource, size: int) -> Iterator[UInt8[Tensor, "batch 3 height width"]]:
    """All pictures in their order, `size` at a time."""
    if isinstance(pixels, Tensor):
        yield from torch.split(pixels, size)
        return
    order = torch.split(torch.arange(len(pixels)), size)
    pixels.announce(order)
    yield from (pixels[chosen] for chosen in order)


def load_pixels(
    split: Split, towers: Towers, *, quiet: bool = True, workers: int | None = None
) -> UInt8[Tensor, "_ 3 height width"]:
    """Every picture of a split, decoded and squashed once, in memory.

    Bytes, not floats: 1,685 pictures of 224 pixels are 254 MB, and no epoch waits for a decoder again.

    Args:
        split: The pictures.
        towers: Decide the size.
        quiet: Whether to hide the progress bar.
        workers: See `Streamed`.

    Returns:
        RGB bytes.

    Raises:
        InputError: A picture that is missing or cannot be read.
    """
    pixels = torch.empty(_shape(split, towers), dtype=torch.uint8)
    for place, picture in zip(pixels, _decoded(split, towers, quiet, workers), strict=True):
        place.copy_(picture[0])
    return pixels


def map_pixels(
    split: Split, towers: Towers, file: Path, *, quiet: bool = True, workers: int | None = None
) -> UInt8[Tensor, "_ 3 height width"]:
    """The same in a file that is mapped into memory: the system keeps of it what fits.

    Args:
        split: The pictures.
        towers: Decide the size.
        file: Written if it is not there in full; whoever owns it keeps it to one data set.
        quiet: See `load_pixels`.
        workers: See `Streamed`.

    Returns:
        RGB bytes.

    Raises:
        InputError: A picture that cannot be read, or a file that cannot be written.
    """
    shape = _shape(split, towers)
    size = prod(shape)

    def write(path: Path) -> None:
        # not through a map: where the disk is full, that ends the process by SIGBUS
        with path.open("wb") as stream:
            for picture in _decoded(split, towers, quiet, workers):
                stream.write(picture.numpy().data)

    if not file.is_file() or file.stat().st_size != size:
        write_atomically(file, write)
    return torch.from_file(str(file), size=size, dtype=torch.uint8).view(shape)


def open_pixels(
    split: Split, towers: Towers, store: PictureStore, file: Path | None, *, quiet: bool, workers: int | None
) -> PixelSource:
    """A split's pictures as a run's config says; of several processes each has all of them.

    Args:
        split: The pictures.
        towers: Decide the size.
        store: "memory", "disk", "stream", or "auto": the first of them that half the free memory or disk holds.
        file: For "disk"; None leaves it out of the choice.
        quiet: See `load_pixels`.
        workers: See `Streamed`.
    """
    if store == "auto":
        store = distributed.from_first(_fitting(prod(_shape(split, towers)) * distributed.size(), file))
    if store == "memory":
        mine = split[distributed.share(len(split))]
        return distributed.collect(load_pixels(mine, towers, quiet=quiet, workers=workers), len(split))
    if store == "stream" or file is None:
        return Streamed(split, towers, workers)
    with distributed.after_first():
        return map_pixels(split, towers, file, quiet=quiet, workers=workers)


def _fitting(size: int, file: Path | None) -> PictureStore:
    """The fastest store for so many bytes."""
    free = free_memory()
    if free is None or size < free * 2**30 / 2:
        return "memory"
    if file is None:
        return "stream"
    folder = next(parent for parent in file.absolute().parents if parent.exists())
    return "disk" if size < shutil.disk_usage(folder).free / 2 else "stream"


def _shape(split: Split, towers: Towers) -> tuple[int, int, int, int]:
    return len(split), 3, towers.image_size, towers.image_size


def _decoded(split: Split, towers: Towers, quiet: bool, workers: int | None) -> Iterator[Tensor]:
    """Every picture of a split in its order, alone."""
    streamed = Streamed(split, towers, workers)
    order = torch.split(torch.arange(len(split)), 1)
    streamed.announce(order)
    for chosen in track(order, "reading pictures", quiet=quiet):
        yield streamed[chosen]
