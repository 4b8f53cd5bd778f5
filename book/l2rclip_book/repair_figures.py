"""Figures of a training loop before and after a repair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from l2rclip_book.plots import COLOURS, style
from l2rclip_book.spread import curves

Errors = Sequence[Float[Tensor, "2 image"]]  # of each epoch: RPS and absolute error of each image
SCORES = ("RPS", "MAE")
LINES = (  # of the run before, and of the one after
    {"color": COLOURS["reference"], "linestyle": "--", "marker": "o", "markersize": 3},
    {"color": COLOURS["stage 2"], "linestyle": "-", "marker": "o", "markersize": 4},
)


def mean_scores(history: Errors) -> pd.DataFrame:
    """Return RPS and MAE of each epoch, a row per epoch.

    Example:
        >>> import torch
        >>> mean_scores([torch.tensor([[0.5, 1.5], [0.0, 1.0]])]).values.tolist()
        [[1.0, 0.5]]
    """
    means = [errors.mean(dim=1).tolist() for errors in history]
    return pd.DataFrame(means, columns=list(SCORES), index=range(1, len(means) + 1))


def repair_curves(
    runs: Mapping[str, Errors],
    constant: Mapping[str, float],
    epochs1: int,
    stored: pd.DataFrame,
) -> Figure:
    """Draw validation RPS and MAE of one run, or of one before and one after.

    Args:
        runs: By name; the last is drawn strongest.
        constant: `rps` and `mae` of the median rank, drawn as dotted lines.
        epochs1: Epochs of stage 1; what follows is stage 2.
        stored: Stored runs of the page, drawn as thin lines, see `spread.stored_runs`.
    """
    lines = LINES[-len(runs) :]
    with style():
        figure = Figure(figsize=(7.6, 2.6), layout="constrained")
        axes = figure.subplots(1, 2)
        for axis, score in zip(axes, SCORES, strict=True):
            for (name, history), line in zip(runs.items(), lines, strict=True):
                axis.plot(mean_scores(history)[score], label=name, **line)
                for other in curves(stored, f"{name} {score}"):
                    epochs = range(1, len(other) + 1)
                    axis.plot(epochs, other, color=line["color"], alpha=0.4, linewidth=0.6)
            _finish(axis, score, constant[score.lower()], epochs1)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=3)
    return figure


def _finish(axis: Axes, score: str, reference: float, epochs1: int) -> None:
    """Draw the median rank and the border of the stages; name the axes."""
    axis.axhline(reference, color=COLOURS["ink"], linestyle=":", label="median rank")
    axis.axvline(epochs1 + 0.5, color=COLOURS["ink"], linewidth=0.6)
    axis.set(xlabel="epoch: stage 1 | stage 2", ylabel=f"validation {score}")
    axis.set_ylim(0, None)
