"""Generated leaf photographs whose rank is exact: the share of the blade that lesions cover.

What varies besides the rank (species, colour, light, background, kind, colour, number and size of lesions,
yellowing, dew, shadows) is drawn independently of it, so that the rank has to be read from the leaf and not
from the colour of the picture. `leaf_painter` does the drawing.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from PIL import Image

from l2rclip_lite.data.base import SPLITS, Card, OrdinalDataset, Split, stratified
from l2rclip_lite.data.leaf_painter import paint_leaf
from l2rclip_lite.errors import InputError
from l2rclip_lite.ranks import Ranks, number_words

FIVE = ("no", "very low", "low", "high", "very high")
TEMPLATE = "a photo of a leaf with {rank} damage"
CARD = Card(
    name="leaves",
    title="Generated leaves",
    source="drawn by l2rclip_lite.data.leaves",
    licence="CC0 1.0",
    citation="none",
    notes="Drawn, not photographed: a result shows that a method works, not how it does on real leaves.",
    terms="Anything.",
    leakage="None: no picture is drawn twice.",
)


def load_leaves(ranks: int = 5, size: int = 600, seed: int = 0, pixels: int = 128) -> OrdinalDataset:
    """Generated leaves, graded by the share of the blade that lesions cover.

    Rank k of K covers the shares of `share_edges(K)`; rank 0 has no lesion at all. Ranks are equally
    frequent, up to one image. A picture depends on its seed, split and place alone, is drawn when first asked
    for, and then kept.

    Args:
        ranks: K, from 3 to 100. Five ranks are called no, very low, low, high, very high; any other number of
            ranks is called by its middle, such as "twenty percent".
        size: The number of images in all, at least three a rank.
        seed: Decides everything.
        pixels: The side of the pictures.

    Returns:
        A stratified 70/15/15 split.

    Raises:
        InputError: A number outside its range.

    Example:
        >>> data = load_leaves(ranks=11, size=110)
        >>> data.ranks.sentences[2], data.counts("val"), data.train[0][0].size
        ('a photo of a leaf with twelve percent damage', [2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2], (128, 128))
    """
    ranks = _whole("ranks", ranks, 3, 100)
    size = _whole("size", size, 3 * ranks, 1_000_000)
    seed = _whole("seed", seed, 0, 2**63)
    pixels = _whole("pixels", pixels, 64, 1024)
    targets = [index % ranks for index in range(size)]
    parts = stratified(targets, seed)
    edges = share_edges(ranks)

    def one(number: int, name: str) -> Split:
        mine = [target for target, part in zip(targets, parts, strict=True) if part == name]
        order = np.random.default_rng([seed, number]).permutation(mine).tolist()

        @cache
        def drawn(index: int) -> Image.Image:
            rank = order[index]
            generator = np.random.default_rng([seed, number, index])
            return paint_leaf(generator, edges[rank], edges[rank + 1], pixels=pixels).image

        return Split(
            [f"leaves/{name}/{i:05d}.png" for i in range(len(order))], order, lambda i: drawn(i).copy()
        )

    train, val, test = (one(number, name) for number, name in enumerate(SPLITS))
    return OrdinalDataset("leaves", train, val, test, _label_space(ranks), CARD)


def _whole(name: str, value: object, low: int, high: int) -> int:
    """A whole number in its range."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InputError(f"leaves: {name} must be a whole number from {low} to {high}, not {value!r}.")
    return value


def share_edges(ranks: int) -> list[float]:
    """The K + 1 edges between the ranks, as shares of the blade.

    With a top of T = max(60 %, K - 1 %) and steps of T / (K - 1), rank k is centred on k steps. Rank 0 is
    exactly nothing; rank 1 starts at 2 % or half a step, whichever is less.

    Example:
        >>> [round(edge, 3) for edge in share_edges(5)]
        [0.0, 0.02, 0.225, 0.375, 0.525, 0.675]
    """
    step = max(0.6, (ranks - 1) / 100) / (ranks - 1)
    edges = [0.0, min(0.02, step / 2), *((rank + 0.5) * step for rank in range(1, ranks))]
    return [min(edge, 1.0) for edge in edges]


def _label_space(ranks: int) -> Ranks:
    """Words for five ranks, percentages otherwise."""
    if ranks == 5:
        return Ranks(FIVE, (0.0, 1.0, 2.0, 3.0, 4.0), TEMPLATE)
    percent = [round(max(60, ranks - 1) * rank / (ranks - 1)) for rank in range(ranks)]
    return Ranks(
        tuple(f"{number_words(p)} percent" for p in percent),
        tuple(map(float, percent)),
        TEMPLATE,
        unit="percent",
    )
