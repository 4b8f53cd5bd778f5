"""Figures of the open questions: methods over a condition, seen and unseen ranks, and where language helps.

A method has one colour, marker and name in all of them. They take tidy tables and draw what stands there: a method or
a condition without rows is left out.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from l2rclip_lite.method_style import PAPER, WIDTH, grid, legend, look, name_rows, title_of
from l2rclip_lite.plots import COLOURS, rank_colours, style


def _values(panels: Mapping[str, pd.DataFrame], column: str) -> list[str]:
    """What stands in a column, in the order of the panels and rows."""
    return list(dict.fromkeys(str(value) for runs in panels.values() for value in runs[column]))


def curves(
    panels: Mapping[str, pd.DataFrame], *, xlabel: str, ylabel: str | Mapping[str, str], columns: int = 2
) -> Figure:
    """An error over a condition, a line a method: the mean over runs, and a bar from the best to the worst run.

    Args:
        panels: A tidy table a panel: `arm`, `x` (the condition as text, in the order of the rows) and `y`.
        xlabel: Under all panels.
        ylabel: Beside the first panel of a row, or one a panel.
        columns: Panels beside each other.

    Example:
        >>> runs = pd.DataFrame({"arm": "full", "x": ["1", "1", "2", "2"], "y": [4.0, 6.0, 3.0, 3.0]})
        >>> figure = curves({"leaves": runs}, xlabel="pictures a rank", ylabel="MAE")
        >>> figure.axes[0].lines[0].get_ydata().tolist()
        [5.0, 3.0]
    """
    arms, columns = _values(panels, "arm"), min(columns, len(panels))
    rows = -(-len(panels) // columns)
    with style():
        figure = Figure(figsize=(WIDTH, 0.9 + 2.9 * rows), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for axis, (title, runs) in zip(axes, panels.items(), strict=False):
            levels = list(dict.fromkeys(runs["x"]))
            step = 0.013 * len(levels)  # so that bars of two methods do not hide each other
            for arm, part in runs.groupby("arm", sort=False):
                spread = part.groupby("x")["y"].agg(["mean", "min", "max"])
                spread = spread.reindex([level for level in levels if level in spread.index])
                shift = step * (arms.index(str(arm)) - (len(arms) - 1) / 2)
                at = np.array([levels.index(level) for level in spread.index]) + shift
                colour, marker = look(str(arm))
                axis.plot(
                    at, spread["mean"], color=colour, marker=marker, markersize=5.5, linewidth=1.6, zorder=3
                )
                axis.vlines(
                    at, spread["min"], spread["max"], color=colour, linewidth=1.3, alpha=0.5, zorder=2
                )
            axis.set_xticks(range(len(levels)), levels)
            axis.set_xlim(-0.35, len(levels) - 0.65)
            if runs["y"].min() < 0:
                axis.axhline(0, color=COLOURS["ink"], linewidth=1.0, zorder=1)
            else:
                axis.set_ylim(0, None)
            if not isinstance(ylabel, str):
                axis.set_ylabel(ylabel[title])
            elif axis.get_subplotspec().is_first_col():
                axis.set_ylabel(ylabel)
        grid(axes[: len(panels)], list(panels), "y")
        figure.supxlabel(xlabel, fontsize=9.5, color=COLOURS["ink"])
        legend(figure, arms)
    return figure


def dots(
    panels: Mapping[str, pd.DataFrame], *, xlabel: str, reference: str | None = None, sharex: bool = False
) -> Figure:
    """An error a choice: a faint dot a run and a large one for their mean, a panel a data set.

    Args:
        panels: A tidy table a panel: `row` (the choice), `arm` (its colour) and `y`.
        xlabel: Under each panel.
        reference: The row at whose mean a line is drawn.
        sharex: Whether all panels have the same scale.

    Example:
        >>> runs = pd.DataFrame({"row": ["0", "0", "4"], "arm": "full", "y": [4.0, 6.0, 3.0]})
        >>> axis = dots({"leaves": runs}, xlabel="MAE", reference="4").axes[0]
        >>> [text.get_text() for text in axis.get_yticklabels()], axis.lines[0].get_xdata()
        (['0', '4'], [3.0, 3.0])
    """
    rows, arms = _values(panels, "row"), _values(panels, "arm")
    several = any(runs.groupby("row")["arm"].nunique().max() > 1 for runs in panels.values())
    with style():
        height = (0.46 if several else 0.36) * len(rows) + 1.2 + 0.3 * several
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        axes = figure.subplots(1, len(panels), sharex=sharex, sharey=True, squeeze=False)[0]
        for axis, runs in zip(axes, panels.values(), strict=True):
            if reference is not None and (runs["row"] == reference).any():
                axis.axvline(float(runs.loc[runs["row"] == reference, "y"].mean()), color=COLOURS["reference"],
                             linestyle="--", linewidth=1.0, zorder=1)  # fmt: skip
            for (row, arm), part in runs.groupby(["row", "arm"], sort=False):
                colour, marker = look(str(arm))
                at = rows.index(str(row)) + several * 0.26 * (arms.index(str(arm)) - (len(arms) - 1) / 2)
                axis.scatter(
                    part["y"], [at] * len(part), color=colour, s=20, alpha=0.4, linewidth=0, zorder=2
                )
                axis.scatter(
                    part["y"].mean(), at, color=colour, marker=marker, s=58, edgecolor="white", zorder=3
                )
            axis.set_xlabel(xlabel)
            axis.margins(x=0.1)
            axis.locator_params(axis="x", nbins=4)
        grid(axes, list(panels), "x")
        name_rows(axes[0], [title_of(row) for row in rows])
        if several:
            legend(figure, arms)
    return figure


def seen_and_unseen(panels: Mapping[str, pd.DataFrame], *, xlabel: str) -> Figure:
    """Errors on seen (hollow) and on unseen ranks (filled), a row a method: means, and faint marks for the runs.

    Args:
        panels: A tidy table a panel: `arm`, `seen` and `unseen`.
        xlabel: Under each panel.

    Example:
        >>> runs = pd.DataFrame({"arm": ["full", "ridge"], "seen": [3.0, 4.0], "unseen": [5.0, 4.5]})
        >>> axis = seen_and_unseen({"leaves": runs}, xlabel="MAE").axes[0]
        >>> [line.get_xdata().tolist() for line in axis.lines]
        [[3.0, 5.0], [4.0, 4.5]]
    """
    arms = _values(panels, "arm")
    kinds = {"seen": PAPER, "unseen": COLOURS["ink"]}
    with style():
        figure = Figure(figsize=(WIDTH, 0.42 * len(arms) + 1.5), layout="constrained")
        axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axis, runs in zip(axes, panels.values(), strict=True):
            for arm, part in runs.groupby("arm", sort=False):
                at, colour = arms.index(str(arm)), look(str(arm))[0]
                axis.plot(
                    part[list(kinds)].mean().to_numpy(), [at, at], color=colour, linewidth=2.2, zorder=2
                )
                for name in kinds:
                    face = PAPER if name == "seen" else colour
                    axis.scatter(part[name], [at] * len(part), color=colour, s=16, alpha=0.35, linewidth=0)
                    axis.scatter(
                        part[name].mean(), at, s=58, facecolor=face, edgecolor=colour, linewidth=1.8, zorder=3
                    )
            axis.set_xlabel(xlabel)
            axis.margins(x=0.1)
        grid(axes, list(panels), "x")
        name_rows(axes[0], [title_of(arm) for arm in arms])
        marks = [
            Line2D([], [], linestyle="", marker="o", markersize=8, markeredgewidth=1.8, markeredgecolor=COLOURS["ink"],
                   markerfacecolor=face, label=f"pictures of {name} ranks") for name, face in kinds.items()
        ]  # fmt: skip
        figure.legend(handles=marks, loc="outside upper left", ncols=2, fontsize=9)
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
    numbers = sorted({int(number) for number in gains["ranks"]})
    colour = dict(zip(numbers, rank_colours(len(numbers) + 1), strict=False))
    each = [colour[int(number)] for number in gains["ranks"]]
    with style():
        figure = Figure(figsize=(WIDTH, 3.7), layout="constrained")
        axis = figure.subplots()
        axis.axhline(0, color=COLOURS["ink"], linewidth=1.1)
        axis.vlines(gains["each"], gains["low"], gains["high"], color=each, linewidth=1.6, alpha=0.6)
        axis.scatter(gains["each"], gains["gain"], c=each, s=62, edgecolor="white", linewidth=0.9, zorder=3)
        axis.set_xscale("log", base=2)
        axis.xaxis.set_major_formatter("{x:g}")
        axis.set(xlabel="training pictures a rank", ylabel="error saved by language (%)")
        axis.margins(y=0.14)
        for at, side, text in (
            (0.98, "top", "language is better"),
            (0.02, "bottom", "random vectors are better"),
        ):
            axis.text(0.99, at, text, transform=axis.transAxes, ha="right", va=side, fontsize=9, style="italic",
                      color=COLOURS["reference"])  # fmt: skip
        grid([axis], [""], "y")
        marks = [
            Line2D(
                [], [], linestyle="", marker="o", markersize=8, color=colour[number], label=f"{number} ranks"
            )
            for number in numbers
        ]
        axis.legend(handles=marks, loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=9)
    return figure


def forest(gains: pd.DataFrame) -> Figure:
    """What each setting saves, with its interval: hollow where the interval holds 0; at the right the runs won.

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
    settings, arms = _values({"": gains}, "setting"), _values({"": gains}, "arm")
    with style():
        figure = Figure(figsize=(WIDTH, 0.31 * len(settings) + 1.3), layout="constrained")
        axis = figure.subplots()
        for place in range(0, len(settings), 2):
            axis.axhspan(place - 0.5, place + 0.5, color="#f1f3f5", linewidth=0, zorder=0)
        axis.axvline(0, color=COLOURS["ink"], linewidth=1.1, zorder=1)
        for row in gains.to_dict("records"):
            place, number, (colour, marker) = (
                settings.index(row["setting"]),
                arms.index(row["arm"]),
                look(row["arm"]),
            )
            at = place + 0.3 * (number - (len(arms) - 1) / 2)
            axis.hlines(at, row["low"], row["high"], color=colour, linewidth=1.7, zorder=2)
            axis.scatter(row["gain"], at, marker=marker, s=40, edgecolor=colour, linewidth=1.4, zorder=3,
                         facecolor=PAPER if row["low"] <= 0 <= row["high"] else colour)  # fmt: skip
            axis.text(1.035 + 0.075 * number, place, f"{row['wins']}/{row['n']}", ha="center", va="center", fontsize=8.5,
                      color=colour, transform=axis.get_yaxis_transform())  # fmt: skip
        grid([axis], [""], "x")
        name_rows(axis, settings, 8.5)
        axis.tick_params(left=False)
        axis.set_xlabel("error saved against random prototypes (%); at the right: runs won")
        legend(figure, arms)
    return figure
