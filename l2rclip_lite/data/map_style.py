"""Datasets of one's own: map-style, of (image, rank index), read once."""

from bisect import bisect_right
from typing import Any

from torch.utils.data import ConcatDataset, Dataset, Subset
from torchvision.datasets import DatasetFolder

from l2rclip_lite.errors import InputError
from l2rclip_lite.images import named_rgb, pixel_digest
from l2rclip_lite.ranks import rank_index

KEPT = 2**30  # bytes of decoded images that are kept of each dataset


class OwnImages(Dataset[Any]):
    """The images of a map-style dataset of (image, rank index), as it gives them.

    An item is read when its image, label or digest is asked for the first time. All three are
    remembered, the image as long as all that are kept take less than a gigabyte, so that a dataset
    which decodes files, or draws a random change, does so once.

    Args:
        dataset: It has a length and gives (image, rank index).
        name: What an error calls it.

    Example:
        >>> from PIL import Image
        >>> images = OwnImages([(Image.new("L", (4, 4)), 1)], "mine")
        >>> images[0].size, images.label(0)
        ((4, 4), 1)
    """

    def __init__(self, dataset: Any, name: str) -> None:
        if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
            raise InputError(
                f"{name}: {type(dataset).__name__} has no length or no items; "
                "give a map-style dataset of (image, rank index)."
            )
        self.dataset = dataset
        self.name = name
        self.kept: dict[int, Any] = {}
        self.n_bytes = 0
        self.labels: dict[int, int] = {}
        self.digests: dict[int, bytes] = {}

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.dataset)

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
            dataset, place = inside(self.dataset, index)

            if _gives_its_samples(dataset):
                label = dataset.samples[place][1]
                if dataset.target_transform is not None:
                    label = dataset.target_transform(label)
                self.labels[index] = rank_index(label, self._name(index))
            else:
                self._read(index)
        return self.labels[index]

    def digest(self, index: int) -> bytes:
        """Return SHA-256 of what an image shows, see `images.pixel_digest`."""
        if index not in self.digests:
            self._read(index)
        return self.digests[index]

    def _read(self, index: int) -> Any:
        """Return the image of an item, and remember the item."""
        item = self.dataset[index]
        try:
            image, label = item
        except (TypeError, ValueError) as error:
            raise InputError(
                f"{self._name(index)}: an item is {type(item).__name__}, not (image, rank index); "
                "give pairs."
            ) from error

        rgb = named_rgb(image, self._name(index))
        self.labels[index] = rank_index(label, self._name(index))
        self.digests[index] = pixel_digest(rgb)

        size = 3 * rgb.width * rgb.height
        if self.n_bytes + size <= KEPT:
            self.n_bytes += size
            self.kept[index] = image
        return image

    def _name(self, index: int) -> str:
        """Return how an error calls an item."""
        return f"{self.name}/{index:05d}"


def inside(dataset: Any, index: int) -> tuple[Any, int]:
    """Return the dataset that parts and sums of datasets take an item from, and its place there.

    Example:
        >>> inside(ConcatDataset([Subset("abc", [2]), Subset("de", [1, 0])]), 2)
        ('de', 0)
    """
    while True:
        if type(dataset) is Subset:
            index = int(dataset.indices[index])
            dataset = dataset.dataset
        elif type(dataset) is ConcatDataset:
            part = bisect_right(dataset.cumulative_sizes, index)
            if part > 0:
                index -= dataset.cumulative_sizes[part - 1]
            dataset = dataset.datasets[part]
        else:
            return dataset, index


def _gives_its_samples(dataset: Any) -> bool:
    """Return whether items come from torchvision's own code for folders, not from a subclass'."""
    return isinstance(dataset, DatasetFolder) and (
        type(dataset).__getitem__ is DatasetFolder.__getitem__
    )
