"""From runs to a sentence: what one method saves of another's error, in percent, and whether the runs show it.

An error in grades cannot be averaged with one in 62 ranks of damage, so every number here is a share of the other
method's error on the same run: q_i = 100 (other_i − one_i) / other_i, positive where the first method is better. The
mean, its interval and the tests over all runs are those of `comparison.compare`, with draws stratified by data set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from l2rclip_lite.comparison import compare, holm, pairs, verdict
from l2rclip_lite.errors import InputError

EXPECTATION, ARGMAX = "mae_expected", "mae"


@dataclass(frozen=True)
class Claim:
    """A sentence that two arms of a study can support or not.

    Args:
        text: The sentence, as it stands in a table: "RankFormer helps".
        one: The arm that should be better.
        other: The arm that should be worse.
        study: Where both were run.
        topic: The part of a table it belongs to.
        data: The data sets it speaks of; none means all.
    """

    text: str
    one: str
    other: str
    study: str = "main"
    topic: str = ""
    data: tuple[str, ...] = ()

    def rows(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows of its study, and of its data sets where it names some."""
        here = table["study"] == self.study
        return table[here & table["data"].isin(self.data)] if self.data else table[here]


def saved(table: pd.DataFrame, claim: Claim, metric: str = EXPECTATION) -> pd.DataFrame:
    """Percent of the other arm's error that the first arm saves, a row a run that both have.

    Args:
        table: A row a run, as in `book/results/matrix.csv`.
        claim: Which arms.
        metric: A column with an error: lower is better.

    Returns:
        The columns that name a run, `one`, `other` and `percent`.

    Raises:
        InputError: As `comparison.pairs`, or an error of 0, of which nothing can be saved.

    Example:
        >>> runs = pd.DataFrame(
        ...     {"study": "main", "data": "leaves", "seed": [0, 0], "arm": ["a", "b"], "mae": [3, 4]}
        ... )
        >>> saved(runs, Claim("a helps", "a", "b"), "mae")["percent"].tolist()
        [25.0]
    """
    shared, _ = pairs(claim.rows(table), claim.one, claim.other, metric)
    if (shared["other"] <= 0).any():
        raise InputError(f"claims: {claim.other!r} has a run with {metric} 0; no percentage of it exists.")
    return shared.assign(percent=100 * (shared["other"] - shared["one"]) / shared["other"])


def supported(table: pd.DataFrame, claims: Sequence[Claim]) -> list[Claim]:
    """The claims of which the table has at least one run of both arms."""
    return [claim for claim in claims if _share_a_run(claim.rows(table), claim.one, claim.other)]


def _share_a_run(table: pd.DataFrame, one: str, other: str) -> bool:
    """Whether two arms have a run in common."""
    names = [name for name in ("data", "condition", "fold", "seed") if name in table]
    runs = table[table["arm"].isin([one, other])].groupby(names, dropna=False)["arm"].nunique()
    return bool((runs == 2).any())


def judged(
    table: pd.DataFrame, claims: Sequence[Claim], metric: str = EXPECTATION, alpha: float = 0.05
) -> pd.DataFrame:
    """Every claim, with what the runs say about it.

    Args:
        table: A row a run.
        claims: Taken as one family: their p-values are adjusted together, after Holm.
        metric: A column with an error.
        alpha: The level of the verdict.

    Returns:
        A row a claim, in the order given: `topic`, `claim`, `one`, `other`, `pairs` (runs that both arms have), `percent`
        saved with the 95 % interval `low` to `high`, `wins`, `ties`, `losses`, `p` (Wilcoxon, after Holm), `verdict`,
        and of the `sets` data sets the number `sets_for` in whose mean the first arm is better.

    Raises:
        InputError: As `saved`.
    """
    rows = []
    for claim in claims:
        runs = saved(table, claim, metric)
        ratio = 100 * runs["one"] / runs["other"]
        rows.append((claim, compare(ratio, 0 * ratio + 100, lower_is_better=True, groups=runs["data"]), runs))
    adjusted = holm([found.wilcoxon_p for _, found, _ in rows])
    return pd.DataFrame(
        [
            {"topic": claim.topic, "claim": claim.text, "one": claim.one, "other": claim.other}
            | {"pairs": found.n, "percent": found.difference, "low": found.low, "high": found.high}
            | {"wins": found.wins, "ties": found.ties, "losses": found.losses, "p": p}
            | {"verdict": verdict(found, alpha, p_value=p), "sets": runs["data"].nunique()}
            | {"sets_for": int((runs.groupby("data")["percent"].mean() > 0).sum())}
            for (claim, found, runs), p in zip(rows, adjusted, strict=True)
        ]
    )
