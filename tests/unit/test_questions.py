"""Gains against another arm: numbers that can be derived by hand, and the sentences made of them."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from l2rclip_lite.errors import InputError
from l2rclip_lite.questions import gain_table, gain_text, gains_by, in_words, run_gains, summarise


def runs(**arms: list[float]) -> pd.DataFrame:
    """A row a run of one setting, an error a seed for each arm."""
    rows = [
        {"arm": arm, "seed": seed, "mae_expected": error}
        for arm, errors in arms.items()
        for seed, error in enumerate(errors)
    ]
    about = {"study": "main", "data": "leaves", "condition": "", "fold": None, "ranks": 5, "n_train": 40}
    return pd.DataFrame(rows).assign(**about)


def test_gains_by_hand() -> None:
    """(4 − 3)/4, (5 − 6)/5 and nothing for the third seed, which one arm lacks."""
    found = run_gains(runs(full=[3, 6, 1], ridge=[4, 5]), "full", "ridge")
    assert found["gain"].tolist() == [25, -20]
    assert found["seed"].tolist() == [0, 1]


def test_a_setting_without_one_of_the_arms_is_left_out() -> None:
    """An empty table has the same columns as a full one; a setting in which the two share no seed counts as empty."""
    full = runs(full=[3, 6], ridge=[4, 5])
    assert list(run_gains(full, "full", "coop")) == list(run_gains(full, "full", "ridge"))
    assert run_gains(full, "full", "coop").empty
    assert gains_by(full, "ranks", "full", "coop").empty
    apart = full[(full["arm"] == "full") == (full["seed"] == 0)]
    assert run_gains(apart, "full", "ridge").empty


def test_what_cannot_be_a_percentage_is_refused() -> None:
    """An error of 0 in the denominator; two rows for one run."""
    with pytest.raises(InputError, match="of 0 or less"):
        run_gains(runs(full=[3, 6], ridge=[0, 5]), "full", "ridge")
    with pytest.raises(InputError, match="a second row"):
        run_gains(pd.concat([runs(full=[3], ridge=[4])] * 2), "full", "ridge")


def test_conditions_of_a_run_are_averaged_first() -> None:
    """Two conditions of two runs: 10 and 30 give 20, −10 and 10 give 0; so two pairs of mean 10, not four."""
    each = pd.DataFrame(
        {"family": "few", "data": "leaves", "seed": [0, 0, 1, 1], "gain": [10.0, 30, -10, 10]}
    )
    (row,) = summarise(each, ["family"]).to_dict("records")
    assert (row["n"], row["gain"], row["wins"], row["losses"], row["smallest_p"]) == (2, 10, 1, 0, 0.5)
    assert (row["low"], row["high"]) == (0, 20)


def test_holm_counts_the_lines_of_the_table() -> None:
    """Seven wins of seven have p = 2/2⁷; beside a line of p = 1 that is doubled, and still below 0.05."""
    one = pd.DataFrame({"family": "clear", "data": "a", "seed": range(7), "gain": [3.0, 4, 5, 6, 7, 8, 9]})
    other = pd.DataFrame({"family": "tied", "data": "a", "seed": range(2), "gain": [1.0, -1.0]})
    found = summarise(pd.concat([one, other]), ["family"]).set_index("family")
    assert found.loc["clear", ["p", "holm"]].tolist() == pytest.approx([2 / 2**7, 4 / 2**7])
    assert found["verdict"].tolist() == ["better", "no difference shown"]


def test_a_single_run_has_no_interval() -> None:
    """Nothing shows how much it varies, and the sentence about it counts it on neither side."""
    done = summarise(run_gains(runs(full=[3], ridge=[4]), "full", "ridge"), ["ranks"])
    assert math.isnan(done["low"][0])
    said = in_words(done, "ranks")
    assert "25.0 % (no interval) at 5. Interval above 0: none. Below 0: none. On both sides: none." in said
    assert gain_text(done.iloc[0].to_dict()) == "+25.0 (no interval), 1/1"


def test_a_data_set_with_a_single_run_joins_the_others() -> None:
    """Gains 10, 20 and, of another data set, 60: resampled together, else there would be no interval."""
    each = pd.DataFrame(
        {"family": "few", "data": ["a", "a", "b"], "seed": [0, 1, 0], "gain": [10.0, 20.0, 60.0]}
    )
    (row,) = summarise(each, ["family"]).to_dict("records")
    assert (row["n"], row["gain"], row["low"], row["high"]) == (3, 30, 10, 60)


def test_words_follow_the_numbers() -> None:
    """One setting on each side of 0 and one across it; a column without rows leaves no column."""
    row = {"wins": 2, "n": 3, "verdict": "no difference shown", "smallest_p": 0.25}
    done = pd.DataFrame(
        [
            row | {"ranks": 3, "gain": -9.0, "low": -12.0, "high": -6.0},
            row | {"ranks": 5, "gain": 0.0, "low": -3.0, "high": 3.0},
            row | {"ranks": 62, "gain": 9.0, "low": 6.0, "high": 12.0},
        ]
    )
    said = in_words(done, "ranks")
    assert "9.0 % (6.0 to 12.0) at 62." in said
    assert "above 0: 62. Below 0: 3. On both sides: 5." in said
    assert "n = 3 no p-value can be below 0.25" in said
    assert in_words(done.iloc[:0], "ranks") == ""
    table = gain_table({"random": done, "ridge": done.iloc[:0]}, "ranks", "K")
    assert table.splitlines()[0] == "| K | random |"
    assert (
        table.splitlines()[2]
        == f"| 3 | {gain_text(done.iloc[0].to_dict())} |"
        == "| 3 | −9.0 (−12.0 to −6.0), 2/3 |"
    )
    assert gain_table({"ridge": done.iloc[:0]}, "ranks", "K") == "*no rows of these runs here*"
