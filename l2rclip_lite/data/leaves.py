"""Generated leaf photographs whose rank is exact: the share of the blade that lesions cover.

What varies besides the rank (shape, colour, light, background, kind, colour, number and size of
lesions, yellowing, shadows) is drawn independently of it, so that the rank has to be read from the
leaf and not from the colour of the image. `leaf_painter` does the drawing.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
from PIL import Image
from pydantic import Field
from torch.utils.data import Dataset

from l2rclip_lite.data.base import SPLITS, OrdinalDataset, Seed, Split, validated
from l2rclip_lite.data.benchmarks import DATA_SETS
from l2rclip_lite.data.leaf_painter import paint_leaf
from l2rclip_lite.data.splits import stratified
from l2rclip_lite.errors import InputError
from l2rclip_lite.method.ranks import Ranks, number_words

PER_RANK = 3  # images at least: one for each split
PAINTER = 1  # to be raised when `paint_leaf` draws other pixels: runs remember it


@dataclass(eq=False)
class DrawnLeaves(Dataset[Image.Image]):
    """Leaves of given ranks; each is drawn when it is first asked for, and then kept.

    Args:
        ranks: The rank index of each leaf.
        edges: The shares of damage between the ranks, as `share_edges` gives them.
        seeds: Leaf `i` is drawn by a generator with the seed `[*seeds, i]`.
        pixels: The side of the images.
    """

    ranks: Sequence[int]
    edges: Sequence[float]
    seeds: Sequence[int]
    pixels: int
    _drawn: dict[int, Image.Image] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return the number of leaves."""
        return len(self.ranks)

    def __getitem__(self, index: int) -> Image.Image:
        """Return a copy of the image."""
        if index not in self._drawn:
            rank = self.ranks[index]
            low, high = self.edges[rank : rank + 2]
            generator = np.random.default_rng([*self.seeds, index])
            self._drawn[index] = paint_leaf(generator, low, high, pixels=self.pixels).image
        return self._drawn[index].copy()

    def digest(self, index: int) -> bytes:
        """Return SHA-256 of all that a leaf follows from; it is not drawn for that."""
        rank = self.ranks[index]
        edges = [*self.edges[rank : rank + 2]]
        settings = (PAINTER, rank, edges, list(self.seeds), index, self.pixels)
        return hashlib.sha256(repr(settings).encode()).digest()


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
    least = PER_RANK * ranks
    if size < least:
        raise InputError(f"leaves: size is {size}; give {least} or more, {PER_RANK} a rank.")

    targets = np.arange(size) % ranks
    parts = np.array(stratified(targets.tolist(), [seed]))
    edges = share_edges(ranks)

    splits: dict[str, Any] = {}
    for number, name in enumerate(SPLITS):
        generator = np.random.default_rng([seed, number])
        order = generator.permutation(targets[parts == name]).tolist()
        images = DrawnLeaves(order, edges, (seed, number), pixels)
        paths = [f"leaves/{name}/{index:05d}.png" for index in range(len(order))]
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
    five: Ranks = DATA_SETS["leaves"].ranks
    if ranks == len(five):
        return five

    top = max(60, ranks - 1)
    percent = [round(top * rank / (ranks - 1)) for rank in range(ranks)]
    names = tuple(f"{number_words(share)} percent" for share in percent)
    values = tuple(map(float, percent))
    return Ranks(names, values, "a photo of a leaf with {rank} damage", unit="percent")
