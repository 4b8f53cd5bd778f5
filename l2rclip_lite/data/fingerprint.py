"""What a run remembers of its data: names, labels and ranks, and what the images show."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from l2rclip_lite.data.base import SPLITS, OrdinalDataset


def fingerprint(data: OrdinalDataset) -> str:
    """Return SHA-256 of the ranks, and of the name, the label and the content of every image.

    Subjects, deviations of labels and the suggested image size have no part in it. What an image
    is, its split says, see `Split.digest`. Files are not decoded: a million small ones take about
    ten seconds of the processor, large ones as long as a disk needs to read all.

    Raises:
        InputError: An image that cannot be read.

    Example:
        >>> from l2rclip_lite.data import load_dataset
        >>> one, two = (load_dataset("leaves", size=60, pixels=side) for side in (64, 96))
        >>> fingerprint(one) == fingerprint(one), fingerprint(one) == fingerprint(two)
        (True, False)
    """
    digest = hashlib.sha256(json.dumps(data.ranks.to_dict()).encode())
    for name in SPLITS:
        split = data.split(name)
        for index, (path, target) in enumerate(zip(split.paths, split.targets, strict=True)):
            digest.update(f"\n{name}\t{path}\t{target}\t".encode("utf-8", "surrogateescape"))
            digest.update(split.digest(index))
    return digest.hexdigest()


def dataset_record(
    data: OrdinalDataset, source: Mapping[str, Any] | None, data_fingerprint: str
) -> dict[str, Any]:
    """Return what `config.json` says about the data of a run.

    Args:
        data: What the run is trained on.
        source: Arguments of `load_dataset`.
        data_fingerprint: See `fingerprint`.
    """
    return {
        "name": data.name,
        "source": None if source is None else dict(source),
        "fingerprint": data_fingerprint,
        "ranks": data.ranks.to_dict(),
        "counts": {split: data.counts(split) for split in SPLITS},
        "card": data.card.to_dict(),
        "protocol": data.protocol,
        "missing": data.missing,
    }
