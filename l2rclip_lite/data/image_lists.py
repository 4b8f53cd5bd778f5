"""Sequences of images: the images of a folder, one alone, or any sequence of them."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from torch import Tensor

from l2rclip_lite.data.images import IMAGE_SUFFIXES, MapStyle
from l2rclip_lite.errors import InputError, unreadable


def image_list(images: Any) -> Any:
    """Return a sequence of images: those of a folder, one alone, or what is a sequence already.

    Args:
        images: A folder, one image as `as_rgb` takes it, or a sequence or map-style dataset.

    Example:
        >>> len(image_list("leaf.png")), len(image_list(["a.png", "b.png"]))
        (1, 2)
    """
    if isinstance(images, str | os.PathLike):
        return images_in(images) if os.path.isdir(images) else [images]

    if isinstance(images, Tensor | np.ndarray):
        return [images] if images.ndim in (0, 2, 3) else images

    if hasattr(images, "iloc") and images.ndim == 1:
        return images.tolist()  # pandas would count by label

    single = isinstance(images, bytes | bytearray | Image.Image | Mapping)
    table = hasattr(images, "iloc")
    sequence = hasattr(images, "__len__") and hasattr(images, "__getitem__")
    return images if sequence and not (single or table) else [images]


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


def images_in(folder: str | os.PathLike[str]) -> list[Path]:
    """Return the images of a folder and of those in it, in the order of their names.

    Hidden files and folders are left out.

    Raises:
        InputError: A link leads out of the folder, or one in it cannot be read.
    """
    scan = scan_folder(folder)
    if scan.unreadable:
        raise scan.unreadable[0]
    if scan.links_out:
        raise InputError(f"{scan.links_out[0]} leads out of {folder}; put the file itself there.")
    return scan.images


class FolderScan(NamedTuple):
    """What lies under a folder, in the order of the names.

    Args:
        images: Its images, and those of the folders in it.
        links_out: Links to an image or a folder elsewhere.
        unreadable: An error for each folder that cannot be listed or entered.
    """

    images: list[Path]
    links_out: list[Path]
    unreadable: list[InputError]


def scan_folder(folder: str | os.PathLike[str]) -> FolderScan:
    """Return what lies under a folder; hidden files and folders are left out."""
    images = list[Path]()
    links_out = list[Path]()
    errors = list[InputError]()
    root = os.path.realpath(folder)

    folders = [Path(folder)]
    while folders:
        parent = folders.pop()
        try:
            # "photos" can be opened by who may list it, "photos/." only by who may enter it, too
            entries = [*os.scandir(os.path.join(parent, os.curdir))]
        except OSError as error:
            errors.append(unreadable(parent, error))
            continue

        for entry in entries:
            if entry.name.startswith("."):
                continue

            path = parent / entry.name
            if entry.is_dir(follow_symlinks=False):
                folders.append(path)

            is_image = path.suffix.lower() in IMAGE_SUFFIXES
            if entry.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(root):
                if is_image or os.path.isdir(path):
                    links_out.append(path)
            elif is_image:
                images.append(path)

    return FolderScan(sorted(images), sorted(links_out), sorted(errors, key=str))
