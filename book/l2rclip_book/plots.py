"""What the owner of a run looks at: one function per figure, each returns a matplotlib Figure and draws nothing else.

One look everywhere: ranks run through one colour-blind safe sequential map, the stages and
references keep their colours, and figures have no ground of their own. Text and lines are of a grey
that reads on a light and on a dark page.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.scale import LogScale, register_scale
from matplotlib.ticker import LogFormatter
from numpy.typing import ArrayLike
from PIL import Image
from sklearn.metrics import confusion_matrix

from l2rclip_lite.data.base import Split
from l2rclip_lite.metrics import Probabilities, mae
from l2rclip_lite.ranks import Ranks

MANY = 10  # ranks beyond which a heat map has no numbers, and only some ticks have names
INK = "#76818e"  # contrast 4 on white and 4.6 on the dark page of the book
COLOURS = {"stage 1": "#3b6fb6", "stage 2": "#c8553d", "reference": INK, "ink": INK}
STYLE: dict[Any, Any] = {
    **dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor"), "none"),
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "patch.edgecolor"), INK),
    **dict.fromkeys(("xtick.color", "ytick.color"), INK),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "font.size": 9,
    "svg.hashsalt": "l2rclip",
    "text.parse_math": False,  # a rank may be called $
}


def style() -> AbstractContextManager[None]:
    """The look of every figure in the book, undone on exit."""
    return mpl.rc_context(STYLE)


class PlainLog(LogFormatter):
    """Numbers at a logarithmic axis as characters: 0.01, 1,000, 10⁶; Matplotlib's own are formulas."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        """Nothing where Matplotlib would write nothing."""
        digit, _, power = f"{x:,.5g}".partition("e")
        if power:
            high = str(int(power)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
            digit = f"{digit}·10{high}".removeprefix("1·")
        return digit if super().__call__(x, pos) else ""


class Log(LogScale):
    """The scale "log"; where formulas are not parsed, as in `style`, it does without."""

    def __init__(self, *given: Any, **more: Any) -> None:  # since Matplotlib 3.11 no axis is given
        super().__init__(*given, **more)

    def set_default_locators_and_formatters(self, axis: Axis) -> None:
        """Those of Matplotlib, or plain ones."""
        super().set_default_locators_and_formatters(axis)
        if not mpl.rcParams["text.parse_math"]:
            axis.set_major_formatter(PlainLog(self.base))
            axis.set_minor_formatter(PlainLog(self.base, labelOnlyBase=self.subs is not None))


register_scale(Log)


def rank_colours(number: int) -> list[tuple[float, float, float, float]]:
    """K colours from low to high, visible on a light and a dark page and told apart by colour-blind readers.

    Example:
        >>> len(rank_colours(5))
        5
    """
    return [mpl.colormaps["viridis"](float(at)) for at in np.linspace(0.25, 0.9, number)]


def unit_of(ranks: Ranks) -> str:
    """The unit of an error: as the ranks have it, but grades in the plural."""
    return "grades" if ranks.unit == "grade" else ranks.unit


def contact_sheet(split: Split, ranks: Ranks, *, rows: int = 3, columns: int = 5) -> Figure:
    """Images of each rank, one column per rank, lowest on the left.

    Args:
        split: Where to take them from: the first ones of each rank.
        ranks: The label space.
        rows: Images per rank.
        columns: At most that many ranks, spread evenly over all of them.
    """
    shown = _spread(ranks, columns)
    with style():
        figure = Figure(figsize=(1.55 * len(shown), 1.55 * rows + 0.35), layout="constrained")
        axes = figure.subplots(rows, len(shown), squeeze=False)
        for rank, column in zip(shown, axes.T, strict=True):
            indices = [index for index, target in enumerate(split.targets) if target == rank]
            column[0].set_title(ranks.names[rank], loc="center")
            for row, axis in enumerate(column):
                axis.set(xticks=[], yticks=[])
                axis.spines[:].set(
                    visible=True, color=rank_colours(len(ranks))[rank], linewidth=2.2
                )
                if row < len(indices):
                    axis.imshow(np.asarray(split[indices[row]][0]), aspect="auto")
                else:
                    axis.axis("off")
    return figure


def image_grid(images: Sequence[Image.Image], names: Sequence[str], *, columns: int = 4) -> Figure:
    """Images with a line of text below each, in reading order.

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
            wrapped = textwrap.fill(name, 22, break_on_hyphens=False)
            axis.text(
                0.5, -0.04, wrapped, transform=axis.transAxes, ha="center", va="top", fontsize=9
            )
    return figure


def training_curves(
    history: Sequence[Mapping[str, float]],
    ranks: Ranks,
    *,
    reference: float | None = None,
    split: str = "test",
) -> Figure:
    """Validation MAE and training loss over both stages, with the chosen epochs marked.

    Args:
        history: Rows of `Run.history`.
        ranks: For the unit.
        reference: MAE of the median-rank predictor, drawn as a line.
        split: The images of which the reference is the error.
    """
    import seaborn

    table = pd.DataFrame(history).assign(epoch=range(1, len(history) + 1))
    table["stage"] = "stage " + table["stage"].astype(str)
    best = table.sort_values(["val_rps", "val_mae", "epoch"]).groupby("stage").head(1)
    with style():
        figure = Figure(figsize=(7.6, 3.1), layout="constrained")
        left, right = figure.subplots(1, 2)
        for axis, column in ((left, "val_mae"), (right, "loss")):
            shared = {"hue": "stage", "palette": COLOURS, "legend": axis is left}
            seaborn.lineplot(table, x="epoch", y=column, ax=axis, **shared)
            axis.set_xlabel("epoch, both stages")
        left.scatter(best["epoch"], best["val_mae"], color=best["stage"].map(COLOURS), zorder=3)
        for epoch, error in zip(best["epoch"], best["val_mae"], strict=True):
            left.annotate(
                f"{error:.2f}", (epoch, error), (0, 7), textcoords="offset points", ha="center"
            )
        if reference is not None:
            left.axhline(
                reference,
                color=COLOURS["reference"],
                linestyle="--",
                label=f"median rank ({split})",
            )
        highest = max(reference or 0.0, table["val_mae"].max())
        left.set(
            title="Validation error", ylabel=f"MAE ({unit_of(ranks)})", ylim=(0, 1.5 * highest)
        )
        left.legend(loc="upper right")
        right.set(title="Training loss (the two stages' losses differ)", ylabel="loss")
    return figure


def confusion(answers: Mapping[str, tuple[ArrayLike, ArrayLike]], ranks: Ranks) -> Figure:
    """Share of each true rank that was given each answer, one panel per model.

    Args:
        answers: (true rank indices, predicted rank indices) by panel title.
        ranks: The label space.
    """
    import seaborn

    with style():
        figure = Figure(figsize=(3.3 * len(answers) + 0.6, 3.4), layout="constrained")
        axes = figure.subplots(1, len(answers), squeeze=False)[0]
        for axis, (title, true_and_predicted) in zip(axes, answers.items(), strict=True):
            true, predicted = (np.asarray(each) for each in true_and_predicted)
            share = confusion_matrix(true, predicted, labels=range(len(ranks)), normalize="true")
            text = {"annot": len(ranks) <= MANY, "fmt": ".0%", "annot_kws": {"fontsize": 7.5}}
            seaborn.heatmap(
                share, ax=axis, cmap="cividis", vmin=0, vmax=1, cbar=False, square=True, **text
            )
            axis.set_title(f"{title}\nMAE {mae(true, predicted, ranks):.2f} {unit_of(ranks)}")
            axis.set(xlabel="predicted", yticks=[])
            _name_ticks(axis, ranks, shift=0.5)
        at = _spread(ranks, 8)
        axes[0].set_yticks([k + 0.5 for k in at], [ranks.names[k] for k in at], rotation=0)
        axes[0].set_ylabel("true")
        figure.colorbar(
            axes[0].collections[0], ax=list(axes), label="share of the true rank", shrink=0.85
        )
    return figure


def gallery(
    split: Split, probabilities: Probabilities, ranks: Ranks, chosen: Sequence[int]
) -> Figure:
    """Images with the probability that the model gives each rank; the true rank is outlined, and marked by a triangle.

    Args:
        split: Where the images come from.
        probabilities: One row per image of the split.
        ranks: The label space.
        chosen: Indices of the images to show.
    """
    colours = rank_colours(len(ranks))
    most = np.ceil(10 * np.asarray(probabilities)[chosen].max()) / 10
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
            below.plot(target, 0.04 * most, "^", color=COLOURS["stage 2"], markersize=5)
            below.set(ylim=(0, most), yticks=[])
            _name_ticks(below, ranks, most=5)
        axes[1, 0].set(yticks=[0, most], ylabel="probability")
    return figure


def _spread(ranks: Ranks, most: int) -> list[int]:
    """Both ends and, evenly between them, at most that many ranks in all."""
    return sorted({round(at) for at in np.linspace(0, len(ranks) - 1, min(most, len(ranks)))})


def _name_ticks(axis: Axes, ranks: Ranks, shift: float = 0.0, most: int = 8) -> None:
    """Rank names along the x axis, thinned out where there are many."""
    at = _spread(ranks, most)
    names = [ranks.names[k] for k in at]
    axis.set_xticks([k + shift for k in at], names, rotation=40, ha="right", rotation_mode="anchor")
