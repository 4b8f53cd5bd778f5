"""Rank sentences as grids of words: kinds of slots, what a word reads, how far words moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import seaborn as sns
from jaxtyping import Bool, Float, Int
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, ListedColormap, LogNorm, Normalize, to_rgba_array
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.typing import ColorType
from torch import Tensor

from l2rclip_book.plots import COLOURS, rank_colours, style
from l2rclip_book.rankformer_views import END, PADDING, START
from l2rclip_book.style import PAPER, WIDTH, ink_on

Spelt = Sequence[Sequence[str]]
FIXED = "#e4e7eb"
CONTEXT = "#f0cfa8"
WORD = "#cfdcee"
SEEN = "#f2b8a6"
MAX_WORDS = 12  # that are written beside a matrix


def _is_word(spelt: Spelt) -> Bool[np.ndarray, "rank slot"]:
    """Return which slots hold words."""
    return ~np.isin(np.array(spelt), (START, END, PADDING))


def sentence_grid(
    axis: Axes,
    spelt: Spelt | np.ndarray,
    values: Float[np.ndarray, "rank slot"] | Int[np.ndarray, "rank slot"],
    cmap: Colormap,
    norm: Normalize | None = None,
) -> None:
    """Draw sentences as a heat map with their words in it: one row per rank, one column per slot.

    Args:
        axis: Where to draw.
        spelt: Text of each slot.
        values: What the colour shows.
        cmap: Of the values.
        norm: Of the values; by default they are numbers of the colours, from 0.
    """
    if norm is None:
        norm = Normalize(0, cmap.N - 1)
    sns.heatmap(
        values,
        ax=axis,
        annot=np.array(spelt),
        cmap=cmap,
        norm=norm,
        linewidths=1,
        linecolor=COLOURS["ink"],
        xticklabels=False,
        annot_kws={"fontsize": 8},
        fmt="",
        cbar=False,
    )
    colours = to_rgba_array(axis.collections[0].get_facecolor())
    for text, colour in zip(axis.texts, colours, strict=True):
        text.set_color(ink_on(colour))

    axis.tick_params(length=0, rotation=0, pad=9)
    for rank, colour in enumerate(rank_colours(len(spelt))):
        axis.add_patch(Rectangle((-0.1, rank + 0.08), 0.1, 0.84, color=colour, clip_on=False))


def _frame(axis: Axes, rank: int, slot: int, colour: ColorType) -> None:
    """Draw a frame around one slot."""
    corner = (slot + 0.04, rank + 0.06)
    frame = Rectangle(corner, 0.92, 0.88, fill=False, edgecolor=colour, linewidth=2.4)
    axis.add_patch(frame)


def token_grid(spelt: Spelt, rank_words: Bool[Tensor, "rank token"], context: int) -> Figure:
    """Draw the kind of each slot of every rank sentence, and who may change it.

    Args:
        spelt: Words of the template, from `rankformer_views.spellings`.
        rank_words: Which of these spell the rank.
        context: Number of context vectors.
    """
    vectors = [f"c{number + 1}" for number in range(context)]
    rows = [[row[0], *vectors, *row[1:]] for row in spelt]
    kinds = np.where(_is_word(rows), 3, 1)
    kinds[:, 1 : 1 + context] = 2
    kinds[np.array(rows) == PADDING] = 0

    with style():
        figure = Figure(figsize=(WIDTH, 0.42 * len(rows) + 1.05), layout="constrained")
        axis = figure.subplots()
        sentence_grid(axis, rows, kinds, ListedColormap([PAPER, FIXED, CONTEXT, WORD]))

        colours = rank_colours(len(rows))
        for rank, slot in rank_words.nonzero().tolist():
            _frame(axis, rank, slot + context, colours[rank])
        figure.legend(handles=_kinds_of_slots(), loc="outside lower left", ncols=2)
    return figure


def _kinds_of_slots() -> list[Patch]:
    """Return the legend of `token_grid`."""
    ink = COLOURS["ink"]
    return [
        Patch(facecolor=WORD, label="word: RankFormer reads and changes it"),
        Patch(facecolor=WORD, edgecolor=ink, linewidth=1.8, label="word of the rank's name"),
        Patch(facecolor=CONTEXT, label="context: learned, one for all ranks"),
        Patch(facecolor=FIXED, label="start, end: never read, never changed"),
    ]


def axes_figure(
    reads: Mapping[str, Float[Tensor, "rank token"]],
    changes: Mapping[str, Float[Tensor, "rank rank"]],
    spelt: Spelt,
    asked: tuple[int, int],
) -> Figure:
    """Draw the words that one word reads, and which ranks change with the words of another.

    Args:
        reads: `rankformer_views.read_by` of the asked word, by axis.
        changes: `rankformer_views.changed_ranks`, by axis.
        spelt: Words of the template.
        asked: Rank and slot of the word.
    """
    height = (0.32 * len(spelt) + 0.6) * len(reads)
    with style():
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        axes = figure.subplots(len(reads), 2, squeeze=False, width_ratios=(4.2, 1))

        for (title, read), (left, right) in zip(reads.items(), axes, strict=True):
            kinds = _is_word(spelt).astype(int) + (read.numpy() > 0)
            sentence_grid(left, spelt, kinds, ListedColormap([PAPER, FIXED, SEEN]))
            _frame(left, *asked, COLOURS["stage 2"])
            left.set_title(f"axis {title}: what the framed word reads")
            _draw_changes(right, changes[title].numpy() > 1e-6)
    return figure


def _draw_changes(axis: Axes, changed: Bool[np.ndarray, "rank rank"]) -> None:
    """Draw which ranks change with which."""
    sns.heatmap(
        changed,
        ax=axis,
        cmap=ListedColormap([PAPER, SEEN]),
        vmin=0,
        vmax=1,
        square=True,
        cbar=False,
        linewidths=1,
        linecolor=COLOURS["ink"],
    )
    axis.spines[:].set_visible(True)
    axis.tick_params(rotation=0)
    axis.set_title("who changes", loc="center")
    axis.set(ylabel="disturbed rank", xlabel="changed rank")


def movement_figure(moves: Mapping[str, Float[Tensor, "rank token"]], spelt: Spelt) -> Figure:
    """Draw how far each word moved, in its own length, on one logarithmic scale for all axes.

    Args:
        moves: `rankformer_views.movement` after training, by axis.
        spelt: Words of the template.
    """
    cmap = sns.color_palette("YlGnBu", as_cmap=True).with_extremes(under=FIXED)
    words = _is_word(spelt)
    height = (0.44 * len(spelt) + 0.42) * len(moves)
    with style():
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        axes = figure.subplots(len(moves), 1, squeeze=False)[:, 0]

        for axis, (title, moved) in zip(axes, moves.items(), strict=True):
            texts = np.where(words, _with_movement(spelt, moved), spelt)
            values = np.where(words, moved.numpy().clip(0.125, 8), 1e-9)
            sentence_grid(axis, texts, values, cmap, LogNorm(0.125, 8))
            axis.set_title(f"axis {title}")

        label = "moved, in lengths of the word"
        mesh = axes[0].collections[0]
        bar = figure.colorbar(mesh, ax=list(axes), shrink=0.6, aspect=30, label=label)
        bar.set_ticks([0.125, 0.25, 0.5, 1, 2, 4, 8], labels=["⅛", "¼", "½", "1", "2", "4", "8"])
        bar.ax.minorticks_off()
    return figure


def _with_movement(spelt: Spelt, moved: Float[Tensor, "rank token"]) -> list[list[str]]:
    """Return the text of each slot and below it how far it moved."""
    rows = []
    for texts, lengths in zip(spelt, moved.tolist(), strict=True):
        rows.append([f"{text}\n{x:.2f}" for text, x in zip(texts, lengths, strict=True)])
    return rows


def attention_figure(stored: Mapping[str, Any], chosen: Sequence[tuple[str, int]]) -> Figure:
    """Draw who looks at whom in some slots, before stage 1 and, in the row below, after it.

    Args:
        stored: What `tools/attention_data.py` writes.
        chosen: The key of a rank set and a slot, for each column.
    """
    sets = {each["key"]: each for each in stored["sets"]}
    with style():
        figure = Figure(figsize=(WIDTH, 5.2), layout="constrained")
        axes = figure.subplots(2, len(chosen), squeeze=False)

        for column, (key, number) in zip(axes.T, chosen, strict=True):
            slot = next(each for each in sets[key]["slots"] if each["slot"] == number)
            for axis, when in zip(column, ("before", "after"), strict=True):
                _draw_attention(axis, slot, when, stored["unit"])
                axis.set_title(f"{sets[key]['title']}, slot {number}\n{when} stage 1", fontsize=9)
            column[0].set_xticks([])

        label = "times an even share"
        bar = figure.colorbar(axes[0, 0].collections[0], ax=axes, shrink=0.5, label=label)
        bar.set_ticks([0.25, 0.5, 1, 2, 4], labels=["¼", "½", "1", "2", "4"])
        bar.ax.minorticks_off()
    return figure


def _draw_attention(axis: Axes, slot: Mapping[str, Any], when: str, unit: float) -> None:
    """Draw the weights of one slot as shares of an even one: rows look, columns are looked at."""
    places = [place for place in slot["of"] if place is not None]
    weights = unit * np.array(slot[when], dtype=float)[np.ix_(places, places)]
    sns.heatmap(
        (len(places) * weights).clip(0.25, 4),
        ax=axis,
        cmap="RdBu_r",
        norm=LogNorm(0.25, 4),
        square=True,
        cbar=False,
    )
    axis.set(xticks=[], yticks=[])
    if len(places) <= MAX_WORDS:
        middles = np.arange(len(places)) + 0.5
        words = [slot["words"][place] for place in places]
        axis.set_yticks(middles, words, rotation=0)
        axis.set_xticks(middles, words, rotation=60, ha="right", rotation_mode="anchor")
    axis.tick_params(length=0, labelsize=8)
