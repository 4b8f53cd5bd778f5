"""Figures of the evidence: gains with their intervals."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from l2rclip_book.gains import MEAN
from l2rclip_book.plots import DATA, INK, canvas, drawn, grid, name_rows, write_in


@drawn()
def intervals(gains: pd.DataFrame, *, label: str, title: str = "", limit: float = 30.0) -> Figure:
    """Draw gains with 95 % intervals, a line per comparison and within it a mark per data set.

    Args:
        gains: A row per comparison and data set: `row`, `data`, `gain`, `low`, `high`. The mean of
            the data sets is a diamond.
        label: Of the axis.
        title: The finding.
        limit: A mark further from 0 is drawn at the edge, with its number.
    """
    rows = list(gains["row"].unique())
    looks = DATA | {MEAN: (MEAN, INK, "D")}
    looks = {data: looks[data] for data in looks if (gains["data"] == data).any()}
    marks = gains.rename(columns={"data": "mark", "gain": "value"})
    ends = ["value", "low", "high"]
    marks[ends] = marks[ends].clip(-limit, limit)
    figure, axis = range_figure(marks, {row: row for row in rows}, looks)

    for _, far in gains[gains["gain"].abs() > limit].iterrows():
        place = rows.index(far["row"]) + shift_of(list(looks).index(far["data"]), len(looks))
        colour = looks[far["data"]][1]
        write_in(
            axis,
            (0.96 * limit * np.sign(far["gain"]), place),
            f"{far['gain']:+.0f} %".replace("-", "−"),
            colour,
            ha="right" if far["gain"] > 0 else "left",
            fontsize=8,
            bbox={"facecolor": colour, "edgecolor": "none", "pad": 0.5},
        )

    axis.set(xlabel=label)
    figure.legend(loc="outside lower left", ncols=4, handletextpad=0.1, columnspacing=1.2)
    figure.suptitle(title, x=0.01, ha="left", fontsize=10.5, fontweight="bold")
    return figure


def shift_of(at: int, number: int) -> float:
    """Return where a mark lies in its row, from -0.35 above to 0.35 below."""
    return 0.7 * ((at + 0.5) / number - 0.5)


def range_figure(
    table: pd.DataFrame,
    rows: Mapping[str, str],
    looks: Mapping[str, tuple[str, str, str]],
) -> tuple[Figure, Axes]:
    """Draw marks with their ranges, one below the other in each row; no legend yet.

    Args:
        table: `row`, `mark`, `value`, `low` and `high`.
        rows: What is written beside each, the first on top.
        looks: Name, colour and marker of each mark.
    """
    if not rows:
        empty = nothing()
        return empty, empty.axes[0]

    figure = canvas(1.3 + (0.1 + 0.095 * len(looks)) * len(rows))
    axis = figure.subplots()
    axis.axvline(0, color=INK, linewidth=1)
    for at, (mark, (name, colour, marker)) in enumerate(looks.items()):
        own = table[table["mark"] == mark].set_index("row").reindex(list(rows))
        places = np.arange(len(rows)) + shift_of(at, len(looks))
        axis.hlines(places, own["low"], own["high"], color=colour, linewidth=2.4)
        axis.scatter(own["value"], places, marker=marker, s=32, color=colour, zorder=3, label=name)
    grid(axis, "x")
    name_rows(axis, list(rows.values()))
    return figure, axis


def nothing() -> Figure:
    """Return a figure that says why it is empty."""
    figure = canvas(1.3)
    axis = figure.subplots()
    axis.axis("off")
    axis.text(0, 0.5, "no rows of these runs here")
    return figure
