"""Tuned towers: the two claims about methods at their best, and how firm they are.

`experiments/matrix/studies.yaml` fixed the claims before the runs; `recipe_search` chose the recipe
of each method.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
from scipy import stats

from l2rclip_book.gains import (
    MANY,
    MEAN,
    NONE,
    WITHOUT_LEAVES,
    compare_pairs,
    judge_claims,
    over_trainings,
    run_interval,
)

STUDY = "at-best"
SETS = (*MANY, "bracol", "retinamnist")
RIVALS = (NONE, "cross-entropy, 4e-4", "rps")
BEST_RIVAL = "best rival"
CLAIMS = {
    "against cross-entropy": ("L2RCLIP", NONE),
    "against the rival that validates best": ("L2RCLIP", BEST_RIVAL),
}
LEFT_OUT = WITHOUT_LEAVES | {
    "without cherries": ("cherries81",),
    "without faces and pears": ("portraits", "pears"),
    "cherries and retinas alone": tuple(set(SETS) - {"cherries81", "retinamnist"}),
}
BY_ERROR = "judged by the error of the median"
BY_SUBJECT = "drawn by tree, person or examination"
OVER_RUNS = "over trainings"
OVER_SETS = "for the mean of sets like these eight"
OVER_OTHERS = "for the mean of sets like these, without coffee leaves"
NEW_SET = "for one new set like these"
CHANGES = (*LEFT_OUT, BY_ERROR, BY_SUBJECT, OVER_RUNS, OVER_SETS, OVER_OTHERS, NEW_SET)

UNITS = {
    "bracol-area": "percent",
    "apples81": "apples",
    "hc18": "weeks",
    "cherries81": "cherries",
    "pears": "pears",
    "portraits": "years",
    "bracol": "grades",
    "retinamnist": "grades",
}


def with_best_rival(table: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """Add the rival that validates best in each run, under the name "best rival".

    Args:
        table: A row per `data`, `run` and `arm`, with `val_rps`.
        images: Rows for the same `data`, `run` and `arm`: the table itself, or scores of images.

    Returns:
        The rows of `images`, then once more those of the rivals that were chosen.

    Example:
        >>> arms = {"arm": ["L2RCLIP", "cross-entropy", "rps"], "val_rps": [1.0, 3.0, 2.0]}
        >>> table = pd.DataFrame(arms).assign(data="pears", run=0, rps=[5.0, 6.0, 7.0])
        >>> with_best_rival(table, table)[["arm", "rps"]].values.tolist()[-1]
        ['best rival', 7.0]
    """
    keys = ["data", "run", "arm"]
    rivals = table[table["arm"].isin(RIVALS)]
    best = rivals.sort_values("val_rps", kind="stable").drop_duplicates(["data", "run"])
    chosen = images.merge(best[keys]).assign(arm=BEST_RIVAL)
    return pd.concat([images, chosen], ignore_index=True)


def judge_tuned(
    table: pd.DataFrame, images: pd.DataFrame, missing: Sequence[str] = ()
) -> pd.DataFrame:
    """Judge the two claims about tuned towers.

    Args:
        table: Rows of the study `at-best`.
        images: Its scores of test images.
        missing: See `judge_claims`.
    """
    return judge_claims(
        with_best_rival(table, table),
        with_best_rival(table, images),
        missing,
        study=STUDY,
        sets=SETS,
        pairs=CLAIMS,
    )


def variations(table: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """Return what the two claims are without some sets, by another score, and over other units.

    Args:
        table: Rows of the study `at-best`.
        images: Its scores of test images, with `rps` and the `error` of the median.

    Returns:
        `change`, `row` (the claim), `gain` on the mean of the sets, `low` and `high`: its 95 %
        interval over test images, or over what the change names.
    """
    arms = with_best_rival(table, images)
    parts = []
    for change, sets in LEFT_OUT.items():
        kept = arms[~arms["data"].isin(sets)]
        parts.append(compare_pairs(kept, CLAIMS).assign(change=change))

    by_error = compare_pairs(arms.assign(rps=arms.get("error")), CLAIMS)
    parts.append(by_error.assign(change=BY_ERROR))
    by_subject = compare_pairs(arms, CLAIMS, by_subject=True)
    parts.append(by_subject.assign(change=BY_SUBJECT))

    gains = pd.concat(parts, ignore_index=True)
    means = gains[gains["data"] == MEAN]
    over_sets = _over_sets(gains[gains["change"] == "as registered"])
    over_others = _over_sets(gains[gains["change"] == "without coffee leaves"])
    over_others = over_others[over_others["change"] == OVER_SETS].assign(change=OVER_OTHERS)
    columns = ["change", "row", "gain", "low", "high"]
    over = [_over_runs(table), over_sets, over_others]
    return pd.concat([means, *over], ignore_index=True)[columns]


def _over_runs(table: pd.DataFrame) -> pd.DataFrame:
    """Return `over_trainings` of each claim, with the standard errors of `run_interval`."""
    rows = []
    arms = with_best_rival(table, table)
    for claim, (one, other) in CLAIMS.items():
        of_set = run_interval(arms, one, other).dropna()
        if of_set.empty:
            continue
        own = of_set["runs"] - 1
        squares = ((of_set["run_high"] - of_set["run_gain"]) / stats.t.ppf(0.975, own)) ** 2
        rows.append((claim, *over_trainings(of_set["run_gain"], squares, own)))
    columns = ["row", "gain", "low", "high"]
    return pd.DataFrame(rows, columns=columns).assign(change=OVER_RUNS)


def _over_sets(gains: pd.DataFrame) -> pd.DataFrame:
    """Return the mean gain of each claim with two t intervals in which the unit is a data set.

    The first is for the mean of such sets. The second, a prediction interval, is for the gain on
    one more of them: it is √(1 + 1/n) standard deviations of the gains wide where that of the mean
    is √(1/n).
    """
    rows = []
    for claim, part in gains[gains["data"] != MEAN].groupby("row", sort=False):
        of_set = part["gain"].to_numpy(float)
        if len(of_set) < 2:
            continue
        n_sets = len(of_set)
        mean = float(of_set.mean())
        unit = float(stats.t.ppf(0.975, n_sets - 1) * of_set.std(ddof=1))
        for change, share in ((OVER_SETS, 1 / n_sets), (NEW_SET, 1 + 1 / n_sets)):
            reach = unit * math.sqrt(share)
            rows.append((change, claim, mean, mean - reach, mean + reach))
    return pd.DataFrame(rows, columns=["change", "row", "gain", "low", "high"])


def in_units(table: pd.DataFrame) -> pd.DataFrame:
    """Return the error of the median in the unit of each set, and what a training takes.

    Args:
        table: Rows of the studies `main`, whose towers are frozen, and `at-best`.

    Returns:
        A line per set, in means over the runs that both studies have: the `unit`, the error of the
        median rank, of L2RCLIP with a frozen tower, of cross-entropy, the best rival and L2RCLIP
        with a tuned one, then the minutes of a training of cross-entropy and L2RCLIP. NaN where
        there are no rows.
    """
    numbers = table.astype({"mae_median": float, "seconds": float})
    numbers["minutes"] = numbers["seconds"] / 60
    tuned = numbers[numbers["study"] == STUDY]
    frozen = numbers[numbers["study"] == "main"].merge(tuned[["data", "run"]].drop_duplicates())
    columns = {
        "unit": pd.Series(UNITS),
        "median rank": _means(frozen, "median-rank", "mae_median"),
        "L2RCLIP, frozen": _means(frozen, "L2RCLIP", "mae_median"),
        "cross-entropy, tuned": _means(tuned, NONE, "mae_median"),
        "best rival, tuned": _means(with_best_rival(tuned, tuned), BEST_RIVAL, "mae_median"),
        "L2RCLIP, tuned": _means(tuned, "L2RCLIP", "mae_median"),
        "minutes, cross-entropy": _means(tuned, NONE, "minutes"),
        "minutes, L2RCLIP": _means(tuned, "L2RCLIP", "minutes"),
    }
    return pd.DataFrame(columns).reindex(SETS)


def _means(table: pd.DataFrame, arm: str, column: str) -> pd.Series[float]:
    """Return the mean of a column over the runs of an arm, for each data set."""
    return table[table["arm"] == arm].groupby("data")[column].mean()


def mean_ranks(table: pd.DataFrame) -> pd.Series[float]:
    """Return the mean place of each method over data sets, the best first; 1 is always first.

    A method that lacks one of the sets has no place.

    Source: Demšar 2006 (Statistical Comparisons of Classifiers over Multiple Data Sets), 3.2.2.

    Args:
        table: A row per `data`, `run` and `arm`, with `rps`; a set has the mean of its runs.

    Example:
        >>> arms = {"arm": ["L2RCLIP", "rps"] * 2, "data": ["pears"] * 2 + ["hc18"] * 2}
        >>> mean_ranks(pd.DataFrame(arms).assign(run=0, rps=[1.0, 2.0, 3.0, 4.0])).to_dict()
        {'L2RCLIP': 1.0, 'rps': 2.0}
    """
    scores = table.pivot_table("rps", "data", "arm").dropna(axis="columns")
    return scores.rank(axis=1).mean().sort_values()


def critical_difference(methods: int, data_sets: int) -> float:
    r"""Return how far the mean ranks of two methods must lie apart for Nemenyi's test.

    $$CD = q_\alpha\sqrt{\frac{k(k+1)}{6N}}$$

    where $q_\alpha$ is the quantile 0.95 of the studentised range over √2.

    Source: Demšar 2006, 3.2.2 and table 5.

    Args:
        methods: k.
        data_sets: N.

    Example:
        >>> round(critical_difference(4, 14), 2)  # Demšar's own example, 1.25
        1.25
    """
    quantile = stats.studentized_range.ppf(0.95, methods, math.inf) / math.sqrt(2)
    return float(quantile * math.sqrt(methods * (methods + 1) / (6 * data_sets)))
