"""Figures over many runs: means with intervals or spread, and every run behind them.

A method keeps its colour, marker and name in all of them, a data set as well. Tidy tables come in, a row per run; a method
or a condition without rows is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from l2rclip_book.style import DATA, PAPER, WIDTH, grid, legend, look, name_rows, title_of
from l2rclip_lite.plots import COLOURS, style

VERDICTS = {"better": "#2a5da8", "worse": "#b8432f", "no difference shown": COLOURS["reference"]}
Panels = Mapping[str, pd.DataFrame]


def known(names: Iterable[str]) -> list[str]:
    """Data sets in the order of the book, then any others."""
    return [name for name in DATA if name in set(names)] + sorted(set(names) - set(DATA))


def _order(panels: Panels, column: str) -> list[str]:
    """The values of a column, in the order of the panels and rows."""
    return list(dict.fromkeys(str(value) for runs in panels.values() for value in runs[column]))


def curves(panels: Panels, *, xlabel: str, ylabel: str | Mapping[str, str], columns: int = 2) -> Figure:
    """A number over a condition, a line per method: the mean over runs, and a bar from the lowest to the highest run.

    Args:
        panels: A tidy table per panel: `arm`, `x` (the condition as text, in the order of the rows) and `y`.
        xlabel: Below all panels.
        ylabel: Beside the first panel of a row, or one per panel.
        columns: Panels beside each other.

    Example:
        >>> runs = pd.DataFrame({"arm": "full", "x": ["1", "1", "2", "2"], "y": [4.0, 6.0, 3.0, 3.0]})
        >>> figure = curves({"leaves": runs}, xlabel="images per rank", ylabel="MAE")
        >>> figure.axes[0].lines[0].get_ydata().tolist()
        [5.0, 3.0]
    """
    arms, columns = _order(panels, "arm"), min(columns, len(panels))
    rows = -(-len(panels) // columns)
    with style():
        figure = Figure(figsize=(WIDTH, 0.9 + 2.9 * rows), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for axis, (title, runs) in zip(axes, panels.items(), strict=False):
            _means(axis, runs, "x", "y", arms, ("pi", 100), dodge=len(arms) > 1 and 0.25, linewidth=1.6)
            axis.set(xlabel="", ylabel=ylabel if isinstance(ylabel, str) else ylabel[title])
            if runs["y"].min() < 0:
                axis.axhline(0, color=COLOURS["ink"], linewidth=1.0, zorder=1)
            else:
                axis.set_ylim(0, None)
        for axis in axes[len(panels) :]:
            axis.remove()
        grid(axes[: len(panels)], list(panels), "y")
        figure.supxlabel(xlabel, fontsize=9.5, color=COLOURS["ink"])
        legend(figure, arms)
    return figure


def dots(
    panels: Panels, *, xlabel: str, reference: str | None = None, interval: bool = False, sharex: bool = False
) -> Figure:
    """A number per choice: a faint dot per run and a large one for their mean, a panel per data set.

    Args:
        panels: A tidy table per panel: `row` (the choice), `arm` (its colour) and `y`.
        xlabel: Below all panels.
        reference: The row at whose mean a dashed line is drawn; None draws a line at 0 where numbers are negative.
        interval: Whether to draw the 95 % bootstrap interval of each mean.
        sharex: Whether all panels have the same scale.

    Example:
        >>> runs = pd.DataFrame({"row": ["0", "0", "4"], "arm": "full", "y": [4.0, 6.0, 3.0]})
        >>> axis = dots({"leaves": runs}, xlabel="MAE", reference="4").axes[0]
        >>> [text.get_text() for text in axis.get_yticklabels()], float(axis.lines[0].get_xdata()[0])
        (['0', '4'], 3.0)
    """
    rows, arms = _order(panels, "row"), _order(panels, "arm")
    several = any(runs.groupby("row")["arm"].nunique().max() > 1 for runs in panels.values())
    dodge, palette = several and 0.5, [look(arm)[0] for arm in arms]
    order = {"order": rows, "hue_order": arms}
    lines = {"linestyle": "none", "order": rows}
    with style():
        height = (0.46 if several else 0.36) * len(rows) + 1.2 + 0.3 * several
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        axes = figure.subplots(1, len(panels), sharex=sharex, sharey=True, squeeze=False)[0]
        for axis, runs in zip(axes, panels.values(), strict=True):
            if reference is not None and (runs["row"] == reference).any():
                at = runs.loc[runs["row"] == reference, "y"].mean()
                axis.axvline(at, color=COLOURS["reference"], linestyle="--", linewidth=1.0, zorder=1)
            elif runs["y"].min() < 0:
                axis.axvline(0, color=COLOURS["ink"], linewidth=1.0, zorder=1)
            faint = {"alpha": 0.4, "size": 4.5, "jitter": False, "legend": False, "palette": palette}
            sns.stripplot(runs, x="y", y="row", hue="arm", **faint, dodge=several, **order, ax=axis)
            _means(axis, runs, "y", "row", arms, ("ci", 95) if interval else None, dodge=dodge, **lines)
            axis.set(xlabel="", ylabel="")
            axis.locator_params(axis="x", nbins=5)
        grid(axes, list(panels), "x")
        name_rows(axes[0], [title_of(row) for row in rows])
        figure.supxlabel(xlabel, fontsize=9.5, color=COLOURS["ink"])
        if several:
            legend(figure, arms)
    return figure


def _means(
    axis: Axes, runs: pd.DataFrame, x: str, y: str, arms: list[str], spread: object, **more: object
) -> None:
    """Seaborn's means, in the colours and markers of the arms."""
    colours, markers = zip(*(look(arm) for arm in arms), strict=True)
    arms_look = {"hue": "arm", "hue_order": arms, "palette": list(colours), "markers": list(markers)}
    errors = {"errorbar": spread, "seed": 0, "err_kws": {"linewidth": 1.4, "alpha": 0.6}}
    sns.pointplot(
        runs, x=x, y=y, **arms_look, **errors, **more, markersize=6, legend=False, ax=axis, zorder=3
    )


def forest(
    gains: pd.DataFrame,
    runs: pd.DataFrame | None = None,
    *,
    row: str = "text",
    label: str,
    limit: float = 30.0,
) -> Figure:
    """What each row saves, with its interval; the colour says whether the runs show a difference.

    Args:
        gains: From `gains.summarise`: a row per line of the figure, drawn in this order. With a column `arm`, several
            arms share a line, each in its colour, hollow where the interval contains 0.
        runs: From `gains.hypothesis_gains`; a small mark then shows the mean of each data set.
        row: The column that names the lines.
        label: Of the axis.
        limit: A mark further from 0 is drawn at the edge, a mean with its value beside it.

    Example:
        >>> gains = pd.DataFrame(
        ...     {"text": ["few", "many"], "gain": [9.0, 90.0], "low": [4.0, 80.0], "high": 99.0}
        ... )
        >>> axis = forest(gains.assign(verdict="better"), label="error saved (%)").axes[0]
        >>> [text.get_text() for text in axis.texts], len(axis.get_yticklabels())
        (['+90 %'], 2)
    """
    names, arms = list(dict.fromkeys(gains[row])), list(dict.fromkeys(gains.get("arm", ["full"])))
    with style():
        figure = Figure(figsize=(WIDTH, 0.26 * len(names) + 1.2), layout="constrained")
        axis = figure.subplots()
        axis.axvline(0, color=COLOURS["ink"], linewidth=1)
        if runs is not None:
            means = runs.groupby([row, "data"])["gain"].mean().clip(-limit, limit)
            for data in known(runs["data"]):
                name, colour, marker = DATA.get(data, (data, COLOURS["reference"], "o"))
                here = means.xs(data, level="data").reindex(names)
                axis.scatter(here, range(len(names)), s=17, marker=marker, color=colour, label=name)
            figure.legend(loc="outside upper left", ncols=5, handletextpad=0.1, columnspacing=1.2)
        for one in gains.to_dict("records"):
            place, colour, marker = names.index(one[row]), VERDICTS[one["verdict"]], "D"
            if "arm" in one:
                place += 0.3 * (arms.index(one["arm"]) - (len(arms) - 1) / 2)
                colour, marker = look(one["arm"])
            mean, low, high = np.clip([one["gain"], one["low"], one["high"]], -limit, limit)
            axis.hlines(place, low, high, color=colour, linewidth=1.9)
            hollow = "arm" in one and one["low"] <= 0 <= one["high"]
            edge, face = (colour, PAPER) if hollow else ("white", colour)
            axis.scatter(mean, place, marker=marker, s=36, edgecolor=edge, facecolor=face, zorder=4)
            if mean != one["gain"]:
                text = {"ha": "right" if mean > 0 else "left", "va": "center", "fontsize": 8.5}
                axis.text(0.93 * mean, place, f"{one['gain']:+.0f} %", color=colour, **text)
        grid([axis], [""], "x")
        name_rows(axis, names, 8.5)
        axis.set(xlabel=label)
        if "arm" in gains:
            legend(figure, arms)
    return figure
