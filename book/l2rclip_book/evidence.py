"""The two figures of the evidence: from words to the hand-made order, and gains with intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from l2rclip_book.gains import EDGES, MEAN, NONE, NUMBERS, paired_scores, resampled_means
from l2rclip_book.plots import COLOURS, DATA, canvas, grid, ink_on, look, name_rows, style

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
PANELS = 3  # in a row


def finding(steps: pd.DataFrame) -> str:
    """Return in one line what the staircase shows; nothing where an arm has no rows.

    Example:
        >>> steps = pd.DataFrame(
        ...     {"arm": ["words", "words", "after stage 1"], "share": [39.2, 55.8, 75.1]}
        ... )
        >>> finding(steps)
        'Words save 39 to 56 % of what the numbers save; after stage 1, 75 %'
    """
    words = _share_range(steps, "words")
    trained = _share_range(steps, "after stage 1")
    if not (words and trained):
        return ""
    return f"Words save {words} % of what the numbers save; after stage 1, {trained} %"


def _share_range(steps: pd.DataFrame, arm: str) -> str:
    """Return the lowest and the highest share of an arm, once if they are the same."""
    shares = sorted(steps.loc[steps["arm"] == arm, "share"])
    if not shares:
        return ""

    lowest = f"{shares[0]:.0f}".replace("-", "−")
    highest = f"{shares[-1]:.0f}".replace("-", "−")
    return lowest if lowest == highest else f"{lowest} to {highest}"


def staircase(steps: pd.DataFrame) -> Figure:
    """Draw RPS without text, with words, after stage 1 and with the hand-made order.

    There is a panel for each data set. A bar is the 95 % interval of the difference to no text: one
    that stays left of the dashed line is an error saved. The percentage is the share of the
    hand-made order's gain. A point far to the right is an arrow with its number.

    Args:
        steps: From `gains.order_steps`.
    """
    arms = [arm for arm in STEPS if (steps["arm"] == arm).any()]
    sets = [data for data in DATA if (steps["data"] == data).any()]
    n_rows = -(-len(sets) // PANELS)
    with style():
        height = 0.8 + n_rows * (0.3 + 0.3 * len(arms))
        figure = canvas(height)
        if not sets:
            return nothing(figure)

        table = figure.subplots(n_rows, min(len(sets), PANELS), sharey=True, squeeze=False)
        axes = table.ravel()[: len(sets)]
        for axis, data in zip(axes, sets, strict=True):
            rows = steps[steps["data"] == data].set_index("arm").reindex(arms)
            _draw_steps(axis, rows)
            grid(axis, "x", DATA[data][0])
        for axis in table.ravel()[len(sets) :]:
            axis.remove()

        for axis in table[:, 0]:
            name_rows(axis, [STEPS[arm] for arm in arms], 9.5)
        figure.supxlabel("RPS of the test images (left is better; dashed: no text)", fontsize=9.5)
        figure.suptitle(finding(steps), x=0.01, ha="left", fontsize=10.5, fontweight="bold")
    return figure


def _draw_steps(axis: Axes, rows: pd.DataFrame) -> None:
    """Draw the arms of one data set; the stairs alone decide where the panel ends on the right.

    Args:
        axis: The panel.
        rows: A row per arm, the first on top.
    """
    stair_arms = list(STEPS)[:-REFERENCES]
    stairs = rows.loc[[arm for arm in rows.index if arm in stair_arms]]
    low = stairs[["low", "rps"]].min().min()
    high = stairs[["high", "rps"]].max().max()
    edge = high + 0.35 * (high - low)

    no_text = rows["rps"].loc[NONE]
    axis.axvline(no_text, color=COLOURS["reference"], linestyle="--", linewidth=1)
    for place, (arm, row) in enumerate(rows.iterrows()):
        _draw_step(axis, place, str(arm), row, edge)

    inside = rows[rows["rps"] <= edge]
    left = inside[["low", "rps"]].min().min()
    axis.set_xlim(left - 0.65 * (high - low), edge)
    axis.axhline(len(stairs) - 0.5, color=COLOURS["reference"], linewidth=0.5)


def _draw_step(axis: Axes, place: int, arm: str, row: pd.Series, edge: float) -> None:
    """Draw one arm as a bar, a mark and its share; as an arrow where it lies beyond the edge."""
    colour, marker = look(arm)
    if row["rps"] > edge:
        _write_beside(axis, f"{row['rps']:.2f} →", (edge, place), -2, colour)
        return
    if not np.isfinite(row["rps"]):
        return

    axis.hlines(place, row["low"], row["high"], color=colour, linewidth=2.2)
    axis.scatter(row["rps"], place, marker=marker, s=44, color=colour, zorder=3)

    if arm != NONE:  # its share is 0
        share = f"{row['share']:.0f} %".replace("-", "−")
        if row["share"] < 0:
            _write_beside(axis, share, (row["high"], place), 6, colour)
        else:
            _write_beside(axis, share, (row["low"], place), -6, colour)


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


def intervals(gains: pd.DataFrame, *, label: str, title: str = "", limit: float = 30.0) -> Figure:
    """Draw gains with 95 % intervals, a line per comparison and within it a mark per data set.

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
        height = 1.3 + (0.1 + 0.095 * len(sets)) * len(rows)
        figure = canvas(height)
        if not rows:
            return nothing(figure)

        axis = figure.subplots()
        axis.axvline(0, color=COLOURS["ink"], linewidth=1)
        for at, data in enumerate(sets):
            own_gains = gains[gains["data"] == data]
            shift = 0.7 * ((at + 0.5) / len(sets) - 0.5)  # the marks of a line one below the other
            places = np.array([rows.index(row) for row in own_gains["row"]]) + shift
            _draw_gains(axis, data, own_gains, places, limit)

        grid(axis, "x")
        name_rows(axis, rows, 9.5)
        axis.set(xlabel=label)
        figure.legend(loc="outside lower left", ncols=4, handletextpad=0.1, columnspacing=1.2)
        figure.suptitle(title, x=0.01, ha="left", fontsize=10.5, fontweight="bold")
    return figure


def _draw_gains(
    axis: Axes, data: str, gains: pd.DataFrame, places: NDArray[np.float64], limit: float
) -> None:
    """Draw the marks and intervals of one data set, with a number where a mark is off the panel."""
    name, colour, marker = DATA.get(data, (data, COLOURS["ink"], "D"))
    columns = ["gain", "low", "high", "run_low", "run_high"]
    ends = gains.reindex(columns=columns).clip(-limit, limit)

    axis.hlines(places, ends["run_low"], ends["run_high"], color=colour, linewidth=0.8)
    axis.hlines(places, ends["low"], ends["high"], color=colour, linewidth=2.4)
    axis.scatter(ends["gain"], places, marker=marker, s=30, color=colour, zorder=3, label=name)

    for place, gain in zip(places, gains["gain"], strict=True):
        if abs(gain) > limit:
            axis.text(
                0.96 * limit * np.sign(gain),
                place,
                f"{gain:+.0f} %",
                ha="right" if gain > 0 else "left",
                va="center",
                fontsize=8,
                bbox={"facecolor": colour, "edgecolor": "none", "pad": 0.5},
                color=ink_on(colour),
            )


def nothing(figure: Figure) -> Figure:
    """Return the figure with a line that says why it is empty."""
    axis = figure.subplots()
    axis.axis("off")
    axis.text(0, 0.5, "no rows of these runs here")
    return figure


def order_steps(images: pd.DataFrame, arms: Sequence[str]) -> pd.DataFrame:
    """Compute how far each arm goes from no text to the hand-made order, per data set.

    The share of the hand-made order's gain is 100 (RPS_none − RPS_arm) / (RPS_none − RPS_numbers)
    %: 0 for `NONE`, 100 for `NUMBERS`.

    Args:
        images: As `paired_scores` takes them.
        arms: Further arms; those without rows are left out.

    Returns:
        `data`, `arm`, `rps`; `low` and `high`, the 95 % interval of its paired difference to
        `NONE`, put around `rps`; `share`, `share_low` and `share_high`.
    """
    generator = np.random.default_rng(0)
    parts = []
    for data, part in images.groupby("data", sort=False):
        trained = set(part["arm"])
        if not {NONE, NUMBERS} <= trained:
            continue

        present = [arm for arm in dict.fromkeys([NONE, NUMBERS, *arms]) if arm in trained]
        scores = paired_scores(part, present)
        paths = scores.index.get_level_values("path")
        mean = scores.mean().to_numpy()

        draws = resampled_means(scores.to_numpy(), paths, generator)
        change = draws - draws[:, :1]
        share = 100 * change / change[:, 1:2]
        low, high = np.quantile(change, EDGES, axis=0) + mean[0]
        share_low, share_high = np.quantile(share, EDGES, axis=0)

        stairs = {
            "data": data,
            "arm": present,
            "rps": mean,
            "low": low,
            "high": high,
            "share": 100 * (mean - mean[0]) / (mean[1] - mean[0]),
            "share_low": share_low,
            "share_high": share_high,
        }
        parts.append(pd.DataFrame(stairs))

    if not parts:
        columns = ["data", "arm", "rps", "low", "high", "share", "share_low", "share_high"]
        return pd.DataFrame(columns=columns)
    return pd.concat(parts, ignore_index=True)
