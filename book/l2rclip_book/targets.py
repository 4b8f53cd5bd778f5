"""What an image is trained towards: the study `targets`, and the verdict of chapter 9.

`experiments/matrix/studies.yaml` fixed three claims before the rows. Each arm was trained at two
learning rates, and at a third where both had failed; in each run it has the rate at which the
validation RPS is lowest.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from l2rclip_book import tuned
from l2rclip_book.evidence import nothing
from l2rclip_book.gains import (
    MANY,
    MEAN,
    NONE,
    NUMBERS,
    best_rows,
    compare_pairs,
    gain_text,
    judge_claims,
    labelled,
    with_best,
)
from l2rclip_book.plots import COLOURS, INK, canvas, drawn, grid
from l2rclip_book.results import markdown_table
from l2rclip_book.tuned import SETS

STUDY = "targets"
AFTER_STAGE1 = "after stage 1"
SENTENCES = "plain sentences"
RANDOM = "random vectors"
LEARNED = "learned vectors"
LINEAR = "linear head"
BEST_LEARNED = "best without fixed vectors"
CLAIMS = {
    "language": (SENTENCES, RANDOM),
    "fixed vectors": (RANDOM, LINEAR),
    "L2RCLIP": (AFTER_STAGE1, BEST_LEARNED),
}
RECIPES = {  # arms of `at-best`, with their rates
    "rps": "linear head, 0.0004",
    NONE: "cross-entropy, 0.0002",
    "cross-entropy, 4e-4": "cross-entropy, 0.0004",
}
RUN = ["study", "data", "run", "condition"]
RATE = r", [\d.e-]+$"  # at the end of the name of an arm

COMPARISONS = {  # by what trains, see `verdict_gains`
    "either": {
        "tuned at 96 pixels, against frozen at 224": (AFTER_STAGE1, NUMBERS),
    },
    "graded": {
        "kernel head, against no text, on grades": ("L2RCLIP", NONE),
    },
    "frozen": {
        "sentences, against no text": ("words", NONE),
        "wrong sentences, against no text": ("shuffled words", NONE),
        "trained sentences, against plain ones": ("after stage 1", "words"),
        "numbers, against trained sentences": (NUMBERS, "after stage 1"),
        "CORAL, against trained sentences": ("coral", "after stage 1"),
        "kernel head, against CORAL": ("L2RCLIP", "coral"),
    },
    "tuned": {
        "L2RCLIP, against plain cross-entropy": (AFTER_STAGE1, NONE),
        "random vectors, against plain cross-entropy": (RANDOM, NONE),
        "random vectors, against a linear head": (RANDOM, LINEAR),
        "random vectors, against learned vectors": (RANDOM, LEARNED),
        "sentences, against random vectors": (SENTENCES, RANDOM),
        "L2RCLIP, against plain sentences": (AFTER_STAGE1, SENTENCES),
        "the better of two rates, against 7e-4": (AFTER_STAGE1, "after stage 1, 0.0007"),
    },
}


def at_best_rate(table: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows of each arm at the learning rate that validates best in its run.

    Args:
        table: A row per run and arm, with `val_rps`; its name ends in its rate, where it has one.
        rows: Rows for the same runs and arms: the table itself, or scores of images.

    Returns:
        The chosen rows, with `arm` without its rate.

    Example:
        >>> arms = {"arm": ["linear head, 0.0007", "linear head, 0.0002"], "val_rps": [2.0, 1.0]}
        >>> table = pd.DataFrame(arms).assign(study="targets", data="pears", run=0, condition="")
        >>> at_best_rate(table, table)[["arm", "val_rps"]].values.tolist()
        [['linear head', 1.0]]
    """
    targets = table.assign(target=table["arm"].str.replace(RATE, "", regex=True))
    best = best_rows(targets, [*RUN, "target"])
    chosen = rows.merge(best[[*RUN, "arm", "target"]])
    return chosen.drop(columns="arm").rename(columns={"target": "arm"})


def with_rivals_at_best(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the study, and those of `at-best` that it lacks, named like its own.

    They are the linear head at 4e-4, and cross-entropy with two recipes.

    Args:
        rows: Of all studies: a row per run and arm, or scores of images.
    """
    rivals = rows[(rows["study"] == tuned.STUDY) & rows["arm"].isin(RECIPES)]
    rivals = rivals.assign(study=STUDY, arm=rivals["arm"].map(RECIPES))
    return pd.concat([rows[rows["study"] == STUDY], rivals], ignore_index=True)


def judge_targets(
    table: pd.DataFrame, images: pd.DataFrame, missing: Sequence[str]
) -> pd.DataFrame:
    """Judge the three claims of the study, see `gains.judge_claims`.

    Args:
        table: Rows of the study.
        images: Its scores of test images.
        missing: Units that were not run.
    """
    at_best = at_best_rate(table, images)
    rivals = [LEARNED, LINEAR]
    arms = with_best(at_best_rate(table, table), at_best, BEST_LEARNED, rivals)
    return judge_claims(arms, missing, study=STUDY, sets=SETS, pairs=CLAIMS)


def verdict_gains(table: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """Return by what each part reduces the RPS, with a frozen tower and with a tuned one.

    Rivals have the recipes that a search chose for them, too: see `with_rivals_at_best`.

    Args:
        table: Rows of all studies.
        images: Their scores of test images.

    Returns:
        As `gains.compare_pairs`, with `tower`: "frozen", "tuned", "either", or "graded", a frozen
        tower with ranks that are names.
    """
    main = images[(images["study"] == "main") & images["data"].isin(MANY)]
    of_targets = [with_rivals_at_best(rows) for rows in (table, images)]
    trained = pd.concat([at_best_rate(*of_targets), of_targets[1]])
    head = main[main["arm"] == NUMBERS].assign(study=STUDY)
    others = images["study"] == "others"
    of_tower = {
        "either": pd.concat([trained, head]),
        "graded": images[others & images["data"].isin(["bracol", "retinamnist"])],
        "frozen": main,
        "tuned": trained,
    }
    parts = {}
    for tower, pairs in COMPARISONS.items():
        parts[tower] = compare_pairs(of_tower[tower], pairs)
    return labelled(parts, ["tower"])


DECISIONS = {  # what you have, what to do, and the comparison that carries it
    "time to tune the tower": (
        "tune it (the default)",
        "tuned at 96 pixels, against frozen at 224",
    ),
    "a frozen tower, ranks that are numbers": (
        "tell the head the numbers (`--image-side kernel`)",
        "numbers, against trained sentences",
    ),
    "a frozen tower, ranks that are names": (
        "let it weigh sentences and order (`--image-side kernel`)",
        "kernel head, against no text, on grades",
    ),
    "a tower to tune": (
        "tune it by L2RCLIP (`l2rclip fit`)",
        "L2RCLIP, against plain cross-entropy",
    ),
    "a choice of sentences for it": (
        "with many images any will do: random vectors are level",
        "sentences, against random vectors",
    ),
    "any tower to tune": (
        "try two learning rates (`l2rclip fit` does)",
        "the better of two rates, against 7e-4",
    ),
}


def verdict_table(gains: pd.DataFrame) -> str:
    """Return what to do when, with the figure that carries it, as a Markdown table.

    Args:
        gains: From `verdict_gains`.
    """
    mean = gains[gains["data"] == MEAN].set_index("row")
    rows = []
    for case, (advice, row) in DECISIONS.items():
        values = mean.reindex([row])[["gain", "low", "high"]].to_numpy()[0]
        rows.append([case, advice, f"{row}: {gain_text(*values)}"])
    return markdown_table(["you have", "what to do", "reduces the RPS by, %"], rows)


@drawn()
def verdict_figure(gains: pd.DataFrame) -> Figure:
    """Draw the mean of the data sets with its interval, and a small dot for each data set.

    Args:
        gains: From `verdict_gains`; only rows of `frozen` and `tuned` are drawn.
    """
    looks = {"frozen": COLOURS["stage 1"], "tuned": COLOURS["stage 2"]}
    gains = gains[gains["tower"].isin(looks)]
    rows = list(gains["row"].unique())
    if not rows:
        return nothing()

    figure = canvas(0.9 + 0.46 * len(rows), 5.2)  # legible at 390 pixels
    axis = figure.subplots()
    axis.axvline(0, color=INK, linewidth=1)
    for tower, colour in looks.items():
        part = gains[gains["tower"] == tower]
        place = part["row"].map(rows.index)
        mean = part["data"] == MEAN
        axis.scatter(
            part["gain"][~mean], place[~mean], s=14, color=colour, alpha=0.45, linewidths=0
        )
        axis.hlines(place[mean], part["low"][mean], part["high"][mean], color=colour, linewidth=2.4)
        label = f"{tower} tower"
        axis.scatter(part["gain"][mean], place[mean], marker="D", s=40, color=colour, label=label)

    n_frozen = gains.loc[gains["tower"] == "frozen", "row"].nunique()
    axis.axhline(n_frozen - 0.64, color=INK, linewidth=0.5)
    reach = (np.floor(gains["gain"].min()) - 2, np.ceil(gains["gain"].max()) + 2)
    axis.set(xlim=reach, ylim=(len(rows) - 0.6, -0.8), yticks=[], xlabel="reduces the RPS by, %")
    grid(axis, "x")
    for height, row in enumerate(rows):
        axis.text(0.01, height - 0.2, row, transform=axis.get_yaxis_transform(), va="bottom")
    figure.legend(loc="outside upper left", ncols=2)
    return figure
