"""Figures of words after a relative: where sentences land, what they order, what few images add."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from l2rclip_book.evidence import nothing
from l2rclip_book.plots import COLOURS, rank_colours, style
from l2rclip_book.style import DATA, GRID, WIDTH, grid
from l2rclip_book.words import SETS, SHOTS, WORDS

WARM = "#c8553d"  # reads sentences
COLD = "#3b6fb6"  # does not
OWN = "#247a55"  # reads those of its training
LINES: dict[str, tuple[str, str, str, str]] = {  # name, colour, line, marker
    WORDS: ("words, after a relative", WARM, "-", "o"),
    "labels, relative by labels": ("labels, after one by labels", COLD, "-", "^"),
    "words": ("words alone", WARM, ":", "o"),
    "labels": ("labels alone", COLD, ":", "^"),
}
ORDERS: dict[str, tuple[str, str, str]] = {  # name, colour, marker
    "plain tower": ("sentences, plain tower", COLOURS["ink"], "s"),
    "own outputs": ("a relative by labels, its own outputs", COLD, "^"),
    "own numbers": ("the relative in its own sentences", OWN, "D"),
    "after a relative": ("sentences, after a relative", WARM, "o"),
}
BAND = "sentences given to random ranks"
ALL_IMAGES = {"words": "L2RCLIP", "labels": "rps"}  # as `at-best` names these arms
AMOUNTS = (*SHOTS, "all")


def landings(places: Mapping[Sequence[str], Float[np.ndarray, " rank"]], most: float) -> Figure:
    """Draw where the sentences of other vocabularies land on a scale of percents.

    Args:
        places: For the names of each vocabulary, lowest first, the percent of each.
        most: The highest percent that the tower has learned.
    """
    with style():
        figure = Figure(figsize=(WIDTH, 0.8 + 0.62 * len(places)), layout="constrained")
        axis = figure.subplots()
        for row, (names, percents) in enumerate(places.items()):
            axis.plot(percents, np.full(len(percents), row), color=GRID, linewidth=1, zorder=1)
            _name_landings(axis, row, names, percents)

        axis.set(ylim=(len(places) - 0.4, -0.6), xlim=(-0.04 * most, 1.02 * most), yticks=[])
        axis.set_xlabel("percent of damage that the sentence is nearest to")
        axis.spines[["left", "right", "top"]].set_visible(False)
    return figure


def _name_landings(
    axis: Axes, row: int, names: Sequence[str], percents: Float[np.ndarray, " rank"]
) -> None:
    """Draw a dot for each name, and the name below or above it."""
    colours = rank_colours(len(names))
    by_place = np.argsort(percents, kind="stable")
    for order, rank in enumerate(by_place):
        axis.scatter(percents[rank], row, s=90, color=colours[rank], zorder=2)
        above = order % 2 == 0
        axis.annotate(
            names[rank],
            (percents[rank], row),
            xytext=(0, 8 if above else -8),
            textcoords="offset points",
            ha="center",
            va="bottom" if above else "top",
            fontsize=8.5,
        )


def order_figure(orders: pd.DataFrame, chance: pd.DataFrame) -> Figure:
    """Draw how well each arm orders images whose labels nobody used.

    Args:
        orders: From `words.orders`.
        chance: From `words.chance_orders`.
    """
    sets = [data for data in SETS if (orders["data"] == data).any()]
    with style():
        figure = Figure(figsize=(WIDTH, 1.2 + 0.72 * max(len(sets), 1)), layout="constrained")
        if not sets:
            return nothing(figure)
        axis = figure.subplots()
        axis.axvline(0, color=COLOURS["ink"], linewidth=1)
        band = chance.reindex(sets)
        width = band["chance_high"] - band["chance_low"]
        axis.barh(
            range(len(sets)), width, left=band["chance_low"], height=0.7, color=GRID, label=BAND
        )
        for at, (arm, (name, colour, marker)) in enumerate(ORDERS.items()):
            rows = orders[orders["arm"] == arm].set_index("data").reindex(sets)
            places = np.arange(len(sets)) + 0.18 * (at - 1.5)
            axis.hlines(places, rows["low"], rows["high"], color=colour, linewidth=2.4)
            axis.scatter(
                rows["rho"], places, marker=marker, s=36, color=colour, label=name, zorder=3
            )

        grid([axis], [""], "x")
        axis.set_yticks(range(len(sets)), [DATA[data][0] for data in sets])
        axis.set(ylim=(len(sets) - 0.5, -0.5), xlim=(-1, 1))
        axis.set_xlabel("Spearman's ρ of expected and true value (right is better; 0 is no order)")
        figure.legend(loc="outside lower left", ncols=2)
    return figure


def shares_of_chance(table: pd.DataFrame) -> pd.DataFrame:
    """Return the RPS of each arm of `LINES`, in percent of that of the median rank.

    Args:
        table: Rows of all studies.

    Returns:
        `data`, `run`, `arm`, `shots` (of `AMOUNTS`) and `share`.
    """
    chance = table[(table["study"] == "words-new") & (table["arm"] == "median-rank")]
    few = table[table["study"].isin(["words-few", "words-curve"])]
    few = few.assign(shots=few["condition"].str.removeprefix("few_shot="))

    own = table[table["study"] == "words-all"]
    earlier = table[(table["study"] == "at-best") & table["arm"].isin(ALL_IMAGES.values())]
    names = {theirs: ours for ours, theirs in ALL_IMAGES.items()}
    whole = pd.concat([own, earlier.replace({"arm": names})]).assign(shots="all")

    rows = pd.concat([few, whole])
    rows = rows[rows["arm"].isin(LINES) & rows["shots"].isin(AMOUNTS)]
    rows = rows.merge(chance[["data", "run", "rps"]], on=["data", "run"], suffixes=("", "_chance"))
    rows["share"] = 100 * rows["rps"].astype(float) / rows["rps_chance"].astype(float)
    return rows[["data", "run", "arm", "shots", "share"]]


def few_figure(shares: pd.DataFrame) -> Figure:
    """Draw the error over the number of labelled images a rank, a panel for each data set.

    Args:
        shares: From `shares_of_chance`.
    """
    sets = [data for data in SETS if (shares["data"] == data).any()]
    with style():
        figure = Figure(figsize=(WIDTH, 3.3), layout="constrained")
        if not sets:
            return nothing(figure)

        axes = figure.subplots(1, len(sets), squeeze=False)[0]
        for axis, data in zip(axes, sets, strict=True):
            _draw_lines(axis, shares[shares["data"] == data], DATA[data][0])
            axis.set_xlabel("labels for each rank")
        axes[0].set_ylabel("error (RPS), % of an answer\nthat looks at no image")
        lines, names = axes[0].get_legend_handles_labels()
        figure.legend(lines, names, loc="outside lower left", ncols=4, columnspacing=1.2)
    return figure


def _draw_lines(axis: Axes, shares: pd.DataFrame, title: str) -> None:
    """Draw a line for each arm, the mean of its runs, and a dot for each of them."""
    axis.axhline(100, color=COLOURS["reference"], linewidth=1, linestyle="--")
    for arm, (name, colour, line, marker) in LINES.items():
        rows = shares[shares["arm"] == arm]
        means = rows.groupby("shots")["share"].mean().reindex(AMOUNTS)
        axis.plot(AMOUNTS, means, line, color=colour, marker=marker, label=name)
        inside = colour if line == "-" else "none"
        axis.scatter(rows["shots"], rows["share"], s=11, color=inside, edgecolors=colour, alpha=0.6)
    grid([axis], [""], "y")
    axis.set_title(title, fontsize=9)
    axis.set_ylim(0, max(115, 1.05 * shares["share"].max()))
