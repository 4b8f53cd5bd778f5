"""Figures of words after a relative: landings, orders, few images, and four ways to train."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from l2rclip_book.evidence import nothing
from l2rclip_book.gains import MANY
from l2rclip_book.plots import DATA, GRID, INK, canvas, grid, rank_colours, style
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
    "plain tower": ("sentences, plain tower", INK, "s"),
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
        figure = canvas(0.8 + 0.62 * len(places))
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
        figure = canvas(1.2 + 0.72 * max(len(sets), 1))
        if not sets:
            return nothing(figure)

        axis = figure.subplots()
        axis.axvline(0, color=INK, linewidth=1)
        low, high = (chance[name].reindex(sets) for name in ("chance_low", "chance_high"))
        axis.barh(range(len(sets)), high - low, left=low, height=0.7, color=GRID, label=BAND)
        _draw_ways(axis, orders.rename(columns={"arm": "way", "rho": "mark"}), sets, ORDERS)
        axis.set_xlim(-1, 1)
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
        figure = canvas(3.3)
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
    axis.axhline(100, color=INK, linewidth=1, linestyle="--")
    for arm, (name, colour, line, marker) in LINES.items():
        rows = shares[shares["arm"] == arm]
        means = rows.groupby("shots")["share"].mean().reindex(AMOUNTS)
        axis.plot(AMOUNTS, means, line, color=colour, marker=marker, label=name)
        inside = colour if line == "-" else "none"
        axis.scatter(rows["shots"], rows["share"], s=11, color=inside, edgecolors=colour, alpha=0.6)
    grid(axis, "y", title)
    axis.set_ylim(0, max(115, 1.05 * shares["share"].max()))


SPEEDS = {  # study, condition, arm, colour, marker
    "frozen tower, all images": ("main", "", "L2RCLIP", "#58a3c9", "s"),
    "tuned tower, all images": ("at-best", "", "L2RCLIP", WARM, "o"),
    "tuned, plain tower, 4 images a rank": ("words-few", "few_shot=4", "words", "#b07aa1", "v"),
    "tuned, after a relative, 4 images a rank": ("words-few", "few_shot=4", WORDS, OWN, "^"),
}


def speed_shares(table: pd.DataFrame) -> pd.DataFrame:
    """Return the test RPS of four ways to train, in percent of that of the median rank.

    Args:
        table: Rows of all studies.

    Returns:
        `data`, `speed` (a key of `SPEEDS`), `share`, a mean over the runs that the tuned towers
        have, and `low` and `high`, its range over them.
    """
    of_tuned = table[table["study"] == "at-best"][["data", "run"]].drop_duplicates()
    chance = table[(table["study"] == "main") & (table["arm"] == "median-rank")]
    rps_of_chance = chance[chance["condition"] == ""].set_index(["data", "run"])["rps"]

    rows = []
    for speed, (study, condition, arm, *_) in SPEEDS.items():
        where = (table["study"] == study) & (table["arm"] == arm)
        of_arm = table[where & (table["condition"] == condition)].merge(of_tuned)
        rps = of_arm[of_arm["data"].isin(MANY)].set_index(["data", "run"])["rps"]
        of_fold = (100 * rps / rps_of_chance).dropna()
        for data, shares in of_fold.groupby("data"):
            rows.append((data, speed, shares.mean(), shares.min(), shares.max()))
    return pd.DataFrame(rows, columns=["data", "speed", "share", "low", "high"])


def speeds_figure(shares: pd.DataFrame) -> Figure:
    """Draw a line for each data set, with a mark for each way to train.

    Args:
        shares: From `speed_shares`.
    """
    sets = [data for data in MANY if (shares["data"] == data).any()]
    with style():
        figure = canvas(1.4 + 0.42 * len(sets))
        if not sets:
            return nothing(figure)

        axis = figure.subplots()
        axis.axvline(100, color=INK, linewidth=1, linestyle="--")
        ways = {speed: (speed, colour, marker) for speed, (*_, colour, marker) in SPEEDS.items()}
        _draw_ways(axis, shares.rename(columns={"speed": "way", "share": "mark"}), sets, ways)
        axis.set_xlim(0, 1.05 * max(115, shares["high"].max()))
        axis.set_xlabel(
            "error (RPS), % of that of the median rank; dots are means, lines ranges of runs"
        )
        figure.legend(loc="outside lower left", ncols=2)
    return figure


def _draw_ways(
    axis: Axes, table: pd.DataFrame, sets: Sequence[str], ways: Mapping[str, tuple[str, str, str]]
) -> None:
    """Draw a line for each data set, and on it a mark with its range for each way to train.

    Args:
        axis: Where to draw.
        table: `data`, `way`, `mark`, `low` and `high`.
        sets: The first on top.
        ways: Name, colour and marker of each.
    """
    for at, (way, (name, colour, marker)) in enumerate(ways.items()):
        rows = table[table["way"] == way].set_index("data").reindex(sets)
        places = np.arange(len(sets)) + 0.17 * (at - 1.5)
        axis.hlines(places, rows["low"], rows["high"], color=colour, linewidth=2.4)
        axis.scatter(rows["mark"], places, marker=marker, s=36, color=colour, label=name, zorder=3)

    grid(axis, "x")
    axis.set_yticks(range(len(sets)), [DATA[data][0] for data in sets])
    axis.set_ylim(len(sets) - 0.5, -0.5)
