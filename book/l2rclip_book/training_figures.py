"""Figures of training: the two stages as a diagram, a loop before and after a repair, and signs."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.text import Text

from l2rclip_book.plots import COLOURS, GRID, INK, PAPER, canvas, drawn, write_in
from l2rclip_book.provoked import HEALTHY
from l2rclip_book.signs import SIGNS
from l2rclip_lite.config import Config
from l2rclip_lite.method.optimisation import Row
from l2rclip_lite.method.stages import trains
from l2rclip_lite.stages import tunes_tower

LANES = {  # feature: height, what goes in, and parts on the way, each with a place and a parameter
    "t": (
        1.9,
        "sentences",
        {
            "context +\nRankFormer": (1.45, "prompts.context"),
            "text tower": (3.05, "towers.text.x"),
        },
    ),
    "z": (0.0, "images", {"image tower": (2.25, "towers.image.x")}),
}
FROZEN = "#e4e7eb"
CACHED = "#f0cfa8"


@drawn()
def stage_diagram(config: Config) -> Figure:
    """Draw one stage above the other, coloured by the freezing table.

    Args:
        config: Of the run.
    """
    keys = {
        "trains in stage 1": COLOURS["stage 1"],
        "trains in stage 2": COLOURS["stage 2"],
        "frozen": FROZEN,
        "computed once (dashed)": CACHED,
    }
    figure = canvas(4.6, 5.0)
    for axis, stage in zip(figure.subplots(2), ("stage 1", "stage 2"), strict=True):
        _draw_stage(axis, stage, config)
        axis.set(xlim=(-0.5, 5.7), ylim=(-0.6, 2.4), title=stage.capitalize())
        axis.set_axis_off()
    patches = [Patch(color=colour, label=label) for label, colour in keys.items()]
    figure.legend(handles=patches, loc="outside lower center", ncols=2)
    return figure


def _draw_stage(axis: Axes, stage: str, config: Config) -> None:
    """Draw the lanes of texts and images, and where they meet."""
    loss = _box(axis, (5.35, 0.95), "loss")
    for feature, (lane, first, parts) in LANES.items():
        stops = [_box(axis, (0, lane), first)]
        is_kept = True  # a feature behind which nothing trains is computed once
        for name, (across, parameter) in parts.items():
            is_trained = trains(parameter, stage, tunes_tower=tunes_tower(config))
            is_kept = is_kept and not is_trained
            colour = COLOURS[stage] if is_trained else FROZEN
            stops.append(_box(axis, (across, lane), name, colour))

        stops.append(_box(axis, (4.35, lane), feature, CACHED if is_kept else "white"))
        for start, end in pairwise([*stops, loss]):
            arrow = {
                "arrowstyle": "->",
                "color": INK,
                "linestyle": "--" if is_kept and end is not loss else "-",
                "patchA": start.get_bbox_patch(),
                "patchB": end.get_bbox_patch(),
            }
            axis.annotate("", end.get_position(), start.get_position(), arrowprops=arrow)


def _box(axis: Axes, place: tuple[float, float], name: str, colour: str = PAPER) -> Text:
    """Write a name, in a rounded box where it has a colour."""
    edge = PAPER if colour == PAPER else INK
    box = {"boxstyle": "round,pad=0.5", "facecolor": colour, "edgecolor": edge}
    return write_in(axis, place, name, colour, bbox=box)


Scores = Sequence[tuple[float, float]]  # of each epoch: validation RPS and MAE
RUNS = {  # colour, and line with marker, of each run
    "first run": (INK, "--o"),
    "normalised pixels": (COLOURS["stage 1"], "-.s"),
    "centred texts": (COLOURS["stage 2"], "-o"),
    "BatchNorm fixed": ("#247a55", "-D"),
    "short gradients": ("#8560b8", "-P"),
}


@drawn()
def repair_curves(
    runs: Mapping[str, Scores], constant: float, epochs1: int, stored: pd.DataFrame
) -> Figure | None:
    """Draw the validation RPS of one run, or of some that differ by a repair.

    Args:
        runs: By a name in `RUNS`. One without epochs is drawn from `stored` alone.
        constant: RPS of the median rank, drawn as a dotted line.
        epochs1: Epochs of stage 1; what follows is stage 2.
        stored: Stored runs of the page, drawn as thin lines, see `results.stored_runs`; without
            these and without epochs there is no figure.
    """
    if stored.empty and not any(runs.values()):
        return None

    figure = canvas(2.8, 4.5)
    axis = figure.subplots()
    for name, history in runs.items():
        colour, line = RUNS[name]
        if history:
            rps = [score for score, _ in history]
            axis.plot(range(1, len(rps) + 1), rps, line, color=colour, markersize=4, label=name)
        else:
            axis.plot([], color=colour, linewidth=0.6, label=f"{name}, stored")
        lines = stored.filter(like=f"{name} RPS ").T
        axis.plot(range(1, len(lines) + 1), lines, color=colour, alpha=0.5, linewidth=0.6, zorder=1)
    axis.axhline(constant, color=INK, linestyle=":", label="median rank")
    axis.axvline(epochs1 + 0.5, color=INK, linewidth=0.6)
    axis.set(xlabel="epoch: stage 1 | stage 2", ylabel="validation RPS", ylim=(0, None))
    figure.legend(loc="outside upper left", ncols=2)
    return figure


@drawn()
def resumed_run(
    runs: Mapping[str, Sequence[Row]], epochs: int, pulled: int | None = None
) -> Figure:
    """Draw the validation RPS of a run, and of one that was stopped and resumed.

    Args:
        runs: Histories by their titles; the first is a line, the second crosses.
        epochs: Of both stages; the axis is so long.
        pulled: After how many epochs the plug was pulled; None marks nothing.
    """
    table = pd.DataFrame({name: pd.DataFrame(rows)["val_rps"] for name, rows in runs.items()})
    table.index += 1
    figure = canvas(2.7, 5.0)
    axis = table.plot(
        ax=figure.subplots(),
        style=["o-", "x"],
        color=[COLOURS["stage 1"], COLOURS["stage 2"]],
        xlim=(0.5, epochs + 0.5),
        xlabel="epoch: stage 1, then stage 2",
        ylabel="validation RPS",
    )
    axis.set_ylim(bottom=0)
    if pulled is not None:
        axis.axvline(pulled + 0.5, color=INK, linewidth=0.6)
        axis.text(pulled + 0.6, 0, "the plug is pulled", va="bottom")
    return figure


GOOD = "#0072b2"  # after Okabe and Ito
BAD = "#d55e00"


@drawn()
def sign_ranges(runs: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Draw each sign of a healthy run, and of the run that was made to fail in its way.

    Bands are the ranges of earlier runs, see `signs.SIGNS`. The second dot is that of the run that
    should fire the sign.

    Args:
        runs: What `signs.measure` returns, by name of the run: `HEALTHY`, and each of `PROVOKED`.
    """
    figure = canvas(0.6 + 0.62 * len(SIGNS))
    axes = figure.subplots(len(SIGNS))
    for axis, sign in zip(axes, SIGNS, strict=True):
        low, high = np.transpose([sign.healthy, sign.provoked])
        axis.barh([0, 1], high - low, 0.6, low, color=[GOOD, BAD], alpha=0.35, linewidth=0)
        looks = {HEALTHY: (GOOD, "o"), sign.provoked_by: (BAD, "X")}
        for row, (name, (colour, marker)) in enumerate(looks.items()):
            axis.scatter(runs[name][sign.column], row, color=colour, marker=marker, s=45, zorder=3)

        axis.set(yticks=[0.5], yticklabels=[sign.short], ylim=(1.7, -0.7))
        axis.grid(axis="x", color=GRID)
        axis.axvline(sign.threshold, color=INK, linestyle="--")
    axes[0].set_title("blue: healthy runs      orange: runs that fail on purpose")
    return figure
