"""What stands in the figures of the losses: arrows, frames, places and shares, not pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgba
from matplotlib.patches import FancyArrowPatch, Rectangle

from l2rclip_lite import loss_plots as draw
from l2rclip_lite.loss_geometry import on_circle
from l2rclip_lite.loss_marks import INK, ORDERS
from l2rclip_lite.plots import rank_colours

FAN = (0, 30, 60, 90, 120)
PLACE = torch.tensor([-60.0, 30.0, 180.0])


def test_a_black_arrow_only_where_forces_do_not_cancel() -> None:
    """Texts at 0° and 180° push an image at 90° by 1 each along their lines, 45° off: alike they cancel along the circle.

    Without the second one the push (−1, 1)/√2 is left, of which 1/√2 = 0.71 turns the image.
    """
    text, image = on_circle(0, 180), on_circle(90)
    push = torch.tensor([[-1.0, 1.0], [1.0, 1.0]], dtype=torch.float64) / 2**0.5
    alone = push * torch.tensor([[1.0], [0.0]])
    figure = draw.force_circles({"both": push, "one": alone}, text, image, own=0)
    arrows = [[p for p in axis.patches if isinstance(p, FancyArrowPatch)] for axis in figure.axes]
    assert [[arrow.get_facecolor() == to_rgba(INK) for arrow in every] for every in arrows] == [
        [False, False],
        [False, True],
    ]
    assert [axis.get_title("left") for axis in figure.axes] == [
        "both\nnet force 0.00",
        "one\nnet force 0.71",
    ]


def test_pairs_without_distance_or_weight_have_no_line() -> None:
    """Two images between two texts of weight 1: one line each, since the text under them is no way off."""
    weights = torch.tensor([[0.0, 0.5, 1.0], [1.0, 0.5, 0.0]])
    figure = draw.pencil({"between": [(0, 60), (2, 60)]}, weights, [("a", "b")], (0, 60, 120))
    (axis,) = figure.axes
    assert len(axis.lines) == 1 + 2  # the circle and two pairs
    assert {text.get_text() for text in axis.texts} == {"0", "1", "2", "a", "b"}
    stars = [c.get_offsets()[0] for c in axis.collections if len(c.get_paths()[0].vertices) > 10]
    assert len(np.unique(np.round([star for star in stars], 6), axis=0)) == len(stars)


def test_rests_stand_where_they_are() -> None:
    """One marker a rank and order, at the given angle; the least loss is marked on the curve."""
    value = torch.tensor([1.0, 0.2, 2.0])
    rests = {order: [own + shift for own in FAN] for order, shift in zip(ORDERS, (0, 5, -5), strict=True)}
    figure = draw.resting_places(PLACE, dict.fromkeys(ORDERS, (value, -value)), rests, FAN, shown=1)
    left, below, right = figure.axes[0], figure.axes[2], figure.axes[1]
    assert {tuple(np.round(c.get_offsets()[0], 6)) for c in left.collections} == {(30.0, 0.2)}
    assert {tuple(np.round(c.get_offsets()[0], 6)) for c in below.collections} == {(30.0, -0.2)}
    drawn = [float(c.get_offsets()[0][0]) for c in right.collections if len(c.get_offsets())]
    assert sorted(drawn) == sorted([*FAN, *(place for every in rests.values() for place in every)])


def test_ways_end_on_the_outer_ring_and_every_start_is_counted() -> None:
    """Two texts that stand still at 0° and 90°; three starts on the circle, two on the sphere."""
    way = on_circle(0, 90).expand(4, 2, 2)
    found = {"circle": [1.0, 1.0, 0.0], "sphere": [-0.5, 0.5]}
    figure = draw.free_texts(dict.fromkeys(ORDERS, way), dict.fromkeys(ORDERS, found))
    above, below = figure.axes[0], figure.axes[3]
    paths = [line.get_xydata() for line in above.lines[2:]]
    assert [line.get_color() for line in above.lines[2:]] == rank_colours(2)
    assert np.allclose([path[-1] for path in paths], [[1, 0], [0, 1]], atol=1e-9)
    assert np.allclose([path[0] for path in paths], [[0.45, 0], [0, 0.45]], atol=1e-9)
    heights = [np.unique(patch.get_xy()[:, 1]).max() for patch in below.patches]
    assert heights == [2, 1]


def test_frames_hold_pairs_of_one_rank() -> None:
    """Images of ranks 0, 1, 0 and texts 0, 1: frames at (0, 0), (1, 1), (2, 0), numbers without a leading zero."""
    table = torch.tensor([[-0.5, 0.25], [0.25, -0.5], [-0.5, 0.25]])
    figure = draw.pair_matrices({"one": table}, torch.tensor([0, 1, 0]), {"one": [0, 1]}, {"one": "rows"})
    (axis,) = figure.axes
    frames = [p for p in axis.patches if isinstance(p, Rectangle)]
    assert [(round(p.get_y() + 0.46), round(p.get_x() + 0.46)) for p in frames] == [(0, 0), (1, 1), (2, 0)]
    assert [text.get_text() for text in axis.texts] == ["-.50", ".25", ".25", "-.50", "-.50", ".25"]


def test_curves_of_losses() -> None:
    """Shares of the largest force; one line of a scale each; histogram and lines at their values; four parts."""
    figure = draw.force_curves(PLACE, {"a": torch.tensor([2.0, 0.0, -4.0])}, FAN, own=1)
    assert figure.axes[0].lines[0].get_ydata() == pytest.approx([0.5, 0, -1])
    loud = draw.loudness(PLACE, {"far": {"s = 1": PLACE.abs(), "pairwise": PLACE.abs()}})
    assert [line.get_label() for line in loud.axes[0].lines] == ["cross-entropy, s = 1", "pairwise"]
    every = draw.over_orders([-0.2, -0.1, -0.1], symmetric=-0.15, given=-0.2)
    assert [line.get_xdata()[0] for line in every.axes[0].lines] == [-0.15, -0.2]
    assert sum(patch.get_height() for patch in every.axes[0].patches) == 3
    powers = draw.push_by_distance(PLACE, {"d": (PLACE, PLACE), "d²": (PLACE, PLACE)}, "d")
    assert powers.axes[0].lines[0].get_color() == ORDERS["true"][1]
    names = ("whole", "pull", "push", "bound")
    parts = draw.round_the_circle(PLACE, dict.fromkeys(names, PLACE), FAN, own=1)
    assert [line.get_label() for line in parts.axes[0].lines[:4]] == list(names)
