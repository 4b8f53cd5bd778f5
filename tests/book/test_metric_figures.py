"""What the figures of chapters 01 and 10 show: the data in them, not their pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_hex
from PIL import Image

from l2rclip_book import calibration_figures, metric_figures
from l2rclip_book.calibration_figures import reliability
from l2rclip_lite.plots import rank_colours
from l2rclip_lite.ranks import Ranks

FIVE = Ranks(("no", "very low", "low", "high", "very high"), (0, 1, 2, 3, 4), "{rank}")


def test_an_image_wears_the_colour_of_the_rank_its_share_falls_into() -> None:
    """Cuts at 2, 22.5, 37.5, 52.5 %: 21 % is rank 1, and 22.5 % itself is rank 2, for an edge opens its rank."""
    images, edges = [Image.new("RGB", (8, 8))] * 4, [0, 0.02, 0.225, 0.375, 0.525, 0.675]
    figure = metric_figures.threshold_scale(images, [0.0, 0.21, 0.225, 0.6], edges, FIVE)
    worn = [to_hex(frame.spines["left"].get_edgecolor()) for frame in figure.axes[1:]]
    assert worn == [to_hex(rank_colours(5)[rank]) for rank in (0, 1, 2, 4)]


def test_the_staircase_adds_up_to_rps() -> None:
    """Mass ½ on the truth and ½ three ranks above: three gaps of ½, squared ¼ each, together ¾."""
    rows = {"near": [0.25, 0.5, 0.25, 0, 0], "far": [0, 0.5, 0, 0, 0.5]}
    below = metric_figures.staircases(rows, 1, FIVE).axes[2:]
    assert [axis.get_xlabel() for axis in below] == ["squares add up to 0.125", "squares add up to 0.75"]


@given(st.lists(st.integers(0, 30), min_size=5, max_size=5).filter(any))
def test_the_cheapest_answers_are_mode_median_and_mean(weights: list[int]) -> None:
    """On a scale of uneven steps; no more than half of the mass may lie on either side of a median."""
    values, p = np.array([0.0, 1, 3, 4, 9]), np.array(weights) / sum(weights)
    mode, median, mean = (metric_figures.expected_price(p, values, power)[2] for power in (0, 1, 2))
    assert mode == values[p.argmax()]
    assert max(p[values < median].sum(), p[values > median].sum()) <= 0.5 + 1e-6
    assert mean == pytest.approx(p @ values, abs=0.005)


def test_reliability_dots_are_the_accuracies_and_the_grid_names_every_image() -> None:
    """A panel and a histogram for each curve; five images in rows of four."""
    curve = reliability([0, 0, 1], [[0.9, 0.1], [0.7, 0.3], [0.7, 0.3]], Ranks(("a", "b"), (0, 1), "{rank}"))
    figure = calibration_figures.reliability_diagram({"as trained": curve, "T": curve})
    dots = figure.axes[0].collections[-1].get_offsets()
    assert np.allclose(dots, curve[["confidence", "accuracy"]])
    names = [f"Blatt {k} (Süd).jpg" for k in range(5)]
    axes = calibration_figures.image_grid([Image.new("RGB", (8, 8))] * 5, names).axes
    assert [axis.texts[0].get_text() for axis in axes if axis.texts] == names
