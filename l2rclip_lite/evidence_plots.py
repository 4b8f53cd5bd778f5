"""One function a figure of the chapter on ablation: what many runs say, as dots with intervals.

The same look everywhere: a data set keeps its colour and its marker, a small mark is one run or the mean of one data
set, and a diamond with a line is the mean with its 95 % interval: blue where the first method is shown to be better, red
where it is shown to be worse, grey where the runs show neither. Right, or up, is better.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from l2rclip_lite.comparison import compare
from l2rclip_lite.plots import COLOURS, style

# name, colour (Okabe and Ito), marker
DATA: dict[str, tuple[str, str, str]] = {
    "bracol": ("BRACOL", "#d55e00", "o"),
    "retinamnist": ("RetinaMNIST", "#cc79a7", "s"),
    "leaves5": ("leaves, 5 ranks", "#009e73", "v"),
    "leaves20": ("leaves, 20 ranks", "#56b4e9", "^"),
    "leaves62": ("leaves, 62 ranks", "#0072b2", "D"),
}
VERDICTS = {"better": "#2a5da8", "worse": "#b8432f", "no difference shown": COLOURS["reference"]}


def look(data: str) -> tuple[str, str, str]:
    """Name, colour and marker of a data set; one that the book does not know is grey."""
    return DATA.get(data, (data, COLOURS["reference"], "o"))


def known(names: Sequence[str]) -> list[str]:
    """Data sets in the order of the book, then any others."""
    there = set(names)
    return [name for name in DATA if name in there] + sorted(there - set(DATA))


def mean_interval(values: pd.Series | Float[np.ndarray, " run"]) -> tuple[float, float, float]:
    """Mean and the 95 % bootstrap interval of a few runs; the interval is NaN for a single one.

    Example:
        >>> mean_interval(pd.Series([2.0, 2.0, 2.0]))
        (2.0, 2.0, 2.0)
    """
    numbers = np.asarray(values, dtype=float)
    found = compare(numbers, 0 * numbers, lower_is_better=False)
    return found.difference, found.low, found.high


def forest(
    judged: pd.DataFrame, points: pd.DataFrame, *, label: str, ours: Sequence[str] = (), limit: float = 30.0
) -> Figure:
    """A row an arm, best above: the mean of all runs with its interval, and a mark for the mean of each data set.

    Args:
        judged: `claim`, `percent`, `low`, `high`, `verdict`, a row an arm.
        points: `claim`, `data`, `percent`, a row a run.
        label: Of the axis.
        ours: Rows whose name is set in colour.
        limit: What lies further from 0 is drawn at the edge: a mean as an arrow with its value.
    """
    order = judged.sort_values("percent", kind="stable").reset_index(drop=True)
    means = points.groupby(["data", "claim"])["percent"].mean()
    sets = known(list(points["data"]))
    reach = min(limit, 1.12 * float(np.nanmax(np.abs([*means, *order["low"], *order["high"], 1.0]))))
    with style():
        figure = Figure(figsize=(7.8, 0.235 * len(order) + 1.2), layout="constrained")
        axis = figure.subplots()
        _rows(axis, list(order["claim"]))
        for data in sets:
            name, colour, marker = look(data)
            x = np.clip(order["claim"].map(means[data]).to_numpy(dtype=float), -reach, reach)
            axis.scatter(x, order.index, s=17, marker=marker, color=colour, alpha=0.85, linewidth=0, label=name,
                         clip_on=False)  # fmt: skip
        for row, (_, one) in enumerate(order.iterrows()):
            _mean(
                axis,
                one[["percent", "low", "high"]].to_numpy(dtype=float),
                row,
                VERDICTS[one["verdict"]],
                reach,
            )
        for text in axis.get_yticklabels():
            if text.get_text() in ours:
                text.set(color=COLOURS["stage 1"], weight="bold")
        axis.set(xlim=(-1.03 * reach, 1.03 * reach), ylim=(-0.6, len(order) - 0.4), xlabel=label)
        figure.legend(loc="outside upper left", ncols=len(sets), handletextpad=0.1, columnspacing=1.2)
    return figure


def _rows(axis: Axes, names: Sequence[str]) -> None:
    """A row a name, every other one shaded, and the line of no difference."""
    axis.axvline(0, color=COLOURS["ink"], linewidth=1)
    for row in range(1, len(names), 2):
        axis.axhspan(row - 0.5, row + 0.5, color="#f0f2f0", zorder=0)
    axis.set_yticks(range(len(names)), names, color=COLOURS["ink"])
    axis.tick_params(left=False)
    axis.spines["left"].set_visible(False)


def _mean(axis: Axes, found: Sequence[float] | np.ndarray, row: float, colour: str, reach: float) -> None:
    """A diamond at the mean and a line for its interval, or an arrow at the edge with the mean beside it."""
    mean, low, high = np.clip(found, -reach, reach)
    if abs(found[0]) <= reach:
        axis.plot([low, high], [row, row], color=colour, linewidth=2.2)
        axis.scatter(mean, row, marker="D", s=36, color=colour, edgecolor="white", linewidth=0.8, zorder=4)
        return
    left = mean < 0
    axis.scatter(mean, row, marker="<" if left else ">", color=colour, s=60, zorder=4, clip_on=False)
    axis.annotate(f"{found[0]:+.0f} %", (mean, row), (9 if left else -9, 0), textcoords="offset points", va="center",
                  ha="left" if left else "right", color=colour, fontsize=8.5)  # fmt: skip


def by_data(points: pd.DataFrame, *, label: str, limit: float = 40.0) -> Figure:
    """A panel a data set, a row an arm: every run, their mean and its interval.

    Args:
        points: `claim`, `data`, `percent`, a row a run; the first claim stands above.
        label: Of the shared axis.
        limit: The axis ends here at the latest; a run beyond is drawn at the edge.
    """
    sets, names = known(list(points["data"])), list(dict.fromkeys(points["claim"]))
    reach = min(limit, 1.1 * max(1.0, float(points["percent"].abs().max())))
    with style():
        figure = Figure(figsize=(1.9 + 1.7 * len(sets), 0.32 * len(names) + 1.1), layout="constrained")
        axes = figure.subplots(1, len(sets), sharey=True, sharex=True, squeeze=False)[0]
        for axis, data in zip(axes, sets, strict=True):
            title, colour, _ = look(data)
            _rows(axis, names)
            for row, name in enumerate(names):
                runs = points.loc[(points["data"] == data) & (points["claim"] == name), "percent"]
                if len(runs):
                    x = np.clip(runs, -reach, reach)
                    axis.scatter(x, [row] * len(runs), s=12, color=colour, alpha=0.45, linewidth=0)
                    _mean(axis, mean_interval(runs), row, colour, reach)
            axis.set_title(title, fontsize=9.5)
            axis.set(xlim=(-1.05 * reach, 1.05 * reach), ylim=(len(names) - 0.4, -0.6))
        figure.supxlabel(label, fontsize=9.5, color=COLOURS["ink"])
    return figure


def grid(judgements: Mapping[str, pd.DataFrame]) -> Figure:
    """A row a claim, a column a way to score: percent saved, coloured by the verdict.

    Args:
        judgements: By title what `claims.judged` returns, the same claims in each.
    """
    first = next(iter(judgements.values()))
    with style():
        figure = Figure(
            figsize=(2.9 + 1.35 * len(judgements), 0.235 * len(first) + 0.9), layout="constrained"
        )
        axis = figure.subplots()
        for column, table in enumerate(judgements.values()):
            for row, (_, one) in enumerate(table.iterrows()):
                told = one["verdict"] != "no difference shown"
                axis.add_patch(Rectangle((column - 0.47, row - 0.44), 0.94, 0.88,
                                         color=VERDICTS[one["verdict"]] if told else "#e4e7eb"))  # fmt: skip
                axis.text(column, row, f"{one['percent']:+.1f} %", ha="center", va="center", fontsize=8.5,
                          color="white" if told else COLOURS["ink"])  # fmt: skip
        for row, (before, after) in enumerate(zip(first["topic"], first["topic"][1:], strict=False), start=1):
            if before != after:
                axis.axhline(row - 0.5, color=COLOURS["ink"], linewidth=1.2)
        axis.set_xticks(range(len(judgements)), list(judgements), color=COLOURS["ink"])
        axis.set_yticks(range(len(first)), first["claim"], color=COLOURS["ink"])
        axis.set(xlim=(-0.5, len(judgements) - 0.5), ylim=(len(first) - 0.5, -0.5))
        axis.tick_params(length=0, labeltop=True, labelbottom=False)
        axis.spines[:].set_visible(False)
    return figure


def over_ranks(points: pd.DataFrame, *, label: str, reference: str) -> Figure:
    """How arms fare as the number of ranks grows: a line an arm, every run a dot, an interval at each number.

    Args:
        points: `claim`, `ranks`, `percent`, a row a run.
        label: Of the vertical axis.
        reference: What 0 is.
    """
    names, ranks = list(dict.fromkeys(points["claim"])), sorted(points["ranks"].unique())
    palette = (COLOURS["stage 1"], "#7fa8d9", "#8a6d3b", COLOURS["stage 2"])
    with style():
        figure = Figure(figsize=(7.6, 4.0), layout="constrained")
        axis = figure.subplots()
        axis.axhline(0, color=COLOURS["ink"], linewidth=1)
        ends = [(0.0, reference, COLOURS["ink"])]
        for number, name in enumerate(names):
            colour, runs = palette[number % len(palette)], points[points["claim"] == name]
            here = [rank for rank in ranks if (runs["ranks"] == rank).any()]
            at = np.array([ranks.index(rank) for rank in here]) + 0.07 * (number - (len(names) - 1) / 2)
            found = np.array([mean_interval(runs.loc[runs["ranks"] == rank, "percent"]) for rank in here])
            for x, rank in zip(at, here, strict=True):
                values = runs.loc[runs["ranks"] == rank, "percent"]
                axis.scatter([x] * len(values), values, s=12, color=colour, alpha=0.4, linewidth=0)
            axis.vlines(at, found[:, 1], found[:, 2], color=colour, linewidth=2)
            axis.plot(at, found[:, 0], color=colour, linewidth=1.6, marker="D", markersize=6, markeredgecolor="white",
                      label=name)  # fmt: skip
            ends.append((float(found[-1, 0]), name, colour))
        low, high = axis.get_ylim()
        floor = -np.inf
        for y, name, colour in sorted(ends):  # beside the last point, no two closer than a line
            floor = max(y, floor + 0.06 * (high - low))
            axis.annotate(
                name, (len(ranks) - 0.8, floor), color=colour, fontsize=9, va="center", annotation_clip=False
            )
        axis.set_xticks(range(len(ranks)), [f"{rank} ranks" for rank in ranks])
        axis.set(ylabel=label, xlim=(-0.3, len(ranks) - 0.85))
    return figure


def paired_runs(panels: Mapping[str, pd.DataFrame], *, label: str) -> Figure:
    """A panel a data set: each run is a line through the arms, each arm has its mean.

    Args:
        panels: By title: `arm`, `run`, `value`, arms in the order of the axis.
        label: Of the vertical axes.
    """
    with style():
        widths = [table["arm"].nunique() + 0.5 for table in panels.values()]
        figure = Figure(figsize=(0.62 * sum(widths) + 0.9, 3.7), layout="constrained")
        axes = figure.subplots(1, len(panels), squeeze=False, width_ratios=widths)[0]
        for axis, (title, table) in zip(axes, panels.items(), strict=True):
            names = list(dict.fromkeys(table["arm"]))
            wide = table.pivot(index="run", columns="arm", values="value")[names]
            axis.plot(
                range(len(names)), wide.to_numpy().T, color="#9aa5b1", linewidth=1, marker="o", markersize=4
            )
            axis.scatter(
                range(len(names)),
                wide.mean(),
                color=COLOURS["stage 2"],
                marker="_",
                s=300,
                linewidth=2.4,
                zorder=3,
            )
            for at, (mean, top) in enumerate(zip(wide.mean(), wide.max(), strict=True)):
                axis.annotate(f"{mean:.2f}", (at, top), (0, 6), textcoords="offset points", ha="center", fontsize=8.5,
                              color=COLOURS["stage 2"])  # fmt: skip
            axis.set_title(title, fontsize=9)
            axis.set_xticks(range(len(names)), names, rotation=40, ha="right", rotation_mode="anchor")
            axis.set(xlim=(-0.5, len(names) - 0.5), ylim=(0, 1.15 * float(np.nanmax(wide.to_numpy()))))
        axes[0].set_ylabel(label)
    return figure
