"""Nearly the same picture in two splits: copies that were saved again, made smaller or brighter."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

SIDE = 16  # of the grid that is compared
# Of 256 bits. Of 400 images each of seven real data sets, the two most alike differ in 26 or more.
# An image and its copy as a JPEG of quality 60, or at half size, differ in 19 at most for 19 of 20
# images of six of these sets, and in 35 for those of apples81.
MAX_DISTANCE = 20
MIN_EDGES = SIDE * SIDE // 4  # an image of nearly one colour has too little to compare
BLOCK = 256  # rows that are compared at once


def difference_hash(image: Image.Image) -> np.ndarray | None:
    """Return where an image gets brighter from left to right, on a grid of 16 × 16.

    Source: the difference hash dHash, with 256 bits in place of 64, which cannot tell apart images
    of one kind (two coffee leaves differ in 2 of 64 bits).

    Args:
        image: An RGB image.

    Returns:
        (256,) of +1 and -1, float32; None of an image that has nearly one colour.

    Example:
        >>> difference_hash(Image.linear_gradient("L").rotate(90).convert("RGB")).sum()
        np.float32(256.0)
        >>> difference_hash(Image.new("RGB", (32, 32), "red")) is None
        True
    """
    small = image.resize((SIDE + 1, SIDE), Image.Resampling.BOX).convert("L")
    grey = np.asarray(small, np.int16)
    steps = np.diff(grey, axis=1).ravel()
    if np.count_nonzero(steps) < MIN_EDGES:
        return None
    return np.where(steps > 0, np.float32(1), np.float32(-1))


def nearest_copies(
    hashes: Sequence[np.ndarray | None], earlier: Sequence[np.ndarray | None]
) -> list[int | None]:
    """Return for each image which earlier one is nearly the same picture.

    All pairs are compared, by one matrix product for each block: 55,134 images take seconds.

    Args:
        hashes: What `difference_hash` returns of each image.
        earlier: The same of the images to compare with.

    Returns:
        The place of the nearest in `earlier`, if no more than `MAX_DISTANCE` bits differ.

    Example:
        >>> one = np.ones(256, np.float32)
        >>> nearest_copies([one, -one, None], [None, one])
        [1, None, None]
    """
    ours = {row: bits for row, bits in enumerate(hashes) if bits is not None}
    theirs = {place: bits for place, bits in enumerate(earlier) if bits is not None}
    nearest: list[int | None] = [None] * len(hashes)
    if not ours or not theirs:
        return nearest

    rows = list(ours)
    places = list(theirs)
    candidates = np.stack(list(theirs.values())).T
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        agreement = np.stack([ours[row] for row in block]) @ candidates  # 256 - 2 · other bits
        distance = (SIDE * SIDE - agreement.max(axis=1)) / 2
        for row, place, bits in zip(block, agreement.argmax(axis=1), distance, strict=True):
            if bits <= MAX_DISTANCE:
                nearest[row] = places[place]
    return nearest
