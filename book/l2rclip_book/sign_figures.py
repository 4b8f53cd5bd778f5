"""Figure of the signs of failure: runs of a page over the ranges that were measured before."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from l2rclip_book.plots import style
from l2rclip_book.provoked import HEALTHY
from l2rclip_book.signs import SIGNS, Range, Sign
from l2rclip_book.style import GRID, WIDTH

GOOD = "#0072b2"  # after Okabe and Ito
BAD = "#d55e00"
Values = Mapping[str, float | str]


def sign_ranges(runs: Mapping[str, Values]) -> Figure:
    """Draw each sign of a healthy run, and of the run that was made to fail in its way.

    Bands are the ranges of earlier runs, see `signs.SIGNS`. The second dot is that of the run that
    should fire the sign.

    Args:
        runs: What `signs.measure` returns, by name of the run: `HEALTHY`, or one of `PROVOKED`.
    """
    with style():
        height = 0.6 + 0.62 * len(SIGNS)
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        axes = figure.subplots(len(SIGNS), squeeze=False)[:, 0]

        for axis, sign in zip(axes, SIGNS, strict=True):
            _draw_band(axis, 0, sign.healthy, GOOD)
            _draw_band(axis, 1, sign.provoked, BAD)
            for row, name, colour in ((0, HEALTHY, GOOD), (1, sign.provoked_by, BAD)):
                value = runs.get(name, {}).get(sign.column)
                if isinstance(value, float):
                    axis.scatter(value, row, color=colour, marker="oX"[row], s=45, zorder=3)
            _name(axis, sign)
        axes[0].set_title("blue: healthy runs      orange: runs that fail on purpose")
    return figure


def _draw_band(axis: Axes, row: int, values: Range, colour: str) -> None:
    """Draw a range as a band in its row; a range of one value is still seen."""
    low, high = values
    axis.plot([low, high], [row, row], color=colour, linewidth=9, alpha=0.35, zorder=1)


def _name(axis: Axes, sign: Sign) -> None:
    """Write the name of a sign beside its rows, and its limit as a dashed line."""
    axis.set_yticks([0.5], [sign.short], fontsize=9)
    axis.tick_params(axis="y", length=0)
    axis.tick_params(axis="x", labelsize=8)
    axis.set_ylim(1.7, -0.7)
    axis.grid(axis="x", color=GRID, linewidth=0.8)
    if sign.threshold is not None:
        axis.axvline(sign.threshold, color=GRID, linewidth=1.5, linestyle="--")
