"""Figures of a run: one function per figure, each returns a matplotlib Figure and shows nothing.

One look everywhere: ranks run through one colour-blind safe sequential map, the stages and
references keep their colours, and figures have no ground of their own. Text and lines are of a grey
that reads on a light and on a dark page.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.scale import LogScale, register_scale
from matplotlib.ticker import LogFormatter
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from sklearn.metrics import confusion_matrix

from l2rclip_book.spread import curves
from l2rclip_lite.data.base import Split
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.metrics import Probabilities, mae

MANY = 10  # ranks beyond which a heat map has no numbers
INK = "#76818e"  # contrast 4 on white and 4.6 on the dark page of the book
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
COLOURS = {"stage 1": "#3b6fb6", "stage 2": "#c8553d", "reference": INK, "ink": INK}
STYLE: dict[Any, Any] = {
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "patch.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "font.size": 9,
    "svg.hashsalt": "l2rclip",
    "text.parse_math": False,  # a rank may be called $
}


def style() -> AbstractContextManager[None]:
    """Give figures the look of the book; on exit the former look is back."""
    return mpl.rc_context(STYLE)


class PlainLog(LogFormatter):
    """Write numbers at a logarithmic axis as characters: 0.01, 1,000, 10⁶.

    Matplotlib's own formatter writes formulas.
    """

    def __call__(self, x: float, pos: int | None = None) -> str:
        """Return a number as characters; nothing where Matplotlib would write nothing."""
        if not super().__call__(x, pos):
            return ""

        digits, _, power = f"{x:,.5g}".partition("e")
        if not power:
            return digits
        superscript = str(int(power)).translate(SUPERSCRIPTS)
        return f"{digits}·10{superscript}".removeprefix("1·")


class Log(LogScale):
    """Scale an axis as "log" does, without formulas where they are not parsed, as in `style`."""

    def __init__(
        self,
        *axes: Axis,  # one before Matplotlib 3.11, none since
        base: float = 10,
        subs: Sequence[int] | None = None,
        nonpositive: Literal["clip", "mask"] = "clip",
    ) -> None:
        super().__init__(*axes, base=base, subs=subs, nonpositive=nonpositive)

    def set_default_locators_and_formatters(self, axis: Axis) -> None:
        """Set the formatters of Matplotlib, or plain ones."""
        super().set_default_locators_and_formatters(axis)
        if not mpl.rcParams["text.parse_math"]:
            axis.set_major_formatter(PlainLog(self.base))
            axis.set_minor_formatter(PlainLog(self.base, labelOnlyBase=self.subs is not None))


register_scale(Log)


def rank_colours(number: int) -> list[tuple[float, float, float, float]]:
    """Return K colours from low to high, for light and dark pages and for colour-blind readers.

    Example:
        >>> len(rank_colours(5))
        5
    """
    return [mpl.colormaps["viridis"](float(at)) for at in np.linspace(0.25, 0.9, number)]


def unit_of(ranks: Ranks) -> str:
    """Return the unit of an error: as the ranks have it, but grades in the plural."""
    return "grades" if ranks.unit == "grade" else ranks.unit


def contact_sheet(split: Split, ranks: Ranks, *, rows: int = 3, columns: int = 5) -> Figure:
    """Draw images of each rank, one column per rank, lowest on the left.

    Args:
        split: Where to take them from: the first ones of each rank.
        ranks: The label space.
        rows: Images per rank.
        columns: At most that many ranks, spread evenly over all of them.
    """
    shown = _spread(ranks, columns)
    colours = rank_colours(len(ranks))
    with style():
        figure = Figure(figsize=(1.55 * len(shown), 1.55 * rows + 0.35), layout="constrained")
        axes = figure.subplots(rows, len(shown), squeeze=False)

        for rank, column in zip(shown, axes.T, strict=True):
            column[0].set_title(ranks.names[rank], loc="center")
            indices = [index for index, target in enumerate(split.targets) if target == rank]

            for row, axis in enumerate(column):
                axis.set(xticks=[], yticks=[])
                axis.spines[:].set(visible=True, color=colours[rank], linewidth=2.2)
                if row < len(indices):
                    image, _ = split[indices[row]]
                    axis.imshow(np.asarray(image), aspect="auto")
                else:
                    axis.axis("off")
    return figure


def image_grid(images: Sequence[Image.Image], names: Sequence[str], *, columns: int = 4) -> Figure:
    """Draw images with a line of text below each, in reading order.

    Args:
        images: What to show.
        names: A file name, or anything else, for each.
        columns: Images per row.
    """
    rows = -(-len(images) // columns)
    with style():
        figure = Figure(figsize=(1.95 * columns, 2.2 * rows), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for axis in axes:
            axis.axis("off")

        for axis, image, name in zip(axes, images, names, strict=False):
            axis.imshow(np.asarray(image))
            text = textwrap.fill(name, 22, break_on_hyphens=False)
            axis.text(0.5, -0.04, text, transform=axis.transAxes, ha="center", va="top", fontsize=9)
    return figure


def training_curves(
    history: Sequence[Mapping[str, float]],
    ranks: Ranks,
    *,
    reference: float | None = None,
    split: str = "test",
    select: str = "auto",
    stored: pd.DataFrame | None = None,
) -> Figure:
    """Draw validation MAE and training loss over both stages, with the kept epochs marked.

    Args:
        history: Rows of `Run.history`.
        ranks: For the unit.
        reference: MAE of the median-rank predictor, drawn as a line.
        split: The images of which the reference is the error.
        select: How the run kept an epoch, see `Controls`.
        stored: Stored runs of the page, drawn as thin lines, see `spread.stored_runs`.
    """
    table = pd.DataFrame(history).assign(epoch=range(1, len(history) + 1))
    table["stage"] = "stage " + table["stage"].astype(str)
    with style():
        figure = Figure(figsize=(7.6, 3.1), layout="constrained")
        left, right = figure.subplots(1, 2)
        for axis, column in ((left, "val_mae"), (right, "loss")):
            _draw_curves(axis, table, column, legend=axis is left)
            if stored is not None:
                draw_stored(axis, stored, column)
        right.set(title="Training loss (the two stages' losses differ)", ylabel="loss")

        _mark_epochs(left, kept_epochs(table, select))
        highest = table["val_mae"].max()
        if reference is not None:
            highest = max(highest, reference)
            label = f"median rank ({split})"
            left.axhline(reference, color=COLOURS["reference"], linestyle="--", label=label)
        left.set(title="Validation error", ylabel=f"MAE ({unit_of(ranks)})")
        left.set(ylim=(0, 1.5 * highest))
        left.legend(loc="upper right")
    return figure


def draw_stored(axis: Axes, stored: pd.DataFrame, name: str) -> None:
    """Draw a curve of each stored run as a thin line behind today's."""
    for line in curves(stored, name):
        axis.plot(range(1, len(line) + 1), line, color=INK, alpha=0.5, linewidth=0.6, zorder=1)


def _draw_curves(axis: Axes, table: pd.DataFrame, column: str, *, legend: bool) -> None:
    """Draw a column of the history over the epochs of both stages, a line for each stage."""
    seaborn.lineplot(
        table, x="epoch", y=column, hue="stage", palette=COLOURS, legend=legend, ax=axis
    )
    axis.set_xlabel("epoch, both stages")


def kept_epochs(table: pd.DataFrame, select: str) -> pd.DataFrame:
    """Return the row of each stage whose epoch was kept.

    Args:
        table: Of a run's history, its stages named.
        select: See `Controls`.
    """
    criteria = ["val_mae", "val_rps"] if select == "mae" else ["val_rps", "val_mae"]
    kept = []
    for name, stage in table.groupby("stage"):
        if select == "last" or (select == "auto" and name == "stage 2"):
            kept.append(stage.tail(1))
        else:
            kept.append(stage.sort_values([*criteria, "epoch"]).head(1))
    return pd.concat(kept)


def _mark_epochs(axis: Axes, epochs: pd.DataFrame) -> None:
    """Mark epochs, and write the error above each."""
    axis.scatter(epochs["epoch"], epochs["val_mae"], color=epochs["stage"].map(COLOURS), zorder=3)
    for epoch, error in zip(epochs["epoch"], epochs["val_mae"], strict=True):
        axis.annotate(
            f"{error:.2f}", (epoch, error), (0, 7), textcoords="offset points", ha="center"
        )


def confusion(answers: Mapping[str, tuple[ArrayLike, ArrayLike]], ranks: Ranks) -> Figure:
    """Draw the share of each answer among the images of each true rank, one panel per model.

    Args:
        answers: (true rank indices, predicted rank indices) by panel title.
        ranks: The label space.
    """
    with style():
        figure = Figure(figsize=(3.3 * len(answers) + 0.6, 3.4), layout="constrained")
        axes = figure.subplots(1, len(answers), squeeze=False)[0]

        for axis, (title, (true, predicted)) in zip(axes, answers.items(), strict=True):
            _draw_confusion(axis, np.asarray(true), np.asarray(predicted), ranks)
            error = mae(np.asarray(true), np.asarray(predicted), ranks)
            axis.set_title(f"{title}\nMAE {error:.2f} {unit_of(ranks)}")
            axis.set(xlabel="predicted", yticks=[])
            _name_ticks(axis, ranks, shift=0.5)

        named = _spread(ranks, 8)
        middles = [rank + 0.5 for rank in named]
        axes[0].set_yticks(middles, [ranks.names[rank] for rank in named], rotation=0)
        axes[0].set_ylabel("true")
        mesh = axes[0].collections[0]
        figure.colorbar(mesh, ax=list(axes), label="share of the true rank", shrink=0.85)
    return figure


def _draw_confusion(
    axis: Axes, true: NDArray[np.int_], predicted: NDArray[np.int_], ranks: Ranks
) -> None:
    """Draw the confusion of one model as a heat map, with its numbers where there is room."""
    share = confusion_matrix(true, predicted, labels=range(len(ranks)), normalize="true")
    seaborn.heatmap(
        share,
        ax=axis,
        cmap="cividis",
        vmin=0,
        vmax=1,
        cbar=False,
        square=True,
        annot=len(ranks) <= MANY,
        fmt=".0%",
        annot_kws={"fontsize": 7.5},
    )


def gallery(
    split: Split, probabilities: Probabilities, ranks: Ranks, chosen: Sequence[int]
) -> Figure:
    """Draw images with the probability that the model gives each rank.

    The true rank is outlined, and marked by a triangle.

    Args:
        split: Where the images come from.
        probabilities: One row per image of the split.
        ranks: The label space.
        chosen: Indices of the images to show.
    """
    colours = rank_colours(len(ranks))
    highest = np.ceil(10 * np.asarray(probabilities)[chosen].max()) / 10
    with style():
        figure = Figure(figsize=(1.75 * len(chosen), 3.0), layout="constrained")
        axes = figure.subplots(2, len(chosen), height_ratios=(1.35, 1), squeeze=False)

        for index, (above, below) in zip(chosen, axes.T, strict=True):
            image, target = split[index]
            above.imshow(np.asarray(image), aspect="auto")
            above.axis("off")
            above.set_title(f"true: {ranks.names[target]}", loc="center", fontsize=8.5)

            bars = below.bar(range(len(ranks)), np.asarray(probabilities[index]), color=colours)
            bars[target].set(edgecolor=COLOURS["stage 2"], linewidth=2.2)
            below.plot(target, 0.04 * highest, "^", color=COLOURS["stage 2"], markersize=5)
            below.set(ylim=(0, highest), yticks=[])
            _name_ticks(below, ranks, most=5)

        axes[1, 0].set(yticks=[0, highest], ylabel="probability")
    return figure


def _spread(ranks: Ranks, most: int) -> list[int]:
    """Return both ends and, evenly between them, at most that many rank indices in all."""
    number = min(most, len(ranks))
    return sorted({round(at) for at in np.linspace(0, len(ranks) - 1, number)})


def _name_ticks(axis: Axes, ranks: Ranks, shift: float = 0.0, most: int = 8) -> None:
    """Write rank names along the x axis, thinned out where there are many."""
    named = _spread(ranks, most)
    places = [rank + shift for rank in named]
    names = [ranks.names[rank] for rank in named]
    axis.set_xticks(places, names, rotation=40, ha="right", rotation_mode="anchor")
