"""When the order of the ranks matters: the study `depth`, and its figure in chapter 9.

The worth of order is by what prototypes that are as alike as the ranks are near reduce the RPS of
prototypes without order, in percent. `experiments/matrix/studies.yaml` fixed two claims about it
before the rows.
"""

from collections.abc import Sequence
from itertools import product

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from l2rclip_book.evidence import nothing
from l2rclip_book.gains import MEAN, labelled, reduction, sampled_means, summary, with_verdicts
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


CELLS = [  # prototypes against random vectors, what trains, how many images
    *product((NUMBERS, SENTENCES), PARTS, IMAGES),
    *product((SHUFFLED,), CONTROLLED, IMAGES),
]
CLAIMS = {  # the worth where the projection trains, less that where the whole tower does
    "falls with what trains": (list(IMAGES), list(IMAGES)),
    "what trains weighs more than images": ([""], ["few_shot=4"]),
}


def _worths(table: pd.DataFrame, images: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the worth of every cell on each data set, then its draws, in a column for each cell.

    In a draw all cells of a data set have the same runs and groups.
    """
    chosen = at_best_rate(table, images)
    by_cell = chosen.assign(arm=chosen["arm"] + ", " + chosen["condition"])
    worths = {}
    for data, means in sampled_means(by_cell, list(by_cell["arm"].unique())).items():
        means.columns = means.columns.str.split(", ", expand=True)
        of_prototypes = {}
        for prototypes in (NUMBERS, SENTENCES, SHUFFLED):
            of_prototypes[prototypes] = reduction(means[prototypes], means[RANDOM])
        worths[data] = pd.concat(of_prototypes, axis=1)
    return worths


def worth_of_order(table: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """Compute the worth of order in every cell: by data set, and on their mean.

    Args:
        table: Rows of the study.
        images: Its scores of test images.

    Returns:
        The columns of `gains.summary`, and `prototypes`, `part` and `condition`, see `CELLS`.
    """
    worths = _worths(table, images)
    rows = {}
    for cell in CELLS:
        rows[cell] = summary({data: worth[cell] for data, worth in worths.items()})
    return labelled(rows, ["prototypes", "part", "condition"])


def judge_depth(table: pd.DataFrame, images: pd.DataFrame, missing: Sequence[str]) -> pd.DataFrame:
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
    rows = {}
    for row, (first, last) in CLAIMS.items():
        differences = {}
        for data, worth in worths.items():
            of_part = worth[NUMBERS]
            lighter = of_part["projection"][first].mean(axis=1)
            differences[data] = lighter - of_part["whole tower"][last].mean(axis=1)
        rows[row] = summary(differences)

    claims = labelled(rows, ["row"])
    judged = with_verdicts(claims, len(CLAIMS), len(SETS), missing, [STUDY])
    return judged.replace({"verdict": {"better": "shown", "worse": "the opposite"}})


@drawn()
def depth_figure(worth: pd.DataFrame) -> Figure:
    """Draw the worth of order over what trains: a line for each number of images.

    Args:
        worth: From `worth_of_order`; the mean of the data sets is drawn.
    """
    mean = worth[worth["data"] == MEAN].set_index("prototypes")
    if mean.empty:
        return nothing()

    figure = canvas(3.2, 4.8)
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
