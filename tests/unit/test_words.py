"""Words after a relative: order without a label against SciPy, the best rival, three claims."""

import numpy as np
import pandas as pd
import pytest

from l2rclip_book.gains import MEAN
from l2rclip_book.words import (
    BY_SUBJECT,
    DAMAGE,
    FEW,
    NEW_WORDS,
    SETS,
    WORDS,
    compare_orders,
    doubts,
    few_gains,
    judge_words,
    orders,
    with_chosen,
)
from l2rclip_book.words_figures import shares_of_chance, speed_shares


def answers(data: str, run: int, **noise: float) -> pd.DataFrame:
    """Return forty images and the expected values of arms, each with its own noise."""
    generator = np.random.default_rng([run, *data.encode()])
    true = np.arange(40.0)
    rows = []
    for arm, spread in noise.items():
        expected = true + spread * generator.standard_normal(40)
        rows.append(pd.DataFrame({"arm": arm, "true": true, "expected": expected}))
    images = pd.concat(rows)
    paths = images["true"].astype(int).astype(str) + ".png"
    return images.assign(data=data, run=run, path=paths, study="words-new", condition="")


def few(data: str, **arms: tuple[float, float]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return rows and two images of one run under both conditions: val_rps and rps of each arm."""
    table = []
    for condition in FEW:
        for arm, (val, test) in arms.items():
            row = {"data": data, "run": 0, "condition": condition, "arm": arm, "val_rps": val}
            table.append(row | {"rps": test, "n": 2, "n_train": 8, "study": "words-few"})
    rows = pd.DataFrame(table)
    images = pd.concat([rows.assign(path="0.png"), rows.assign(path="1.png")])
    return rows, images.drop(columns="val_rps")


def test_a_clear_order_beats_noise_and_not_itself() -> None:
    """The difference is that of the correlations; two equal arms leave no interval."""
    images = answers("pears", 0, good=4.0, poor=200.0)
    same = images[images["arm"] == "good"].assign(arm="same")
    images = pd.concat([images, same])

    table = compare_orders(images, "good", "poor")
    rho = orders(images).set_index("arm")["rho"]
    assert table["gain"].tolist() == pytest.approx([rho["good"] - rho["poor"]] * 2)
    assert table["data"].tolist() == ["pears", MEAN]
    assert (table["low"] > 0).all()
    assert compare_orders(images, "good", "same")["high"].tolist() == [0, 0]


def test_validation_chooses_the_rival_and_never_the_test_images() -> None:
    """A head that tests best but validates second stays out; so does an arm that reads words."""
    head = "new head, relative"
    numbers = "numbers, relative"
    table, images = few("pears", **{WORDS: (1.0, 1.0), head: (3.0, 0.5), numbers: (2.0, 4.0)})

    chosen = with_chosen(table, images)
    assert chosen[chosen["arm"] == "best without words"]["rps"].unique().tolist() == [4.0]
    assert chosen[chosen["arm"] == "best of all"]["rps"].unique().tolist() == [1.0]
    gains = few_gains(table, images, {"row": (WORDS, "best without words")})
    assert gains["gain"].tolist() == pytest.approx([75.0, 75.0])  # 100 (4 − 1) / 4


def test_doubts_leave_out_leaves() -> None:
    """50 % on leaves and nothing on fruit, in two trainings that agree; of those see test_tuned."""
    tables = []
    images = []
    for data in SETS:
        rps = 1.0 if data in DAMAGE else 2.0
        for run in (0, 1):
            arms = few(data, **{WORDS: (1.0, rps), "words": (1.0, 2.0)})
            table, of_few = (part.assign(run=run, subject="one tree") for part in arms)
            tables.append(table)
            images.append(of_few)

    table = pd.concat(tables, ignore_index=True)
    gains = doubts(table, pd.concat(images)).set_index("change")
    assert gains["gain"].round(6).to_dict() == {
        "as registered": 25.0,
        "coffee leaves counted once": round(50 / 3, 6),
        "without coffee leaves": 0.0,
        BY_SUBJECT: 25.0,
    }


def test_three_claims_share_one_holm() -> None:
    """Each is judged on four sets; one missing set leaves all without a verdict."""
    one, other = NEW_WORDS["new words"]
    tables = []
    images = []
    for data in SETS:
        arms = {WORDS: (1.0, 1.0), "words": (2.0, 2.0), "new head, relative": (1.0, 1.0)}
        table, of_few = few(data, **arms)
        tables.append(table)
        images += [of_few, answers(data, 0, **{one: 4.0, other: 300.0})]

    claims = judge_words(pd.concat(tables), pd.concat(images), [])
    means = claims[claims["data"] == MEAN].set_index("row")
    assert means["verdict"].tolist() == ["better", "better", "not shown"]
    assert means["holm"].tolist() == pytest.approx(
        [2 * means["p"]["new words"], 3 * means["p"]["few images"], 1]
    )
    waiting = judge_words(pd.concat(tables), pd.concat(images), ["words-few/pears-2"])
    assert waiting["verdict"].unique().tolist() == ["", "incomplete"]


def rows(study: str, **rps: float) -> pd.DataFrame:
    """Return one run of arms on pears; an underscore in the name of an arm is ", "."""
    arms = [arm.replace("_", ", ") for arm in rps]
    table = pd.DataFrame({"arm": arms, "rps": list(rps.values())})
    return table.assign(study=study, data="pears", run=0, condition="")


def test_shares_are_of_the_median_rank_of_the_same_run() -> None:
    """3 of 4 with two images; with all of them, arms of `at-best` go by the names used here."""
    few_rows = rows("words-few", words=3.0).assign(condition="few_shot=2")
    eight = rows("words-curve", words=2.0).assign(condition="few_shot=8")
    nine = rows("words-curve", words=1.0).assign(condition="few_shot=9")  # not shown
    chance = rows("words-new", **{"median-rank": 4.0})
    whole = rows("at-best", L2RCLIP=1.0, rps=2.0)

    shares = shares_of_chance(pd.concat([few_rows, eight, nine, chance, whole]))
    assert shares[["arm", "shots", "share"]].values.tolist() == [
        ["words", "2", 75.0],
        ["words", "8", 50.0],
        ["words", "all", 25.0],
        ["labels", "all", 50.0],
    ]


def test_speeds_are_shares_of_the_median_rank_over_runs() -> None:
    """Two runs of a tuned tower, 1 of 4 and 3 of 6: their mean, and how far they reach."""
    first = [rows("main", **{"median-rank": 4.0}), rows("at-best", L2RCLIP=1.0)]
    second = [rows("main", **{"median-rank": 6.0}), rows("at-best", L2RCLIP=3.0)]
    rebinned = rows("main", L2RCLIP=9.0).assign(condition="rebin=5")  # another question

    table = pd.concat([*first, *[part.assign(run=1) for part in second], rebinned])
    shares = speed_shares(table)
    assert shares.values.tolist() == [["pears", "tuned tower, all images", 37.5, 25.0, 50.0]]
