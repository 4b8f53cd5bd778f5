"""The data in the figures of the open questions, not their pixels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from l2rclip_lite.method_style import METHODS, look, title_of
from l2rclip_lite.question_plots import curves, dots, forest, pattern, seen_and_unseen


def drawn(figure: Figure) -> Figure:
    """The figure after one rendering, which fails on what cannot be laid out."""
    figure.canvas.draw()
    return figure


def names(figure: Figure) -> list[str]:
    """The texts of its legend."""
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_methods_that_are_compared_look_different() -> None:
    """Colour and marker; only the two shuffled controls, which never stand in one figure, share them."""
    looks = [look(arm) for arm in METHODS if arm != "shuffled text"]
    assert len({colour for colour, _ in looks}) == len({marker for _, marker in looks}) == len(looks)
    assert title_of("linear-probe") == "linear probe"


def test_curves_show_means_ranges_and_the_colour_of_the_method() -> None:
    """Means 5 and 3, ranges 4 to 6 and 3 to 3; an arm that lacks a level has a shorter line at its own place."""
    runs = pd.DataFrame(
        {
            "arm": ["full"] * 4 + ["ridge"],
            "x": ["1", "1", "64", "64", "64"],
            "y": [4.0, 6.0, 3.0, 3.0, 7.0],
        }
    )
    figure = drawn(curves({"BRACOL": runs}, xlabel="pictures", ylabel="MAE"))
    (axis,) = figure.axes
    full, ridge = axis.lines
    assert full.get_ydata().tolist() == [5, 3]
    assert ridge.get_ydata().tolist() == [7]
    assert ridge.get_xdata()[0] == pytest.approx(1, abs=0.2)
    assert full.get_color() == METHODS["full"][0]
    ranges = [segment[:, 1].tolist() for segment in axis.collections[0].get_segments()]
    assert ranges == [[4, 6], [3, 3]]
    assert axis.get_ylim()[0] == 0
    assert [text.get_text() for text in axis.get_xticklabels()] == ["1", "64"]
    assert names(figure) == ["L2RCLIP", "ridge"]


def test_curves_below_zero_get_a_zero_line_and_panels_their_own_label() -> None:
    """A gain may be negative, so its axis does not start at 0."""
    runs = pd.DataFrame({"arm": "full", "x": ["3", "62"], "y": [-4.0, 6.0]})
    panels = {"error": runs.assign(y=[1.0, 2.0]), "gain": runs}
    left, right = drawn(curves(panels, xlabel="ranks", ylabel={"error": "MAE", "gain": "%"})).axes
    assert right.get_ylim()[0] < -4
    assert [0, 0] in [list(line.get_ydata()) for line in right.lines]
    assert (left.get_ylim()[0], left.get_ylabel(), right.get_ylabel()) == (0, "MAE", "%")


def test_three_panels_in_two_columns_leave_no_line_in_the_fourth() -> None:
    """The last place stays empty."""
    runs = pd.DataFrame({"arm": "full", "x": ["1"], "y": [1.0]})
    figure = drawn(curves(dict.fromkeys("abc", runs), xlabel="x", ylabel="y"))
    assert [axis.get_title("left") for axis in figure.axes if axis.lines] == ["a", "b", "c"]


def test_dots_mark_means_runs_and_the_reference() -> None:
    """Rows from the top; one arm a row needs neither legend nor shift."""
    runs = pd.DataFrame({"row": ["0", "0", "full"], "arm": ["full", "full", "ridge"], "y": [4.0, 6.0, 3.0]})
    figure = drawn(dots({"leaves": runs, "BRACOL": runs.iloc[:2]}, xlabel="MAE", reference="full"))
    left, right = figure.axes
    assert [text.get_text() for text in left.get_yticklabels()] == ["0", "L2RCLIP"]
    assert left.get_ylim() == (1.5, -0.5)
    means = [cloud.get_offsets().tolist() for cloud in left.collections][1::2]
    assert means == [[[5, 0]], [[3, 1]]]
    assert left.lines[0].get_xdata() == [3, 3]
    assert not [line for line in right.lines if line.get_linestyle() == "--"]
    assert not figure.legends


def test_two_arms_of_a_row_stand_beside_each_other() -> None:
    """Above and below the middle of the row, with a legend."""
    runs = pd.DataFrame({"row": "bare word", "arm": ["full", "template only"], "y": [4.0, 5.0]})
    figure = drawn(dots({"leaves": runs}, xlabel="MAE"))
    heights = [cloud.get_offsets()[0, 1] for cloud in figure.axes[0].collections][::2]
    assert heights == pytest.approx([-0.13, 0.13])
    assert names(figure) == ["L2RCLIP", "template only"]


def test_seen_is_hollow_and_unseen_filled() -> None:
    """Means of two runs: 3.5 and 6."""
    runs = pd.DataFrame({"arm": "full", "seen": [3.0, 4.0], "unseen": [5.0, 7.0]})
    (axis,) = drawn(seen_and_unseen({"20 ranks": runs}, xlabel="MAE")).axes
    assert axis.lines[0].get_xdata().tolist() == [3.5, 6]
    large = [cloud for cloud in axis.collections if len(cloud.get_offsets()) == 1]
    assert [cloud.get_offsets()[0, 0] for cloud in large] == [3.5, 6]
    assert [to_hex(cloud.get_facecolor()[0]) == METHODS["full"][0] for cloud in large] == [False, True]


def test_pattern_colours_by_the_number_of_ranks() -> None:
    """Two settings of 5 ranks share a colour, that of 62 has another; the axis doubles."""
    gains = pd.DataFrame({"each": [1.0, 64.0, 2.0], "ranks": [5, 5, 62], "gain": [1.0, 0.0, 30.0]})
    figure = drawn(pattern(gains.assign(low=gains["gain"] - 2, high=gains["gain"] + 2)))
    axis = figure.axes[0]
    dots_ = axis.collections[-1]
    assert dots_.get_offsets().tolist() == [[1, 1], [64, 0], [2, 30]]
    colours = dots_.get_facecolors()
    assert np.array_equal(colours[0], colours[1])
    assert not np.array_equal(colours[0], colours[2])
    assert axis.get_xscale() == "log"
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["5 ranks", "62 ranks"]


def test_forest_is_hollow_where_the_interval_holds_zero() -> None:
    """Order, wins and filling follow the rows; an arm may lack a setting."""
    gains = pd.DataFrame(
        {
            "setting": ["few", "few", "many"],
            "arm": ["full", "template only", "full"],
            "gain": [9.0, 2.0, -5.0],
            "low": [4.0, -1.0, -8.0],
            "high": [12.0, 5.0, -2.0],
            "wins": [5, 3, 0],
            "n": 5,
        }
    )
    axis = drawn(forest(gains)).axes[0]
    assert [text.get_text() for text in axis.get_yticklabels()] == ["few", "many"]
    assert [text.get_text() for text in axis.texts] == ["5/5", "3/5", "0/5"]
    marks = [cloud for cloud in axis.collections if len(cloud.get_facecolors())]
    assert [float(mark.get_offsets()[0, 0]) for mark in marks] == [9, 2, -5]
    filled = [to_hex(mark.get_facecolor()[0]) == to_hex(mark.get_edgecolor()[0]) for mark in marks]
    assert filled == [True, False, True]
