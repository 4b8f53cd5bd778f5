"""One colour, marker and name for each method and each data set, and parts that figures share."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.typing import ColorType

from l2rclip_book.plots import COLOURS

# contrast of at least 2.5 on white and on the dark page; warm colours for arms that read sentences,
# cold ones for those that do not
METHODS: dict[str, tuple[str, str]] = {
    "full": ("#c8553d", "o"),
    "template only": ("#d18f2b", "D"),
    "shuffled text": ("#b07aa1", "v"),
    "shuffled template": ("#b07aa1", "v"),
    "cross-entropy": ("#3b6fb6", "^"),
    "linear-probe": ("#58a3c9", "<"),
    "ridge": ("#2a8c82", "X"),
    "shuffled words": ("#b07aa1", "v"),
    "words": ("#d18f2b", "D"),
    "after stage 1": ("#c8553d", "o"),
    "numbers": ("#247a55", "P"),
    "median-rank": (COLOURS["reference"], "s"),
}
# name, colour (the first after Okabe and Ito), marker
DATA: dict[str, tuple[str, str, str]] = {
    "bracol-area": ("leaf damage, 21 ranks", "#d55e00", "o"),
    "apples81": ("apples, 20 ranks", "#009e73", "s"),
    "hc18": ("fetal head, 27 ranks", "#0072b2", "^"),
    "cherries81": ("cherries, 20 ranks", "#c2384a", "X"),
    "pears": ("pears, 20 ranks", "#7d8a00", "p"),
    "portraits": ("faces by age, 17 ranks", "#8560b8", "*"),
    "bracol": ("leaf damage, 5 ranks", "#d59400", "P"),
    "retinamnist": ("retina, 5 ranks", "#cc79a7", "v"),
    "leaves5": ("generated leaves, 5 ranks", "#98a5b3", "o"),
    "leaves20": ("generated leaves, 20 ranks", "#76818e", "<"),
    "leaves62": ("generated leaves, 62 ranks", "#56606b", ">"),
}
DARK = "#1f2933"  # on light boxes, whatever the page is
GRID = f"{COLOURS['ink']}40"
PAPER = "none"
WIDTH = 7.8


def look(arm: str) -> tuple[str, str]:
    """Return colour and marker of an arm; ink and a disc for one that has none.

    Example:
        >>> look("ridge"), look("mine")
        (('#2a8c82', 'X'), ('#76818e', 'o'))
    """
    return METHODS.get(arm, (COLOURS["ink"], "o"))


def ink_on(colour: ColorType) -> str:
    """Return a colour for text on a box: white or a dark tone; ink where the box is clear.

    Example:
        >>> ink_on("navy"), ink_on("yellow"), ink_on("none")
        ('white', '#1f2933', '#76818e')
    """
    red, green, blue, alpha = to_rgba(colour)
    if not alpha:
        return COLOURS["ink"]

    brightness = 0.3 * red + 0.59 * green + 0.11 * blue
    return "white" if brightness < 0.55 else DARK


def grid(axes: Iterable[Axes], titles: Sequence[str], along: str) -> None:
    """Write titles, and draw grid lines behind everything."""
    for axis, title in zip(axes, titles, strict=True):
        axis.set_title(title)
        axis.grid(axis="x" if along == "x" else "y", color=GRID, linewidth=0.8)
        axis.set_axisbelow(True)


def name_rows(axis: Axes, names: Sequence[str], size: float = 9.0) -> None:
    """Write one name per row, the first on top."""
    wrapped = [textwrap.fill(name, 44) for name in names]
    axis.set_yticks(range(len(names)), wrapped, fontsize=size)
    axis.set_ylim(len(names) - 0.5, -0.5)
