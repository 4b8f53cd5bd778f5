"""One function a figure of the chapter on reliability: when runs were killed, what a long loop keeps, what tests notice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from l2rclip_lite.method_style import GRID, WIDTH, name_rows
from l2rclip_lite.plots import COLOURS, style

NOTICED, MISSED = COLOURS["stage 1"], COLOURS["stage 2"]
PANEL_COLOURS = (COLOURS["stage 1"], COLOURS["stage 2"], COLOURS["ink"])


def kill_moments(moments: Mapping[str, Sequence[float]]) -> Figure:
    """A mark for each kill, over the share of the run that was done, in a row for what the run was doing.

    Args:
        moments: Shares in [0, 1] by phase; the phases from top to bottom.

    Example:
        >>> figure = kill_moments({"stage 1": [0.2, 0.4], "results": [0.9]})
        >>> [text.get_text() for text in figure.axes[0].texts]
        ['2', '1']
    """
    with style():
        figure = Figure(figsize=(WIDTH, 0.7 + 0.34 * len(moments)), layout="constrained")
        axis = figure.subplots()
        for row, shares in enumerate(moments.values()):
            axis.axhline(row, color=GRID, linewidth=0.8, zorder=0)
            axis.plot(
                shares, np.full(len(shares), row), "|", color=MISSED, markersize=11, markeredgewidth=1.3
            )
            axis.text(1.03, row, f"{len(shares)}", va="center", ha="left", fontsize=9, color=COLOURS["ink"])
        name_rows(axis, list(moments))
        axis.set(xlim=(-0.01, 1.01), xlabel="share of the run that was done, by time")
        axis.xaxis.set_major_formatter("{x:.0%}")
        axis.tick_params(left=False)
        axis.set_title("SIGKILL at random moments (right: how many)")
    return figure


def growth(panels: Mapping[str, Sequence[float]], warm_up: int, step: int = 1) -> Figure:
    """What a process holds during a long loop of rounds, one panel a quantity, from zero.

    Args:
        panels: Values at every `step`-th round, the first included, by title with unit.
        warm_up: So many values at the beginning do not count; they are shaded.
        step: Rounds between two values.
    """
    with style():
        figure = Figure(figsize=(WIDTH, 2.6), layout="constrained")
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for axis, colour, (title, values) in zip(axes, PANEL_COLOURS, panels.items(), strict=False):
            rounds = 1 + step * np.arange(len(values))
            axis.plot(rounds, values, color=colour, linewidth=1.6)
            axis.axvspan(0, step * warm_up + 0.5, color=GRID, alpha=0.7, linewidth=0)
            axis.set(title=title, xlabel="round", ylim=(0, 1.25 * max(values)), xlim=(0, rounds[-1] + 1))
            axis.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
            axis.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    return figure


def mutants(groups: Mapping[str, tuple[int, int]]) -> Figure:
    """How many mutants of each group of modules the tests noticed, and how many they did not.

    Args:
        groups: (noticed, not noticed) by name.

    Example:
        >>> figure = mutants({"losses": (57, 3)})
        >>> [text.get_text() for text in figure.axes[0].texts]
        ['57 of 60, 95 %']
    """
    with style():
        figure = Figure(figsize=(WIDTH, 0.9 + 0.42 * len(groups)), layout="constrained")
        axis = figure.subplots()
        rows = range(len(groups))
        noticed, missed = (np.array([counts[side] for counts in groups.values()]) for side in (0, 1))
        axis.barh(rows, noticed, color=NOTICED, height=0.62, label="noticed")
        axis.barh(rows, missed, left=noticed, color=MISSED, height=0.62, label="not noticed")
        for row, (good, bad) in enumerate(groups.values()):
            share = good / (good + bad)
            axis.text(good + bad + 1, row, f"{good} of {good + bad}, {share:.0%}".replace("%", " %"), va="center",
                      fontsize=9, color=COLOURS["ink"])  # fmt: skip
        name_rows(axis, list(groups))
        axis.set(xlim=(0, 1.25 * (noticed + missed).max()), xlabel="mutants")
        axis.tick_params(left=False)
        axis.legend(loc="upper left", bbox_to_anchor=(0, 1.02 + 0.25 / len(groups)), ncols=2, frameon=False, fontsize=9,
                    borderaxespad=0)  # fmt: skip
    return figure
