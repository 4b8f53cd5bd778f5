"""Gains against SciPy and by hand: images, runs, three claims, shares of the hand-made order; and what the figures show."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from scipy import stats

from l2rclip_book import evidence
from l2rclip_book.gains import (
    CLAIMS,
    MANY,
    MEAN,
    compare_arms,
    gain_table,
    judge_claims,
    order_steps,
    paired_scores,
    resampled_means,
    run_interval,
)
from l2rclip_lite.errors import InputError


def scores(data: str = "hc18", run: int = 0, **arms: object) -> pd.DataFrame:
    """A row per image and arm, images named by their place."""
    wide = pd.DataFrame(arms).rename_axis("path").reset_index()
    return wide.melt("path", var_name="arm", value_name="rps").assign(
        data=data, run=run, path=lambda t: t["path"].astype(str) + ".png"
    )


def test_an_image_counts_once_and_only_where_both_arms_saw_it() -> None:
    """Image 0: (1 + 3)/2 against (2 + 6)/2. Image 1 lacks b in run 1, so run 0 alone counts."""
    images = pd.concat(
        [scores(a=[1.0, 5], b=[2.0, 7]), scores(run=1, a=[3.0, 99], b=[6.0, np.nan])]
    )
    assert paired_scores(images, ["a", "b"]).values.tolist() == [[2, 4], [5, 7]]
    found = compare_arms(images, "a", "b")
    assert found["gain"].tolist() == pytest.approx([100 * (1 - 7 / 11)] * 2)
    assert paired_scores(images, ["a", "c"]).empty
    assert compare_arms(images, "a", "c").empty
    with pytest.raises(InputError, match="select one study and one condition"):
        paired_scores(pd.concat([images, images]), ["a", "b"])


def test_interval_and_p_by_scipy() -> None:
    """The ratio of two paired means, up to what 10,000 draws leave open; p is near that of a normal curve."""
    rng = np.random.default_rng(0)
    other = rng.gamma(2, size=300)
    one = other * rng.normal(0.97, 0.3, 300)
    found = compare_arms(scores(one=one, other=other), "one", "other").iloc[0]

    def saved(one: np.ndarray, other: np.ndarray, axis: int = -1) -> np.ndarray:
        return 100 * (1 - one.mean(axis) / other.mean(axis))

    right = stats.bootstrap(
        (one, other), saved, paired=True, method="percentile", n_resamples=20_000, rng=rng
    )
    assert found["gain"] == pytest.approx(saved(one, other))
    assert (found["low"], found["high"]) == pytest.approx(
        tuple(right.confidence_interval), abs=0.15
    )
    assert found["seen"] == pytest.approx(
        (stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) * right.standard_error, rel=0.04
    )
    assert found["p"] == pytest.approx(
        2 * stats.norm.sf(found["gain"] / right.standard_error), abs=0.02
    )


def test_images_of_one_tree_are_drawn_together() -> None:
    """Twice the same image under one tree's name says nothing new: the interval is that of one image per tree.

    One image of tree a, three of b: a draw is twice a, twice b, or both, and then each image weighs the same.
    """
    rng = np.random.default_rng(1)
    assert set(resampled_means(np.array([[1.0], [5], [5], [5]]), list("abbb"), rng).ravel()) == {
        1,
        4,
        5,
    }
    one, other = rng.uniform(1, 2, 60), rng.uniform(1, 2, 60)
    names = [f"images/DSC_0{shot}_tree{tree}_{shot}.jpg" for shot in (1, 2) for tree in range(60)]
    twice = pd.concat([scores(one=one, other=other)] * 2).assign(
        path=lambda t: [names[int(path[:-4]) + 60 * (i >= 120)] for i, path in enumerate(t["path"])]
    )
    single = compare_arms(scores(one=one, other=other), "one", "other").iloc[0]
    naive, honest = (
        compare_arms(twice, "one", "other", by_subject=by).iloc[0] for by in (False, True)
    )
    assert honest[["low", "high"]].tolist() == pytest.approx(
        single[["low", "high"]].tolist(), abs=0.5
    )
    assert single["seen"] / naive["seen"] == pytest.approx(2**0.5, rel=0.05)


def test_runs_by_hand() -> None:
    """Gains 10, 20, 30 %: s² = 100; 20 test images per 60 training images: error √(100 (1/3 + 1/3)), t₂ = 4.303."""
    arms = {"one": [9.0, 8, 7], "other": [10.0] * 3}
    table = scores(**arms).assign(run=[0, 1, 2] * 2, n=20, n_train=60)
    found = run_interval(table, "one", "other").iloc[0]
    reach = 4.302653 * (200 / 3) ** 0.5
    assert found[["runs", "run_gain", "run_low", "run_high"]].tolist() == pytest.approx(
        [3, 20, 20 - reach, 20 + reach]
    )
    assert found["run_p"] == pytest.approx(2 * stats.t.sf(20 / (200 / 3) ** 0.5, 2))
    assert np.isnan(run_interval(table[table["run"] == 0], "one", "other")["run_low"][0])


def three_sets(**arms: float) -> pd.DataFrame:
    """Scores around a mean for each arm, with little noise, on the three sets of the claims."""
    rng = np.random.default_rng(2)
    parts = [
        scores(data, **{arm: mean + rng.normal(0, 0.1, 40) for arm, mean in arms.items()})
        for data in MANY
    ]
    return pd.concat(parts)


def test_three_sets_make_one_claim_and_holm_counts_three() -> None:
    """The gain is the mean of the sets; p = 2/10,001 at the least, times 3, 2, 1 by Holm; one missing set is no verdict."""
    arms = {"words": 1.0, "shuffled words": 2.0, "L2RCLIP": 2.0, "cross-entropy": 1.0}
    images = three_sets(**arms | {"after stage 1": 1.0, "blind order": 1.0})
    table = (
        images.groupby(["data", "run", "arm"], as_index=False)["rps"]
        .mean()
        .assign(n=40, n_train=80)
    )
    found = judge_claims(table, images)
    sets, means = (found[(found["data"] == MEAN) == is_mean] for is_mean in (False, True))
    assert means["gain"].tolist() == pytest.approx(
        sets.groupby("row", sort=False)["gain"].mean().tolist()
    )
    assert means["verdict"].tolist() == ["better", "worse", "not shown"]
    assert means["holm"].tolist()[:2] == pytest.approx([6 / 10_001, 6 / 10_001])
    assert len(sets) == len(CLAIMS) * len(MANY)
    assert gain_table(found, "claim").splitlines()[2].endswith("| < 0.001 | better |")
    late = judge_claims(table, images, ["main/bracol-area-19", "few/hc18-0"])
    assert late.loc[late["data"] == MEAN, "verdict"].tolist() == ["incomplete"] * 3
    assert "better" in set(judge_claims(table, images, ["main/bracol-4", "few/hc18-0"])["verdict"])
    only = images[(images["arm"].isin(["words", "shuffled words"])) & (images["data"] != "hc18")]
    part = judge_claims(table, only)
    assert part.loc[part["data"] == MEAN, "verdict"].tolist() == ["incomplete"]
    assert part["holm"].dropna().tolist() == pytest.approx([6 / 10_001])


def test_shares_by_hand() -> None:
    """None 2, numbers 1, words 1.5: half the way. Shuffled words 2.5 go back; without numbers there is no share."""
    exact = {
        "cross-entropy": [2.0, 2],
        "numbers": [1.0, 1],
        "words": [1.5, 1.5],
        "shuffled words": [2.5, 2.5],
    }
    steps = order_steps(scores(**exact), ["words", "shuffled words", "after stage 1"])
    assert steps.set_index("arm")["share"].to_dict() == {
        "cross-entropy": 0, "numbers": 100, "words": 50, "shuffled words": -50
    }  # fmt: skip
    assert steps[["low", "high"]].values.tolist() == [[2, 2], [1, 1], [1.5, 1.5], [2.5, 2.5]]
    assert order_steps(scores(words=[1.0], **{"cross-entropy": [2.0]}), ["words"]).empty


def test_the_staircase_writes_shares_and_points_to_what_is_far_away() -> None:
    """One panel; the median rank beyond the edge is an arrow; no rows are no panels."""
    images = scores(
        **{
            "cross-entropy": [2.0, 2],
            "numbers": [1.0, 1],
            "words": [1.5, 1.5],
            "median-rank": [9.0, 9],
        }
    )
    figure = evidence.staircase(order_steps(images, ["words", "median-rank"]))
    assert [text.get_text() for text in figure.axes[0].texts] == ["50 %", "100 %", "9.00 →"]
    empty = evidence.staircase(order_steps(images.iloc[:0], []))
    assert [text.get_text() for text in empty.axes[0].texts] == ["no rows of these runs here"]


def test_intervals_are_where_the_numbers_say() -> None:
    """Two sets and their mean on one line, each in its colour, in the order of the book."""
    gains = pd.DataFrame(
        {
            "row": "words",
            "data": ["hc18", "apples81", MEAN],
            "gain": [5.0, 3, 4],
            "low": 1,
            "high": 7,
        }
    )
    axis = evidence.intervals(gains, label="saved").axes[0]
    marks = [c for c in axis.collections if c.get_zorder() == 3]
    assert [c.get_offsets()[0][0] for c in marks] == [3, 5, 4]
    assert to_hex(marks[1].get_facecolor()[0]) == evidence.DATA["hc18"][1]
