"""The two claims about tuned towers, on tables small enough to judge by eye."""

import pandas as pd
import pytest

from l2rclip_book.gains import MEAN
from l2rclip_book.tuned import (
    BY_ERROR,
    BY_SUBJECT,
    NEW_SET,
    OVER_OTHERS,
    OVER_SETS,
    SETS,
    judge_tuned,
    mean_ranks,
    variations,
)

RPS = {"L2RCLIP": 1.0, "cross-entropy": 2.0, "rps": 0.5}


def runs(val_rps: dict[str, float]) -> pd.DataFrame:
    """Return one run of every set, with the RPS of each arm."""
    arms = pd.DataFrame({"arm": RPS.keys(), "rps": RPS.values(), "val_rps": val_rps.values()})
    tables = [arms.assign(data=data, run=0, n=2, n_train=4) for data in SETS]
    return pd.concat(tables, ignore_index=True)


def images_of(table: pd.DataFrame) -> pd.DataFrame:
    """Return two images of each run, with the RPS of the run."""
    both = [table.assign(path=path) for path in ("a.png", "b.png")]
    return pd.concat(both, ignore_index=True)


def means(claims: pd.DataFrame) -> pd.DataFrame:
    """Return gain and verdict of each claim."""
    return claims.loc[claims["data"] == MEAN, ["gain", "verdict"]]


def test_the_best_rival_is_the_one_that_validates_best() -> None:
    """On test images rps is better than L2RCLIP, but validation would not have taken it."""
    table = runs({"L2RCLIP": 3.0, "cross-entropy": 1.0, "rps": 2.0})
    claims = means(judge_tuned(table, images_of(table)))
    assert claims.values.tolist() == [[50.0, "better"], [50.0, "better"]]

    table = runs({"L2RCLIP": 3.0, "cross-entropy": 2.0, "rps": 1.0})
    claims = means(judge_tuned(table, images_of(table)))
    assert claims.values.tolist() == [[50.0, "better"], [-100.0, "worse"]]


def test_the_claims_without_some_sets_and_over_sets() -> None:
    """Gains of 50 % on seven sets and of 90 % on faces, whose error is the other way round."""
    table = runs({"L2RCLIP": 3.0, "cross-entropy": 1.0, "rps": 2.0})
    faces = (table["data"] == "portraits") & (table["arm"] == "L2RCLIP")
    table.loc[faces, "rps"] = 0.2
    images = images_of(table).assign(error=1.0, subject="one tree")

    claims = variations(table, images)
    gains = claims[claims["row"] == "against cross-entropy"].set_index("change")["gain"]
    assert gains.round(6).to_dict() == {
        "as registered": 55.0,
        "coffee leaves counted once": round(390 / 7, 6),
        "without coffee leaves": round(340 / 6, 6),
        "without cherries": round(390 / 7, 6),
        "without faces and pears": 50.0,
        "cherries and retinas alone": 50.0,
        BY_ERROR: 0.0,
        BY_SUBJECT: 55.0,
        OVER_SETS: 55.0,
        OVER_OTHERS: round(340 / 6, 6),
        NEW_SET: 55.0,
    }

    over_sets = claims.set_index("change").loc[OVER_SETS].iloc[0]
    reach = 2.364624 * 40 / 8  # t of 7 degrees; the one other value lies 40 off, so the error is 5
    assert over_sets["high"] - over_sets["gain"] == pytest.approx(reach)
    new_set = claims.set_index("change").loc[NEW_SET].iloc[0]
    assert new_set["high"] - new_set["gain"] == pytest.approx(3 * reach)  # √(1 + 1/8) is 3 √(1/8)
    assert variations(table[:0], images[:0]).empty


def test_a_method_that_lacks_a_set_has_no_place() -> None:
    """Nor does it cost the others theirs: "rps" was tried on one set alone, and won there."""
    places = mean_ranks(runs(RPS).query("arm != 'rps' or data == 'pears'"))
    assert places.to_dict() == {"L2RCLIP": 1.0, "cross-entropy": 2.0}
