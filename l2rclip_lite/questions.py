"""How much of its error one arm saves against another, in percent: a setting at a time, over many settings, in words.

A setting is a study on a data set under one condition. Percent make settings with other units and other numbers of
ranks comparable. The verdict is that of `comparison.verdict`, with Holm's correction over the rows of one table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

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
    are those of `comparison.compare`, resampled within data sets where each has two runs or more; Holm's correction
    counts all groups.

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
        strata = each["data"] if each["data"].value_counts().min() > 1 else None
        found = compare(kept, np.full(len(kept), 100.0), lower_is_better=True, groups=strata, seed=seed)
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


def gains_by(
    table: pd.DataFrame, by: str, one: str, other: str, metric: str = "mae_expected"
) -> pd.DataFrame:
    """`run_gains` and `summarise` in one: a line for each value of a column of the table.

    Args:
        table: As `run_gains` takes it, with the column `by`.
        by: A column that a setting has one value of.
        one: Name of the first arm.
        other: Name of the second arm.
        metric: An error above 0.

    Returns:
        As `summarise`; empty where no run has both arms.

    Example:
        >>> runs = pd.DataFrame(
        ...     {"study": "few", "data": "leaves", "condition": ["few_shot=1"] * 4, "fold": None}
        ... )
        >>> runs = runs.assign(seed=[0, 0, 1, 1], ranks=5, n_train=5, shots="1", arm=["full", "ridge"] * 2)
        >>> gains_by(runs.assign(mae_expected=[3.0, 4.0, 2.0, 4.0]), "shots", "full", "ridge")[
        ...     "gain"
        ... ].tolist()
        [37.5]
    """
    runs = run_gains(table, one, other, metric)
    if not len(runs):
        return runs
    if by not in runs:
        runs = runs.merge(table[[*SETTING, by]].drop_duplicates())
    return summarise(runs, [by])


def _interval(row: Mapping[Any, Any], sign: str = "") -> str:
    """The two ends; a single run has none."""
    return f"{row['low']:{sign}.1f} to {row['high']:{sign}.1f}" if row["low"] == row["low"] else "no interval"


def gain_text(row: Mapping[Any, Any]) -> str:
    """A row of `summarise` as a cell of a Markdown table, bold with its verdict where it has one.

    A single run has no interval.

    Example:
        >>> row = {"gain": 5.0, "low": -1.0, "high": 9.5, "wins": 4, "n": 5, "verdict": "no difference shown"}
        >>> gain_text(row)
        '+5.0 (−1.0 to +9.5), 4/5'
        >>> gain_text(row | {"low": 1.0, "verdict": "better"})
        '**+5.0 (+1.0 to +9.5), 4/5 better**'
    """
    text = f"{row['gain']:+.1f} ({_interval(row, '+')}), {row['wins']}/{row['n']}"
    text = text.replace("-", "−")
    return text if row["verdict"] == "no difference shown" else f"**{text} {row['verdict']}**"


def gain_table(columns: Mapping[str, pd.DataFrame], by: str, title: str) -> str:
    """A Markdown table: what is compared in columns, settings in lines, `gain_text` in the cells.

    Args:
        columns: From `summarise` or `gains_by`, by heading; empty ones are left out.
        by: Their column that names the lines.
        title: Of the first column.

    Example:
        >>> row = {"gain": 5.0, "low": 1.0, "high": 9.0, "wins": 4, "n": 5, "verdict": "no difference shown"}
        >>> print(gain_table({"against random": pd.DataFrame([{"ranks": 62} | row])}, "ranks", "K"))
        | K | against random |
        |---|---|
        | 62 | +5.0 (+1.0 to +9.0), 4/5 |
    """
    cells = {
        head: {row[by]: gain_text(row) for row in done.to_dict("records")}
        for head, done in columns.items()
        if len(done)
    }
    if not cells:
        return "*no rows of these runs here*"
    lines = [f"| {title} | {' | '.join(cells)} |", "|---" * (len(cells) + 1) + "|"]
    for key in dict.fromkeys(key for column in cells.values() for key in column):
        lines.append(f"| {key} | {' | '.join(column.get(key, '–') for column in cells.values())} |")
    return "\n".join(lines)


def listed(words: Sequence[object]) -> str:
    """Words with commas and an "and"; "none" for no words.

    Example:
        >>> listed([1, 2, 4]), listed(["one"]), listed([])
        ('1, 2 and 4', 'one', 'none')
    """
    texts = [str(word) for word in words]
    return f"{', '.join(texts[:-1])} and {texts[-1]}" if len(texts) > 1 else "".join(texts) or "none"


def in_words(done: pd.DataFrame, by: str) -> str:
    """Where the gain is largest, where its interval lies, and what so few runs could show at best.

    Args:
        done: From `summarise` or `gains_by`.
        by: Its column that names the rows.

    Example:
        >>> row = {"gain": 5.0, "low": 1.0, "high": 9.0, "n": 3, "smallest_p": 0.25}
        >>> print(in_words(pd.DataFrame([{"ranks": 62} | row]), "ranks"))
        Largest gain: 5.0 % (1.0 to 9.0) at 62. Interval above 0: 62. Below 0: none. On both sides: none. With n = 3 no
        p-value can be below 0.25.
    """
    if not len(done):
        return ""
    best = max(done.to_dict("records"), key=lambda row: float(row["gain"]))
    above, below = done["low"] > 0, done["high"] < 0
    where = [
        listed(done.loc[side, by].tolist())
        for side in (above, below, (done["low"] <= 0) & (done["high"] >= 0))
    ]
    most = done["n"].max()
    return (
        (
            f"Largest gain: {best['gain']:.1f} % ({_interval(best)}) at {best[by]}. Interval above 0: "
            f"{where[0]}. Below 0: {where[1]}. On both sides: {where[2]}. With n = {most} no p-value can be below "
            f"{done['smallest_p'].min():.3g}."
        )
        .replace("-", "−")
        .replace("p−value", "p-value")
    )
