"""What a minute, ten minutes and few images bring: four ways to train on one's own images."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from l2rclip_book.evidence import nothing
from l2rclip_book.gains import MANY
from l2rclip_book.plots import COLOURS, style
from l2rclip_book.style import DATA, WIDTH, grid
from l2rclip_book.words import WORDS

SPEEDS: dict[str, tuple[str, str, str, str]] = {  # study, condition, arm, marker
    "frozen tower, all images": ("main", "", "L2RCLIP", "s"),
    "tuned tower, all images": ("at-best", "", "L2RCLIP", "o"),
    "tuned, plain tower, 4 images a rank": ("words-few", "few_shot=4", "words", "v"),
    "tuned, after a relative, 4 images a rank": ("words-few", "few_shot=4", WORDS, "^"),
}
SHADES = ("#58a3c9", "#c8553d", "#b07aa1", "#247a55")


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
    for speed, (study, condition, arm, _) in SPEEDS.items():
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
        figure = Figure(figsize=(WIDTH, 1.4 + 0.42 * len(sets)), layout="constrained")
        if not sets:
            return nothing(figure)

        axis = figure.subplots()
        axis.axvline(100, color=COLOURS["reference"], linewidth=1, linestyle="--")
        for at, (speed, colour) in enumerate(zip(SPEEDS, SHADES, strict=True)):
            rows = shares[shares["speed"] == speed].set_index("data").reindex(sets)
            places = [row + 0.16 * (at - 1.5) for row in range(len(sets))]
            marker = SPEEDS[speed][3]
            axis.hlines(places, rows["low"], rows["high"], color=colour, linewidth=2)
            axis.scatter(rows["share"], places, marker=marker, color=colour, s=34, label=speed)

        grid([axis], [""], "x")
        axis.set_yticks(range(len(sets)), [DATA[data][0] for data in sets])
        axis.set(xlim=(0, 1.05 * max(115, shares["high"].max())), ylim=(len(sets) - 0.5, -0.5))
        axis.set_xlabel(
            "error (RPS), % of that of the median rank; dots are means, lines ranges of runs"
        )
        figure.legend(loc="outside lower left", ncols=2)
    return figure
