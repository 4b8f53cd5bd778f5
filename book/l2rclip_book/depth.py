"""When the order of the ranks matters: the study `depth`, and its figure in chapter 9.

The worth of order is by what prototypes that are as alike as the ranks are near reduce the RPS of
prototypes without order, in percent. `experiments/matrix/studies.yaml` fixed two claims about it
before the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from l2rclip_book.evidence import nothing
from l2rclip_book.gains import MEAN, reduction, sampled_means, summary, with_verdicts
from l2rclip_book.plots import COLOURS, INK, canvas, drawn, grid
from l2rclip_book.targets import RANDOM, at_best_rate

STUDY = "depth"
SETS = ("pears", "portraits", "bracol-area")
NUMBERS = "numbers"
SENTENCES = "sentences"
SHUFFLED = "shuffled numbers"
PARTS = ("nothing trains", "projection", "last block", "whole tower")
CONTROLLED = PARTS[:2]  # where numbers at random ranks were tried, too
IMAGES = {"few_shot=4": "4 images per rank", "": "all images"}


class Cell(NamedTuple):
    """Where order has a worth.

    Args:
        prototypes: What stands against random vectors.
        part: What trains.
        condition: How many images a rank has, a key of `IMAGES`.
    """

    prototypes: str
    part: str
    condition: str

    def arm(self, prototypes: str) -> str:
        """Return the name of these prototypes here, as `_worths` spells it."""
        return f"{prototypes}, {self.part}; {self.condition}"


CELLS = [
    Cell(prototypes, part, condition)
    for prototypes, parts in ((NUMBERS, PARTS), (SENTENCES, PARTS), (SHUFFLED, CONTROLLED))
    for part in parts
    for condition in IMAGES
]
CLAIMS = {  # the worth of the first cells, less that of the last ones
    "falls with what trains": (
        [Cell(NUMBERS, "projection", condition) for condition in IMAGES],
        [Cell(NUMBERS, "whole tower", condition) for condition in IMAGES],
    ),
    "what trains weighs more than images": (
        [Cell(NUMBERS, "projection", "")],
        [Cell(NUMBERS, "whole tower", "few_shot=4")],
    ),
}


def _worths(table: pd.DataFrame, images: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the worth of every cell on each data set, then its draws, in a column for each cell.

    In a draw all cells of a data set have the same runs and groups.
    """
    chosen = at_best_rate(table, images)
    by_cell = chosen.assign(arm=chosen["arm"] + "; " + chosen["condition"])
    worths = {}
    for data, means in sampled_means(by_cell, sorted(set(by_cell["arm"]))).items():
        of_cells = {}
        for cell in CELLS:
            of_cells[cell] = reduction(means[cell.arm(cell.prototypes)], means[cell.arm(RANDOM)])
        worths[data] = pd.DataFrame(of_cells)
    return worths


def worth_of_order(table: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """Compute the worth of order in every cell: by data set, and on their mean.

    Args:
        table: Rows of the study.
        images: Its scores of test images.

    Returns:
        The columns of `gains.summary`, and those of `Cell`.
    """
    worths = _worths(table, images)
    parts = []
    for cell in CELLS:
        rows = summary({data: worth[cell] for data, worth in worths.items()})
        parts.append(rows.assign(**cell._asdict()))
    return pd.concat(parts, ignore_index=True)


def judge_depth(
    table: pd.DataFrame, images: pd.DataFrame, missing: Sequence[str] = ()
) -> pd.DataFrame:
    """Judge the two claims of the study; a gain is a difference of worths.

    Args:
        table: Rows of the study.
        images: Its scores of test images.
        missing: Units that were not run.

    Returns:
        As `gains.judge_claims`; its `verdict` is "shown", "the opposite", "not shown", or
        "incomplete".
    """
    worths = _worths(table, images)
    parts = []
    for row, (first, last) in CLAIMS.items():
        differences = {}
        for data, worth in worths.items():
            differences[data] = worth[first].mean(axis=1) - worth[last].mean(axis=1)
        parts.append(summary(differences).assign(row=row))

    claims = pd.concat(parts, ignore_index=True)
    judged = with_verdicts(claims, len(CLAIMS), len(SETS), missing, [STUDY])
    return judged.replace({"verdict": {"better": "shown", "worse": "the opposite"}})


@drawn()
def depth_figure(worth: pd.DataFrame) -> Figure:
    """Draw the worth of order over what trains: a line for each number of images.

    Args:
        worth: From `worth_of_order`; the mean of the data sets is drawn.
    """
    figure = canvas(3.2, 4.8)
    mean = worth[worth["data"] == MEAN].set_index("prototypes")
    if mean.empty:
        nothing(figure)
        return figure

    axis = figure.subplots()
    axis.axhline(0, color=INK, linewidth=1)
    for shift, (condition, label) in zip((-0.06, 0.06), IMAGES.items(), strict=True):
        colour = COLOURS["stage 1" if condition else "stage 2"]
        mine = mean[mean["condition"] == condition]
        line = mine.loc[NUMBERS]
        place = np.arange(len(PARTS)) + shift
        axis.plot(place, line["gain"], "o-", color=colour, label=label)
        axis.vlines(place, line["low"], line["high"], color=colour, alpha=0.6)
        control = mine.loc[SHUFFLED]
        axis.plot(place[: len(CONTROLLED)], control["gain"], "x", color=INK)

    axis.plot([], [], "x", color=INK, label="numbers at random ranks")
    axis.set_xticks(range(len(PARTS)), [part.replace(" ", "\n") for part in PARTS])
    axis.set_ylabel("order reduces the RPS by, %")
    grid(axis, "y")
    figure.legend(loc="outside upper left", ncols=2)
    return figure
