"""What a run remembers of its data: names, labels and ranks, and what the images show."""

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

from l2rclip_lite.data.base import SPLITS, OrdinalDataset
from l2rclip_lite.data.reading import as_rgb, pixel_digest

VERSION = "2"


def fingerprint(data: OrdinalDataset) -> str:
    """Return a text that two data sets share only if names, labels, ranks and images agree.

    Subjects, deviations of labels and the suggested image size have no part in it.

    It has three parts: the version of this rule, SHA-256 of the ranks and of every name and label,
    and SHA-256 of what the images are:

    - images that have a method `digest`: what it returns. `ImageFile` gives the bytes of a file,
      which is not decoded (a million small files take about ten seconds of the processor, large
      ones as long as a disk needs to read all), generated leaves the settings that each follows
      from, and datasets of one's own the pixels, see `base.OwnImage`.
    - any other images, and all those of a split with a `transform`: their pixels.

    Raises:
        InputError: An image that cannot be read.

    Example:
        >>> from l2rclip_lite.data import load_dataset
        >>> one, two = (load_dataset("leaves", size=60, pixels=side) for side in (64, 96))
        >>> fingerprint(one) == fingerprint(one), difference(fingerprint(one), fingerprint(two))
        (True, 'other images')
    """
    return f"{VERSION}:{_digest_of_names(data)}:{_digest_of_images(data)}"


def dataset_record(
    data: OrdinalDataset, source: Mapping[str, Any] | None, data_fingerprint: str
) -> dict[str, Any]:
    """Return what `config.json` says about the data of a run.

    Args:
        data: What the run is trained on.
        source: Arguments of `load_dataset`.
        data_fingerprint: See `fingerprint`.

    Raises:
        TypeError: A source that JSON cannot hold.
    """
    plain = None
    if source is not None:
        plain = json.loads(json.dumps(dict(source), default=os.fspath))  # paths as text
    return {
        "name": data.name,
        "source": plain,
        "fingerprint": data_fingerprint,
        "ranks": data.ranks.to_dict(),
        "counts": {split: data.counts(split) for split in SPLITS},
        "card": data.card.to_dict(),
        "protocol": list(data.protocol),
        "missing": list(data.missing),
    }


def difference(stored: str, current: str) -> str:
    """Return what has changed since a fingerprint was stored: "" where nothing has.

    Release 0.2 stored the names and labels alone: such a record agrees where these do.

    Args:
        stored: What a run directory holds.
        current: What `fingerprint` returns now.

    Example:
        >>> difference("2:ab:cd", "2:ab:cd"), difference("2:ab:cd", "2:ab:ef")
        ('', 'other images')
    """
    names = current.split(":")[1]
    if stored in (current, names):
        return ""
    if stored.startswith(f"{VERSION}:{names}:"):
        return "other images"
    return "other files, labels, splits or ranks"


def _digest_of_names(data: OrdinalDataset) -> str:
    """Return SHA-256 of the ranks, and of every name and label of the three splits."""
    digest = hashlib.sha256(json.dumps(data.ranks.to_dict()).encode())
    for split in SPLITS:
        part = data.split(split)
        for path, target in zip(part.paths, part.targets, strict=True):
            digest.update(f"\n{split}\t{path}\t{target}".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _digest_of_images(data: OrdinalDataset) -> str:
    """Return SHA-256 of the digests of all images."""
    whole = hashlib.sha256()
    for name in SPLITS:
        split = data.split(name)
        for index in range(len(split)):
            whole.update(split.digest(index) or pixel_digest(as_rgb(split[index][0])))
    return whole.hexdigest()
