"""Marks that the figures of the losses share: texts as numbered discs on a circle, arrows, rulers, and the three orders."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import FancyArrowPatch
from torch import Tensor

from l2rclip_lite.method_style import PAPER, look
from l2rclip_lite.plots import COLOURS, rank_colours

INK, GREY = COLOURS["ink"], COLOURS["reference"]
# name, colour and marker of each weight of the push
ORDERS = {
    "true": ("true order", *look("full")),
    "blind": ("order-blind", GREY, "s"),
    "shuffled": ("shuffled", *look("shuffled text")),
}


def circle(axis: Axes, text: Tensor, *, arc: bool = False) -> None:
    """The circle (or the part of it that is used) and the texts on it."""
    reach = np.linspace(-35, 215, 200) if arc else np.linspace(0, 360, 200)
    axis.plot(*np.stack([np.cos(np.radians(reach)), np.sin(np.radians(reach))]), color="#c9d1d9", linewidth=1.3,
              zorder=0)  # fmt: skip
    for rank, (at, colour) in enumerate(zip(text, rank_colours(len(text)), strict=True)):
        disc(axis, at.numpy(), rank, colour)
    bare(axis, 1.3)


def disc(axis: Axes, at: np.ndarray, rank: int, colour: tuple[float, ...]) -> None:
    """A text: a disc in the colour of its rank, with its number."""
    x, y = at.tolist()
    dark = sum(w * c for w, c in zip((0.3, 0.59, 0.11), colour, strict=False)) < 0.55
    axis.scatter(x, y, s=175, color=colour, zorder=3)
    axis.text(x, y, str(rank), ha="center", va="center_baseline", fontsize=9, color="white" if dark else INK,
              zorder=4)  # fmt: skip


def bare(axis: Axes, reach: float) -> None:
    """Equal scales, no frame."""
    axis.set(aspect="equal", xticks=[], yticks=[], xlim=(-reach, reach), ylim=(-reach, reach))
    axis.spines[:].set_visible(False)


def arrow(axis: Axes, start: Tensor, end: Tensor, colour: object, width: float) -> None:
    """An arrow from place to place."""
    axis.add_patch(
        FancyArrowPatch(
            tuple(start.tolist()),
            tuple(end.tolist()),
            arrowstyle="-|>",
            mutation_scale=4 + 4 * width,
            color=colour,
            linewidth=width,
            shrinkA=0,
            shrinkB=0,
            zorder=5,
        )
    )


def line(axis: Axes, start: Tensor, end: Tensor, colour: object, weight: float, words: str) -> None:
    """A pair: a line as strong as its weight, with words in its middle."""
    axis.plot(*np.stack([start, end]).T, color=colour, linewidth=0.8 + 2.6 * weight, zorder=1)
    x, y = (0.62 * start + 0.38 * end).tolist()
    axis.text(x, y, words, ha="center", va="center", fontsize=9, color=INK, zorder=5,
              bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1.2})  # fmt: skip


def ruler(axis: Axes, text_degrees: Sequence[float], own: int, *, numbers: bool = True) -> None:
    """A line at each text, its own one solid."""
    for rank, (at, colour) in enumerate(zip(text_degrees, rank_colours(len(text_degrees)), strict=True)):
        axis.axvline(at, color=colour, linewidth=2.4 if rank == own else 1.4, linestyle="-" if rank == own else ":",
                     zorder=0)  # fmt: skip
        if numbers:
            axis.annotate(str(rank), (at, 1), (0, 2), xycoords=("data", "axes fraction"), textcoords="offset points",
                          ha="center", va="bottom", fontsize=8.5, color=INK)  # fmt: skip


def lighter(colour: str, share: float) -> tuple[float, ...]:
    """A share of a colour, the rest white."""
    return tuple(share * part + 1 - share for part in to_rgb(colour))
