"""Figures of the chapters on sentences: how tokenizers cut them, and scores of order beside their controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from l2rclip_book.plots import COLOURS, rank_colours, style
from l2rclip_book.style import WIDTH, grid, ink_on, look

INK = COLOURS["ink"]
TRAINED = look("template only")[0]
SHUFFLED = look("shuffled template")[0]


class Scores(NamedTuple):
    """A score of order beside its two controls."""

    trained: float
    untrained: Sequence[float]  # the same network with random weights, one number per seed
    shuffled: tuple[float, float]  # from where to where nine of ten shuffles score


def token_figure(
    sentences: Mapping[str, Sequence[tuple[Sequence[tuple[str, bool]], float]]],
) -> Figure:
    """Sentences as their tokenizers cut them, one box per token.

    Args:
        sentences: By tokenizer: the tokens of a sentence (text, and whether it spells the rank),
            and the place of its rank between lowest (0) and highest (1), for the colour.
    """
    lines = [len(rows) for rows in sentences.values()]
    with style():
        figure = Figure(figsize=(WIDTH, 0.36 * sum(lines) + 0.6), layout="constrained")
        axes = figure.subplots(len(lines), 1, height_ratios=lines)
        for axis, (title, rows) in zip(axes, sentences.items(), strict=True):
            axis.set(xlim=(0, 66), ylim=(len(rows) - 0.4, -0.6), title=title)
            axis.axis("off")
            for row, (tokens, place) in enumerate(rows):
                _write_tokens(axis, row, tokens, place)
    return figure


def _write_tokens(axis: Axes, row: int, tokens: Sequence[tuple[str, bool]], place: float) -> None:
    """One sentence, one box per token; those of the rank in the colour of their rank."""
    at = 0.8
    colour = rank_colours(101)[round(100 * place)]
    for text, named in tokens:
        fill = colour if named else "#e9edf1"
        box = {"boxstyle": "round,pad=0.4", "facecolor": fill, "linewidth": 0}
        mono = {"fontsize": 9, "family": "DejaVu Sans Mono", "color": ink_on(fill)}
        axis.text(at, row, text, va="center", bbox=box, **mono)
        at += len(text) + 1.6


def score_rows(panels: Mapping[str, Mapping[str, Scores]]) -> Figure:
    """Gap scores beside their controls: diamonds for the trained network, rings for random weights, bands for shuffles.

    Args:
        panels: By panel title and row; every panel has the same rows.
    """
    rows = list(next(iter(panels.values())))
    with style():
        figure = Figure(figsize=(WIDTH, 0.36 * len(rows) + 1.2), layout="constrained")
        axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axis, panel in zip(axes, panels.values(), strict=True):
            ends = pd.DataFrame([score.shuffled for score in panel.values()])
            band = {
                "height": 0.62,
                "color": SHUFFLED,
                "alpha": 0.4,
                "label": "shuffled names, 90 %",
            }
            axis.barh(rows, ends[1] - ends[0], left=ends[0], **band)
            rings = pd.DataFrame([(value, row) for row in rows for value in panel[row].untrained])
            ring = {"s": 34, "facecolor": "none", "edgecolor": INK, "linewidth": 1}
            axis.scatter(rings[0], rings[1], **ring, label="random weights, one ring per seed")
            diamond = {
                "s": 52,
                "color": TRAINED,
                "marker": "D",
                "label": "trained network",
                "linewidth": 0,
            }
            own = [score.trained for score in panel.values()]
            sns.scatterplot(x=own, y=rows, ax=axis, legend=False, zorder=3, **diamond)
            axis.set(xlim=(-1, 1), xticks=(-0.5, 0, 0.5, 1), xlabel="gap score", ylabel="")
        axes[0].set_ylim(len(rows) - 0.5, -0.5)
        grid(axes, list(panels), "x")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=3)
    return figure
