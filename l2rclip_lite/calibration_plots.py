"""One function a figure of the chapter on your own pictures: the pile, the temperature, reliability, abstaining."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from l2rclip_lite.calibration import Logits, fit_temperature, negative_log_likelihood, temper
from l2rclip_lite.method_style import GRID, PAPER, WIDTH
from l2rclip_lite.metric_inputs import Indices
from l2rclip_lite.plots import COLOURS, rank_colours, style
from l2rclip_lite.ranks import Ranks

BEFORE, AFTER = COLOURS["stage 2"], COLOURS["stage 1"]  # as trained, with a temperature
VALIDATION, TEST, NEW = COLOURS["stage 1"], COLOURS["stage 2"], COLOURS["reference"]


def pile(pictures: Sequence[Image.Image], names: Sequence[str], *, columns: int = 4) -> Figure:
    """Pictures with a line of text below each, in reading order.

    Args:
        pictures: What to show.
        names: A file name, or anything else, for each.
        columns: Pictures in a row.
    """
    rows = -(-len(pictures) // columns)
    with style():
        figure = Figure(figsize=(min(WIDTH, 1.95 * columns), 2.2 * rows), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False)
        for axis in axes.flat:
            axis.axis("off")
        for axis, picture, name in zip(axes.flat, pictures, names, strict=False):
            axis.imshow(np.asarray(picture))
            wrapped = textwrap.fill(name, 22, break_on_hyphens=False)
            axis.text(0.5, -0.04, wrapped, transform=axis.transAxes, ha="center", va="top", fontsize=9,
                      color=COLOURS["ink"])  # fmt: skip
    return figure


def temperature_bars(
    logits: Logits, truth: int, ranks: Ranks, *, temperatures: Sequence[float] = (0.5, 1, 2, 4)
) -> Figure:
    """The probabilities of one picture at several temperatures; the true rank is outlined.

    Args:
        logits: The K logits of the picture, one row.
        truth: Its rank index.
        ranks: The label space.
        temperatures: One panel each.
    """
    with style():
        figure = Figure(figsize=(WIDTH, 2.7), layout="constrained")
        axes = figure.subplots(1, len(temperatures), sharey=True, squeeze=False)[0]
        for axis, t in zip(axes, temperatures, strict=True):
            bars = axis.bar(
                range(len(ranks)), temper(logits, t)[0], color=rank_colours(len(ranks)), width=0.82
            )
            bars[truth].set(edgecolor=COLOURS["stage 2"], linewidth=2.2)
            axis.set_xticks(range(len(ranks)), ranks.names, rotation=40, ha="right", rotation_mode="anchor")
            axis.tick_params(bottom=False)
            axis.set_title(f"T = {t:g}", loc="center")
        axes[0].set(ylim=(0, 1), ylabel="probability")
    return figure


def temperature_curves(
    splits: Mapping[str, tuple[Logits, Indices]], *, span: tuple[float, float] = (0.7, 15.0)
) -> Figure:
    """Mean negative log-likelihood over the temperature, a curve a split, with a dot at each minimum.

    Args:
        splits: Logits and true rank indices by the name of the split; the first is the one that is fitted.
        span: The lowest and highest temperature drawn.
    """
    at = np.geomspace(*span, 161)
    with style():
        figure = Figure(figsize=(6.6, 3.3), layout="constrained")
        axis = figure.subplots()
        for (name, (logits, target)), colour in zip(splits.items(), (VALIDATION, TEST, NEW), strict=False):
            loss = [negative_log_likelihood(logits, target, t) for t in at]
            best = fit_temperature(logits, target)
            axis.plot(at, loss, color=colour, linewidth=1.9, label=f"{name}: lowest at {best:.1f}")
            lowest = negative_log_likelihood(logits, target, best)
            axis.scatter(best, lowest, color=colour, s=44, zorder=4, edgecolor="white")
        axis.axvline(1, color=COLOURS["reference"], linestyle="--", linewidth=1)
        _log_ticks(axis)
        axis.set(xlabel="temperature T", ylabel="mean negative log-likelihood (nats)")
        axis.annotate("as trained", (1, 1), (4, -4), xycoords=("data", "axes fraction"), textcoords="offset points",
                      va="top", fontsize=8.5, color=COLOURS["reference"])  # fmt: skip
        axis.legend(loc="upper right")
    return figure


def _log_ticks(axis: Axes) -> None:
    """A logarithmic axis of temperatures with plain numbers."""
    axis.set_xscale("log")
    low, high = axis.get_xlim()
    ticks = [t for t in (0.05, 0.1, 0.2, 0.5, 1, 2, 3, 5, 10, 20) if low <= t <= high]
    axis.set_xticks(ticks, [f"{t:g}" for t in ticks])
    axis.minorticks_off()


def reliability_diagram(curves: Mapping[str, pd.DataFrame]) -> Figure:
    """Accuracy over confidence, a panel a model: dots on the diagonal are as right as they are sure.

    Args:
        curves: `reliability.reliability` by panel title.
    """
    with style():
        figure = Figure(figsize=(WIDTH, 4.3), layout="constrained")
        axes = figure.subplots(2, len(curves), sharex=True, height_ratios=(3.4, 1), squeeze=False)
        most = max(curve["count"].max() for curve in curves.values())
        for column, (title, curve) in enumerate(curves.items()):
            above, below = axes[:, column]
            colour = AFTER if column else BEFORE
            above.plot([0, 1], [0, 1], color=COLOURS["reference"], linewidth=1, linestyle="--")
            above.vlines(curve["confidence"], curve["chance_low"], curve["chance_high"], color="#c4ccd4", linewidth=7,
                         label="95 % range if it were true")  # fmt: skip
            above.vlines(
                curve["confidence"], curve["accuracy"], curve["confidence"], color=colour, linewidth=1.6
            )
            above.scatter(curve["confidence"], curve["accuracy"], color=colour, s=34, zorder=4, edgecolor="white",
                          label="share that is right")  # fmt: skip
            above.set(title=title, ylim=(-0.03, 1.03), xlim=(0, 1))
            middle, width = (curve["low"] + curve["high"]) / 2, 0.86 * (curve["high"] - curve["low"])
            below.bar(middle, curve["count"], width=width, color=colour, alpha=0.75)
            below.set(xlabel="probability of the answer", ylim=(0, 1.1 * most))
        axes[0, 0].set_ylabel("share of right answers")
        axes[1, 0].set_ylabel("pictures")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower right", ncols=2, handlelength=1.2)
    return figure


def temperature_spread(
    samples: Mapping[str, Float[np.ndarray, " resample"]], *, references: Mapping[str, float]
) -> Figure:
    """Temperatures of resampled validation sets, a row a size: each set, the middle half, and 95 % of them.

    Args:
        samples: Fitted temperatures by the name of the row, the first on top.
        references: Temperatures drawn as lines, by name.
    """
    draw = np.random.default_rng(0)
    with style():
        figure = Figure(figsize=(WIDTH, 0.62 * len(samples) + 1.25), layout="constrained")
        axis = figure.subplots()
        for row, found in enumerate(samples.values()):
            jitter = draw.uniform(-0.28, 0.28, len(found))
            axis.scatter(found, row + jitter, s=6, color=VALIDATION, alpha=0.28, linewidth=0)
            ends = np.quantile(found, (0.025, 0.25, 0.75, 0.975))
            axis.plot(ends[[0, 3]], [row, row], color=COLOURS["ink"], linewidth=1.3)
            axis.plot(ends[[1, 2]], [row, row], color=COLOURS["ink"], linewidth=4.5, solid_capstyle="butt")
        for (name, t), colour, dash in zip(
            references.items(), (COLOURS["reference"], NEW), ("--", "-"), strict=False
        ):
            axis.axvline(t, color=colour, linestyle=dash, linewidth=1.3, label=name, zorder=0)
        axis.set_yticks(range(len(samples)), list(samples))
        axis.set_ylim(len(samples) - 0.5, -0.5)
        _log_ticks(axis)
        axis.set_xlabel("fitted temperature")
        figure.legend(loc="outside upper right", ncols=len(references))
    return figure


def coverage_figure(
    curves: Mapping[str, pd.DataFrame], unit: str, *, doubt: float, leave_out: int = 10
) -> Figure:
    """Mean error of the answered pictures over the share that is answered; a dot where the chosen threshold lies.

    Args:
        curves: `reliability.coverage_curve` by the name of the pictures.
        unit: Of the error.
        doubt: The threshold: pictures with more doubt are not answered.
        leave_out: The mean of fewer pictures than this is not drawn.
    """
    with style():
        figure = Figure(figsize=(6.6, 3.4), layout="constrained")
        axis = figure.subplots()
        for (name, curve), colour in zip(curves.items(), (TEST, NEW), strict=False):
            shown = curve.iloc[leave_out - 1 :]
            axis.plot(shown["coverage"], shown["error"], color=colour, linewidth=1.9, label=name)
            answered = int((curve["doubt"] <= doubt).sum())
            if answered:
                at = curve.iloc[answered - 1]
                axis.scatter(at["coverage"], at["error"], s=52, color=colour, zorder=4, edgecolor="white")
        top = max(float(curve["error"].iloc[leave_out - 1 :].max()) for curve in curves.values())
        axis.grid(axis="y", color=GRID, linewidth=0.8)
        axis.set_axisbelow(True)
        axis.set(xlim=(0, 1.01), ylim=(0, 1.15 * top), ylabel=f"MAE of the answers ({unit})")
        axis.set_xlabel("share of the pictures that is answered, surest first")
        axis.xaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f} %")
        axis.legend(loc="lower right", frameon=True, facecolor=PAPER, edgecolor="none")
    return figure
