"""Relative error reduction: what percentage of its error one arm saves against another, run by run and over many runs.

An error in grades cannot be averaged with one in 62 ranks of damage; percentages of the other arm's error on the same
run can. A *setting* is a study on a data set under one condition. Tests, interval and verdict are those of `statistics`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from l2rclip_book.statistics import compare, holm, pairs, verdict
from l2rclip_lite.errors import InputError

SETTING = ["study", "data", "condition"]
EXPECTATION, ARGMAX = "mae_expected", "mae"


@dataclass(frozen=True)
class Hypothesis:
    """A sentence that two arms of a study can support or not.

    Args:
        text: The sentence, as a table shows it: "RankFormer helps".
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


def run_gains(table: pd.DataFrame, one: str, other: str, metric: str = EXPECTATION) -> pd.DataFrame:
    """100 (other − one) / other for each run that has both arms: the share of its error that the first one saves.

    Args:
        table: A row per run and arm: `study`, `data`, `condition`, `fold`, `seed`, `arm` and the metric.
        one: Name of the first arm.
        other: Name of the second arm.
        metric: An error above 0.

    Returns:
        The columns that name a run, `one` and `other` (the errors), `gain`, and `ranks` and `n_train` where the table
        has them; no row where no run has both arms.

    Raises:
        InputError: Two rows of an arm for one run, or an error of the second arm that is not above 0.

    Example:
        >>> runs = pd.DataFrame({"study": "main", "data": "leaves", "seed": [0, 0]})
        >>> runs = runs.assign(arm=["full", "ridge"], mae_expected=[3.0, 4.0])
        >>> run_gains(runs, "full", "ridge")["gain"].tolist()
        [25.0]
    """
    names = [name for name in (*SETTING, "fold", "seed") if name in table]
    mine = table[table["arm"].isin([one, other])].fillna({"condition": ""})
    both = mine.groupby(names, dropna=False)["arm"].transform("nunique") == 2
    kept = [name for name in ("ranks", "n_train") if name in table]
    if not both.any():
        return pd.DataFrame(columns=[*names, "one", "other", "gain", *kept])
    shared, _ = pairs(mine[both], one, other, metric, by=names)
    if (shared["other"] <= 0).any():
        raise InputError(
            f"gains: {other!r} has a run with a {metric} of 0 or less; percentages of it say nothing."
        )
    shared["gain"] = 100 * (shared["other"] - shared["one"]) / shared["other"]
    about = mine.loc[both & (mine["arm"] == one), [*names, *kept]]
    return about.merge(shared, on=names)  # in the order of the table


def hypothesis_gains(
    table: pd.DataFrame, hypotheses: Sequence[Hypothesis], metric: str = EXPECTATION
) -> pd.DataFrame:
    """`run_gains` of every hypothesis, with its `text` and `topic`; one without a run is left out."""
    parts = []
    for each in hypotheses:
        rows = table[table["study"] == each.study]
        rows = rows[rows["data"].isin(each.data)] if each.data else rows
        parts.append(run_gains(rows, each.one, each.other, metric).assign(text=each.text, topic=each.topic))
    full = [part for part in parts if len(part)]
    return pd.concat(full or parts[:1], ignore_index=True)


def summarise(runs: pd.DataFrame, by: Sequence[str] = SETTING, *, seed: int = 0) -> pd.DataFrame:
    """Mean gain of each group of runs with its interval, count of wins, and verdict.

    A run is a fold or seed of a data set. Where a group has several conditions of a run, their gains are averaged
    first, because they share images: the group has as many pairs as runs, not as rows. The interval and the tests are
    those of `statistics.compare`, resampled within data sets where each has two runs or more; Holm's correction counts
    all groups.

    Args:
        runs: From `run_gains` or `hypothesis_gains`.
        by: The columns that make a group.
        seed: Of the bootstrap.

    Returns:
        The columns of `by`, in the order in which the groups appear, then `n`, `gain`, `low`, `high`, `wins`, `ties`,
        `losses`, `p` (Wilcoxon), `smallest_p`, `sets` (data sets), `sets_for` (data sets with a mean gain above 0),
        `holm`, `verdict`.

    Example:
        >>> runs = pd.DataFrame(
        ...     {"question": "few", "data": "leaves", "seed": range(6), "gain": [5.0, 4, 6, 3, 7, 5]}
        ... )
        >>> summarise(runs, ["question"])[["n", "gain", "wins", "holm", "verdict"]].values.tolist()
        [[6, 5.0, 6, 0.03125, 'better']]
    """
    keys, tests, rows = [], [], []
    for key, part in runs.groupby(list(by), sort=False):
        each = part.groupby(["data", "seed"], sort=False)["gain"].mean().reset_index()
        strata = each["data"] if each["data"].value_counts().min() > 1 else None
        left = 100 - each["gain"]
        test = compare(left, np.full(len(left), 100.0), lower_is_better=True, groups=strata, seed=seed)
        means = each.groupby("data")["gain"].mean()
        keys.append(dict(zip(by, key, strict=True)))
        tests.append(test)
        rows.append(
            {"n": test.n, "gain": test.difference, "low": test.low, "high": test.high, "wins": test.wins}
            | {"ties": test.ties, "losses": test.losses, "p": test.wilcoxon_p, "smallest_p": test.smallest_p}
            | {"sets": len(means), "sets_for": int((means > 0).sum())}
        )
    adjusted = holm([test.wilcoxon_p for test in tests]) if tests else []
    return pd.DataFrame(
        [
            key | row | {"holm": p, "verdict": verdict(test, p_value=p)}
            for key, row, test, p in zip(keys, rows, tests, adjusted, strict=True)
        ]
    )


def gains_by(table: pd.DataFrame, by: str, one: str, other: str, metric: str = EXPECTATION) -> pd.DataFrame:
    """`run_gains` and `summarise` in one: a row for each value of a column of the table.

    Args:
        table: As `run_gains` takes it.
        by: A column with one value per setting.
        one: Name of the first arm.
        other: Name of the second arm.
        metric: An error above 0.

    Returns:
        As `summarise`; empty where no run has both arms.

    Example:
        >>> runs = pd.DataFrame({"study": "few", "data": "leaves", "condition": "", "seed": [0, 0, 1, 1]})
        >>> runs = runs.assign(shots="1", arm=["full", "ridge"] * 2, mae_expected=[3.0, 4.0, 2.0, 4.0])
        >>> gains_by(runs, "shots", "full", "ridge")["gain"].tolist()
        [37.5]
    """
    runs = run_gains(table, one, other, metric)
    if not len(runs):
        return runs
    if by not in runs:
        runs = runs.merge(table[[*SETTING, by]].fillna({"condition": ""}).drop_duplicates())
    return summarise(runs, [by])


def gain_text(row: Mapping[Any, Any]) -> str:
    """A row of `summarise` as a cell of a Markdown table, bold with its verdict where it has one.

    Example:
        >>> row = {"gain": 5.0, "low": -1.0, "high": 9.5, "wins": 4, "n": 5, "verdict": "no difference shown"}
        >>> gain_text(row)
        '+5.0 (−1.0 to +9.5), 4/5'
        >>> gain_text(row | {"low": 1.0, "verdict": "better"})
        '**+5.0 (+1.0 to +9.5), 4/5 better**'
    """
    interval = "no interval" if np.isnan(row["low"]) else f"{row['low']:+.1f} to {row['high']:+.1f}"
    text = f"{row['gain']:+.1f} ({interval}), {row['wins']}/{row['n']}".replace("-", "−")
    return text if row["verdict"] == "no difference shown" else f"**{text} {row['verdict']}**"
