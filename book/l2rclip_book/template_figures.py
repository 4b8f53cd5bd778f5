"""Figures of the chapter on rank templates that it uses twice or that are too long for its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from l2rclip_book.style import WIDTH, grid, look
from l2rclip_lite.plots import COLOURS, style

INK = COLOURS["ink"]
TRAINED, SHUFFLED = look("template only")[0], look("shuffled template")[0]
TOKENS = ["#dfe7ee", "#7fb0c9", "#22506e"]  # 1, 2, 3 tokens


def token_figure(
    sentences: Mapping[str, Sequence[tuple[Sequence[tuple[str, bool]], float]]],
    counts: Mapping[str, Sequence[int]],
    names: Sequence[str],
) -> Figure:
    """Sentences as their tokenizers cut them, and below the number of tokens of each rank name.

    Args:
        sentences: By tokenizer: the tokens of a sentence (text, and whether it spells the rank), and the place of its
            rank between lowest (0) and highest (1), for the colour.
        counts: Tokens of each rank name (1 to 3), by spelling.
        names: Of the ranks of `counts`; an empty one is not written.
    """
    lines = [len(rows) for rows in sentences.values()]
    with style():
        size = (WIDTH, 0.36 * sum(lines) + 0.3 * len(counts) + 1.9)
        figure = Figure(figsize=size, layout="constrained")
        *above, below = figure.subplots(len(lines) + 1, 1, height_ratios=[*lines, len(counts)])
        for axis, (title, rows) in zip(above, sentences.items(), strict=True):
            axis.set(xlim=(0, 66), ylim=(len(rows) - 0.4, -0.6), title=title)
            axis.axis("off")
            for row, (tokens, place) in enumerate(rows):
                _write_tokens(axis, row, tokens, place)
        cells = {"cmap": mpl.colors.ListedColormap(TOKENS), "vmin": 0.5, "vmax": 3.5, "cbar": False}
        table = pd.DataFrame(counts.values(), index=list(counts))
        sns.heatmap(table, ax=below, xticklabels=list(names), **cells)
        below.hlines(range(1, len(counts)), 0, len(names), color="white", linewidth=2)
        below.set_title("Tokens of each rank name")
        below.tick_params(length=0)
        below.tick_params(axis="x", rotation=0)
        keys = [Patch(color=colour, label=f"{k + 1} token{'s' * (k > 0)}") for k, colour in enumerate(TOKENS)]
        figure.legend(handles=keys, loc="outside lower right", ncols=3)
    return figure


def _write_tokens(axis: Axes, row: int, tokens: Sequence[tuple[str, bool]], place: float) -> None:
    """One sentence, one box per token; those of the rank in the colour of their rank."""
    at, colour = 0.8, mpl.colormaps["viridis"](0.05 + 0.85 * place)
    for text, named in tokens:
        box = {"boxstyle": "round,pad=0.4", "facecolor": colour if named else "#e9edf1", "linewidth": 0}
        ink = "white" if named and place < 0.75 else INK
        axis.text(at, row, text, fontsize=9, family="DejaVu Sans Mono", color=ink, va="center", bbox=box)
        at += len(text) + 1.6


def score_rows(
    scores: Mapping[str, Mapping[str, tuple[float, Sequence[float]]]],
    bands: Mapping[str, Mapping[str, tuple[float, float]]] | None = None,
    *,
    xlabel: str = "",
) -> Figure:
    """Scores beside their controls: a diamond for the trained network, one ring per network with random weights.

    Args:
        scores: By panel title and row: the score of the trained network, and those of random weights.
        bands: By panel title and row: from where to where nine of ten shuffles score.
        xlabel: Of every panel.
    """
    rows = list(dict.fromkeys(row for panel in scores.values() for row in panel))
    with style():
        figure = Figure(figsize=(WIDTH, 0.38 * len(rows) + 1.2), layout="constrained")
        axes = figure.subplots(1, len(scores), sharey=True, sharex=bands is None, squeeze=False)[0]
        for axis, (title, panel) in zip(axes, scores.items(), strict=True):
            if bands is not None:
                low, high = np.array([bands[title][row] for row in panel]).T
                band = {"height": 0.62, "color": SHUFFLED, "alpha": 0.4, "label": "shuffled names, 90 %"}
                axis.barh(list(panel), high - low, left=low, **band)
            rings = pd.DataFrame([(value, row) for row in panel for value in panel[row][1]])
            ring = {"s": 34, "facecolor": "none", "edgecolor": INK, "linewidth": 1}
            axis.scatter(rings[0], rings[1], **ring, label="random weights, one ring per seed")
            diamond = {"s": 52, "color": TRAINED, "marker": "D", "label": "trained network", "zorder": 3}
            sns.scatterplot(
                x=[own for own, _ in panel.values()], y=list(panel), ax=axis, legend=False, **diamond
            )
            axis.use_sticky_edges = False
            axis.margins(x=0.06)
            axis.set(xlabel=xlabel, ylabel="")
        axes[0].set_ylim(len(rows) - 0.5, -0.5)
        grid(axes, list(scores), "x")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=3)
    return figure
