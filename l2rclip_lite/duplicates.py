"""Pictures that show nearly the same: second shots, copies, crops. Between splits they turn a test into a memory test."""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Float
from PIL import Image

from l2rclip_lite.data.base import SPLITS, OrdinalDataset
from l2rclip_lite.metric_inputs import Array

SIDE = 12  # of a thumbnail, in pixels
BLOCK = 512  # thumbnails compared at once


def thumbnail(picture: Image.Image) -> Float[np.ndarray, " pixel"]:
    """A picture as 12 × 12 grey values with mean 0 and length 1: no colour, brightness or contrast, hardly a detail.

    Args:
        picture: Any picture.

    Returns:
        144 numbers; all 0 where the picture is of one grey.

    Example:
        >>> half = Image.new("L", (24, 24))
        >>> half.paste(200, (0, 0, 12, 24))
        >>> (thumbnail(half).reshape(12, 12)[0, [0, -1]] * 12).round(3).tolist()
        [1.0, -1.0]
    """
    grey = picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    values = np.asarray(grey, dtype=float).ravel()
    values -= values.mean()
    length = np.linalg.norm(values)
    return np.asarray(values / length if length > 1e-9 else 0 * values)


def near_duplicates(data: OrdinalDataset, *, threshold: float = 0.92) -> pd.DataFrame:
    """Pairs of pictures whose thumbnails are nearly the same, the most similar first; every picture is opened.

    It finds a second shot, another brightness, a narrow crop. It does not find the same thing from another side: if you
    know what a picture shows, split by that.

    Args:
        data: Any data set.
        threshold: The least cosine of two thumbnails, up to 1; look at the pairs to choose it.

    Returns:
        `similarity`, `first`, `first_split`, `second`, `second_split`, a row a pair.

    Example:
        >>> from l2rclip_lite.data import load_dataset
        >>> len(near_duplicates(load_dataset("leaves", size=60, pixels=64), threshold=0.95))
        0
    """
    parts = [(part, index) for part in SPLITS for index in range(len(data.split(part)))]
    thumbs = np.stack([thumbnail(data.split(part)[index][0]) for part, index in parts])
    table = []
    for start in range(0, len(thumbs), BLOCK):
        cosine = thumbs[start : start + BLOCK] @ thumbs.T
        for row, second in _above(cosine, start, threshold):
            one, two = parts[start + row], parts[second]
            names = [data.split(part).paths[index] for part, index in (one, two)]
            table.append((float(cosine[row, second]), names[0], one[0], names[1], two[0]))
    columns = ["similarity", "first", "first_split", "second", "second_split"]
    found = pd.DataFrame(table, columns=columns)
    return found.sort_values("similarity", ascending=False, kind="stable", ignore_index=True)


def _above(cosine: Array, start: int, threshold: float) -> list[tuple[int, int]]:
    """Pairs above the threshold, each once."""
    rows, columns = np.nonzero(cosine >= threshold)
    return [(int(r), int(c)) for r, c in zip(rows, columns, strict=True) if c > start + r]
