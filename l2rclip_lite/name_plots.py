"""Figures of a CLIP made of names alone: what it finds among names it has not seen, and what it says about leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from l2rclip_lite.method_style import GRID
from l2rclip_lite.plots import COLOURS, style
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.template_plots import SHUFFLED, TRAINED

INK, GREY, RED = COLOURS["ink"], COLOURS["reference"], COLOURS["stage 2"]


def unseen_names(
    panels: Mapping[str, Float[Tensor, "name name"]], first_thing: int, dogs: tuple[int, int] | None = None
) -> Figure:
    """Cosine of unseen names with unseen classifier rows; a dot marks the nearest row of each name.

    Args:
        panels: Names down, rows across, both in ImageNet's order, by title.
        first_thing: Place of the first name that is no animal.
        dogs: Places of the first dog and of the first name after the dogs.
    """
    with style():
        figure = Figure(figsize=(7.6, 3.9), layout="constrained")
        axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axis, table in zip(axes, panels.values(), strict=True):
            picture = axis.imshow(table.numpy(), cmap="RdBu_r", vmin=-0.6, vmax=0.6, interpolation="nearest")
            best = table.argmax(1).numpy()
            axis.scatter(best, np.arange(len(best)), s=5, color=INK, linewidth=0)
            for at in (first_thing - 0.5,):
                axis.axvline(at, color=INK, linewidth=0.8)
                axis.axhline(at, color=INK, linewidth=0.8)
            middle = [first_thing / 2, (first_thing + len(table)) / 2]
            axis.set_xticks(middle, ["animals", "things"])
            axis.set_yticks(middle, ["animals", "things"], rotation=90, va="center")
            axis.tick_params(length=0)
            axis.set_xlabel("row of the image classifier")
            if dogs is not None:
                low, high = dogs[0] - 0.5, dogs[1] - dogs[0]
                axis.add_patch(
                    mpl.patches.Rectangle((low, low), high, high, fill=False, edgecolor=RED, linewidth=1.6)
                )
        axes[0].set_ylabel("class name")
        for axis, title in zip(axes, panels, strict=True):
            axis.set_title(title)
        figure.colorbar(picture, ax=list(axes), label="cosine", shrink=0.8, pad=0.01)
    return figure


def recall_curves(
    ridges: Sequence[float],
    found: Mapping[str, Float[np.ndarray, "split ridge"]],
    chance: Sequence[float],
    used: float,
) -> Figure:
    """Recall among unseen names over the strength of the ridge, true pairs beside shuffled ones.

    Args:
        ridges: λ, growing.
        found: Recall by label ("recall@1", "recall@1, shuffled pairs", …), a row a split.
        chance: Recall of guessing, a dashed line each.
        used: The λ of the package.

    Example:
        >>> found = {"recall@1": np.array([[0.25, 0.5], [0.75, 0.5]])}
        >>> figure = recall_curves([1.0, 10.0], found, [0.005], used=10.0)
        >>> figure.axes[0].lines[1].get_ydata().tolist()
        [0.5, 0.5]
    """
    with style():
        figure = Figure(figsize=(7.2, 3.1), layout="constrained")
        axis = figure.subplots()
        axis.axvline(used, color=GREY, linewidth=1, linestyle=":")
        for label, rows in found.items():
            colour = SHUFFLED if "shuffled" in label else TRAINED
            line = "--" if "@5" in label else "-"
            axis.plot(
                ridges, rows.mean(0), color=colour, linestyle=line, marker="o", markersize=5, label=label
            )
            axis.fill_between(ridges, rows.min(0), rows.max(0), color=colour, alpha=0.2, linewidth=0)
        for level in chance:
            axis.axhline(level, color=GREY, linewidth=0.8, linestyle="--")
        axis.set(
            xscale="log", ylim=(0, 1), xlabel="strength λ of the ridge", ylabel="recall among unseen names"
        )
        figure.legend(ncols=2, loc="outside upper left", handlelength=3.4)
        axis.grid(axis="y", color=GRID, linewidth=0.8)
    return figure


def zero_shot(
    counts: Float[Tensor, "rank rank"],
    ranks: Ranks,
    every: Float[np.ndarray, " order"],
    interval: tuple[float, float],
) -> Figure:
    """Answers without training by true rank, and the accuracy of every way to give the sentences to the ranks.

    Args:
        counts: Pictures of each true rank (row) that are nearest to each sentence (column).
        ranks: The label space.
        every: Accuracy of every order of the sentences, the true one first.
        interval: Of the accuracy of the true one.
    """
    share = (counts / counts.sum(1, keepdim=True).clamp_min(1)).numpy()
    with style():
        figure = Figure(figsize=(7.6, 3.0), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(1, 1.25))
        left.imshow(share, cmap="cividis", vmin=0, vmax=1)
        for (row, column), value in np.ndenumerate(share):
            left.text(column, row, f"{value:.0%}".replace("%", " %"), ha="center", va="center", fontsize=8.5,
                      color="white" if value < 0.55 else INK)  # fmt: skip
        names = list(ranks.names)
        left.set_xticks(range(len(names)), names, rotation=35, ha="right", rotation_mode="anchor")
        left.set_yticks(range(len(names)), names)
        left.set(title="Nearest sentence", ylabel="true rank")
        right.hist(
            every[1:],
            bins=np.arange(0, 0.61, 0.02).tolist(),
            color=SHUFFLED,
            label="every other order of the words",
        )
        top = right.get_ylim()[1]
        right.errorbar(every[0], 1.07 * top, xerr=[[every[0] - interval[0]], [interval[1] - every[0]]], fmt="D",
                       color=TRAINED, capsize=4, markersize=7, label="true order, 95 % interval")  # fmt: skip
        right.axvline(1 / len(ranks), color=GREY, linestyle="--", linewidth=1.1, label="guessing")
        right.set(title="Accuracy", xlabel="accuracy", ylabel="orders", ylim=(0, 1.75 * top), xlim=(0, 0.6))
        right.legend(loc="upper right")
    return figure
