"""Gains against SciPy and by hand: images, trainings, groups."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from l2rclip_book.gains import (
    compare_arms,
    over_images,
    paired_scores,
)


def scores(data: str = "hc18", run: int = 0, **arms: object) -> pd.DataFrame:
    """Return a row per image and arm; an image is named by its place."""
    wide = pd.DataFrame(arms).rename_axis("path").reset_index()
    long = wide.melt("path", var_name="arm", value_name="rps")
    paths = long["path"].astype(str) + ".png"
    return long.assign(data=data, run=run, path=paths, subject=paths)


def test_only_images_count_that_both_arms_tested_in_a_run() -> None:
    """Image 0 is tested twice: (1 + 3)/2 against (2 + 6)/2. Image 1 lacks b in run 1."""
    first_run = scores(a=[1.0, 5], b=[2.0, 7])
    second_run = scores(run=1, a=[3.0, 99], b=[6.0, np.nan])
    images = pd.concat([first_run, second_run])

    assert paired_scores(images, ["a", "b"]).values.tolist() == [[1, 2], [5, 7], [3, 6]]
    gains = compare_arms(images, "a", "b")["gain"]
    assert gains.tolist() == pytest.approx([100 * (1 - 9 / 15)] * 2)
    assert compare_arms(images, "a", "c").empty  # an arm that is not there
    with pytest.raises(ValueError, match="duplicate"):
        paired_scores(pd.concat([images, images]), ["a", "b"])


def test_interval_and_p_over_images_by_scipy() -> None:
    """The ratio of two paired means, up to the noise of 10,000 draws; p as of a normal curve."""
    rng = np.random.default_rng(0)
    other = rng.gamma(2, size=300)
    one = other * rng.normal(0.97, 0.3, 300)

    def gain(one: np.ndarray, other: np.ndarray, axis: int = -1) -> np.ndarray:
        return 100 * (1 - one.mean(axis) / other.mean(axis))

    row = compare_arms(over_images(scores(one=one, other=other)), "one", "other").iloc[0]
    oracle = stats.bootstrap(
        (one, other), gain, paired=True, method="percentile", n_resamples=20_000, rng=rng
    )

    error = oracle.standard_error
    detectable = (stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) * error
    p = 2 * stats.norm.sf(row["gain"] / error)
    assert row["gain"] == pytest.approx(gain(one, other))
    assert (row["low"], row["high"]) == pytest.approx(tuple(oracle.confidence_interval), abs=0.15)
    assert row["seen"] == pytest.approx(detectable, rel=0.04)
    assert row["p"] == pytest.approx(p, abs=0.02)


def test_trainings_and_groups_are_drawn_and_not_images() -> None:
    """Each case has one source of chance: its standard error is that of the mean of its units.

    Trainings that gain 10, 20 and 30 %: s / √3 = 5.77, though a draw of three of them would have
    √(2/3) of that. Two trees of fifty images each that gain 10 and 30 %: √(1/2) · 10 = 7.07.
    """
    same = [1.0] * 50
    runs = [scores(run=run, one=[x] * 50, other=same) for run, x in enumerate((0.9, 0.8, 0.7))]
    row = compare_arms(pd.concat(runs), "one", "other").iloc[0]
    assert row["gain"] == pytest.approx(20)
    assert row["seen"] / 2.8 == pytest.approx(10 / 3**0.5, rel=0.03)

    trees = scores(one=[0.9] * 50 + [0.7] * 50, other=same * 2)
    subject = trees["path"].str.removesuffix(".png").astype(int) // 50
    row = compare_arms(trees.assign(subject=subject), "one", "other").iloc[0]
    assert row["seen"] / 2.8 == pytest.approx(10 / 2**0.5, rel=0.03)
