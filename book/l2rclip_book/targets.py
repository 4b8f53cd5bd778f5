"""What an image is trained towards: the claims of the study `targets`.

`experiments/matrix/studies.yaml` fixed them before the rows. Each arm was trained at two learning
rates, and at a third where both had failed; in each run it has the rate at which the validation RPS
is lowest.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from l2rclip_book.gains import judge_claims, with_best
from l2rclip_book.tuned import SETS

STUDY = "targets"
AFTER_STAGE1 = "after stage 1"
SENTENCES = "plain sentences"
RANDOM = "random vectors"
LEARNED = "learned vectors"
LINEAR = "linear head"
BEST_LEARNED = "best of what trains with the tower"
CLAIMS = {
    "language": (SENTENCES, RANDOM),
    "fixed vectors": (RANDOM, LINEAR),
    "L2RCLIP": (AFTER_STAGE1, BEST_LEARNED),
}
RUN = ["study", "data", "run", "condition"]


def at_best_rate(table: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows of each arm at the learning rate that validates best in its run.

    Args:
        table: A row per run and arm, whose name ends in its rate, with `val_rps`.
        rows: Rows for the same runs and arms: the table itself, or scores of images.

    Returns:
        The chosen rows, with `arm` without its rate.

    Example:
        >>> arms = {"arm": ["linear head, 0.0007", "linear head, 0.0002"], "val_rps": [2.0, 1.0]}
        >>> table = pd.DataFrame(arms).assign(study="targets", data="pears", run=0, condition="")
        >>> at_best_rate(table, table)[["arm", "val_rps"]].values.tolist()
        [['linear head', 1.0]]
    """
    targets = table.assign(target=table["arm"].str.rsplit(", ", n=1).str[0])
    ordered = targets.sort_values("val_rps", kind="stable")
    best = ordered.drop_duplicates([*RUN, "target"])
    chosen = rows.merge(best[[*RUN, "arm", "target"]])
    return chosen.drop(columns="arm").rename(columns={"target": "arm"})


def with_best_learned(table: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """Return scores of images at the best rate, and those of the best arm that has no fixed target.

    Args:
        table: Rows of the study.
        images: Its scores of test images.
    """
    best = at_best_rate(table, table)
    return with_best(best, at_best_rate(table, images), BEST_LEARNED, [LEARNED, LINEAR])


def judge_targets(
    table: pd.DataFrame, images: pd.DataFrame, missing: Sequence[str] = ()
) -> pd.DataFrame:
    """Judge the three claims of the study, see `gains.judge_claims`.

    Args:
        table: Rows of the study.
        images: Its scores of test images.
        missing: Units that were not run.
    """
    arms = with_best_learned(table, images)
    return judge_claims(arms, missing, study=STUDY, sets=SETS, pairs=CLAIMS)
