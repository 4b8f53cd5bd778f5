"""Figures of the chapters on sentences: their tokens, and scores of order beside their controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
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
    shuffled: tuple[float, float]  # nine of ten shuffles score between these


def token_figure(
    sentences: Mapping[str, Sequence[tuple[Sequence[tuple[str, bool]], float]]],
) -> Figure:
    """Draw sentences as their tokenizers cut them, one box per token.

    Args:
        sentences: By tokenizer: the tokens of a sentence (text, and whether it spells the rank),
            and the place of its rank between lowest (0) and highest (1), for the colour.
    """
    lines = [len(rows) for rows in sentences.values()]
    with style():
        figure = Figure(figsize=(WIDTH, 0.36 * sum(lines) + 0.6), layout="constrained")
        axes = figure.subplots(len(lines), 1, height_ratios=lines, squeeze=False)

        for axis, (title, rows) in zip(axes.flat, sentences.items(), strict=True):
            axis.set(xlim=(0, 66), ylim=(len(rows) - 0.4, -0.6), title=title)
            axis.axis("off")

            for row, (tokens, place) in enumerate(rows):
                _write_tokens(axis, row, tokens, place)
    return figure


def _write_tokens(axis: Axes, row: int, tokens: Sequence[tuple[str, bool]], place: float) -> None:
    """Write one sentence, one box per token; those of the rank in the colour of their rank."""
    left = 0.8
    colour = rank_colours(101)[round(100 * place)]
    for text, is_rank in tokens:
        fill = colour if is_rank else "#e9edf1"
        axis.text(
            left,
            row,
            text,
            va="center",
            bbox={"boxstyle": "round,pad=0.4", "facecolor": fill, "linewidth": 0},
            fontsize=9,
            family="DejaVu Sans Mono",
            color=ink_on(fill),
        )
        left += len(text) + 1.6


def score_rows(panels: Mapping[str, Mapping[str, Scores]]) -> Figure:
    """Draw gap scores beside their controls.

    Diamonds are the trained network, rings are random weights, bands are shuffles.

    Args:
        panels: By panel title and row; every panel has the same rows.
    """
    rows = list(next(iter(panels.values())))
    with style():
        figure = Figure(figsize=(WIDTH, 0.36 * len(rows) + 1.2), layout="constrained")
        axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]

        for axis, panel in zip(axes, panels.values(), strict=True):
            scores = {row: panel[row] for row in rows}
            _draw_bands(axis, scores)
            _draw_rings(axis, scores)
            _draw_diamonds(axis, scores)
            axis.set(xlim=(-1, 1), xticks=(-0.5, 0, 0.5, 1), xlabel="gap score", ylabel="")

        axes[0].set_ylim(len(rows) - 0.5, -0.5)
        grid(axes, list(panels), "x")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=3)
    return figure


def _draw_bands(axis: Axes, scores: Mapping[str, Scores]) -> None:
    """Draw where nine of ten shuffles score."""
    low = np.array([score.shuffled[0] for score in scores.values()])
    high = np.array([score.shuffled[1] for score in scores.values()])
    axis.barh(
        list(scores),
        high - low,
        left=low,
        height=0.62,
        color=SHUFFLED,
        alpha=0.4,
        label="shuffled names, 90 %",
    )


def _draw_rings(axis: Axes, scores: Mapping[str, Scores]) -> None:
    """Draw the scores of the same network with random weights."""
    values: list[float] = []
    rows: list[str] = []
    for row, score in scores.items():
        values += score.untrained
        rows += [row] * len(score.untrained)

    axis.scatter(
        values,
        rows,
        s=34,
        facecolor="none",
        edgecolor=INK,
        linewidth=1,
        label="random weights, one ring per seed",
    )


def _draw_diamonds(axis: Axes, scores: Mapping[str, Scores]) -> None:
    """Draw the scores of the trained network."""
    sns.scatterplot(
        x=[score.trained for score in scores.values()],
        y=list(scores),
        ax=axis,
        legend=False,
        zorder=3,
        s=52,
        color=TRAINED,
        marker="D",
        label="trained network",
        linewidth=0,
    )
