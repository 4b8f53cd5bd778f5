"""What the owner of a run looks at: one function per figure, each returns a matplotlib Figure and draws nothing else.

One look everywhere: ranks run through one colour-blind safe sequential map, the stages and references keep their
colours, and the background is opaque, so that a figure reads the same on a light and on a dark page.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from torch import Tensor

from l2rclip_lite.data.base import OrdinalDataset, Split
from l2rclip_lite.metrics import mae
from l2rclip_lite.ranks import Ranks

SPLITS = ("train", "val", "test")
MANY = 10  # ranks beyond which a heat map has no numbers, and only some ticks have names
COLOURS = {"stage 1": "#3b6fb6", "stage 2": "#c8553d", "reference": "#6b7280", "ink": "#1f2933"}
STYLE: dict[Any, Any] = {
    "figure.facecolor": "#fdfdfb",
    "axes.facecolor": "#fdfdfb",
    "savefig.facecolor": "#fdfdfb",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#9aa5b1",
    "axes.labelcolor": "#1f2933",
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.labelsize": 9.5,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "xtick.color": "#52606d",
    "ytick.color": "#52606d",
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "font.family": "DejaVu Sans",
    "svg.hashsalt": "l2rclip",
}


@contextmanager
def style() -> Iterator[None]:
    """The look of every figure in the book, undone on exit."""
    with mpl.rc_context(STYLE):
        yield


def rank_colours(number: int) -> list[tuple[float, float, float, float]]:
    """K colours from low to high, readable on white and told apart by colour-blind readers.

    Example:
        >>> len(rank_colours(5))
        5
    """
    return [mpl.colormaps["viridis"](float(at)) for at in np.linspace(0.05, 0.9, number)]


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
            column[0].set_title(ranks.names[rank], color=COLOURS["ink"], loc="center")
            for row, axis in enumerate(column):
                axis.set(xticks=[], yticks=[])
                axis.spines[:].set(visible=True, color=rank_colours(len(ranks))[rank], linewidth=2.2)
                if row < len(indices):
                    axis.imshow(np.asarray(split[indices[row]][0]), aspect="auto")
                else:
                    axis.axis("off")
    return figure


def rank_histogram(data: OrdinalDataset) -> Figure:
    """How many images each rank has, one panel per split; a cross marks a rank that has none.

    Args:
        data: Any data set; no image is opened.

    Example:
        >>> from l2rclip_lite.data import load_dataset
        >>> figure = rank_histogram(load_dataset("leaves", size=60))
        >>> [axis.get_title("left") for axis in figure.axes]
        ['train: 40 images', 'val: 10 images', 'test: 10 images']
    """
    number = len(data.ranks)
    with style():
        figure = Figure(figsize=(7.6, 5.0), layout="constrained")
        axes = figure.subplots(len(SPLITS), 1, sharex=True, height_ratios=(1.5, 1, 1))
        for axis, split in zip(axes, SPLITS, strict=True):
            counts = np.array(data.counts(split))
            empty, top = np.flatnonzero(counts == 0), 1.25 * max(counts.max(), 1)
            visible = np.where(
                counts, np.maximum(counts, 0.012 * top), 0
            )  # one among thousands is a line, not nothing
            bars = axis.bar(range(number), visible, color=rank_colours(number), width=0.82)
            axis.plot(
                empty, np.zeros(len(empty)), "x", markersize=4.5, color=COLOURS["stage 2"], clip_on=False
            )
            title = f"{split}: {counts.sum():,} images"
            axis.set_title(f"{title}, {len(empty)} of {number} ranks empty (×)" if len(empty) else title)
            axis.set(ylim=(0, top), ylabel="images")
            axis.yaxis.get_major_locator().set_params(integer=True, nbins=4)
            axis.yaxis.set_major_formatter("{x:,.0f}")
            if number <= MANY:
                axis.bar_label(
                    bars, [f"{count:,}" if count else "" for count in counts], fontsize=8, padding=1
                )
        _name_ticks(axes[-1], data.ranks, "x", 12)
        figure.suptitle(data.card.title, x=0.01, ha="left", fontsize=11.5, color=COLOURS["ink"])
        steps = textwrap.fill("; ".join(data.protocol), 115)
        figure.supxlabel(steps, x=0.01, ha="left", fontsize=8, color=COLOURS["reference"])
    return figure


def training_curves(
    history: Sequence[Mapping[str, float]], ranks: Ranks, *, reference: float | None = None
) -> Figure:
    """Validation MAE and training loss over both stages or joint training, with the chosen epochs marked.

    Args:
        history: Rows of `Run.history`.
        ranks: For the unit.
        reference: MAE of the median-rank predictor, drawn as a line.
    """
    stages = sorted({row["stage"] for row in history})
    with style():
        figure = Figure(figsize=(7.6, 3.1), layout="constrained")
        left, right = figure.subplots(1, 2)
        start = 0
        for stage in stages:
            rows = [row for row in history if row["stage"] == stage]
            label = f"stage {stage:.0f}" if stage in (1, 2) else "joint"
            colour = COLOURS.get(label, COLOURS["stage 2"])
            x, error = start + np.arange(1, len(rows) + 1), [row["val_mae"] for row in rows]
            best = min(range(len(rows)), key=lambda i: (rows[i]["val_mae"], rows[i]["val_rps"]))
            left.plot(x, error, color=colour, label=label, linewidth=1.8)
            left.plot(x[best], error[best], "o", color=colour, markersize=6, markeredgecolor="white")
            above = error[best] < 0.15 * max(
                *error, reference or 0.0
            )  # no room between the point and the axis
            left.annotate(f"{error[best]:.2f}", (x[best], error[best]), (0, 7 if above else -13), ha="center",
                          textcoords="offset points", color=colour, fontsize=8.5)  # fmt: skip
            right.plot(x, [row["loss"] for row in rows], color=colour, label=label, linewidth=1.8)
            start += len(rows)
        if reference is not None:
            left.axhline(
                reference,
                color=COLOURS["reference"],
                linestyle="--",
                linewidth=1.1,
                label="median rank (test)",
            )
        both = len(stages) > 1
        epoch = "epoch, both stages" if both else "epoch"
        highest = max([row["val_mae"] for row in history], default=1.0)
        left.set(title="Validation error", xlabel=epoch, ylabel=f"MAE ({ranks.unit})")
        left.set_ylim(0, 1.35 * max(highest, reference or 0.0))  # room for the legend above the curves
        left.legend(loc="upper right", frameon=True, framealpha=0.9, edgecolor="none")
        title = "Training loss (the two stages' losses differ)" if both else "Training loss"
        right.set(title=title, xlabel=epoch, ylabel="loss")
    return figure


def text_similarity(features: Mapping[str, Float[Tensor, "rank dim"]], ranks: Ranks) -> Figure:
    """Cosine between the text features of every two ranks, one panel per moment (before, after stage 1, …).

    Args:
        features: Text features by panel title.
        ranks: The label space.
    """
    cosines = {title: (rows @ rows.T).numpy() for title, rows in features.items()}
    return _heat_maps(cosines, ranks, "cosine", ".2f", cmap="RdBu_r", vmin=-1, vmax=1)


def confusion(answers: Mapping[str, tuple[ArrayLike, ArrayLike]], ranks: Ranks) -> Figure:
    """Share of each true rank that was given each answer, one panel per model.

    Args:
        answers: (true rank indices, predicted rank indices) by panel title.
        ranks: The label space.
    """
    shares = {}
    for title, (true, predicted) in answers.items():
        counts = np.zeros((len(ranks), len(ranks)))
        np.add.at(counts, (np.asarray(true), np.asarray(predicted)), 1)
        titled = f"{title}\nMAE {mae(true, predicted, ranks):.2f} {ranks.unit}"
        shares[titled] = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    figure = _heat_maps(shares, ranks, "share of the true rank", ".0%", cmap="cividis", vmin=0, vmax=1)
    for axis in figure.axes[: len(shares)]:
        axis.set_xlabel("predicted")
    figure.axes[0].set_ylabel("true")
    return figure


def errors_by_rank(answers: Mapping[str, tuple[ArrayLike, ArrayLike]], ranks: Ranks) -> Figure:
    """Signed error of the answers per true rank: mean, with its 95 % bootstrap interval, one colour per model.

    Args:
        answers: (true rank indices, predicted rank indices) by model.
        ranks: The label space; errors are in its unit.
    """
    import seaborn

    values = np.array(ranks.values, float)
    with style():
        figure = Figure(figsize=(7.6, 3.1), layout="constrained")
        axis = figure.subplots()
        for title, (true, predicted) in answers.items():
            at, error = np.asarray(true), values[np.asarray(predicted)] - values[np.asarray(true)]
            seaborn.lineplot(x=at, y=error, ax=axis, label=title, marker="o", errorbar=("ci", 95), seed=0)
        axis.axhline(0, color=COLOURS["reference"], linestyle="--", linewidth=1.1)
        axis.set(
            title="Error per rank: above 0, answers are too high",
            xlabel="true rank",
            ylabel=f"error ({ranks.unit})",
        )
        _name_ticks(axis, ranks, "x", 12)
    return figure


def gallery(
    split: Split, probabilities: Float[Tensor, "batch rank"], ranks: Ranks, chosen: Sequence[int]
) -> Figure:
    """Images with the probability that the model gives each rank; the true rank is outlined, and marked by a triangle.

    Args:
        split: Where the images come from.
        probabilities: One row per image of the split.
        ranks: The label space.
        chosen: Indices of the images to show.
    """
    with style():
        figure = Figure(figsize=(1.75 * len(chosen), 3.0), layout="constrained")
        axes = figure.subplots(2, len(chosen), height_ratios=(1.35, 1), squeeze=False)
        for index, (above, below) in zip(chosen, axes.T, strict=True):
            image, target = split[index]
            above.imshow(np.asarray(image), aspect="auto")
            above.axis("off")
            above.set_title(f"true: {ranks.names[target]}", loc="center", fontsize=8.5)
            bars = below.bar(
                range(len(ranks)), np.asarray(probabilities[index]), color=rank_colours(len(ranks))
            )
            bars[target].set(edgecolor=COLOURS["stage 2"], linewidth=2.2)
            below.plot(target, 0.04, "^", color=COLOURS["stage 2"], markersize=5)
            below.set(ylim=(0, 1), yticks=[])
            _name_ticks(below, ranks, "x", 8)
        axes[1, 0].set(yticks=[0, 1], ylabel="probability")
    return figure


def _heat_maps(maps: Mapping[str, np.ndarray], ranks: Ranks, label: str, fmt: str, **colours: Any) -> Figure:
    """One rank by rank heat map per title, with numbers where there is room, and one colour bar."""
    import seaborn

    with style():
        figure = Figure(figsize=(3.2 * len(maps) + 0.8, 3.3), layout="constrained")
        axes = figure.subplots(1, len(maps), squeeze=False)[0]
        for axis, (title, values) in zip(axes, maps.items(), strict=True):
            seaborn.heatmap(values, ax=axis, annot=len(ranks) <= MANY, fmt=fmt, cbar=False, square=True,
                            xticklabels=False, yticklabels=False, annot_kws={"fontsize": 7.5}, **colours)  # fmt: skip
            axis.set_title(title)
            _name_ticks(axis, ranks, "x", 8, 0.5)
        _name_ticks(axes[0], ranks, "y", 8, 0.5)
        figure.colorbar(axes[0].collections[0], ax=list(axes), label=label, shrink=0.85)
    return figure


def _spread(ranks: Ranks, most: int) -> list[int]:
    """Both ends and, evenly between them, at most that many ranks in all."""
    return np.unique(np.linspace(0, len(ranks) - 1, min(most, len(ranks))).round().astype(int)).tolist()


def _name_ticks(axis: Axes, ranks: Ranks, along: str, most: int, shift: float = 0.0) -> None:
    """Rank names along an axis, thinned out where there are many."""
    at = _spread(ranks, most)
    turned = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if along == "x" else {}
    set_ticks = axis.set_xticks if along == "x" else axis.set_yticks
    set_ticks([k + shift for k in at], [ranks.names[k] for k in at], **turned)
