"""One colour, marker and name for each method and each data set, and what every figure over methods shares."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from matplotlib.axes import Axes

from l2rclip_book.plots import COLOURS, STYLE

# warm colours for arms that read sentences, cold ones for those that do not
METHODS: dict[str, tuple[str, str]] = {
    "full": ("#c8553d", "o"),
    "template only": ("#e09f3e", "D"),
    "shuffled text": ("#b07aa1", "v"),
    "shuffled template": ("#b07aa1", "v"),
    "cross-entropy": ("#3b6fb6", "^"),
    "linear-probe": ("#76b7d8", "<"),
    "ridge": ("#2a8c82", "X"),
    "shuffled words": ("#b07aa1", "v"),
    "words": ("#e09f3e", "D"),
    "after stage 1": ("#c8553d", "o"),
    "numbers": ("#1f6f54", "P"),
    "median-rank": ("#6b7280", "s"),
}
# name, colour (Okabe and Ito), marker
DATA: dict[str, tuple[str, str, str]] = {
    "bracol-area": ("leaf damage, 21 ranks", "#d55e00", "o"),
    "apples81": ("apples on a tree, 20 ranks", "#009e73", "s"),
    "hc18": ("fetal head, 27 ranks", "#0072b2", "^"),
    "bracol": ("leaf damage, 5 ranks", "#e69f00", "P"),
    "retinamnist": ("retina, 5 ranks", "#cc79a7", "v"),
    "leaves5": ("generated leaves, 5 ranks", "#b6c2cf", "o"),
    "leaves20": ("generated leaves, 20 ranks", "#8b98a8", "<"),
    "leaves62": ("generated leaves, 62 ranks", "#56606b", ">"),
}
GRID, PAPER, WIDTH = "#e4e7eb", STYLE["axes.facecolor"], 7.8


def look(arm: str) -> tuple[str, str]:
    """Colour and marker of an arm; ink and a disc for one that has none.

    Example:
        >>> look("ridge"), look("mine")
        (('#2a8c82', 'X'), ('#1f2933', 'o'))
    """
    return METHODS.get(arm, (COLOURS["ink"], "o"))


def grid(axes: Iterable[Axes], titles: Sequence[str], along: str) -> None:
    """Titles, and grid lines behind everything."""
    for axis, title in zip(axes, titles, strict=True):
        axis.set_title(title)
        axis.grid(axis="x" if along == "x" else "y", color=GRID, linewidth=0.8)
        axis.set_axisbelow(True)


def name_rows(axis: Axes, names: Sequence[str], size: float = 9.0) -> None:
    """One name per row, the first on top."""
    axis.set_yticks(range(len(names)), [textwrap.fill(name, 44) for name in names], fontsize=size)
    axis.set_ylim(len(names) - 0.5, -0.5)
