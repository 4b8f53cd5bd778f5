"""Figures of the open questions: methods over a condition, seen and unseen ranks, and where language helps.

A method has one colour, marker and name in all of them. They take tidy tables and draw what stands there: a method or
a condition without rows is left out.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from l2rclip_lite.plots import COLOURS, rank_colours, style

# colour and marker of each arm: warm colours for those that read, cold ones for those that do not
METHODS: dict[str, tuple[str, str]] = {
    "full": ("#c8553d", "o"),
    "template only": ("#e09f3e", "D"),
    "ordinalclip": ("#8a5a9e", "P"),
    "shuffled text": ("#b07aa1", "v"),
    "shuffled template": ("#b07aa1", "v"),
    "random prototypes": ("#6b7280", "s"),
    "cross-entropy": ("#3b6fb6", "^"),
    "linear-probe": ("#76b7d8", "<"),
    "ridge": ("#2a8c82", "X"),
}
TITLES = {"full": "L2RCLIP", "ordinalclip": "OrdinalCLIP", "linear-probe": "linear probe"}
GRID = "#e4e7eb"


def _look(arm: str) -> tuple[str, str]:
    """Colour and marker of an arm; ink for one that has none."""
    return METHODS.get(arm, (COLOURS["ink"], "o"))


def _title(arm: str) -> str:
    """An arm as a reader calls it."""
    return TITLES.get(arm, arm)


def _legend(figure: Figure, arms: list[str]) -> None:
    """One legend above all panels, in the order of the arms."""
    handles = [
        Line2D(
            [], [], color=_look(arm)[0], marker=_look(arm)[1], markersize=6, linewidth=1.6, label=_title(arm)
        )
        for arm in arms
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=min(len(arms), 4), fontsize=9)


def curves(panels: Mapping[str, pd.DataFrame], *, xlabel: str, ylabel: str | Mapping[str, str]) -> Figure:
    """An error over a condition, a line a method: the mean over runs, and a bar from the best to the worst run.

    Args:
        panels: A tidy table a panel: `arm`, `x` (the condition as text, in the order of the rows) and `y`.
        xlabel: Under all panels.
        ylabel: Beside the first panel, or one a panel.

    Example:
        >>> runs = pd.DataFrame({"arm": "full", "x": ["1", "1", "2", "2"], "y": [4.0, 6.0, 3.0, 3.0]})
        >>> figure = curves({"leaves": runs}, xlabel="pictures a rank", ylabel="MAE")
        >>> figure.axes[0].lines[0].get_ydata().tolist()
        [5.0, 3.0]
    """
    arms = list(dict.fromkeys(arm for runs in panels.values() for arm in runs["arm"]))
    with style():
        figure = Figure(figsize=(7.8, 3.7 + 0.22 * (len(arms) > 4)), layout="constrained")
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for axis, (title, runs) in zip(axes, panels.items(), strict=True):
            levels = list(dict.fromkeys(runs["x"]))
            width = min(0.09, 0.6 / max(len(arms), 1))
            for place, arm in enumerate(arms):
                spread = runs[runs["arm"] == arm].groupby("x")["y"].agg(["mean", "min", "max"])
                spread = spread.reindex([level for level in levels if level in spread.index])
                at = np.array([levels.index(level) for level in spread.index]) + width * (
                    place - (len(arms) - 1) / 2
                )
                colour, marker = _look(arm)
                axis.plot(
                    at, spread["mean"], color=colour, marker=marker, markersize=5.5, linewidth=1.6, zorder=3
                )
                axis.vlines(
                    at, spread["min"], spread["max"], color=colour, linewidth=1.3, alpha=0.55, zorder=2
                )
            axis.set_xticks(range(len(levels)), levels)
            axis.set_title(title)
            axis.grid(axis="y", color=GRID, linewidth=0.8)
            axis.set_axisbelow(True)
            axis.set_ylim(0, None)
            if not isinstance(ylabel, str):
                axis.set_ylabel(ylabel[title])
        if isinstance(ylabel, str):
            axes[0].set_ylabel(ylabel)
        figure.supxlabel(xlabel, fontsize=9.5, color=COLOURS["ink"])
        _legend(figure, arms)
    return figure


def dots(
    panels: Mapping[str, pd.DataFrame], *, xlabel: str | Mapping[str, str], reference: str | None = None
) -> Figure:
    """An error a choice: a faint dot a run and a large one for their mean, a panel a data set.

    Args:
        panels: A tidy table a panel: `row` (the choice), `arm` (its colour) and `y`.
        xlabel: Under each panel, or one a panel.
        reference: The row at whose mean a line is drawn.

    Example:
        >>> runs = pd.DataFrame({"row": ["0", "0", "4"], "arm": "full", "y": [4.0, 6.0, 3.0]})
        >>> axis = dots({"leaves": runs}, xlabel="MAE", reference="4").axes[0]
        >>> [text.get_text() for text in axis.get_yticklabels()], axis.lines[0].get_xdata()
        (['0', '4'], [3.0, 3.0])
    """
    rows = list(dict.fromkeys(row for runs in panels.values() for row in runs["row"]))
    arms = list(dict.fromkeys(arm for runs in panels.values() for arm in runs["arm"]))
    height = 0.36 + 0.1 * (len(arms) > 1)
    with style():
        figure = Figure(figsize=(7.8, height * len(rows) + 1.1 + 0.3 * (len(arms) > 1)), layout="constrained")
        axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axis, (title, runs) in zip(axes, panels.items(), strict=True):
            if reference is not None and (runs["row"] == reference).any():
                axis.axvline(float(runs.loc[runs["row"] == reference, "y"].mean()), color=COLOURS["reference"],
                             linestyle="--", linewidth=1.0, zorder=1)  # fmt: skip
            for (row, arm), part in runs.groupby(["row", "arm"], sort=False):
                colour, marker = _look(str(arm))
                at = rows.index(row) + 0.26 * (arms.index(arm) - (len(arms) - 1) / 2)
                axis.scatter(
                    part["y"], [at] * len(part), color=colour, s=20, alpha=0.4, linewidth=0, zorder=2
                )
                axis.scatter(
                    part["y"].mean(), at, color=colour, marker=marker, s=52, edgecolor="white", zorder=3
                )
            axis.set_title(title)
            axis.set_xlabel(xlabel if isinstance(xlabel, str) else xlabel[title])
            axis.grid(axis="x", color=GRID, linewidth=0.8)
            axis.set_axisbelow(True)
            axis.margins(x=0.08)
            axis.locator_params(axis="x", nbins=4)
        axes[0].set_yticks(range(len(rows)), [textwrap.fill(_title(row), 30) for row in rows], fontsize=9)
        axes[0].set_ylim(len(rows) - 0.5, -0.5)
        if len(arms) > 1:
            _legend(figure, arms)
    return figure


def seen_and_unseen(panels: Mapping[str, pd.DataFrame], *, xlabel: str) -> Figure:
    """Errors on seen and on unseen ranks, joined by a line for each method: means over runs, and each run as a faint mark.

    Args:
        panels: A tidy table a panel: `arm`, `seen` and `unseen`.
        xlabel: Under each panel.

    Example:
        >>> runs = pd.DataFrame({"arm": ["full", "ridge"], "seen": [3.0, 4.0], "unseen": [5.0, 4.5]})
        >>> axis = seen_and_unseen({"leaves": runs}, xlabel="MAE").axes[0]
        >>> [line.get_xdata().tolist() for line in axis.lines]
        [[3.0, 5.0], [4.0, 4.5]]
    """
    arms = list(dict.fromkeys(arm for runs in panels.values() for arm in runs["arm"]))
    with style():
        figure = Figure(figsize=(7.8, 0.42 * len(arms) + 1.5), layout="constrained")
        axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axis, (title, runs) in zip(axes, panels.items(), strict=True):
            for arm, part in runs.groupby("arm", sort=False):
                at, colour = arms.index(str(arm)), _look(str(arm))[0]
                ends = part[["seen", "unseen"]].mean().to_numpy()
                axis.plot(ends, [at, at], color=colour, linewidth=2.2, zorder=2)
                for name, face in (("seen", "#fdfdfb"), ("unseen", colour)):
                    axis.scatter(part[name], [at] * len(part), color=colour, s=16, alpha=0.35, linewidth=0)
                    axis.scatter(
                        part[name].mean(), at, s=58, facecolor=face, edgecolor=colour, linewidth=1.8, zorder=3
                    )
            axis.set_title(title)
            axis.set_xlabel(xlabel)
            axis.grid(axis="x", color=GRID, linewidth=0.8)
            axis.set_axisbelow(True)
            axis.set_xlim(0, None)
        axes[0].set_yticks(range(len(arms)), [_title(arm) for arm in arms], fontsize=9)
        axes[0].set_ylim(len(arms) - 0.5, -0.5)
        handles = [
            Line2D([], [], linestyle="", marker="o", markersize=8, markeredgewidth=1.8, markeredgecolor=COLOURS["ink"],
                   markerfacecolor=face, label=f"pictures of {name} ranks")
            for name, face in (("seen", "#fdfdfb"), ("unseen", COLOURS["ink"]))
        ]  # fmt: skip
        figure.legend(handles=handles, loc="outside upper left", ncols=2, fontsize=9)
    return figure


def pattern(gains: pd.DataFrame) -> Figure:
    """What language saves over how many pictures a rank has, a dot a setting, coloured by the number of ranks.

    Args:
        gains: A row a setting: `each` (training pictures a rank), `ranks`, `gain`, `low` and `high` in percent.

    Example:
        >>> gains = pd.DataFrame({"each": [2.0, 200.0], "ranks": [62, 5], "gain": [30.0, 0.0]})
        >>> figure = pattern(gains.assign(low=gains["gain"] - 5, high=gains["gain"] + 5))
        >>> figure.axes[0].collections[-1].get_offsets()[:, 1].tolist()
        [30.0, 0.0]
    """
    with style():
        figure = Figure(figsize=(7.8, 3.9), layout="constrained")
        axis = figure.subplots()
        numbers = sorted({int(number) for number in gains["ranks"]})
        colour = dict(zip(numbers, rank_colours(len(numbers)), strict=True))
        colours = [colour[int(number)] for number in gains["ranks"]]
        axis.axhline(0, color=COLOURS["ink"], linewidth=1.1)
        axis.vlines(gains["each"], gains["low"], gains["high"], color=colours, linewidth=1.6, alpha=0.6)
        axis.scatter(
            gains["each"], gains["gain"], c=colours, s=62, edgecolor="white", linewidth=0.9, zorder=3
        )
        axis.set_xscale("log", base=2)
        axis.xaxis.set_major_formatter("{x:g}")
        axis.set(xlabel="training pictures a rank", ylabel="error saved by language (%)")
        _sides(axis)
        axis.grid(color=GRID, linewidth=0.8)
        axis.set_axisbelow(True)
        handles = [
            Line2D(
                [], [], linestyle="", marker="o", markersize=8, color=colour[number], label=f"{number} ranks"
            )
            for number in numbers
        ]
        axis.legend(handles=handles, loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=9)
    return figure


def _sides(axis: Axes) -> None:
    """Say above and below the zero line what that side means."""
    axis.margins(y=0.14)
    for at, text in ((0.98, "language is better"), (0.02, "random vectors are better")):
        axis.text(0.99, at, text, transform=axis.transAxes, ha="right", va="top" if at > 0.5 else "bottom",
                  fontsize=9, style="italic", color=COLOURS["reference"])  # fmt: skip


def forest(gains: pd.DataFrame) -> Figure:
    """The saving of each setting with its interval, the largest on top; hollow where the interval holds 0.

    Args:
        gains: A row a setting and arm: `setting`, `arm`, `gain`, `low`, `high` (percent), `wins` and `n`. Settings are
            drawn in the order of the rows.

    Example:
        >>> gains = pd.DataFrame(
        ...     {"setting": ["few", "many"], "arm": "full", "gain": [9.0, 1.0], "low": [4.0, -2.0]}
        ... )
        >>> axis = forest(gains.assign(high=[12.0, 3.0], wins=[5, 3], n=5)).axes[0]
        >>> [text.get_text() for text in axis.texts]
        ['5/5', '3/5']
    """
    settings, arms = list(dict.fromkeys(gains["setting"])), list(dict.fromkeys(gains["arm"]))
    with style():
        figure = Figure(figsize=(7.8, 0.31 * len(settings) + 1.3), layout="constrained")
        axis = figure.subplots()
        for place in range(0, len(settings), 2):
            axis.axhspan(place - 0.5, place + 0.5, color="#f1f3f5", linewidth=0, zorder=0)
        axis.axvline(0, color=COLOURS["ink"], linewidth=1.1, zorder=1)
        for row in gains.to_dict("records"):
            shift = arms.index(row["arm"]) - (len(arms) - 1) / 2
            at, (colour, marker) = settings.index(row["setting"]) + 0.3 * shift, _look(row["arm"])
            clear = row["low"] > 0 or row["high"] < 0
            axis.hlines(at, row["low"], row["high"], color=colour, linewidth=1.7, zorder=2)
            axis.scatter(row["gain"], at, marker=marker, s=40, facecolor=colour if clear else "#fdfdfb",
                         edgecolor=colour, linewidth=1.4, zorder=3)  # fmt: skip
            axis.text(1.035 + 0.075 * arms.index(row["arm"]), settings.index(row["setting"]), f"{row['wins']}/{row['n']}",
                      transform=axis.get_yaxis_transform(), ha="center", va="center", color=colour, fontsize=8.5)  # fmt: skip
        axis.set_yticks(range(len(settings)), settings, fontsize=8.5)
        axis.set_ylim(len(settings) - 0.5, -0.5)
        axis.tick_params(left=False)
        axis.grid(axis="x", color=GRID, linewidth=0.8)
        axis.set_axisbelow(True)
        axis.set_xlabel("error saved against random prototypes (%); right: runs won")
        _legend(figure, arms)
    return figure
