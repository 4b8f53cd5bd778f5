"""Figures of a run, and the look of all figures: each function returns a Figure, shows nothing.

Ranks run through one colour-blind safe sequential map; methods, data sets, stages and references
keep their colours. Figures have no ground of their own: text and lines are of a grey that reads on
a light and on a dark page.
"""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch
from matplotlib.typing import ColorType
from numpy.typing import ArrayLike
from PIL import Image
from sklearn.metrics import confusion_matrix

from l2rclip_book.results import curves
from l2rclip_lite.data.base import Split
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.metrics import Probabilities, mae

MANY = 10  # ranks beyond which a heat map has no numbers
INK = "#76818e"  # contrast 4 on white and 4.6 on the dark page of the book
COLOURS = {"stage 1": "#3b6fb6", "stage 2": "#c8553d", "reference": INK, "ink": INK}
# colour and marker; contrast of at least 2.5 on white and on the dark page; warm colours for arms
# that read sentences, cold ones for those that do not
METHODS: dict[str, tuple[str, str]] = {
    "cross-entropy": ("#3b6fb6", "^"),
    "ridge": ("#2a8c82", "X"),
    "shuffled words": ("#b07aa1", "v"),
    "words": ("#d18f2b", "D"),
    "after stage 1": ("#c8553d", "o"),
    "numbers": ("#247a55", "P"),
    "median-rank": (INK, "s"),
    "L2RCLIP": (INK, "o"),
}
# name, colour (the first after Okabe and Ito), marker
DATA: dict[str, tuple[str, str, str]] = {
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
GRID = f"{COLOURS['ink']}40"
PAPER = "none"
WIDTH = 7.8
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
}


def style() -> AbstractContextManager[None]:
    """Give figures the look of the book; on exit the former look is back."""
    return mpl.rc_context(STYLE)


@contextmanager
def drawn() -> Iterator[None]:
    """Give a figure the look of the book; its names stand as they are, for one may hold a $."""
    with mpl.rc_context(STYLE | {"text.parse_math": False}):
        yield


def canvas(height: float, width: float = WIDTH) -> Figure:
    """Return an empty figure of so many inches whose parts find their places themselves."""
    return Figure(figsize=(width, height), layout="constrained")


def tie(
    figure: Figure, axis: Axes, edge: float, other: Axes, point: Sequence[float], colour: ColorType
) -> None:
    """Draw a line from the middle of an edge of a panel, 0 the lower and 1 the upper, to a point.

    Args:
        figure: Of both panels.
        axis: The panel with the edge.
        edge: Height in it.
        other: The panel with the point.
        point: In the numbers of its axes.
        colour: Of the line.
    """
    ends: dict[str, Any] = {
        "coordsA": "axes fraction",
        "coordsB": "data",
        "axesA": axis,
        "axesB": other,
    }
    figure.add_artist(ConnectionPatch((0.5, edge), (point[0], point[1]), color=colour, **ends))


def frame_image(axis: Axes, image: ArrayLike, colour: ColorType) -> None:
    """Draw an image in a frame of a colour."""
    axis.imshow(np.asarray(image), aspect="auto")
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set(visible=True, color=colour, linewidth=2.4)


def ink_on(colour: ColorType) -> str:
    """Return a colour for text on a box: white or a dark tone; ink where the box is clear.

    Example:
        >>> ink_on("navy"), ink_on("yellow"), ink_on("none")
        ('white', '#1f2933', '#76818e')
    """
    red, green, blue, alpha = to_rgba(colour)
    if not alpha:
        return COLOURS["ink"]

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
def image_grid(images: Sequence[Image.Image], names: Sequence[str], *, columns: int = 4) -> Figure:
    """Draw images with a line of text below each, in reading order.

    Args:
        images: What to show.
        names: A file name, or anything else, for each.
        columns: Images per row.
    """
    rows = -(-len(images) // columns)
    figure = canvas(2.2 * rows, 1.95 * columns)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.axis("off")

    for axis, image, name in zip(axes, images, names, strict=False):
        axis.imshow(np.asarray(image))
        text = textwrap.fill(name, 22, break_on_hyphens=False)
        axis.text(0.5, -0.04, text, transform=axis.transAxes, ha="center", va="top", fontsize=9)
    return figure


@drawn()
def training_curves(
    history: Sequence[Mapping[str, float]],
    ranks: Ranks,
    *,
    reference: float | None = None,
    select: str = "auto",
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
    figure = canvas(3.1, 7.6)
    left, right = figure.subplots(1, 2)
    for axis, column in ((left, "val_mae"), (right, "loss")):
        seaborn.lineplot(table, x="epoch", y=column, hue="stage", palette=COLOURS, ax=axis)
        axis.set_xlabel("epoch, both stages")
    right.set(title="Training loss (the two stages' losses differ)", ylabel="loss")

    _mark_epochs(left, kept_epochs(table, select))
    if reference is not None:
        left.axhline(
            reference, color=COLOURS["reference"], linestyle="--", label="median rank (test)"
        )
    highest = max(table["val_mae"].max(), reference or 0)
    left.set(title="Validation error", ylabel=f"MAE ({unit_of(ranks)})")
    left.set(ylim=(0, 1.5 * highest))
    left.legend(loc="upper right")
    right.legend().remove()
    return figure


def draw_stored(axis: Axes, stored: pd.DataFrame, name: str, colour: str = INK) -> None:
    """Draw a curve of each stored run as a thin line behind today's."""
    for line in curves(stored, name):
        epochs = range(1, len(line) + 1)
        axis.plot(epochs, line, color=colour, alpha=0.5, linewidth=0.6, zorder=1)


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


@drawn()
def confusion(answers: Mapping[str, tuple[ArrayLike, ArrayLike]], ranks: Ranks) -> Figure:
    """Draw the share of each answer among the images of each true rank, one panel per model.

    Args:
        answers: (true rank indices, predicted rank indices) by panel title.
        ranks: The label space.
    """
    figure = canvas(3.4, 3.3 * len(answers) + 0.6)
    axes = figure.subplots(1, len(answers), squeeze=False)[0]

    for axis, (title, (true, predicted)) in zip(axes, answers.items(), strict=True):
        seaborn.heatmap(
            confusion_matrix(true, predicted, labels=range(len(ranks)), normalize="true"),
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
        error = mae(np.asarray(true), np.asarray(predicted), ranks)
        axis.set_title(f"{title}\nMAE {error:.2f} {unit_of(ranks)}")
        axis.set(xlabel="predicted", yticks=[])
        name_ranks(axis, ranks, np.arange(len(ranks)) + 0.5)

    axes[0].set_yticks(axes[0].get_xticks(), axes[0].get_xticklabels())
    axes[0].set_ylabel("true")
    axes[0].tick_params("y", rotation=0)
    mesh = axes[0].collections[0]
    figure.colorbar(mesh, ax=list(axes), label="share of the true rank", shrink=0.85)
    return figure


@drawn()
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
    figure = canvas(3.0, 1.75 * len(chosen))
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
        name_ranks(below, ranks, range(len(ranks)), most=5)

    axes[1, 0].set(yticks=[0, highest], ylabel="probability")
    return figure


def spread_out(ranks: Ranks, most: int) -> list[int]:
    """Return both ends and, evenly between them, at most that many rank indices in all."""
    number = min(most, len(ranks))
    return sorted({round(at) for at in np.linspace(0, len(ranks) - 1, number)})


def name_ranks(
    axis: Axes, ranks: Ranks, places: Sequence[float] | np.ndarray, most: int = 8
) -> None:
    """Write rank names along the x axis at their places, thinned out where there are many."""
    named = spread_out(ranks, most)
    texts = [ranks.names[rank] for rank in named]
    where = [places[rank] for rank in named]
    axis.set_xticks(where, texts, rotation=40, ha="right", rotation_mode="anchor")
