"""What stands in the figures of evidence: rows, means, verdict colours, not pixels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from l2rclip_lite import evidence_plots as shown
from l2rclip_lite.claims import Claim, judged, saved

ERRORS = {
    "full": [1.0, 2.0, 3.0],
    "worse": [2.0, 4.0, 6.0],
    "far": [10.0, 20.0, 30.0],
    "same": [1.0, 2.0, 3.0],
}


@pytest.fixture
def table() -> pd.DataFrame:
    """Three seeds of two data sets, one of which the book does not know."""
    rows = [
        {"study": "main", "data": data, "seed": seed, "arm": arm, "mae_expected": factor * error}
        for data, factor in (("leaves5", 1), ("mine", 10))
        for arm, errors in ERRORS.items()
        for seed, error in enumerate(errors)
    ]
    return pd.DataFrame(rows)


@pytest.fixture
def claims() -> list[Claim]:
    """Others against `full`: costs 100 %, 900 %, nothing."""
    return [
        Claim(name, name, "full", topic="a" if name == "worse" else "b") for name in ("worse", "far", "same")
    ]


@pytest.fixture
def points(table: pd.DataFrame, claims: list[Claim]) -> pd.DataFrame:
    """A row a run."""
    return pd.concat([saved(table, claim).assign(claim=claim.text) for claim in claims])


def texts(figure: Figure) -> list[str]:
    """Every text inside the axes."""
    return [text.get_text() for axis in figure.axes for text in axis.texts]


def test_forest_sorts_and_clips(table: pd.DataFrame, claims: list[Claim], points: pd.DataFrame) -> None:
    """The best arm stands highest; what lies beyond the axis is an arrow with its number."""
    figure = shown.forest(judged(table, claims), points, label="saved", ours=["same"], limit=150)
    axis = figure.axes[0]
    names = [label.get_text() for label in axis.get_yticklabels()]
    assert names == ["far", "worse", "same"]
    assert texts(figure) == ["-900 %"]
    assert axis.get_xlim() == pytest.approx((-154.5, 154.5))
    assert [label.get_weight() for label in axis.get_yticklabels()] == ["normal", "normal", "bold"]
    legend = figure.legends[0].get_texts()
    assert [text.get_text() for text in legend] == ["leaves, 5 ranks", "mine"]


def test_forest_colours_the_verdicts(table: pd.DataFrame, claims: list[Claim], points: pd.DataFrame) -> None:
    """Twice the error on six of six runs is red where only that is asked."""
    found = judged(table, claims[:1])
    assert found["verdict"].tolist() == ["worse"]
    figure = shown.forest(found, points[points["claim"] == "worse"], label="saved", limit=150)
    diamond = figure.axes[0].collections[-1]
    assert np.asarray(diamond.get_offsets()).tolist() == [[-100.0, 0.0]]
    assert to_hex(np.asarray(diamond.get_facecolor())[0]) == shown.VERDICTS["worse"]


def test_by_data_has_every_run_and_the_mean(points: pd.DataFrame) -> None:
    """A panel a data set; each row three runs and their mean."""
    figure = shown.by_data(points, label="saved")
    assert [axis.get_title("left") for axis in figure.axes] == ["leaves, 5 ranks", "mine"]
    rows = [np.asarray(one.get_offsets()).tolist() for one in figure.axes[0].collections]
    edge = 40.0
    assert rows[:2] == [[[-edge, 0.0]] * 3, [[-edge, 0.0]]]  # −100 % is beyond the axis
    assert rows[4:] == [[[0.0, 2.0]] * 3, [[0.0, 2.0]]]


def test_grid_says_the_percentage_and_the_verdict(table: pd.DataFrame, claims: list[Claim]) -> None:
    """A cell a claim and reading; grey where nothing is shown."""
    found = judged(table, claims)
    figure = shown.grid({"expected": found, "again": found})
    assert texts(figure) == ["-100.0 %", "-900.0 %", "+0.0 %"] * 2
    cells = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    assert {to_hex(cell.get_facecolor()) for cell in cells} == {
        "#e4e7eb"
    }  # three questions, six runs: no verdict
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["expected", "again"]
    assert len(figure.axes[0].lines) == 1  # between the topics a and b
    alone = shown.grid({"expected": judged(table, claims[:1])}).axes[0].patches[0]
    assert to_hex(alone.get_facecolor()) == shown.VERDICTS["worse"]


def test_over_ranks_draws_means_and_leaves_gaps(points: pd.DataFrame) -> None:
    """An arm that lacks a number of ranks has a shorter line."""
    points = points.assign(ranks=points["data"].map({"leaves5": 5, "mine": 20}))
    points = points[(points["claim"] != "far") | (points["ranks"] == 5)]
    figure = shown.over_ranks(points, label="saved", reference="nothing")
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    assert np.asarray(lines["worse"].get_ydata()).tolist() == [-100.0, -100.0]
    assert np.asarray(lines["far"].get_ydata()).tolist() == [-900.0]
    assert sorted(texts(figure)) == ["far", "nothing", "same", "worse"]
    heights = sorted(text.xyann[1] if hasattr(text, "xyann") else 0.0 for text in figure.axes[0].texts)
    assert np.diff(heights).min() > 20  # names do not lie on each other


def test_paired_runs_connects_runs_and_prints_means(table: pd.DataFrame) -> None:
    """Arms in the order given, a line a run."""
    rows = table[(table["data"] == "mine") & table["arm"].isin(["full", "worse"])]
    panel = rows.rename(columns={"seed": "run", "mae_expected": "value"})
    figure = shown.paired_runs({"mine": panel}, label="MAE")
    axis = figure.axes[0]
    assert [tick.get_text() for tick in axis.get_xticklabels()] == ["full", "worse"]
    assert [np.asarray(line.get_ydata()).tolist() for line in axis.lines] == [[10, 20], [20, 40], [30, 60]]
    assert texts(figure) == ["20.00", "40.00"]


def test_interval_of_a_single_run_is_unknown() -> None:
    """Nothing shows how much it varies, and no figure breaks on it."""
    mean, low, high = shown.mean_interval(pd.Series([3.0]))
    assert mean == 3
    assert np.isnan([low, high]).all()
    one = pd.DataFrame({"claim": ["a"], "data": ["leaves5"], "percent": [3.0], "ranks": [5]})
    draw: list[Callable[[], Figure]] = [
        lambda: shown.by_data(one, label="saved"),
        lambda: shown.over_ranks(one, label="saved", reference="nothing"),
    ]
    for figure in draw:
        figure().draw_without_rendering()


def test_known_data_sets_come_in_the_order_of_the_book() -> None:
    """Others follow by name, in grey."""
    assert shown.known(["zebra", "leaves62", "apes", "bracol"]) == ["bracol", "leaves62", "apes", "zebra"]
    assert shown.look("apes")[:2] == ("apes", shown.COLOURS["reference"])
