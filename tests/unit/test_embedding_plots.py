"""The data in the pictures of features, not their pixels."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from l2rclip_lite import embedding_plots
from l2rclip_lite.plots import rank_colours
from l2rclip_lite.projections import Plane
from l2rclip_lite.ranks import Ranks

RANKS = Ranks(("no", "low", "high"), (0, 10, 20), "a leaf with {rank} damage", unit="percent")
PLANE = Plane(np.zeros(3), np.eye(3)[:2], np.array([0.5, 0.25]))
LABELS = np.array([0, 1, 2, 0])
POINTS = np.arange(12.0).reshape(4, 3)


def drawn(figure: Figure) -> Figure:
    """The figure after one rendering, which fails on what cannot be laid out."""
    figure.canvas.draw()
    return figure


def test_clouds_wear_the_colours_of_their_ranks_and_empty_places_are_off() -> None:
    """Two panels in rows of three, and the colour bar; points in the rank colours of 0, 1, 2, 0."""
    flat = POINTS[:, :2]
    figure = drawn(
        embedding_plots.clouds({"A": (flat, LABELS), "B": (flat, LABELS)}, RANKS, columns=3, metric=True)
    )
    first, _, third, bar = figure.axes
    assert np.allclose(first.collections[0].get_offsets(), flat)
    assert np.allclose(first.collections[0].get_facecolors(), np.array(rank_colours(3))[LABELS])
    assert first.get_aspect() == 1
    assert not third.axison
    assert [text.get_text() for text in bar.get_yticklabels()] == ["0", "10", "20"]


def test_moments_share_their_axes_and_say_what_the_axes_hold() -> None:
    """Shares 0.5 and 0.25 are 50 % and 25 %; both panels have the same limits."""
    shown = {"start": (POINTS, POINTS[:3]), "after": (2 * POINTS, POINTS[:3])}
    left, right, _ = drawn(embedding_plots.moments(PLANE, shown, LABELS, RANKS)).axes
    assert left.get_xlim() == right.get_xlim()
    assert (left.get_xlabel(), left.get_ylabel()) == ("axis 1 (50%)", "axis 2 (25%)")
    assert np.allclose(right.collections[0].get_offsets(), 2 * POINTS[:, :2])


def test_only_what_moves_has_an_arrow() -> None:
    """Three sentences move in stage 1, and no image."""
    still, moved = (POINTS[:3], POINTS[:3]), (POINTS[:3], POINTS[:3] + 1)
    steps = {
        "stage 1": {"images": still, "sentences": moved},
        "stage 2": {"images": moved, "sentences": still},
    }
    left, right, _ = drawn(embedding_plots.arrows(PLANE, steps, RANKS)).axes
    assert [len(axis.texts) for axis in (left, right)] == [3, 3]
    assert tuple(left.texts[0].xy) == (1.0, 2.0)


def test_thumbnails_stand_in_the_order_of_their_points() -> None:
    """Points 0, 2, 3 lie at x = 5, −1, 2, so their pictures stand in the order 2, 3, 0, with the values of their ranks."""
    flat = np.array([[5.0, 0.0], [0.0, 0.0], [-1.0, 0.0], [2.0, 1.0]])
    pictures = np.zeros((4, 3, 8, 8), dtype=np.uint8) + np.arange(4, dtype=np.uint8)[:, None, None, None]
    figure = drawn(embedding_plots.thumbnails(flat, LABELS, pictures, {"a": [0, 2, 3], "b": [1, 0]}, RANKS))
    above = [axis for axis in figure.axes if axis.images]
    assert [int(axis.images[0].get_array()[0, 0, 0]) for axis in above] == [2, 3, 0, 1, 0]
    assert [axis.get_title(loc="center") for axis in above[:3]] == ["20", "0", "0"]
    boxes = [axis.get_window_extent() for axis in above]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_the_ruler_shows_medians_by_gap_and_the_correlation() -> None:
    """Directions 0°, 90°, 180°: gap 1 has two distances of 1, gap 2 one of 2, and ρ = 1; the control is dashed."""
    points = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    order, other = np.arange(3), np.array([1, 0, 2])
    figure = drawn(embedding_plots.gap_figure({"S": {"start": (points, order)}}, {"S": (points, other)}))
    (axis,) = figure.axes
    line, control = axis.lines
    assert (line.get_xdata().tolist(), line.get_ydata().tolist()) == ([1, 2], pytest.approx([1, 2]))
    assert line.get_label() == "start: ρ = 1.00"
    assert control.get_linestyle() == "--"


def test_scores_stand_beside_the_middle_of_their_control() -> None:
    """A control of 0, 0.01, …, 1 has its middle 95 % from 0.025 to 0.975."""
    found = {"sentences, start": {"gap": 0.5, "triplets": 0.7}}
    control = {"sentences, start": {name: np.linspace(0, 1, 101).tolist() for name in ("gap", "triplets")}}
    left, right = drawn(embedding_plots.scores(found, control)).axes
    assert left.lines[0].get_xdata() == pytest.approx([0.025, 0.975])
    assert right.lines[1].get_xdata() == pytest.approx([0.7])
    assert left.texts[0].get_text() == "0.50"


def test_held_out_points_stand_below_those_that_were_fitted_on() -> None:
    """Fitted: places 1, 2, 3 rise with ranks 0, 1, 2, ρ = 1; others: places 3, 2, 1 for 0, 1, 2, ρ = −1."""
    place, labels = np.array([1.0, 2.0, 3.0, 3.0, 2.0, 1.0]), np.array([0, 1, 2, 0, 1, 2])
    fitted = np.array([True, True, True, False, False, False])
    above, below = drawn(embedding_plots.held_out({"noise": (place, labels, fitted)}, RANKS)).axes
    assert above.get_title(loc="left").endswith("ρ = 1.00")
    assert below.get_title(loc="left").endswith("ρ = -1.00")
    assert below.collections[0].get_offsets()[0].tolist() == [3.0, 0.0]
