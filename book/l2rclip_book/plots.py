"""Figures of a run, and the look of all figures: each function returns a Figure, shows nothing.

Ranks run through one colour-blind safe sequential map; methods, data sets, stages and references
keep their colours. Figures have no ground of their own: text and lines are of a grey that reads on
a light and on a dark page.
"""

import textwrap
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
import matplotlib.style
import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.typing import ColorType
from numpy.typing import ArrayLike
from PIL import Image
from sklearn.metrics import confusion_matrix

from l2rclip_lite.data.base import Split
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.metrics import Probabilities, mae

MANY = 10  # ranks beyond which a heat map has no numbers
INK = "#76818e"  # contrast 4 on white and 4.6 on the dark page of the book
COLOURS = {"stage 1": "#3b6fb6", "stage 2": "#c8553d", "reference": INK, "ink": INK}
# colour and marker; contrast of at least 2.5 on white and on the dark page; warm colours for arms
# that read sentences, cold ones for those that do not
METHODS = {
    "cross-entropy": ("#3b6fb6", "^"),
    "shuffled words": ("#b07aa1", "v"),
    "words": ("#d18f2b", "D"),
    "numbers": ("#247a55", "P"),
}
# name, colour (the first after Okabe and Ito), marker
DATA = {
    "bracol-area": ("leaf damage, 21 ranks", "#d55e00", "o"),
    "apples81": ("apples, 20 ranks", "#009e73", "s"),
    "hc18": ("fetal head, 27 ranks", "#0072b2", "^"),
    "cherries81": ("cherries, 20 ranks", "#c2384a", "X"),
    "pears": ("pears, 20 ranks", "#7d8a00", "p"),
    "portraits": ("faces by age, 17 ranks", "#8560b8", "*"),
    "bracol": ("leaf damage, 5 ranks", "#d59400", "P"),
    "retinamnist": ("retina, 5 ranks", "#cc79a7", "v"),
    "leaves5": ("generated leaves, 5 ranks", "#98a5b3", "o"),
    "leaves20": ("generated leaves, 20 ranks", "#76818e", "<"),
    "leaves62": ("generated leaves, 62 ranks", "#56606b", ">"),
}
DARK = "#1f2933"  # on light boxes, whatever the page is
GRID = f"{INK}40"
PAPER = "none"
WIDTH = 7.8
NARROW = 5.2  # inches: type of 9 points stays legible where a page is 390 pixels wide
WRONG = COLOURS["stage 2"]
# the look of the book, as a context or a decorator; `drawn` leaves names as they are that hold a $
STYLE = Path(__file__).with_name("book.mplstyle")
style = partial(mpl.style.context, STYLE)
drawn = partial(mpl.style.context, [STYLE, {"text.parse_math": False}])


def canvas(height: float, width: float = WIDTH) -> Figure:
    """Return an empty figure of so many inches whose parts find their places themselves."""
    return Figure(figsize=(width, height), layout="constrained")


def panels(
    contents: Mapping[str, Any], columns: int, height: float, width: float = WIDTH, **shared: Any
) -> tuple[Figure, list[tuple[Axes, str, Any]]]:
    """Return a figure, and its panels in reading order: axes, title and content of each.

    Args:
        contents: By title.
        columns: Panels per row.
        height: Of each row, in inches.
        width: Of the figure.
        shared: What `Figure.subplots` takes.
    """
    n_rows = -(-len(contents) // columns)
    figure = canvas(n_rows * height, width)
    axes = figure.subplots(n_rows, columns, squeeze=False, **shared).ravel()
    for empty in axes[len(contents) :]:
        empty.remove()

    shown = list(zip(figure.axes, contents, contents.values(), strict=True))
    for axis, title, _ in shown:
        axis.set_title(title)
    return figure, shown


def write_in(
    axis: Axes, place: Sequence[float], text: str, ground: ColorType = PAPER, **look: Any
) -> Text:
    """Write a text around a place, in a colour that reads on its ground."""
    look = {"ha": "center", "va": "center", "color": ink_on(ground)} | look
    return axis.text(place[0], place[1], text, **look)


def heat_map(axis: Axes, table: ArrayLike, *, square: bool = True, **look: Any) -> None:
    """Draw a table as cells; `look` is that of seaborn."""
    seaborn.heatmap(table, ax=axis, square=square, cbar=False, **look)
    axis.tick_params(length=0)
    axis.tick_params("y", rotation=0)


def ink_on(colour: ColorType) -> str:
    """Return a colour for text on a box: white or a dark tone; ink where the box is clear.

    Example:
        >>> ink_on("navy"), ink_on("yellow"), ink_on("none")
        ('white', '#1f2933', '#76818e')
    """
    red, green, blue, alpha = to_rgba(colour)
    if not alpha:
        return INK

    brightness = 0.3 * red + 0.59 * green + 0.11 * blue
    return "white" if brightness < 0.55 else DARK


def grid(axis: Axes, along: Literal["x", "y"], title: str = "") -> None:
    """Write a title, and draw grid lines behind everything."""
    axis.set_title(title)
    axis.grid(axis=along, color=GRID, linewidth=0.8)
    axis.set_axisbelow(True)


def name_rows(axis: Axes, names: Sequence[str]) -> None:
    """Write one name per row, the first on top."""
    wrapped = [textwrap.fill(name, 44) for name in names]
    axis.set_yticks(range(len(names)), wrapped, fontsize=9.5)
    axis.set_ylim(len(names) - 0.5, -0.5)


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


@drawn()
def image_grid(images: Sequence[Image.Image], names: Sequence[str], *, columns: int) -> Figure:
    """Draw images with a line of text below each, in reading order.

    Args:
        images: What to show.
        names: A file name, or anything else, for each.
        columns: Images per row.
    """
    n_rows = -(-len(images) // columns)
    figure = canvas(2.2 * n_rows)
    for place, (image, name) in enumerate(zip(images, names, strict=True), start=1):
        axis = figure.add_subplot(n_rows, columns, place)
        axis.imshow(image)
        axis.spines[:].set_visible(False)
        axis.set(xticks=[], yticks=[])
        axis.set_xlabel(textwrap.fill(name, 22, break_on_hyphens=False))
    return figure


@drawn()
def training_curves(
    history: Sequence[Mapping[str, float]], ranks: Ranks, reference: float, select: str
) -> Figure:
    """Draw validation MAE and training loss over both stages, with the kept epochs marked.

    Args:
        history: Rows of `Run.history`.
        ranks: For the unit.
        reference: MAE of the median-rank predictor on the test images, drawn as a line.
        select: How the run kept an epoch, see `Controls`.
    """
    table = pd.DataFrame(history).assign(epoch=range(1, len(history) + 1))
    table["stage"] = "stage " + table["stage"].astype(str)
    title = f"Validation error: MAE ({unit_of(ranks)})"
    columns = {title: "val_mae", "Training loss (the two stages' losses differ)": "loss"}
    figure, shown = panels(columns, 2, 3.1)
    for axis, _, column in shown:
        lines = table.pivot(index="epoch", columns="stage", values=column)
        lines.plot(ax=axis, color=COLOURS, xlabel="epoch, both stages", legend=False)

    left = figure.axes[0]
    kept = kept_epochs(table, select)
    left.scatter(kept["epoch"], kept["val_mae"], color=kept["stage"].map(COLOURS), zorder=3)
    for epoch, error in kept[["epoch", "val_mae"]].to_numpy():
        left.text(epoch, error, f"{error:.2f}\n", ha="center")
    left.axhline(reference, color=INK, linestyle="--", label="median rank (test)")
    left.set_ylim(0, 1.5 * max(table["val_mae"].max(), reference))
    left.legend(loc="upper right")
    return figure


def kept_epochs(table: pd.DataFrame, select: str) -> pd.DataFrame:
    """Return the row of each stage whose epoch was kept.

    Args:
        table: Of a run's history, its stages named.
        select: See `Controls`.
    """
    criteria = ["val_mae", "val_rps"] if select == "mae" else ["val_rps", "val_mae"]
    preferred = table.sort_values([*criteria, "epoch"])
    latest = table[::-1]
    if select == "last":
        preferred = latest
    elif select == "auto":
        preferred = pd.concat([latest[latest["stage"] == "stage 2"], preferred])
    return preferred.drop_duplicates("stage")


@drawn()
def confusion(answers: Mapping[str, tuple[ArrayLike, ArrayLike]], ranks: Ranks) -> Figure:
    """Draw the share of each answer among the images of each true rank, one panel per model.

    Args:
        answers: (true rank indices, predicted rank indices) by panel title.
        ranks: The label space.
    """
    number = len(ranks)
    figure, shown = panels(answers, len(answers), 3.4, 3.3 * len(answers) + 0.6)
    for axis, title, (true, predicted) in shown:
        heat_map(
            axis,
            confusion_matrix(true, predicted, labels=range(number), normalize="true"),
            cmap="cividis",
            vmin=0,
            vmax=1,
            annot=number <= MANY,
            fmt=".0%",
            annot_kws={"fontsize": 7.5},
        )
        error = mae(np.asarray(true), np.asarray(predicted), ranks)
        axis.set_title(f"{title}\nMAE {error:.2f} {unit_of(ranks)}")
        axis.set(xlabel="predicted", yticks=[])
        name_ranks(axis, ranks, shift=0.5)

    first: Any = figure.axes[0]
    first.set_yticks(first.get_xticks(), first.get_xticklabels())
    first.set_ylabel("true")
    label = "share of the true rank"
    figure.colorbar(first.collections[0], ax=figure.axes, label=label, shrink=0.85)
    return figure


@drawn()
def gallery(split: Split, probabilities: Probabilities, ranks: Ranks) -> Figure:
    """Draw images with the probability that the model gives each rank.

    The true rank is outlined, and marked by a triangle.

    Args:
        split: The images.
        probabilities: One row for each.
        ranks: The label space.
    """
    p = np.asarray(probabilities)
    highest = np.ceil(10 * p.max()) / 10
    figure = canvas(3.0, 1.75 * len(p))
    axes = figure.subplots(2, len(p), height_ratios=(1.35, 1), squeeze=False)

    for index, (above, below) in enumerate(axes.T):
        image, target = split[index]
        above.imshow(image, aspect="auto")
        above.axis("off")
        above.set_title(f"true: {ranks.names[target]}", loc="center", fontsize=8.5)
        draw_probabilities(below, p[index], target)
        name_ranks(below, ranks, most=5)
        below.plot(target, 0.04 * highest, "^", color=WRONG, markersize=5)
        below.set(ylim=(0, highest), yticks=[])

    axes[1, 0].set(yticks=[0, highest], ylabel="probability")
    return figure


def draw_probabilities(axis: Axes, row: Sequence[float] | np.ndarray, target: int) -> None:
    """Draw the probabilities of the ranks as bars, that of the true rank outlined."""
    bars = axis.bar(range(len(row)), row, color=rank_colours(len(row)))
    bars[target].set(edgecolor=WRONG, linewidth=2.2)


def spread_out(ranks: Ranks, most: int) -> list[int]:
    """Return both ends and, evenly between them, at most that many rank indices in all."""
    number = min(most, len(ranks))
    return [round(at) for at in np.linspace(0, len(ranks) - 1, number)]


def name_ranks(axis: Axes, ranks: Ranks, *, most: int = 8, shift: float = 0) -> None:
    """Write rank names along the x axis, thinned out where there are many.

    Args:
        axis: Where to write.
        ranks: The label space.
        most: How many are written.
        shift: From the index of a rank to its place.
    """
    named = spread_out(ranks, most)
    texts = [ranks.names[rank] for rank in named]
    places = np.add(named, shift)
    axis.set_xticks(places, texts, rotation=40, ha="right", rotation_mode="anchor")
