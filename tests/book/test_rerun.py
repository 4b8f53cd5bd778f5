"""A row that is made again is compared with the one in the table."""

import pandas as pd
import pytest
import rerun

OLD_ROW = {
    "arm": "full",
    "mae": "0.25",
    "seconds": "3.1",
    "commit": "a",
    "text_gap": "",
    "level": "4",
}
NEW_ROW = {"arm": "full", "mae": 0.25, "seconds": 9.0, "commit": "b", "level": 4}


def test_rows_with_the_same_metrics_are_the_same() -> None:
    """Seconds and commit may differ, and an empty cell equals one that is not there."""
    assert rerun.differences(OLD_ROW, NEW_ROW) == []


def test_a_metric_that_differs_in_one_digit_is_named() -> None:
    """Unless the tolerance allows it."""
    other = NEW_ROW | {"mae": 0.25000001}
    assert rerun.differences(OLD_ROW, other) == ["mae: 0.25 in the table, 0.25000001 now"]
    assert rerun.differences(OLD_ROW, other, tolerance=1e-6) == []


@pytest.mark.parametrize("where", ["arm == 'nobody'", "amr == 'words'", "arm =="])
def test_a_condition_that_chooses_nothing_is_refused(where: str) -> None:
    """No row, a misspelt column, half a sentence."""
    with pytest.raises(ValueError, match=r"arm|amr"):
        rerun.chosen_rows(pd.DataFrame([OLD_ROW]), where)
