"""Claims: percentages that can be worked out by hand, and tables that lack runs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from l2rclip_lite.claims import Claim, judged, saved, supported
from l2rclip_lite.comparison import compare, holm
from l2rclip_lite.errors import InputError

HELPS = Claim("it helps", "full", "without", "parts", "components")


def runs(*rows: tuple[str, str, int, str, float], metric: str = "mae_expected") -> pd.DataFrame:
    """Study, data set, seed, arm, error."""
    return pd.DataFrame(list(rows), columns=["study", "data", "seed", "arm", metric])


def many(one: list[float], other: list[float], sets: int = 1) -> pd.DataFrame:
    """Paired runs, dealt to data sets in turn."""
    rows = []
    for seed, (left, right) in enumerate(zip(one, other, strict=True)):
        data = f"set {seed % sets}"
        rows += [("parts", data, seed, "full", left), ("parts", data, seed, "without", right)]
    return runs(*rows)


def test_percent_of_the_others_error_by_hand() -> None:
    """3 of 4 saves a quarter, 6 of 5 costs a fifth; another study and a run without partner play no part."""
    table = runs(
        ("parts", "leaves", 0, "full", 3),
        ("parts", "leaves", 0, "without", 4),
        ("parts", "eyes", 0, "full", 6),
        ("parts", "eyes", 0, "without", 5),
        ("parts", "eyes", 1, "full", 9),
        ("main", "leaves", 0, "without", 1),
    )
    found = saved(table, HELPS)
    assert found.set_index("data")["percent"].to_dict() == pytest.approx({"eyes": -20.0, "leaves": 25.0})
    row = judged(table, [HELPS]).iloc[0]
    assert (row["pairs"], row["wins"], row["ties"], row["losses"]) == (2, 1, 0, 1)
    assert (row["percent"], row["sets"], row["sets_for"]) == (pytest.approx(2.5), 2, 1)
    assert row["verdict"] == "no difference shown"
    assert np.isnan(row["low"])  # one run a data set does not show how runs vary


def test_a_claim_may_speak_of_some_data_sets() -> None:
    """The other sets play no part, and a set without runs is not supported."""
    table = many([1, 1, 3, 3], [2, 2, 3, 3], sets=2).replace({"data": {"set 0": "leaves", "set 1": "eyes"}})
    leaves = Claim("it helps", "full", "without", "parts", data=("leaves",))
    assert saved(table, leaves)["data"].unique().tolist() == ["leaves"]
    assert judged(table, [HELPS, leaves])["pairs"].tolist() == [4, 2]
    assert supported(table, [Claim("?", "full", "without", "parts", data=("faces",)), leaves]) == [leaves]


def test_units_do_not_matter() -> None:
    """Errors in years and in days give the same table."""
    table = many([3, 2, 5, 4, 3, 2, 4], [4, 4, 6, 5, 4, 4, 5])
    days = table.assign(mae_expected=365 * table["mae_expected"])
    left, right = judged(table, [HELPS]), judged(days, [HELPS])
    assert left.drop(columns=["percent", "low", "high"]).equals(
        right.drop(columns=["percent", "low", "high"])
    )
    assert left["percent"].iloc[0] == pytest.approx(right["percent"].iloc[0])


def test_the_table_is_compare_and_holm() -> None:
    """Two claims are two comparisons of percentages, adjusted together."""
    table = many([3, 2, 5, 4, 3, 2, 4, 1], [4, 4, 6, 5, 4, 4, 5, 2], sets=2)
    third = many([3, 2, 5, 4, 3, 2, 4, 1], [3, 2, 5, 4, 3, 2, 4, 2], sets=2).replace(
        {"arm": {"without": "same"}}
    )
    table = pd.concat([table, third[third["arm"] == "same"]])
    claims = [HELPS, Claim("it differs", "full", "same", "parts")]
    found = judged(table, claims)
    direct = []
    for claim in claims:
        pairs = saved(table, claim)
        percent = pairs["percent"].to_numpy()
        direct.append(compare(percent, 0 * percent, lower_is_better=False, groups=pairs["data"]))
    assert found["percent"].tolist() == pytest.approx([one.difference for one in direct])
    assert found["low"].tolist() == pytest.approx([one.low for one in direct])
    assert found["p"].tolist() == pytest.approx(holm([one.wilcoxon_p for one in direct]))
    assert found["verdict"].tolist() == ["better", "no difference shown"]


def test_more_questions_need_more_evidence() -> None:
    """Six wins of six give p = 1/32, enough for one claim and too much for two."""
    table = many([1, 1, 1, 1, 1, 1], [2, 3, 4, 5, 6, 7])
    assert judged(table, [HELPS])["verdict"].tolist() == ["better"]
    assert judged(table, [HELPS, HELPS])["p"].tolist() == [0.0625, 0.0625]
    assert set(judged(table, [HELPS, HELPS])["verdict"]) == {"no difference shown"}


def test_an_error_of_zero_has_no_percentage() -> None:
    """0 on the other side is refused, 0 on the first side saves everything."""
    with pytest.raises(InputError, match="'without' has a run with mae_expected 0"):
        saved(many([1, 1], [2, 0]), HELPS)
    assert saved(many([1, 0], [2, 3]), HELPS)["percent"].tolist() == [50.0, 100.0]


def test_claims_without_runs_are_found() -> None:
    """An absent arm, an absent study, and two arms that share no run."""
    table = many([1, 2], [3, 4])
    apart = runs(("parts", "leaves", 0, "full", 1), ("parts", "leaves", 1, "without", 2))
    assert supported(
        table, [HELPS, Claim("?", "full", "nobody", "parts"), Claim("?", "full", "without")]
    ) == [HELPS]
    assert supported(apart, [HELPS]) == []
    blank = table.assign(fold=None, condition=np.nan)  # empty cells match each other
    assert supported(blank, [HELPS]) == [HELPS]
    assert saved(blank, HELPS)["percent"].round(1).tolist() == [66.7, 50.0]
