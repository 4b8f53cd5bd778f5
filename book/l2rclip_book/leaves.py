"""Generated leaf photographs whose rank is exact: the share of the blade that lesions cover.

What varies besides the rank (shape, colour, light, background, kind, colour, number and size of
lesions, yellowing, shadows) is drawn independently of it, so that the rank has to be read from the
leaf and not from the colour of the image. `leaf_painter` does the drawing.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from functools import cached_property
from typing import Annotated, Any

import numpy as np
from PIL import Image
from pydantic import Field

from l2rclip_book.leaf_painter import paint_leaf
from l2rclip_lite.data.base import SPLITS, OrdinalDataset, Seed, Split, validated
from l2rclip_lite.data.benchmarks import DATA_SETS
from l2rclip_lite.data.splits import stratified
from l2rclip_lite.method.ranks import Ranks, number_words

PAINTER = 1  # to be raised when `paint_leaf` draws other pixels: runs remember it


@dataclass(eq=False)
class DrawnLeaf:
    """A leaf that is drawn when it is first asked for, and then kept.

    Args:
        rank: Its rank index.
        shares: The lowest and the highest share of damage of this rank.
        seeds: With `place` the seed of the generator that draws it.
        place: In its split.
        pixels: The side of the image.
    """

    rank: int
    shares: Sequence[float]
    seeds: Sequence[int]
    place: int
    pixels: int

    @cached_property
    def image(self) -> Image.Image:
        """The image."""
        generator = np.random.default_rng([*self.seeds, self.place])
        return paint_leaf(generator, *self.shares, pixels=self.pixels).image

    def read(self, side: int | None = None) -> Image.Image:
        """Return a copy of the image, all of it."""
        return self.image.copy()

    def digest(self) -> bytes:
        """Return SHA-256 of all that the leaf follows from; it is not drawn for that."""
        settings = repr((PAINTER, *astuple(self)))
        return hashlib.sha256(settings.encode()).digest()


@validated
def load_leaves(
    ranks: Annotated[int, Field(ge=3, le=100, strict=False)] = 5,
    size: Annotated[int, Field(le=1_000_000)] = 600,
    seed: Seed = 0,
    pixels: Annotated[int, Field(ge=64, le=1024)] = 128,
) -> OrdinalDataset:
    """Return generated leaves, graded by the share of the blade that lesions cover.

    Rank k of K covers the shares of `share_edges(K)`; rank 0 has no lesion at all. Ranks are
    equally frequent, up to one image. An image depends on its seed, split and place alone, is drawn
    when first asked for, and then kept.

    Args:
        ranks: K, from 3 to 100. Five ranks are called no, very low, low, high, very high; any other
            number of ranks is called by its middle, such as "twenty percent".
        size: The number of images in all, at least three per rank.
        seed: Decides everything.
        pixels: The side of the images, from 64 to 1,024.

    Returns:
        A stratified 70/15/15 split.

    Raises:
        InputError: A number outside its range, or too few images for three splits.

    Example:
        >>> data = load_leaves(ranks=11, size=110)
        >>> data.ranks.sentences[2], data.train[0][0].size
        ('a photo of a leaf with twelve percent damage', (128, 128))
        >>> data.counts("val")
        [2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2]
    """
    targets = np.arange(size) % ranks
    parts = np.array(stratified(targets, [seed]))
    edges = share_edges(ranks)

    splits: dict[str, Any] = {}
    for number, name in enumerate(SPLITS):
        seeds = [seed, number]
        order = np.random.default_rng(seeds).permutation(targets[parts == name]).tolist()
        images = [
            DrawnLeaf(rank, edges[rank : rank + 2], seeds, place, pixels)
            for place, rank in enumerate(order)
        ]
        paths = [f"leaves/{name}/{place:05d}.png" for place in range(len(order))]
        splits[name] = Split(paths, order, images)

    return OrdinalDataset(
        "leaves",
        **splits,
        ranks=leaf_ranks(ranks),
        card=DATA_SETS["leaves"].card,
    )


def share_edges(ranks: int) -> list[float]:
    """Return the K + 1 edges between the ranks, as shares of the blade.

    With a top of T = max(60 %, K - 1 %) and steps of T / (K - 1), rank k is centred on k steps.
    Rank 0 is exactly nothing; rank 1 starts at 2 % or half a step, whichever is less.

    Example:
        >>> [round(edge, 3) for edge in share_edges(5)]
        [0.0, 0.02, 0.225, 0.375, 0.525, 0.675]
    """
    step = max(0.6, (ranks - 1) / 100) / (ranks - 1)
    edges = [0.0, min(0.02, step / 2)]
    edges += [(rank + 0.5) * step for rank in range(1, ranks)]
    return [min(edge, 1.0) for edge in edges]


def leaf_ranks(ranks: int = 5) -> Ranks:
    """Return words for five ranks, percentages otherwise.

    Example:
        >>> leaf_ranks(3).names
        ('zero percent', 'thirty percent', 'sixty percent')
    """
    five = DATA_SETS["leaves"].ranks
    if ranks == len(five):
        return five

    top = max(60, ranks - 1)
    percent = [round(top * rank / (ranks - 1)) for rank in range(ranks)]
    names = tuple(f"{number_words(share)} percent" for share in percent)
    values = tuple(map(float, percent))
    return Ranks(names, values, "a photo of a leaf with {rank} damage", unit="percent")
