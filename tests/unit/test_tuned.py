"""The two claims about tuned towers, on tables small enough to judge by eye."""

import pandas as pd

from l2rclip_book.gains import MEAN
from l2rclip_book.tuned import SETS, in_units, judge_tuned, mean_ranks

RPS = {"L2RCLIP": 1.0, "cross-entropy": 2.0, "rps": 0.5}


def runs(val_rps: dict[str, float]) -> pd.DataFrame:
    """Return one run of every set, with the RPS of each arm."""
    arms = pd.DataFrame({"arm": RPS.keys(), "rps": RPS.values(), "val_rps": val_rps.values()})
    tables = [arms.assign(data=data, run=0, n=2, n_train=4) for data in SETS]
    return pd.concat(tables, ignore_index=True)


def images_of(table: pd.DataFrame) -> pd.DataFrame:
    """Return two images of each run, with the RPS of the run."""
    both = [table.assign(path=path, subject=path) for path in ("a.png", "b.png")]
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


def test_a_method_that_lacks_a_set_has_no_place() -> None:
    """Nor does it cost the others theirs: "rps" was tried on one set alone, and won there."""
    places = mean_ranks(runs(RPS).query("arm != 'rps' or data == 'pears'"))
    assert places.to_dict() == {"L2RCLIP": 1.0, "cross-entropy": 2.0}


def test_errors_in_units_are_numbers_where_no_rows_are_stored() -> None:
    """As in Colab, without the results of the studies."""
    columns = ["study", "data", "run", "arm", "mae_median", "seconds", "val_rps"]
    assert set(in_units(pd.DataFrame(columns=columns)).dtypes[1:].astype(str)) == {"float64"}
