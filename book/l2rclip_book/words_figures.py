"""Figures of words after a relative: landings, orders, few images."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.figure import Figure

from l2rclip_book.evidence import nothing, range_figure
from l2rclip_book.plots import DATA, GRID, INK, canvas, drawn, grid, panels, rank_colours, write_in
from l2rclip_book.words import AMOUNTS, SETS, WORDS, by_labels

WARM = "#c8553d"  # reads sentences
COLD = "#3b6fb6"  # does not
OWN = "#247a55"  # reads those of its training
LINES = {  # name, colour, line, marker
    WORDS: ("words, after a relative", WARM, "-", "o"),
    "labels, relative by labels": ("labels, pretrained without text", COLD, "-", "^"),
    "words": ("words alone", WARM, ":", "o"),
    "labels": ("labels alone", COLD, ":", "^"),
}
ORDERS = {  # name, colour, marker
    "plain tower": ("sentences, plain tower", INK, "s"),
    "own outputs": ("pretrained without text, own outputs", COLD, "^"),
    "own numbers": ("the relative in its own sentences", OWN, "D"),
    "after a relative": ("sentences, after a relative", WARM, "o"),
}


@drawn()
def landings(places: Mapping[Sequence[str], Float[np.ndarray, " rank"]], most: float) -> Figure:
    """Draw where the sentences of other vocabularies land on a scale of percents.

    Args:
        places: For the names of each vocabulary, lowest first, the percent of each.
        most: The highest percent that the tower has learned.
    """
    figure = canvas(0.8 + 0.62 * len(places))
    axis = figure.subplots()
    for row, (names, percents) in enumerate(places.items()):
        rows = np.full(len(percents), row)
        axis.plot(percents, rows, color=GRID, linewidth=1, zorder=1)
        axis.scatter(percents, rows, s=90, c=rank_colours(len(names)), zorder=2)

        # from left to right above and below, so that names have room
        for order, rank in enumerate(np.argsort(percents, kind="stable")):
            height = row + 0.28 if order % 2 else row - 0.28
            write_in(axis, (percents[rank], height), names[rank], fontsize=8.5)

    axis.set(ylim=(len(places) - 0.4, -0.6), xlim=(-0.04 * most, 1.02 * most), yticks=[])
    axis.set(xlabel="percent of damage that the sentence is nearest to")
    axis.spines["left"].set_visible(False)
    return figure


@drawn()
def order_figure(orders: pd.DataFrame, chance: pd.DataFrame) -> Figure:
    """Draw how well each arm orders images whose labels nobody used.

    Args:
        orders: From `words.orders`.
        chance: From `words.chance_orders`.
    """
    sets = {data: DATA[data][0] for data in SETS if (orders["data"] == data).any()}
    marks = orders.rename(columns={"data": "row", "arm": "mark", "rho": "value"})
    figure, axis = range_figure(marks, sets, ORDERS)
    figure.set_figheight(1.2 + 0.72 * len(sets))

    band = chance.reindex(list(sets))
    width = band["chance_high"] - band["chance_low"]
    label = "sentences given to random ranks"
    axis.barh(range(len(sets)), width, 0.7, band["chance_low"], color=GRID, label=label)
    name = "Spearman's ρ of expected and true value (right is better; 0 is no order)"
    axis.set(xlim=(-1, 1), xlabel=name)
    figure.legend(loc="outside lower left", ncols=2)
    return figure


def shares_of_chance(table: pd.DataFrame) -> pd.DataFrame:
    """Return the RPS of each arm of `LINES`, in percent of that of the median rank.

    Args:
        table: Rows of all studies.

    Returns:
        Rows of `table` with `shots` (of `AMOUNTS`) and `share`.
    """
    rows = by_labels(table)
    rows = rows[rows["arm"].isin(LINES)]
    chance = table[(table["study"] == "words-new") & (table["arm"] == "median-rank")]
    both = rows.merge(chance[["data", "run", "rps"]], on=["data", "run"], suffixes=("", "_chance"))
    both["share"] = 100 * both["rps"].astype(float) / both["rps_chance"].astype(float)
    return both


@drawn()
def few_figure(shares: pd.DataFrame) -> Figure:
    """Draw the error over the number of labelled images a rank, a panel for each data set.

    Args:
        shares: From `shares_of_chance`.
    """
    if shares.empty:
        return nothing()

    by_data = dict(list(shares.groupby("data")))
    parts = {DATA[data][0]: by_data[data] for data in SETS if data in by_data}
    figure, shown = panels(parts, len(parts), 3.3)
    for axis, title, part in shown:
        for arm, (name, colour, line, marker) in LINES.items():
            rows = part[part["arm"] == arm]
            means = rows.groupby("shots")["share"].mean().reindex(AMOUNTS)
            axis.plot(AMOUNTS, means, line, color=colour, marker=marker, label=name)
            inside = colour if line == "-" else "none"
            axis.scatter(
                rows["shots"], rows["share"], s=11, color=inside, edgecolors=colour, alpha=0.6
            )
        grid(axis, "y", title)
        axis.axhline(100, color=INK, linewidth=1, linestyle="--")
        highest = max(115, 1.05 * part["share"].max())
        axis.set(ylim=(0, highest), xlabel="labels for each rank")
    first = figure.axes[0]
    first.set_ylabel("RPS, % of an answer\nthat looks at no image")
    figure.legend(
        *first.get_legend_handles_labels(), loc="outside lower left", ncols=4, columnspacing=1.2
    )
    return figure
