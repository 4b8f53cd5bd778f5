"""Datasets of one's own: map-style, of (image, rank index), read once."""

from collections.abc import Mapping
from typing import Any

from PIL import Image
from torch.utils.data import Dataset

from l2rclip_lite.data.images import MapStyle, as_rgb, pixel_digest
from l2rclip_lite.errors import InputError
from l2rclip_lite.method.ranks import rank_index

KEPT = 2**30  # bytes of decoded images that are kept of each dataset


class OwnImages(Dataset[Image.Image]):
    """The images of a map-style dataset of (image, rank index), in RGB.

    Each item is read once, for its label and its digest, and kept as long as all that are kept take
    less than a gigabyte; so a dataset that decodes files, or draws a random change, does so once.

    Args:
        dataset: It has a length and gives (image, rank index). Where it has `paths`, these are the
            names of its images.
        name: What an error calls it.

    Raises:
        InputError: No such dataset, `paths` that are not a different one for each image, or an item
            that cannot be read or is no such pair.

    Example:
        >>> from PIL import Image
        >>> images = OwnImages([(Image.new("L", (4, 4)), 1)], "mine")
        >>> images[0].size, images.labels
        ((4, 4), [1])
    """

    def __init__(self, dataset: Any, name: str) -> None:
        if not isinstance(dataset, MapStyle) or isinstance(dataset, str | bytes | Mapping):
            raise InputError(
                f"{name}: {type(dataset).__name__} has no length or no items; "
                "give a map-style dataset of (image, rank index)."
            )

        self.dataset = dataset
        count = len(dataset)
        paths = getattr(dataset, "paths", None)
        if paths is None:
            paths = [f"{name}/{index:05d}" for index in range(count)]
        self.paths = [str(path) for path in paths]
        if not len(self.paths) == len(set(self.paths)) == count:
            problem = f"{len(set(self.paths))} different paths for {count} images"
            raise InputError(f"{name}: {problem}; give each image its own.")

        self.labels: list[int] = []
        self.digests: list[bytes] = []
        self.kept: dict[int, Image.Image] = {}
        n_bytes = 0
        for index in range(count):
            rgb, label = self._read(index)
            self.labels.append(label)
            self.digests.append(pixel_digest(rgb))
            n_bytes += 3 * rgb.width * rgb.height
            if n_bytes <= KEPT:
                self.kept[index] = rgb

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.paths)

    def __getitem__(self, index: int) -> Image.Image:
        """Return an image."""
        return self.kept[index] if index in self.kept else self._read(index)[0]

    def digest(self, index: int) -> bytes:
        """Return SHA-256 of what an image shows, see `images.pixel_digest`."""
        return self.digests[index]

    def _read(self, index: int) -> tuple[Image.Image, int]:
        """Return the image and the label of an item."""
        name = self.paths[index]
        try:
            item = self.dataset[index]
        except MemoryError:
            raise
        except Exception as error:  # code of the user's own raises anything
            raise InputError(f"own: {name}: {error!r:.200}; repair or remove it.") from error

        if not isinstance(item, tuple | list) or len(item) != 2:
            raise InputError(
                f"{name}: an item is {type(item).__name__}, not (image, rank index); give pairs."
            )
        return as_rgb(item[0], name=f"{name}: "), rank_index(item[1], name)
