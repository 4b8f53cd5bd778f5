"""One function a figure; each returns a matplotlib Figure and draws nothing else.

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
import torch
from jaxtyping import Float
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from torch import Tensor

from l2rclip_lite.data.base import SPLITS, OrdinalDataset, Split
from l2rclip_lite.metrics import mae
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.stages import JOINT

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
    cmap: Colormap = mpl.colormaps["viridis"]
    return [cmap(float(at)) for at in np.linspace(0.05, 0.9, number)]


def contact_sheet(split: Split, ranks: Ranks, *, rows: int = 3, columns: int = 5) -> Figure:
    """Pictures of each rank, a column a rank, lowest on the left.

    Args:
        split: Where to take them from: the first ones of each rank.
        ranks: The label space.
        rows: Pictures of each rank.
        columns: At most that many ranks, spread evenly over all of them.
    """
    shown = np.unique(np.linspace(0, len(ranks) - 1, min(columns, len(ranks))).round().astype(int))
    with style():
        figure = Figure(figsize=(1.55 * len(shown), 1.55 * rows + 0.35), layout="constrained")
        axes = np.atleast_2d(figure.subplots(rows, len(shown), squeeze=False))
        for column, rank in enumerate(shown):
            found = [index for index, target in enumerate(split.targets) if target == rank][:rows]
            colour = rank_colours(len(ranks))[rank]
            axes[0, column].set_title(ranks.names[rank], color=COLOURS["ink"], loc="center")
            for row in range(rows):
                axis = axes[row, column]
                axis.set(xticks=[], yticks=[])
                for spine in axis.spines.values():
                    spine.set(visible=True, color=colour, linewidth=2.2)
                if row < len(found):
                    axis.imshow(np.asarray(split[found[row]][0]), aspect="auto")
                else:
                    axis.axis("off")
    return figure


def rank_histogram(data: OrdinalDataset) -> Figure:
    """How many pictures each rank has, one panel a split; a cross marks a rank that has none.

    Args:
        data: Any data set; no picture is opened.

    Example:
        >>> from l2rclip_lite.data import load_dataset
        >>> figure = rank_histogram(load_dataset("leaves", size=60))
        >>> [axis.get_title("left") for axis in figure.axes]
        ['train: 40 pictures', 'val: 10 pictures', 'test: 10 pictures']
    """
    number = len(data.ranks)
    with style():
        figure = Figure(figsize=(7.6, 5.0), layout="constrained")
        axes = figure.subplots(len(SPLITS), 1, sharex=True, height_ratios=(1.5, 1, 1))
        for axis, split in zip(axes, SPLITS, strict=True):
            counts = np.array(data.counts(split))
            empty = np.flatnonzero(counts == 0)
            top = 1.25 * max(counts.max(), 1)
            # one picture among thousands is a line, not nothing
            visible = np.where(counts, np.maximum(counts, 0.012 * top), 0)
            bars = axis.bar(range(number), visible, color=rank_colours(number), width=0.82)
            axis.scatter(empty, np.zeros(len(empty)), marker="x", s=18, color=COLOURS["stage 2"], zorder=3,
                         clip_on=False)  # fmt: skip
            said = f"{split}: {counts.sum():,} pictures"
            axis.set_title(f"{said}, {len(empty)} of {number} ranks empty (×)" if len(empty) else said)
            axis.set(ylim=(0, top), ylabel="pictures")
            axis.yaxis.get_major_locator().set_params(integer=True, nbins=4)
            axis.yaxis.set_major_formatter("{x:,.0f}")
            if number <= 12:
                axis.bar_label(bars, labels=[f"{count:,}" if count else "" for count in counts.tolist()],
                               fontsize=8, color=COLOURS["ink"], padding=1)  # fmt: skip
            axis.tick_params(bottom=False, labelbottom=axis is axes[-1])
        step = -(-number // 12)
        at = [*range(0, number - step // 2 - 1, step), number - 1]  # the highest rank always has its name
        axes[-1].set_xticks(
            at, [data.ranks.names[k] for k in at], rotation=35, ha="right", rotation_mode="anchor"
        )
        figure.suptitle(data.card.title, x=0.01, ha="left", fontsize=11.5, color=COLOURS["ink"])
        if data.protocol:
            done = textwrap.fill("; ".join(data.protocol), 115)
            figure.supxlabel(done, x=0.01, ha="left", fontsize=8, color=COLOURS["reference"])
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
    with style():
        figure = Figure(figsize=(7.6, 3.1), layout="constrained")
        left, right = figure.subplots(1, 2)
        start = 0
        for stage, label in ((1, "stage 1"), (2, "stage 2"), (JOINT, "joint")):
            rows = [row for row in history if row["stage"] == stage]
            if not rows:
                continue
            x = start + np.arange(1, len(rows) + 1)
            colour = COLOURS.get(label, COLOURS["stage 2"])
            error = [row["val_mae"] for row in rows]
            best = min(range(len(rows)), key=lambda i: (rows[i]["val_mae"], rows[i]["val_rps"]))
            left.plot(x, error, color=colour, label=label, linewidth=1.8)
            left.scatter(x[best], error[best], color=colour, s=34, zorder=3, edgecolor="white")
            low = error[best] < 0.15 * max(*error, reference or 0.0)  # no room between the point and the axis
            left.annotate(f"{error[best]:.2f}", (x[best], error[best]), (0, 7 if low else -13),
                          textcoords="offset points", ha="center", color=colour, fontsize=8.5)  # fmt: skip
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
        both = len({row["stage"] for row in history}) > 1
        epoch = "epoch, both stages" if both else "epoch"
        title = "Training loss (the two stages' losses differ)" if both else "Training loss"
        left.set(title="Validation error", xlabel=epoch, ylabel=f"MAE ({ranks.unit})")
        highest = max([row["val_mae"] for row in history], default=1.0)
        left.set_ylim(0, 1.35 * max(highest, reference or 0.0))  # room for the legend above the curves
        left.legend(loc="upper right", frameon=True, framealpha=0.9, edgecolor="none")
        right.set(title=title, xlabel=epoch, ylabel="loss")
    return figure


def text_similarity(features: Mapping[str, Float[Tensor, "rank dim"]], ranks: Ranks) -> Figure:
    """Cosine between the text features of every two ranks, one panel a moment (before, after stage 1, …).

    Args:
        features: Text features by panel title.
        ranks: The label space.
    """
    with style():
        figure = Figure(figsize=(3.1 * len(features) + 0.9, 3.2), layout="constrained")
        axes = np.atleast_1d(figure.subplots(1, len(features)))
        for axis, (title, feature) in zip(axes, features.items(), strict=True):
            similarity = (feature @ feature.T).numpy()
            picture = axis.imshow(similarity, cmap="RdBu_r", vmin=-1, vmax=1)
            axis.set_title(title)
            _rank_ticks(axis, ranks, x=True, y=axis is axes[0])
            if len(ranks) <= 10:
                for (row, column), value in np.ndenumerate(similarity):
                    dark = abs(value) > 0.6
                    axis.text(column, row, f"{value:z.2f}", ha="center", va="center", fontsize=7.5,
                              color="white" if dark else COLOURS["ink"])  # fmt: skip
        figure.colorbar(picture, ax=list(axes), label="cosine", shrink=0.85)
    return figure


def confusion(answers: Mapping[str, tuple[Tensor, Tensor]], ranks: Ranks) -> Figure:
    """Share of each true rank that was given each answer, one panel a model.

    Args:
        answers: (true rank indices, predicted rank indices) by panel title.
        ranks: The label space.
    """
    with style():
        figure = Figure(figsize=(3.3 * len(answers) + 0.6, 3.4), layout="constrained")
        axes = np.atleast_1d(figure.subplots(1, len(answers)))
        for axis, (title, (true, predicted)) in zip(axes, answers.items(), strict=True):
            counts = torch.zeros(len(ranks), len(ranks))
            counts.index_put_((true, predicted), torch.ones(len(true)), accumulate=True)
            share = (counts / counts.sum(1, keepdim=True).clamp_min(1)).numpy()
            picture = axis.imshow(share, cmap="cividis", vmin=0, vmax=1)
            axis.set_title(f"{title}\nMAE {mae(true, predicted, ranks):.2f} {ranks.unit}")
            axis.set_xlabel("predicted")
            _rank_ticks(axis, ranks, x=True, y=axis is axes[0])
            if len(ranks) <= 10:
                for (row, column), value in np.ndenumerate(share):
                    axis.text(column, row, f"{value:.0%}", ha="center", va="center", fontsize=7.5,
                              color="white" if value < 0.55 else COLOURS["ink"])  # fmt: skip
        axes[0].set_ylabel("true")
        figure.colorbar(picture, ax=list(axes), label="share of the true rank", shrink=0.85)
    return figure


def gallery(
    split: Split, probabilities: Float[Tensor, "batch rank"], ranks: Ranks, chosen: Sequence[int]
) -> Figure:
    """Pictures with the probabilities the model gives each rank; the true rank is outlined.

    Args:
        split: Where the pictures come from.
        probabilities: One row a picture of the split.
        ranks: The label space.
        chosen: Indices of the pictures to show.
    """
    with style():
        figure = Figure(figsize=(1.75 * len(chosen), 3.0), layout="constrained")
        axes = figure.subplots(2, len(chosen), height_ratios=(1.35, 1), squeeze=False)
        for column, index in enumerate(chosen):
            picture, target = split[index]
            above, below = axes[0, column], axes[1, column]
            above.imshow(np.asarray(picture), aspect="auto")
            above.axis("off")
            above.set_title(f"true: {ranks.names[target]}", loc="center", fontsize=8.5)
            bars = below.bar(range(len(ranks)), probabilities[index].numpy(), color=rank_colours(len(ranks)))
            bars[target].set(edgecolor=COLOURS["stage 2"], linewidth=2.2)
            below.set(ylim=(0, 1), yticks=[0, 1] if column == 0 else [])
            _rank_ticks(below, ranks, x=True, y=False)
            if column == 0:
                below.set_ylabel("probability")
    return figure


def _rank_ticks(axis: mpl.axes.Axes, ranks: Ranks, *, x: bool, y: bool) -> None:
    """Rank names along the axes, thinned out where there are many."""
    at = np.unique(np.linspace(0, len(ranks) - 1, min(len(ranks), 8)).round().astype(int))
    names = [ranks.names[k] for k in at]
    if x:
        axis.set_xticks(at, names, rotation=40, ha="right", rotation_mode="anchor")
    axis.set_yticks(at, names) if y else axis.set_yticks([])
