"""Sequences of images: of a folder, one alone, any sequence of them, or a dataset of one's own."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from l2rclip_lite.data.images import IMAGE_SUFFIXES, MapStyle, as_rgb, pixel_digest
from l2rclip_lite.errors import InputError, unreadable
from l2rclip_lite.method.ranks import rank_index


def image_list(images: Any) -> Any:
    """Return a sequence of images: those of a folder, one alone, or what is a sequence already.

    Args:
        images: A folder, one image as `as_rgb` takes it, or a sequence or map-style dataset.

    Raises:
        InputError: A link leads out of the folder, or one in it cannot be read.

    Example:
        >>> len(image_list("leaf.png")), len(image_list(["a.png", "b.png"]))
        (1, 2)
    """
    if isinstance(images, str | os.PathLike) and os.path.isdir(images):
        paths, problems = scan_folder(images)
        if problems:
            raise problems[0]
        return paths

    if isinstance(images, Tensor | np.ndarray):
        return [images] if images.ndim in (0, 2, 3) else images
    if hasattr(images, "iloc") and images.ndim == 1:
        return images.tolist()  # pandas would count by label

    single = isinstance(images, str | bytes | Image.Image | Mapping) or hasattr(images, "iloc")
    return [images] if single or not isinstance(images, MapStyle) else images


def paths_of(images: MapStyle) -> list[str | Path]:
    """Return the paths of images; none where not each is a path.

    Example:
        >>> paths_of(["a.png", "b.png"]), paths_of(["a.png", Image.new("L", (4, 4))])
        (['a.png', 'b.png'], [])
    """
    paths: list[str | Path] = []
    for index in range(len(images)):
        image = images[index]
        if not isinstance(image, str | Path):
            return []
        paths.append(image)
    return paths


def scan_folder(folder: str | os.PathLike[str]) -> tuple[list[Path], list[InputError]]:
    """Return the images of a folder and of those in it, and an error for whatever is left out.

    Hidden files and folders are passed over. Left out are links to an image or a folder elsewhere,
    and folders that cannot be listed or entered. Both lists are sorted.
    """
    images = list[Path]()
    problems = list[InputError]()
    root = os.path.realpath(folder)

    folders = [Path(folder)]
    while folders:
        parent = folders.pop()
        try:
            # "photos" can be opened by who may list it, "photos/." only by who may enter it, too
            entries = [*os.scandir(os.path.join(parent, os.curdir))]
        except OSError as error:
            problems.append(unreadable(parent, error))
            continue

        for entry in entries:
            if entry.name.startswith("."):
                continue

            path = parent / entry.name
            is_image = path.suffix.lower() in IMAGE_SUFFIXES
            if entry.is_dir(follow_symlinks=False):
                folders.append(path)
            elif is_image or os.path.isdir(path):  # a link
                if entry.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(root):
                    fix = "put the file itself there"
                    problems.append(InputError(f"{path} leads out of {folder}; {fix}."))
                elif is_image:
                    images.append(path)

    return sorted(images), sorted(problems, key=str)


class OwnImages(Dataset[Image.Image]):
    """The images of a map-style dataset of (image, rank index), in RGB.

    Each item is read once, for its label and its digest, and again when its image is asked for.

    Args:
        dataset: It has a length and gives (image, rank index). Where it has `paths`, these are the
            names of its images.
        name: How its images are called if it has no `paths`.

    Raises:
        InputError: `paths` that are not a different one for each image, or an item that is no such
            pair.

    Example:
        >>> images = OwnImages([(Image.new("L", (4, 4)), 1)], "mine")
        >>> images[0].size, images.labels
        ((4, 4), [1])
    """

    def __init__(self, dataset: MapStyle, name: str) -> None:
        self.dataset = dataset
        numbered = [f"{name}/{index:05d}" for index in range(len(dataset))]
        self.paths = [str(path) for path in getattr(dataset, "paths", numbered)]
        if not len(self.paths) == len(set(self.paths)) == len(numbered):
            problem = f"{len(set(self.paths))} different paths for {len(numbered)} images"
            raise InputError(f"{name}: {problem}; give each image its own.")

        self.labels: list[int] = []
        self.digests: list[bytes] = []
        for index, path in enumerate(self.paths):
            item = dataset[index]
            if not isinstance(item, tuple | list) or len(item) != 2:
                problem = f"an item is {type(item).__name__}, not (image, rank index)"
                raise InputError(f"{path}: {problem}; give pairs.")
            self.labels.append(rank_index(item[1], path))
            self.digests.append(pixel_digest(as_rgb(item[0], f"{path}: ")))

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.paths)

    def __getitem__(self, index: int) -> Image.Image:
        """Return an image."""
        return as_rgb(self.dataset[index][0], f"{self.paths[index]}: ")

    def digest(self, index: int) -> bytes:
        """Return SHA-256 of what an image shows, see `images.pixel_digest`."""
        return self.digests[index]
