"""The two figures of the evidence: from words to the hand-made order, and gains with intervals."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from l2rclip_book.gains import EDGES, MEAN, NONE, NUMBERS, sampled_means
from l2rclip_book.plots import DATA, INK, METHODS, canvas, drawn, grid, ink_on, name_rows

STEPS = {  # the staircase, then what is only there for comparison
    "shuffled words": "shuffled words",
    NONE: "no text",
    "words": "words",
    "after stage 1": "words after stage 1",
    NUMBERS: "hand-made order",
    "L2RCLIP": "kernel head",
    "ridge": "ridge regression",
    "median-rank": "median rank",
}
REFERENCES = 3  # so many at the end of STEPS
PANELS = 3  # in a row


def finding(steps: pd.DataFrame) -> str:
    """Return in one line what the staircase shows; nothing where an arm has no rows.

    Example:
        >>> steps = pd.DataFrame(
        ...     {"arm": ["words", "words", "after stage 1"], "share": [39.2, 55.8, 75.1]}
        ... )
        >>> finding(steps)
        'Words reach 39 to 56 % of the RPS reduction by numbers; after stage 1, 75 %'
    """
    ranges = []
    for arm in ("words", "after stage 1"):
        shares = steps.loc[steps["arm"] == arm, "share"]
        if shares.empty:
            return ""
        ends = dict.fromkeys([f"{shares.min():.0f}", f"{shares.max():.0f}"])
        ranges.append(" to ".join(ends).replace("-", "−"))
    return "Words reach {} % of the RPS reduction by numbers; after stage 1, {} %".format(*ranges)


@drawn()
def staircase(steps: pd.DataFrame) -> Figure:
    """Draw RPS without text, with words, after stage 1 and with the hand-made order.

    There is a panel for each data set. A bar is the 95 % interval of the difference to no text: one
    that stays left of the dashed line is a reduction. The percentage is the share of the
    hand-made order's gain. A point far to the right is an arrow with its number.

    Args:
        steps: From `evidence.order_steps`.
    """
    arms = [arm for arm in STEPS if (steps["arm"] == arm).any()]
    sets = [data for data in DATA if (steps["data"] == data).any()]
    n_rows = -(-len(sets) // PANELS)
    height = 0.8 + n_rows * (0.3 + 0.3 * len(arms))
    figure = canvas(height)
    if not sets:
        nothing(figure)
        return figure

    table = figure.subplots(n_rows, min(len(sets), PANELS), sharey=True, squeeze=False)
    axes = table.ravel()[: len(sets)]
    for axis, data in zip(axes, sets, strict=True):
        rows = steps[steps["data"] == data].set_index("arm").reindex(arms)
        _draw_steps(axis, rows)
        grid(axis, "x", DATA[data][0])
    for axis in table.ravel()[len(sets) :]:
        axis.remove()

    for axis in table[:, 0]:
        name_rows(axis, [STEPS[arm] for arm in arms])
    figure.supxlabel("RPS of the test images (left is better; dashed: no text)", fontsize=9.5)
    figure.suptitle(finding(steps), x=0.01, ha="left", fontsize=10.5, fontweight="bold")
    return figure


def _draw_steps(axis: Axes, rows: pd.DataFrame) -> None:
    """Draw the arms of one data set; the stairs alone decide where the panel ends on the right.

    Args:
        axis: The panel.
        rows: A row per arm, the first on top.
    """
    stairs = rows[rows.index.isin(list(STEPS)[:-REFERENCES])]
    low = float(np.nanmin(stairs[["low", "rps"]].to_numpy()))
    high = float(np.nanmax(stairs[["high", "rps"]].to_numpy()))
    edge = high + 0.35 * (high - low)
    shown = rows.where(rows["rps"] <= edge)

    axis.axvline(rows["rps"][NONE], color=INK, linestyle="--", linewidth=1)
    axis.axhline(len(stairs) - 0.5, color=INK, linewidth=0.5)
    lowest = float(np.nanmin(shown[["low", "rps"]].to_numpy()))
    axis.set_xlim(lowest - 0.65 * (high - low), edge)
    for place, arm in enumerate(rows.index):
        colour, marker = METHODS[arm]
        left = shown["low"].iloc[place]
        right = shown["high"].iloc[place]
        share = shown["share"].iloc[place]
        axis.hlines(place, left, right, color=colour, linewidth=2.2)
        axis.scatter(shown["rps"].iloc[place], place, marker=marker, s=44, color=colour, zorder=3)

        if rows["rps"][arm] > edge:
            _write_beside(axis, f"{rows['rps'][arm]:.2f} →", (edge, place), -2, colour)
        elif share < 0:
            _write_beside(axis, f"−{-share:.0f} %", (right, place), 6, colour)
        elif share >= 0 and arm != NONE:  # its share is 0
            _write_beside(axis, f"{share:.0f} %", (left, place), -6, colour)


def _write_beside(
    axis: Axes, text: str, place: tuple[float, float], distance: int, colour: str
) -> None:
    """Write a text so many points to the right of a place, or to the left where it is negative."""
    axis.annotate(
        text,
        place,
        (distance, 0),
        textcoords="offset points",
        ha="left" if distance > 0 else "right",
        va="center",
        fontsize=8.5,
        color=colour,
    )


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
    ends = ["gain", "low", "high"]
    marks = gains.assign(mark=gains["data"])
    marks[ends] = gains[ends].clip(-limit, limit)
    marks = marks.rename(columns={"gain": "value"})
    figure, axis = range_figure(marks, dict(zip(rows, rows, strict=True)), looks)

    for _, far in gains[gains["gain"].abs() > limit].iterrows():
        place = rows.index(far["row"]) + shift_of(list(looks).index(far["data"]), len(looks))
        colour = looks[far["data"]][1]
        axis.text(
            0.96 * limit * np.sign(far["gain"]),
            place,
            f"{far['gain']:+.0f} %".replace("-", "−"),
            ha="right" if far["gain"] > 0 else "left",
            va="center",
            fontsize=8,
            bbox={"facecolor": colour, "edgecolor": "none", "pad": 0.5},
            color=ink_on(colour),
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
    figure = canvas(1.3 + (0.1 + 0.095 * len(looks)) * len(rows))
    if not rows:
        return figure, nothing(figure)

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


def nothing(figure: Figure) -> Axes:
    """Write into a figure why it is empty."""
    axis = figure.subplots()
    axis.axis("off")
    axis.text(0, 0.5, "no rows of these runs here")
    return axis


def order_steps(images: pd.DataFrame, arms: Sequence[str]) -> pd.DataFrame:
    """Compute how far each arm goes from no text to the hand-made order, per data set.

    The share of the hand-made order's gain is 100 (RPS_none − RPS_arm) / (RPS_none − RPS_numbers)
    %: 0 for `NONE`, 100 for `NUMBERS`.

    Args:
        images: As `paired_scores` takes them.
        arms: Further arms; those without rows are left out.

    Returns:
        `data`, `arm`, `rps`; `low` and `high`, the 95 % interval of its paired difference to
        `NONE`, put around `rps`; and `share`.
    """
    trained = [arm for arm in arms if (images["arm"] == arm).any()]
    present = list(dict.fromkeys([NONE, NUMBERS, *trained]))
    parts = [pd.DataFrame(columns=["data", "arm", "rps", "low", "high", "share"])]
    for data, means in sampled_means(images, present).items():
        change = means.sub(means[NONE], axis=0)
        low, high = change[1:].quantile(EDGES).to_numpy() + means.loc[0, NONE]
        share = 100 * change.loc[0] / change.loc[0, NUMBERS]
        columns = {"data": data, "rps": means.loc[0], "low": low, "high": high, "share": share}
        parts.append(pd.DataFrame(columns).rename_axis("arm").reset_index())
    return pd.concat(parts[1:] or parts, ignore_index=True)
