"""The figures of the chapter on RankFormer: token grids, attention, the strength α, and who borrows from whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Bool, Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Patch
from torch import Tensor

from l2rclip_lite.method_style import GRID, PAPER
from l2rclip_lite.method_style import look as method_look
from l2rclip_lite.plots import COLOURS, rank_colours, style
from l2rclip_lite.rankformer_views import END, PADDING, START

Spelt = Sequence[Sequence[str]]
INK, GREY = COLOURS["ink"], COLOURS["reference"]
BLANK: str = PAPER
WORD, CONTEXT, FIXED, SEEN = "#cfdcee", "#f0cfa8", "#e4e7eb", "#f2b8a6"
LEARNERS = {  # what is trained: colour, line
    "own vectors": (GREY, ":"),
    "OrdinalCLIP": (method_look("ordinalclip")[0], "-."),
    "context": ("#b0833a", "-."),
    "vector per slot": (method_look("full")[0], ":"),
    "axis token": ("#4f8f4f", "-"),
    "axis rank": (method_look("full")[0], "-"),
    "axis joint": ("#4b4e9e", "-"),
}


def token_grid(spelt: Spelt, rank_words: Bool[Tensor, "rank token"], context: int) -> Figure:
    """What each slot of every rank sentence is, and who may change it.

    Args:
        spelt: Words of the template, from `rankformer_views.spellings`.
        rank_words: Which of these spell the rank.
        context: Number of context vectors.
    """
    vectors = [f"c{number + 1}" for number in range(context)]
    rows = [[row[0], *vectors, *row[1:]] for row in spelt]
    named = [[False] * (1 + context) + list(map(bool, row[1:])) for row in rank_words]
    with style():
        figure = Figure(figsize=(7.6, 0.42 * len(rows) + 1.05), layout="constrained")
        axis = figure.subplots()
        fill = [[_role(text, slot, context) for slot, text in enumerate(row)] for row in rows]
        boxes = _grid(axis, rows, fill)
        for rank, colour in enumerate(rank_colours(len(rows))):
            for slot, is_name in enumerate(named[rank]):
                if is_name:
                    boxes[rank][slot].set(edgecolor=colour, linewidth=2.4)
        handles = [
            Patch(facecolor=WORD, label="word: RankFormer reads and changes it"),
            Patch(facecolor=WORD, edgecolor=INK, linewidth=1.8, label="word of the rank's name"),
            Patch(facecolor=CONTEXT, label="context: learned, one for all ranks"),
            Patch(facecolor=FIXED, label="start, end: never read, never changed"),
        ]
        figure.legend(handles=handles, loc="outside lower left", ncols=2)
    return figure


def axes_figure(
    reads: Mapping[str, Float[Tensor, "rank token"]],
    changes: Mapping[str, Float[Tensor, "rank rank"]],
    spelt: Spelt,
    asked: tuple[int, int],
) -> Figure:
    """Left, the words that one word reads; right, which ranks change with the words of another.

    Args:
        reads: `rankformer_views.read_by` of the asked word, by axis.
        changes: `rankformer_views.changed_ranks`, by axis.
        spelt: Words of the template.
        asked: Rank and slot of the word.
    """
    number = len(spelt)
    with style():
        figure = Figure(figsize=(7.8, (0.32 * number + 0.6) * len(reads)), layout="constrained")
        axes = figure.subplots(len(reads), 2, squeeze=False, width_ratios=(4.2, 1))
        for (title, read), (left, right) in zip(reads.items(), axes, strict=True):
            fill = [
                [_seen(text, float(value)) for text, value in zip(row, values, strict=True)]
                for row, values in zip(spelt, read, strict=True)
            ]
            boxes = _grid(left, spelt, fill)
            boxes[asked[0]][asked[1]].set(edgecolor=COLOURS["stage 2"], linewidth=2.6, zorder=3)
            left.set_title(f"axis {title}: what the framed word reads")
            table = changes[title].numpy()
            right.imshow(table > 1e-6, cmap=mpl.colors.ListedColormap([BLANK, SEEN]), vmin=0, vmax=1)
            right.set_title("who moves", loc="center")
            ticks = range(number)
            right.set(xticks=ticks, yticks=ticks, ylabel="disturbed")
            for spine in right.spines.values():
                spine.set_visible(True)
            if title == list(reads)[-1]:
                right.set_xlabel("changed rank")
    return figure


def groups_figure(groups: Mapping[str, Int[Tensor, "rank token"]], spelt: Spelt) -> Figure:
    """Every word in the colour of the group whose shift it shares; a number for each group.

    Args:
        groups: `rankformer_views.shift_groups`, by axis.
        spelt: Words of the template.
    """
    with style():
        figure = Figure(figsize=(7.6, (0.32 * len(spelt) + 0.42) * len(groups)), layout="constrained")
        axes = figure.subplots(len(groups), 1, squeeze=False)[:, 0]
        for axis, (title, found) in zip(axes, groups.items(), strict=True):
            count, sizes = int(found.max()) + 1, found[found >= 0].bincount()
            shared = [number for number in range(count) if sizes[number] > 1]
            colour = {number: _pastel(at) for at, number in enumerate(shared)}
            fill = [
                [_lone(text, colour.get(int(number), BLANK)) for text, number in zip(row, line, strict=True)]
                for row, line in zip(spelt, found, strict=True)
            ]
            _grid(axis, spelt, fill)
            words = int((found >= 0).sum())
            axis.set_title(f"axis {title}: {count} different shifts for {words} words")
    return figure


def alpha_figure(
    before: Mapping[str, Sequence[float]], after: Mapping[str, Sequence[float]], strengths: Sequence[float]
) -> Figure:
    """What α does before training and after a few steps: ways of words and texts, and the order of the texts.

    Args:
        before: "words", "texts" and "order", a number for each α.
        after: The same after training with that α fixed.
        strengths: The values of α.
    """
    panels = (
        ("words", "How far words move", "lengths of the word"),
        ("texts", "How far texts move", "distance of unit vectors"),
        ("order", "Order of the texts", "Spearman"),
    )
    at = range(len(strengths))
    with style():
        figure = Figure(figsize=(7.8, 3.2), layout="constrained")
        for axis, (name, title, label) in zip(figure.subplots(1, 3), panels, strict=True):
            for rows, colour, marker, words in (
                (before, GREY, "s", "before training"),
                (after, method_look("full")[0], "o", "after a few steps"),
            ):
                axis.plot(at, rows[name], color=colour, marker=marker, linewidth=1.8, label=words)
            axis.set_xticks(at, [f"{alpha:g}" for alpha in strengths])
            axis.set(title=title, ylabel=label, xlabel="α")
            axis.grid(axis="y", color=GRID, linewidth=0.8)
            if name == "order":
                axis.axhline(0, color=GREY, linewidth=0.9)
                axis.set_ylim(-0.6, 1.05)
            elif name == "words":
                axis.set_yscale("symlog", linthresh=0.01)
                axis.set_yticks([0, 0.01, 0.1, 1, 10], ["0", "0.01", "0.1", "1", "10"])
                axis.set_ylim(-0.002, 60)
                figure.legend(*axis.get_legend_handles_labels(), loc="outside upper left", ncols=2)
    return figure


def movement_figure(moves: Mapping[str, Float[Tensor, "rank token"]], spelt: Spelt) -> Figure:
    """How far each word moved, in its own length, on one logarithmic scale for all axes.

    Args:
        moves: `rankformer_views.movement` after training, by axis.
        spelt: Words of the template.
    """
    scale = mpl.colors.LogNorm(0.125, 8)
    colours = mpl.colormaps["YlGnBu"]
    with style():
        figure = Figure(figsize=(7.8, (0.44 * len(spelt) + 0.42) * len(moves)), layout="constrained")
        axes = figure.subplots(len(moves), 1, squeeze=False)[:, 0]
        for axis, (title, moved) in zip(axes, moves.items(), strict=True):
            values = np.clip(moved.numpy(), 0.125, 8)
            fill = [
                [_lone(text, mpl.colors.to_hex(colours(scale(v)))) for text, v in zip(row, line, strict=True)]
                for row, line in zip(spelt, values, strict=True)
            ]
            texts = [
                [text if _special(text) else f"{text}\n{v:.2f}" for text, v in zip(row, line, strict=True)]
                for row, line in zip(spelt, moved.tolist(), strict=True)
            ]
            _grid(axis, texts, fill)
            axis.set_title(f"axis {title}")
        bar = mpl.cm.ScalarMappable(scale, colours)
        handle = figure.colorbar(
            bar, ax=list(axes), shrink=0.6, aspect=30, label="moved, in lengths of the word"
        )
        handle.set_ticks([0.125, 0.25, 0.5, 1, 2, 4, 8], labels=["⅛", "¼", "½", "1", "2", "4", "8"])
        handle.ax.minorticks_off()
    return figure


def attention_figure(
    maps: Mapping[str, tuple[Float[np.ndarray, "query key"], Float[np.ndarray, "query key"]]],
    labels: Mapping[str, Sequence[str]],
) -> Figure:
    """Attention before (above) and after training (below), relative to equal attention.

    Args:
        maps: By panel title, weight over equal weight, before and after.
        labels: Words along both sides of each panel.
    """
    scale = mpl.colors.TwoSlopeNorm(0, -3, 3)
    with style():
        figure = Figure(figsize=(7.8, 6.0), layout="constrained")
        axes = figure.subplots(2, len(maps), squeeze=False)
        for column, (title, pair) in enumerate(maps.items()):
            for axis, weights, when in zip(axes[:, column], pair, ("before", "after"), strict=True):
                ratio = np.log2(np.clip(weights, 2**-3, 2**3))
                picture = axis.imshow(ratio, cmap="RdBu_r", norm=scale)
                axis.set_title(f"axis {title}\n{when}" if when == "before" else when, loc="center")
                ticks = range(len(labels[title]))
                axis.set_xticks(ticks, labels[title], rotation=90)
                axis.set_yticks(ticks, labels[title])
        axes[0, 0].set_ylabel("word that looks")
        axes[1, 0].set_ylabel("word that looks")
        bar = figure.colorbar(picture, ax=list(axes.flat), location="bottom", shrink=0.6, aspect=40)
        bar.set_ticks(range(-3, 4), labels=["⅛", "¼", "½", "1", "2", "4", "8"])
        bar.set_label("attention, equal attention = 1")
    return figure


def borrowing_figure(matrices: Mapping[str, Float[Tensor, "taught helped"]], names: Sequence[str]) -> Figure:
    """Who is helped by whose pictures, one panel for each thing that is trained.

    Args:
        matrices: `borrowing.borrowing`, by what is trained.
        names: Of the ranks.
    """
    columns = min(3, len(matrices))
    with style():
        rows = -(-len(matrices) // columns)
        figure = Figure(figsize=(7.8, 2.45 * rows + 0.5), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False)
        for axis, (title, matrix) in zip(axes.flat, matrices.items(), strict=False):
            picture = axis.imshow(matrix.numpy(), cmap="RdBu", vmin=-1, vmax=1)
            axis.set_title(title)
            for (row, column), value in np.ndenumerate(matrix.numpy()):
                axis.text(column, row, f"{value:.1f}".replace("-0.0", "0.0"), ha="center", va="center", fontsize=8.5,
                          color="white" if abs(value) > 0.6 else INK)  # fmt: skip
            ticks = range(len(names))
            first, last = axis in axes[:, 0], axis in axes[-1]
            axis.set_xticks(ticks, names if last else [], rotation=40, ha="right", rotation_mode="anchor")
            axis.set_yticks(ticks, names if first else [])
        for axis in axes[:, 0]:
            axis.set_ylabel("pictures of")
        for axis in axes[-1]:
            axis.set_xlabel("help the text of")
        shown, empty = list(axes.flat)[: len(matrices)], list(axes.flat)[len(matrices) :]
        for axis in empty:
            axis.remove()
        figure.colorbar(picture, ax=shown, shrink=0.6, aspect=30, label="helped (1) or harmed (−1)")
    return figure


def gap_figure(
    spoken: Mapping[str, Float[Tensor, " gap"]],
    digits: Mapping[str, Float[Tensor, " gap"]],
    pairs: Float[Tensor, "rank rank"],
    alike: Bool[Tensor, "rank rank"],
) -> Figure:
    """Help over the distance of two ranks, named in words and in digits; in the middle every pair of one learner.

    Args:
        spoken: `borrowing.by_gap` with names in words, by a name of `LEARNERS`.
        digits: The same with digits.
        pairs: `borrowing.borrowing` along `rank`, names in words.
        alike: Which pairs of names have the same number of words.
    """
    number = len(pairs)
    first, second = np.triu_indices(number, 1)
    gaps, values, same = second - first, pairs.numpy()[first, second], alike.numpy()[first, second]
    with style():
        figure = Figure(figsize=(7.8, 3.7), layout="constrained")
        axes = figure.subplots(1, 3, sharey=True, sharex=True)
        for axis, curves in ((axes[0], spoken), (axes[2], digits)):
            for name, row in curves.items():
                colour, line = LEARNERS[name]
                axis.plot(
                    range(1, number), row.numpy(), color=colour, linestyle=line, linewidth=2, label=name
                )
        colour = LEARNERS["axis rank"][0]
        shift = np.where(same, -0.12, 0.12)
        axes[1].scatter(
            gaps[same] + shift[same], values[same], s=22, color=colour, label="same number of words"
        )
        axes[1].scatter(gaps[~same] + shift[~same], values[~same], s=22, color=BLANK, edgecolor=colour,
                        label="another number")  # fmt: skip
        titles = ("Names in words", "All pairs, axis rank", "Names in digits")
        for axis, title in zip(axes, titles, strict=True):
            axis.axhline(0, color=GREY, linewidth=0.9, zorder=0)
            axis.set(title=title, xlabel="ranks apart", ylim=(-1, 1.05))
            axis.xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True))
            axis.grid(axis="y", color=GRID, linewidth=0.8)
            axis.set_axisbelow(True)
        axes[0].set_ylabel("helped (1) or harmed (−1)")
        axes[1].legend(loc="upper right", handletextpad=0.1, borderpad=0.2, frameon=True, edgecolor="none")
        handles = axes[0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside upper left", ncols=5, columnspacing=1.2, handlelength=2.2)
    return figure


def _grid(axis: Axes, spelt: Spelt, fill: Sequence[Sequence[str]]) -> list[list[FancyBboxPatch]]:
    """Sentences as rows of boxes, a column a slot, as wide as its longest word; returns the boxes."""
    parts = [[max(cell.split("\n"), key=len) for cell in row] for row in spelt]
    widths = [0.42 + 0.17 * max(len(row[slot]) for row in parts) for slot in range(len(parts[0]))]
    left = np.concatenate([[0.0], np.cumsum(widths)])
    boxes: list[list[FancyBboxPatch]] = []
    for rank, (texts, colours) in enumerate(zip(spelt, fill, strict=True)):
        line = []
        for slot, (text, colour) in enumerate(zip(texts, colours, strict=True)):
            va = "center" if "\n" in text else "center_baseline"
            box = FancyBboxPatch((left[slot] + 0.05, rank - 0.42), widths[slot] - 0.1, 0.84, facecolor=colour,
                                 boxstyle="round,pad=0,rounding_size=0.08", edgecolor="none")  # fmt: skip
            axis.add_patch(box)
            line.append(box)
            axis.text(left[slot] + widths[slot] / 2, rank, text, ha="center", va=va, fontsize=9,
                      linespacing=1.15, color=_on(colour) if not _special(text) else GREY)  # fmt: skip
        boxes.append(line)
    for rank, mark in enumerate(rank_colours(len(spelt))):
        axis.add_patch(mpl.patches.Rectangle((-0.2, rank - 0.42), 0.12, 0.84, color=mark))
        axis.text(-0.32, rank, str(rank), ha="right", va="center", fontsize=9, color=GREY)
    axis.set(xlim=(-0.7, left[-1]), ylim=(len(spelt) - 0.45, -0.55))
    axis.axis("off")
    return boxes


def _on(colour: str) -> str:
    """Ink that reads on a colour."""
    red, green, blue = mpl.colors.to_rgb(colour)
    return "white" if 0.3 * red + 0.59 * green + 0.11 * blue < 0.5 else INK


def _special(text: str) -> bool:
    """Whether a slot holds no word."""
    return text in (START, END, PADDING)


def _role(text: str, slot: int, context: int) -> str:
    """Colour of a slot by who may change it."""
    if text == PADDING:
        return BLANK
    if _special(text):
        return FIXED
    return CONTEXT if 0 < slot <= context else WORD


def _lone(text: str, colour: str) -> str:
    """The colour on a word, none on what is no word."""
    return BLANK if _special(text) else colour


def _seen(text: str, value: float) -> str:
    """Colour of a slot by whether it is read."""
    return _lone(text, SEEN if value > 0 else "#eef1f4")


def _pastel(number: int) -> str:
    """A light colour for each group, neighbours apart."""
    palette: Any = mpl.colormaps["tab20"]
    red, green, blue = (0.45 * float(part) + 0.55 for part in palette((2 * number + number // 10) % 20)[:3])
    return str(mpl.colors.to_hex((red, green, blue)))
