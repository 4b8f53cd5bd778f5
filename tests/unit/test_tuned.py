"""The claims about towers that train, on tables small enough to judge by eye."""

import pandas as pd

from l2rclip_book import depth
from l2rclip_book.gains import MEAN, compare_pairs
from l2rclip_book.tuned import CLAIMS, with_best_rival


def images_of(table: pd.DataFrame) -> pd.DataFrame:
    """Return two images of each run, with the RPS of the run."""
    both = [table.assign(path=path, subject=path) for path in ("a.png", "b.png")]
    return pd.concat(both, ignore_index=True)


def means(claims: pd.DataFrame) -> pd.DataFrame:
    """Return gain and verdict of each claim."""
    return claims.loc[claims["data"] == MEAN, ["gain", "verdict"]]


def test_the_best_rival_is_the_one_that_validates_best() -> None:
    """On test images rps is better than L2RCLIP; it counts where validation would have taken it."""
    arms = {"arm": ["L2RCLIP", "cross-entropy", "rps"], "rps": [1.0, 2.0, 0.5]}
    for val_rps, gain in (([0.0, 1.0, 2.0], 50.0), ([0.0, 2.0, 1.0], -100.0)):
        table = pd.DataFrame(arms).assign(val_rps=val_rps, data="pears", run=0)
        claims = compare_pairs(with_best_rival(table, images_of(table)), CLAIMS)
        assert claims.loc[claims["data"] == MEAN, "gain"].tolist() == [50.0, gain]


def test_the_worth_of_order_is_a_reduction_and_claims_are_differences() -> None:
    """Numbers reduce an RPS of 2 to 1.6, where the whole tower trains to 1.9: by 20 and by 5 %."""
    of_part = {"nothing trains": 1.6, "projection": 1.6, "last block": 2.0, "whole tower": 1.9}
    rows = []
    for prototypes, part, condition in depth.CELLS:
        ordered = of_part[part] if prototypes == depth.NUMBERS else 2.0
        for name, rps in ((depth.RANDOM, 2.0), (prototypes, ordered)):
            for rate, worse in ((", 0.0007", 0.0), (", 0.0002", 1.0)):
                rows.append((condition, f"{name}, {part}{rate}", rps + worse))
    arms = pd.DataFrame(rows, columns=["condition", "arm", "rps"]).drop_duplicates()
    runs = [arms.assign(study="depth", data=data, run=0) for data in depth.SETS]
    table = pd.concat(runs, ignore_index=True).assign(val_rps=lambda row: row["rps"])

    worth = depth.worth_of_order(table, images_of(table))
    mean = worth[worth["data"] == MEAN].groupby(["prototypes", "part"])["gain"].mean().round(6)
    assert mean[depth.NUMBERS].to_dict() == {
        "nothing trains": 20,
        "projection": 20,
        "last block": 0,
        "whole tower": 5,
    }
    assert (mean[depth.SENTENCES] == 0).all()
    claims = depth.judge_depth(table, images_of(table), [])
    assert means(claims).round(6).values.tolist() == [[15.0, "shown"], [15.0, "shown"]]
    waiting = depth.judge_depth(table, images_of(table), ["depth/pears-2"])
    assert set(means(waiting)["verdict"]) == {"incomplete"}
