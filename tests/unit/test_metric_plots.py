"""The data in the figures of the chapter on metrics, not their pixels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

from l2rclip_lite import metric_plots as draw
from l2rclip_lite import metrics
from l2rclip_lite.errors import InputError
from l2rclip_lite.plots import COLOURS, rank_colours
from l2rclip_lite.ranks import Ranks

FIVE = Ranks(("no", "very low", "low", "high", "very high"), (0, 1, 2, 3, 4), "{rank}")


def drawn(figure: Figure) -> Figure:
    """The figure after one rendering, which fails on what cannot be laid out."""
    figure.canvas.draw()
    return figure


def test_a_picture_wears_the_colour_of_the_rank_its_share_falls_into() -> None:
    """Cuts at 2, 22.5, 37.5, 52.5 %: 21 % is rank 1, and 22.5 % itself is rank 2, for an edge opens its rank."""
    shares = [0.0, 0.21, 0.225, 0.6]
    pictures = [Image.new("RGB", (8, 8))] * 4
    edges = [0, 0.02, 0.225, 0.375, 0.525, 0.675]
    ruler, *frames = drawn(draw.threshold_scale(pictures, shares, edges, FIVE)).axes
    worn = [to_hex(frame.spines["left"].get_edgecolor()) for frame in frames]
    assert worn == [to_hex(rank_colours(5)[rank]) for rank in (0, 1, 2, 4)]
    assert [line.get_xdata()[0] for line in ruler.lines] == pytest.approx([0, 21, 22.5, 60])
    assert [text.get_text() for text in ruler.texts] == list(FIVE.names)
    with pytest.raises(InputError, match="4 pictures, 1 shares"):
        draw.threshold_scale(pictures, [0.1], edges, FIVE)


def test_confusions_count_and_say_what_the_metrics_say() -> None:
    """Truth 0, 0, 4 called 0, 1, 4: row 0 holds 1 and 1; one of three is off by one, so MAE is 1/3."""
    (axis,) = drawn(draw.confusions({"mine": ([0, 0, 4], [0, 1, 4])}, FIVE)).axes
    table = np.array([int(text.get_text()) for text in axis.texts]).reshape(5, 5)
    assert table[0].tolist() == [1, 1, 0, 0, 0]
    assert table[4].tolist() == [0, 0, 0, 0, 1]
    assert table.sum() == 3
    assert axis.get_xlabel().splitlines()[1:4] == [
        "accuracy 0.67",
        "one-off accuracy 1.00",
        "MAE, ranks 0.33",
    ]


def test_an_arrow_leads_from_the_truth_to_the_answer() -> None:
    """Only where they differ, with the signed number of ranks beside it."""
    left, right = drawn(draw.arrows({"a": ([0, 3], [2, 3], FIVE), "b": ([4, 1], [1, 1], FIVE)})).axes
    heads = [text for text in left.texts if not text.get_text()]
    assert [(head.xyann, head.xy) for head in heads] == [((0, 0), (2, 0))]
    assert [text.get_text() for text in left.texts if text.get_text()] == ["+2"]
    assert [text.get_text() for text in right.texts if text.get_text()] == ["−3"]


def test_the_staircase_adds_up_to_rps() -> None:
    """Mass ½ on the truth and ½ three ranks above: three gaps of ½, squared ¼ each, together ¾."""
    rows = {"near": [0.25, 0.5, 0.25, 0, 0], "far": [0, 0.5, 0, 0, 0.5]}
    below = drawn(draw.staircases(rows, 1, FIVE)).axes[2:]
    assert [axis.get_xlabel() for axis in below] == ["squares add up to 0.125", "squares add up to 0.75"]
    assert [text.get_text() for text in below[1].texts] == ["0.25"] * 3
    for axis, row in zip(below, rows.values(), strict=True):
        assert float(axis.get_xlabel().split()[-1]) == pytest.approx(metrics.rps([1], [row], FIVE))


def test_prices_are_drawn_as_given() -> None:
    """A line a metric, a bar a rank, and a number above each bar that stays clear of the line at 1."""
    lines = pd.DataFrame({"accuracy": [0, 1, 1], "MAE": [0, 0.5, 1]})
    left, right = drawn(draw.charges(lines, [0.5, 1, 2, 4, 8], [40, 20, 10, 5, 2], FIVE)).axes
    assert [line.get_ydata().tolist() for line in left.lines] == [[0, 1, 1], [0, 0.5, 1]]
    assert [bar.get_height() for bar in right.patches] == [0.5, 1, 2, 4, 8]
    assert [text.get_text() for text in right.texts] == ["0.5×", "1×", "2×", "4×", "8×"]
    assert min(text.get_position()[1] for text in right.texts) > 1


def test_alarms_are_bold() -> None:
    """Exactly the marked cells, in the order of the table."""
    values = pd.DataFrame({"healthy": [0.9, 0.1], "ends swapped": [0.2, -0.1]}, index=["QWK ↑", "ECE ↓"])
    marked = pd.DataFrame({"healthy": [False, False], "ends swapped": [True, False]}, index=values.index)
    (axis,) = drawn(draw.noticed(values, marked)).axes
    assert [(text.get_text(), text.get_weight()) for text in axis.texts] == [
        ("0.90", "normal"),
        ("0.20", "bold"),
        ("0.10", "normal"),
        ("−0.10", "normal"),
    ]
    assert [text.get_text() for text in axis.get_xticklabels()] == ["healthy", "ends\nswapped"]


@given(st.lists(st.integers(0, 30), min_size=5, max_size=5).filter(any))
def test_the_cheapest_answers_are_mode_median_and_mean(weights: list[int]) -> None:
    """On a scale of uneven steps; no more than half of the mass may lie on either side of a median."""
    values, p = np.array([0.0, 1, 3, 4, 9]), np.array(weights) / sum(weights)
    mode, median, mean = (draw.expected_price(p, values, power)[2] for power in (0, 1, 2))
    assert mode == values[p.argmax()]
    assert median in values
    assert p[values < median].sum() <= 0.5 + 1e-6
    assert p[values > median].sum() <= 0.5 + 1e-6
    assert mean == pytest.approx(p @ values, abs=0.005)


def test_readouts_mark_the_same_three_answers_in_both_panels() -> None:
    """Mode 0; the running sum passes ½ at 1; Σ k p_k = .15 + .1 + .15 + 1.4 = 1.8."""
    left, right = drawn(draw.readouts([0.4, 0.15, 0.05, 0.05, 0.35], FIVE)).axes
    marks = [[float(mark.get_offsets()[0, 0]) for mark in axis.collections] for axis in (left, right)]
    assert marks[0] == marks[1] == pytest.approx([0, 1, 1.8])


def test_intervals_keep_the_look_of_a_method() -> None:
    """Ends, value and colour of each row, and a dashed line at the value of the arm named for the panel."""
    found = pd.DataFrame(
        {"value": [1.0, 0.5], "low": [0.8, 0.4], "high": [1.3, 0.7]}, index=["mine", "ridge"]
    )
    figure = drawn(
        draw.intervals({"MAE": found, "RPS": 2 * found}, reference={"MAE": "mine", "RPS": "ridge"})
    )
    left, right = figure.axes
    drawn_at = [[list(line.get_xdata()) for line in axis.lines] for axis in (left, right)]
    assert [at[0] for at in drawn_at] == [[1.0, 1.0], [1.0, 1.0]]
    assert drawn_at[0][1:] == [[0.8, 1.3], [0.4, 0.7]]
    assert [line.get_color() for line in left.lines[1:]] == [COLOURS["ink"], "#2a8c82"]
    assert [text.get_text() for text in left.get_yticklabels()] == ["mine", "ridge"]
