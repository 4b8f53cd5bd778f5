"""What stands in the figures: dots where the numbers are, one panel a thing, text that fits."""

import numpy as np
import pytest
from PIL import Image

from l2rclip_lite import calibration_plots as draw
from l2rclip_lite.calibration import fit_temperature, negative_log_likelihood
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.reliability import coverage_curve, reliability

TWO = Ranks(("low", "high"), (0, 1), "{rank} damage")
GAP, TRUE = [[0.0, 2.0]] * 4, [1, 1, 1, 0]


def test_the_pile_names_every_picture() -> None:
    """Five pictures in rows of four: eight axes, five of them with a picture and its name."""
    pictures = [Image.new("RGB", (8, 8))] * 5
    figure = draw.pile(pictures, [f"Blatt {k} (Süd).jpg" for k in range(5)])
    assert len(figure.axes) == 8
    texts = [axis.texts[0].get_text() for axis in figure.axes if axis.texts]
    assert texts == [f"Blatt {k} (Süd).jpg" for k in range(5)]


def test_bars_are_the_probabilities_and_keep_their_order() -> None:
    """At T = 2 a gap of 2 is a gap of 1: 1 / (1 + 1/e). The true rank has the thick edge."""
    figure = draw.temperature_bars([[0.0, 2.0]], 0, TWO, temperatures=(1, 2))
    left, right = (axis.patches for axis in figure.axes)
    assert right[1].get_height() == pytest.approx(1 / (1 + np.exp(-1)))
    assert left[1].get_height() > left[0].get_height()
    assert left[0].get_linewidth() > left[1].get_linewidth()
    assert [axis.get_title("center") for axis in figure.axes] == ["T = 1", "T = 2"]


def test_the_dot_of_a_curve_is_the_fitted_temperature() -> None:
    """At the temperature and the likelihood of the fit, which the legend names."""
    figure = draw.temperature_curves({"validation": (GAP, TRUE)})
    best = fit_temperature(GAP, TRUE)
    dot = figure.axes[0].collections[0].get_offsets()[0]
    assert dot.tolist() == pytest.approx([best, negative_log_likelihood(GAP, TRUE, best)])
    assert figure.axes[0].get_legend().get_texts()[0].get_text() == "validation: lowest at 1.8"


def test_reliability_dots_are_the_accuracies() -> None:
    """A panel and a histogram for each curve; the dots are the last collection."""
    curve = reliability([0, 0, 1], [[0.9, 0.1], [0.7, 0.3], [0.7, 0.3]], TWO)
    figure = draw.reliability_diagram({"as trained": curve, "T": curve})
    assert len(figure.axes) == 4
    dots = figure.axes[0].collections[-1].get_offsets()
    assert np.allclose(dots, curve[["confidence", "accuracy"]])
    assert [bar.get_height() for bar in figure.axes[2].patches] == [2, 1]


def test_the_spread_has_a_row_a_size() -> None:
    """Names from top to bottom, a line for each reference."""
    samples = {"5 pictures": np.array([0.5, 1.0, 4.0]), "9 pictures": np.array([0.9, 1.0, 1.2])}
    axis = draw.temperature_spread(samples, references={"as trained": 1.0, "new": 2.0}).axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == list(samples)
    assert axis.yaxis_inverted()
    assert axis.get_xscale() == "log"


def test_the_dot_of_coverage_is_the_last_answer_within_the_threshold() -> None:
    """Doubts 0.1 to 0.4, threshold 0.25: two of four are answered, mean error 0.5."""
    curve = coverage_curve([0.0, 1.0, 1.0, 2.0], [0.1, 0.2, 0.3, 0.4])
    axis = draw.coverage_figure({"test": curve}, "grade", doubt=0.25, leave_out=1).axes[0]
    assert axis.collections[0].get_offsets().tolist() == [[0.5, 0.5]]
    none = draw.coverage_figure({"test": curve}, "grade", doubt=0.05, leave_out=1).axes[0]
    assert not none.collections
