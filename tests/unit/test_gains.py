"""Percentages of error that can be worked out by hand and tables that lack runs."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from l2rclip_book import evidence
from l2rclip_book.gains import Hypothesis, gain_text, hypothesis_gains, run_gains, summarise
from l2rclip_book.statistics import compare, holm
from l2rclip_lite.errors import InputError

HELPS = Hypothesis("it helps", "full", "without", "parts", "components")


def runs(sets: int = 1, **arms: list[float]) -> pd.DataFrame:
    """A row per run and arm of one study, an error per seed, dealt to data sets in turn."""
    rows = [
        {"data": f"set {seed % sets}", "arm": arm, "seed": seed, "mae_expected": error}
        for arm, errors in arms.items()
        for seed, error in enumerate(errors)
    ]
    return pd.DataFrame(rows).assign(study="parts", condition=None, fold=None, ranks=5, n_train=40)


def test_gains_by_hand() -> None:
    """(4 − 3)/4, (5 − 6)/5 and nothing for the third seed, which one arm lacks; empty cells match each other."""
    gains = run_gains(runs(full=[3, 6, 1], ridge=[4, 5]), "full", "ridge")
    assert gains["gain"].tolist() == [25, -20]
    assert gains["seed"].tolist() == [0, 1]


def test_a_setting_without_one_of_the_arms_is_left_out() -> None:
    """No arm, no shared seed, no study: no row; a hypothesis that can be judged stays."""
    table = runs(full=[3, 6], without=[4, 5])
    apart = table[(table["arm"] == "full") == (table["seed"] == 0)]
    assert run_gains(table, "full", "coop").empty
    assert run_gains(apart, "full", "without").empty
    asked = [HELPS, Hypothesis("?", "full", "nobody", "parts"), Hypothesis("?", "full", "without")]
    assert hypothesis_gains(table, asked)["text"].unique().tolist() == ["it helps"]
    two = table.assign(data=["leaves", "eyes"] * 2)
    some = Hypothesis("some", "full", "without", "parts", data=("leaves",))
    assert hypothesis_gains(two, [some])["data"].tolist() == ["leaves"]


def test_what_cannot_be_a_percentage_is_refused() -> None:
    """An error of 0 in the denominator; two rows for one run. An error of 0 on the first side saves everything."""
    with pytest.raises(InputError, match="of 0 or less"):
        run_gains(runs(full=[3, 6], ridge=[0, 5]), "full", "ridge")
    with pytest.raises(InputError, match="needs one row with a finite mae_expected for each run"):
        run_gains(pd.concat([runs(full=[3], ridge=[4])] * 2), "full", "ridge")
    assert run_gains(runs(full=[1, 0], ridge=[2, 3]), "full", "ridge")["gain"].tolist() == [50, 100]


def test_the_summary_is_compare_and_holm() -> None:
    """Two hypotheses are two comparisons of percentages, adjusted together."""
    table = runs(
        2, full=[3, 2, 5, 4, 3, 2, 4, 1], without=[4, 4, 6, 5, 4, 4, 5, 2], same=[3, 2, 5, 4, 3, 2, 4, 2]
    )
    asked = [HELPS, Hypothesis("it differs", "full", "same", "parts")]
    gains = hypothesis_gains(table, asked)
    summary = summarise(gains, ["text"])
    direct = []
    for _, part in gains.groupby("text", sort=False):
        percent = part["gain"].to_numpy()
        direct.append(compare(percent, 0 * percent, lower_is_better=False, groups=part["data"]))
    assert summary["gain"].tolist() == pytest.approx([one.difference for one in direct])
    assert summary["low"].tolist() == pytest.approx([one.low for one in direct])
    assert summary["holm"].tolist() == pytest.approx(holm([one.wilcoxon_p for one in direct]))
    assert summary["verdict"].tolist() == ["better", "no difference shown"]
    assert summary[["n", "wins", "ties", "losses", "sets", "sets_for"]].values.tolist() == [
        [8, 8, 0, 0, 2, 2],
        [8, 1, 7, 0, 2, 1],
    ]


def test_more_questions_need_more_evidence() -> None:
    """Six wins of six give p = 1/32, enough for one hypothesis and too much for two."""
    gains = hypothesis_gains(runs(full=[1] * 6, without=[2, 3, 4, 5, 6, 7]), [HELPS])
    assert summarise(gains, ["text"])["verdict"].tolist() == ["better"]
    both = summarise(pd.concat([gains, gains.assign(text="too")]), ["text"])
    assert both["holm"].tolist() == [0.0625, 0.0625]
    assert set(both["verdict"]) == {"no difference shown"}


def test_what_counts_as_a_run() -> None:
    """One run has no interval. Conditions of a run count once: three pairs, each the mean of two gains: 10, 20, 30."""
    row = summarise(run_gains(runs(full=[3], ridge=[4]), "full", "ridge")).iloc[0]
    assert math.isnan(row["low"])
    assert gain_text(row) == "+25.0 (no interval), 1/1"
    gains = pd.DataFrame({"data": "x", "seed": [0, 1, 2] * 2, "gain": [5.0, 15, 25, 15, 25, 35], "all": 1})
    row = summarise(gains, ["all"]).iloc[0]
    assert (row["n"], row["gain"], row["wins"], row["smallest_p"]) == (3, 20, 3, 0.25)


def test_a_forest_clips_what_is_beyond_its_axis() -> None:
    """At the edge, with its number; the marks of the data sets are beside it."""
    errors = [1.0, 2, 3, 4, 5, 6, 7]
    gains = hypothesis_gains(runs(2, full=[10 * error for error in errors], without=errors), [HELPS])
    figure = evidence.forest(summarise(gains, ["text"]), gains, label="saved", limit=150)
    assert [text.get_text() for text in figure.axes[0].texts] == ["-900 %"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["set 0", "set 1"]
