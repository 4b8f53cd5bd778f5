"""The two figures of the evidence: how far words go towards the hand-made order, and gains with their intervals."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from l2rclip_book.gains import MEAN, NONE, NUMBERS
from l2rclip_book.plots import COLOURS, style
from l2rclip_book.style import DATA, WIDTH, grid, ink_on, look, name_rows

STEPS = {  # the staircase, then what is only there for comparison
    "shuffled words": "shuffled words",
    NONE: "no text",
    "words": "words",
    "after stage 1": "words after stage 1",
    NUMBERS: "hand-made order",
    "L2RCLIP": "L2RCLIP",
    "ridge": "ridge regression",
    "median-rank": "median rank",
}
REFERENCES = 3  # so many at the end of STEPS


def finding(steps: pd.DataFrame) -> str:
    """What the staircase says, in one line; nothing without rows.

    Example:
        >>> steps = pd.DataFrame(
        ...     {"arm": ["words", "words", "after stage 1"], "share": [39.2, 55.8, 75.1]}
        ... )
        >>> finding(steps)
        'Words save 39 to 56 % of what the numbers save; after stage 1, 75 %'
    """
    ends = []
    for arm in ("words", "after stage 1"):
        shares = [f"{share:.0f}" for share in sorted(steps.loc[steps["arm"] == arm, "share"])]
        ends.append(" to ".join(dict.fromkeys([*shares[:1], *shares[-1:]])).replace("-", "−"))
    return (
        f"Words save {ends[0]} % of what the numbers save; after stage 1, {ends[1]} %"
        if all(ends)
        else ""
    )


def staircase(steps: pd.DataFrame) -> Figure:
    """RPS without text, with words, after stage 1 and with the hand-made order, a panel per data set.

    A bar is the 95 % interval of the difference to no text: one that stays left of the dashed line
    is an error saved. The percentage is the share of the hand-made order's gain. What lies far to
    the right is an arrow with its number.

    Args:
        steps: From `gains.order_steps`.
    """
    arms = [arm for arm in STEPS if (steps["arm"] == arm).any()]
    sets = [data for data in DATA if (steps["data"] == data).any()]
    with style():
        figure = Figure(figsize=(WIDTH, 1.1 + 0.3 * len(arms)), layout="constrained")
        if not sets:
            return _nothing(figure)
        axes = figure.subplots(1, len(sets), sharey=True, squeeze=False)[0]
        for axis, data in zip(axes, sets, strict=True):
            rows = steps[steps["data"] == data].set_index("arm").reindex(arms)
            stairs = rows.loc[[arm for arm in arms if arm in list(STEPS)[:-REFERENCES]]]
            low = stairs[["low", "rps"]].min().min()
            high = stairs[["high", "rps"]].max().max()
            edge = high + 0.35 * (high - low)
            axis.axvline(
                rows.loc[NONE, "rps"], color=COLOURS["reference"], linestyle="--", linewidth=1
            )
            for place, (arm, row) in enumerate(rows.iterrows()):
                _step(axis, place, str(arm), row, edge)
            axis.set_xlim(low - 0.5 * (high - low), edge)
            axis.axhline(len(stairs) - 0.5, color=COLOURS["reference"], linewidth=0.5)
        grid(axes, [DATA[data][0] for data in sets], "x")
        for axis in axes:
            axis.title.set_fontsize(10)
        name_rows(axes[0], [STEPS[arm] for arm in arms], 9.5)
        figure.supxlabel("RPS of the test images (left is better; dashed: no text)", fontsize=9.5)
        figure.suptitle(finding(steps), x=0.01, ha="left", fontsize=10.5, fontweight="bold")
    return figure


def _step(axis: Axes, place: int, arm: str, row: pd.Series, edge: float) -> None:
    """One arm in one panel of the staircase: bar, mark and share; an arrow where it is beyond the edge."""
    colour, marker = look(arm)
    text = {"textcoords": "offset points", "va": "center", "fontsize": 8.5, "color": colour}
    if row["rps"] > edge:
        axis.annotate(f"{row['rps']:.2f} →", (edge, place), (-2, 0), ha="right", **text)
    elif np.isfinite(row["rps"]):
        axis.hlines(place, row["low"], row["high"], color=colour, linewidth=2.2)
        axis.scatter(row["rps"], place, marker=marker, s=44, color=colour, zorder=3)
        if arm != NONE:
            share = f"{row['share']:.0f} %".replace("-", "−")
            worse = row["share"] < 0
            side = {"xytext": (6 if worse else -6, 0), "ha": "left" if worse else "right"}
            axis.annotate(share, (row["high" if worse else "low"], place), **side, **text)


def intervals(gains: pd.DataFrame, *, label: str, title: str = "", limit: float = 30.0) -> Figure:
    """Gains with their 95 % intervals, a line per comparison and within it a mark per data set.

    Args:
        gains: A row per comparison and data set: `row`, `data`, `gain`, `low`, `high`; where it has
            them, `run_low` and `run_high` are drawn as a thin line. The mean of the sets is a
            diamond.
        label: Of the axis.
        title: The finding.
        limit: A mark further from 0 is drawn at the edge, with its number.
    """
    rows = list(dict.fromkeys(gains["row"]))
    sets = [data for data in [*DATA, MEAN] if (gains["data"] == data).any()]
    with style():
        figure = Figure(
            figsize=(WIDTH, 1.3 + (0.1 + 0.095 * len(sets)) * len(rows)), layout="constrained"
        )
        if not rows:
            return _nothing(figure)
        axis = figure.subplots()
        axis.axvline(0, color=COLOURS["ink"], linewidth=1)
        for at, data in enumerate(sets):
            name, colour, marker = DATA.get(data, (data, COLOURS["ink"], "D"))
            mine = gains[gains["data"] == data]
            places = np.array([rows.index(row) for row in mine["row"]]) + 0.7 * (
                (at + 0.5) / len(sets) - 0.5
            )
            ends = mine.reindex(columns=["gain", "low", "high", "run_low", "run_high"]).clip(
                -limit, limit
            )
            axis.hlines(places, ends["run_low"], ends["run_high"], color=colour, linewidth=0.8)
            axis.hlines(places, ends["low"], ends["high"], color=colour, linewidth=2.4)
            axis.scatter(
                ends["gain"], places, marker=marker, s=30, color=colour, zorder=3, label=name
            )
            for place, gain in zip(places, mine["gain"], strict=True):
                if abs(gain) > limit:
                    side = {"ha": "right" if gain > 0 else "left", "va": "center", "fontsize": 8}
                    side["bbox"] = {"facecolor": colour, "edgecolor": "none", "pad": 0.5}
                    side["color"] = ink_on(colour)
                    axis.text(0.96 * limit * np.sign(gain), place, f"{gain:+.0f} %", **side)
        grid([axis], [""], "x")
        name_rows(axis, rows, 9.5)
        axis.set(xlabel=label)
        figure.legend(loc="outside lower left", ncols=4, handletextpad=0.1, columnspacing=1.2)
        figure.suptitle(title, x=0.01, ha="left", fontsize=10.5, fontweight="bold")
    return figure


def _nothing(figure: Figure) -> Figure:
    """A figure that says why it is empty."""
    axis = figure.subplots()
    axis.axis("off")
    axis.text(0, 0.5, "no rows of these runs here")
    return figure
