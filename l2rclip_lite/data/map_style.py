"""Datasets of one's own: map-style, of (image, rank index), read once."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.datasets import DatasetFolder

from l2rclip_lite.data.images import inside, named_rgb
from l2rclip_lite.data.pixels import pixel_digest
from l2rclip_lite.errors import InputError
from l2rclip_lite.method.ranks import has_control, rank_index

MAX_IMAGES = 10_000_000  # a list of their names takes a gigabyte
KEPT = 2**30  # bytes of decoded images that are kept of each dataset


class OwnImages(Dataset[Any]):
    """The images of a map-style dataset of (image, rank index), as it gives them.

    An item is read when its image, label or digest is asked for the first time. All three are
    remembered, the image as long as all that are kept take less than a gigabyte, so that a dataset
    which decodes files, or draws a random change, does so once.

    Args:
        dataset: It has a length and gives (image, rank index). Where it has `paths`, these are the
            names of its images.
        name: What an error calls it.

    Raises:
        InputError: No such dataset, or `paths` that are no different plain texts, one per image;
            when an item is asked for, one that cannot be read or is no such pair.

    Example:
        >>> from PIL import Image
        >>> images = OwnImages([(Image.new("L", (4, 4)), 1)], "mine")
        >>> images[0].size, images.label(0)
        ((4, 4), 1)
    """

    def __init__(self, dataset: Any, name: str) -> None:
        self.size = length_of(dataset, name)
        self.dataset = dataset
        self.name = name
        self.paths = [f"{name}/{place:05d}" for place in range(self.size)]
        if hasattr(dataset, "paths"):
            self.paths = checked_paths(dataset.paths, self.size, name)
        self.kept: dict[int, Any] = {}
        self.n_bytes = 0
        self.labels: dict[int, int] = {}
        self.digests: dict[int, bytes] = {}

    def __len__(self) -> int:
        """Return the number of images."""
        return self.size

    def __getitem__(self, index: int) -> Any:
        """Return an image as the dataset gives it."""
        if index in self.kept:
            return self.kept[index]
        return self._read(index)

    def label(self, index: int) -> int:
        """Return the rank index that comes with an image.

        It is the item's own. What a dataset says beside its items, such as `targets`, may differ
        from them and is not asked. An ImageFolder is the exception: its items are made from its
        list of samples, so their labels are known before a file is opened.
        """
        if index not in self.labels:
            with self._reading(index):
                dataset, place = inside(self.dataset, index)

            if _gives_its_samples(dataset):
                with self._reading(index):
                    label = dataset.samples[place][1]
                    if dataset.target_transform is not None:
                        label = dataset.target_transform(label)
                self.labels[index] = rank_index(label, self.paths[index])
            else:
                self._read(index)
        return self.labels[index]

    def digest(self, index: int) -> bytes:
        """Return SHA-256 of what an image shows, see `pixels.pixel_digest`."""
        if index not in self.digests:
            self._read(index)
        return self.digests[index]

    def _read(self, index: int) -> Any:
        """Return the image of an item, and remember the item."""
        name = self.paths[index]
        with self._reading(index):
            item = self.dataset[index]
        if not isinstance(item, tuple | list) or len(item) != 2:
            raise InputError(
                f"{name}: an item is {type(item).__name__}, not (image, rank index); give pairs."
            )

        image, label = item
        with self._reading(index):  # a file that Pillow opened is decoded only now
            rgb = named_rgb(image, name)
        self.labels[index] = rank_index(label, name)
        self.digests[index] = pixel_digest(rgb)

        size = 3 * rgb.width * rgb.height
        if self.n_bytes + size <= KEPT:
            self.n_bytes += size
            if isinstance(image, np.ndarray | Tensor):  # whose memory the dataset may use again
                image = deepcopy(image)
            self.kept[index] = image
        return image

    @contextmanager
    def _reading(self, index: int) -> Iterator[None]:
        """Turn what a user's dataset raises into one sentence that names the item."""
        try:
            yield
        except (InputError, MemoryError):
            raise
        except Exception as error:  # code of the user's own raises anything
            what = type(error).__name__
            reason = " ".join(str(error).split())[:200].rstrip(".")
            if reason:
                what += f", {reason}"
            raise InputError(
                f"own: {self.name} image {index} ({self.paths[index]}): {what}; "
                "repair or remove it."
            ) from error


def length_of(dataset: Any, name: str) -> int:
    """Return the length; refuse an object without length or items.

    Raises:
        InputError: It has no length or no items, or finds them by names.

    Example:
        >>> length_of({"image": 1}, "train")
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: train: dict has no length or no items; give a map-style
        dataset of (image, rank index).
    """
    by_place = hasattr(dataset, "__getitem__") and not isinstance(dataset, str | bytes | Mapping)
    length = -1
    if by_place and hasattr(dataset, "__len__"):
        try:
            length = len(dataset)
        except Exception:  # code of the user's own raises anything
            length = -1

    if length > MAX_IMAGES:
        raise InputError(f"{name}: its length is {length:,}; give at most {MAX_IMAGES:,} images.")
    if length < 0:
        raise InputError(
            f"{name}: {type(dataset).__name__} has no length or no items; "
            "give a map-style dataset of (image, rank index)."
        )
    return length


def checked_paths(paths: Any, count: int, name: str) -> list[str]:
    """Return the names that a dataset gives its images, and refuse what cannot be told apart.

    Args:
        paths: Its `paths`.
        count: How many images it has.
        name: What an error calls it.

    Raises:
        InputError: Another number of them, one that is no plain text, or one that is there twice.

    Example:
        >>> checked_paths(["a.png", "a.png"], 2, "train")
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: train: the path 'a.png' of image 1 is that of image 0, too;
        give each image its own.
    """
    if isinstance(paths, str) or not hasattr(paths, "__len__") or len(paths) != count:
        length = len(paths) if hasattr(paths, "__len__") else "no"
        kind = type(paths).__name__
        raise InputError(
            f"{name}: {length} paths ({kind}) for {count} images; give each image one."
        )

    first_of: dict[str, int] = {}
    for place, path in enumerate(paths):
        check_path(path, f"{name}: the path of image {place}")
        if first_of.setdefault(path, place) != place:
            raise InputError(
                f"{name}: the path {path!r:.200} of image {place} is that of image "
                f"{first_of[path]}, too; give each image its own."
            )
    return list(first_of)


def check_path(path: Any, what: str) -> None:
    """Refuse the name of an image that is no text, or would break the files that repeat it."""
    if not isinstance(path, str) or not path.strip() or has_control(path):
        raise InputError(
            f"{what} is {path!r:.200}; give a text, not blank and without control characters."
        )


def _gives_its_samples(dataset: Any) -> bool:
    """Return whether items come from torchvision's own code for folders, not from a subclass'."""
    return isinstance(dataset, DatasetFolder) and (
        type(dataset).__getitem__ is DatasetFolder.__getitem__
    )
