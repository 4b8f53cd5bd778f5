"""How much of its error one arm saves against another, in percent: a setting at a time, and over many settings.

A setting is a study on a data set under one condition. Percent make settings with other units and other numbers of
ranks comparable. The verdict is that of `comparison.verdict`, with Holm's correction over the rows of one table.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from l2rclip_lite.comparison import compare, holm, pairs, verdict
from l2rclip_lite.errors import InputError

SETTING = ("study", "data", "condition")


def run_gains(table: pd.DataFrame, one: str, other: str, metric: str = "mae_expected") -> pd.DataFrame:
    """100 (other − one) / other for each run that has both arms: the share of its error that the first one saves.

    Args:
        table: A row a run: `study`, `data`, `condition`, `fold`, `seed`, `arm`, `ranks`, `n_train`, and the metric.
        one: Name of the first arm.
        other: Name of the second arm.
        metric: An error above 0.

    Returns:
        `study`, `data`, `condition`, `ranks`, `n_train`, `seed`, `gain`; no row where no run has both arms.

    Raises:
        InputError: Two rows of an arm for one run, or an error of the second arm that is not above 0.

    Example:
        >>> runs = pd.DataFrame(
        ...     {"study": "main", "data": "leaves", "condition": "", "fold": None, "seed": [0, 0]}
        ... )
        >>> runs = runs.assign(ranks=5, n_train=400, arm=["full", "ridge"], mae_expected=[3.0, 4.0])
        >>> run_gains(runs, "full", "ridge")["gain"].tolist()
        [25.0]
    """
    columns = [*SETTING, "ranks", "n_train", "seed", "gain"]
    keys, found = [*SETTING, "ranks", "n_train"], []
    for _, part in table.fillna({"condition": ""}).groupby(list(SETTING), sort=False):
        part = part[part["arm"].isin([one, other])]
        if part["arm"].nunique() < 2:
            continue
        try:
            shared, _ = pairs(part, one, other, metric, by=[*keys, "fold", "seed"])
        except InputError as error:
            if "share no run" in str(error):
                continue
            raise
        if (shared["other"] <= 0).any():
            raise InputError(f"questions: {other!r} has a {metric} of 0 or less; percent of it say nothing.")
        shared["gain"] = 100 * (shared["other"] - shared["one"]) / shared["other"]
        found.append(shared[columns])
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=columns)


def summarise(runs: pd.DataFrame, by: Sequence[str] = SETTING, *, seed: int = 0) -> pd.DataFrame:
    """Mean gain of each group of runs with its interval, count of wins, and verdict.

    A run is a fold or seed of a data set. Where a group has several conditions of a run, their gains are averaged
    first, because they share pictures: the group has as many pairs as runs, not as rows. The interval and the tests
    are those of `comparison.compare`; Holm's correction counts all groups.

    Args:
        runs: From `run_gains`, perhaps with more columns.
        by: The columns that make a group.
        seed: Of the bootstrap.

    Returns:
        The columns of `by`, in the order in which the groups appear, then `n`, `gain`, `low`, `high`, `wins`, `losses`,
        `p` (Wilcoxon), `smallest_p`, `holm`, `verdict`.

    Example:
        >>> runs = pd.DataFrame(
        ...     {"question": "few", "data": "leaves", "seed": range(6), "gain": [5.0, 4, 6, 3, 7, 5]}
        ... )
        >>> summarise(runs, ["question"])[["n", "gain", "wins", "holm", "verdict"]].values.tolist()
        [[6, 5.0, 6, 0.03125, 'better']]
    """
    rows = []
    for key, part in runs.groupby(list(by), sort=False):
        each = part.groupby(["data", "seed"], sort=False)["gain"].mean().reset_index()
        kept = 100 - each["gain"]
        found = compare(kept, np.full(len(kept), 100.0), lower_is_better=True, groups=each["data"], seed=seed)
        numbers = {"n": found.n, "gain": found.difference, "low": found.low, "high": found.high}
        numbers |= {"wins": found.wins, "losses": found.losses}
        numbers |= {"p": found.wilcoxon_p, "smallest_p": found.smallest_p}
        rows.append((key, found, numbers))
    adjusted = holm([found.wilcoxon_p for _, found, _ in rows])
    return pd.DataFrame(
        [
            dict(zip(by, key, strict=True)) | numbers | {"holm": p, "verdict": verdict(found, p_value=p)}
            for (key, found, numbers), p in zip(rows, adjusted, strict=True)
        ]
    )
