"""The data in the figures of rank templates and of the CLIP made of names, not their pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from l2rclip_lite.method_style import look
from l2rclip_lite.name_plots import recall_curves, unseen_names, zero_shot
from l2rclip_lite.plots import rank_colours
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.template_plots import (
    by_gap,
    neighbours,
    null_histograms,
    paths,
    score_rows,
    sentence_rows,
    similarity,
    token_picture,
    wording_histogram,
)

THREE = Ranks(("low", "mid", "high"), (0, 1, 2), "{rank} damage")
AGES = Ranks.integers(16, 77, template="{rank} years")
TRAINED = look("template only")[0]


def drawn(figure: Figure) -> Figure:
    """The figure after one rendering, which fails on what cannot be laid out."""
    figure.canvas.draw()
    return figure


def test_similarity_shows_cosines_and_names_round_numbers() -> None:
    """The identity for orthogonal ranks; of 62 ages only 20, 30 … 70 are named."""
    figure = drawn(similarity({"three": (torch.eye(3), THREE), "ages": (torch.eye(62), AGES)}))
    three, ages = figure.axes[:2]
    assert np.array_equal(three.images[0].get_array(), np.eye(3))
    assert [label.get_text() for label in three.get_yticklabels()] == ["low", "mid", "high"]
    assert ages.get_yticks().tolist() == [4, 14, 24, 34, 44, 54]
    assert ages.get_yticklabels()[0].get_text() == "twenty"


def test_a_token_is_a_box_and_only_rank_words_are_coloured() -> None:
    """Three tokens, one of the lowest rank; a table of counts below."""
    tokens = [("a", False), ("low", True), ("leaf", False)]
    figure = drawn(token_picture({"CLIP": [(tokens, 0.0)]}, {"spaces": [1, 2, 3]}, THREE))
    boxes = [patch for patch in figure.axes[0].patches if isinstance(patch, FancyBboxPatch)]
    assert [text.get_text() for text in figure.axes[0].texts] == ["a", "low", "leaf"]
    colours = [to_hex(box.get_facecolor()) for box in boxes]
    assert colours == ["#e9edf1", to_hex(rank_colours(3)[0]), "#e9edf1"]
    assert figure.axes[1].images[0].get_array().tolist() == [[1, 2, 3]]


def test_histograms_mark_the_true_order_and_count_the_others() -> None:
    """One of three other orders reaches .9; bars hold all four."""
    axis = drawn(null_histograms({"mine": np.array([0.9, 0.1, 0.9, -0.3])}, xlabel="gap")).axes[0]
    assert axis.get_title("left") == "mine: 1 of 3 other orders does as well"
    assert axis.lines[0].get_xdata()[0] == 0.9
    assert sum(bar.get_height() for bar in axis.patches) == pytest.approx(1)


def test_scores_stand_beside_their_controls() -> None:
    """A diamond at .7, two rings, and a band from −.2 to .3 that is not cut off."""
    figure = drawn(
        score_rows(
            {"mine": {"gap": 0.7}},
            {"mine": {"gap": (-0.2, 0.3)}},
            {"mine": [{"gap": 0.1}, {"gap": 0.2}]},
            {"gap": "gap score"},
        )
    )
    (axis,) = figure.axes
    rings, diamond = axis.collections
    assert rings.get_offsets()[:, 0].tolist() == [0.1, 0.2]
    assert diamond.get_offsets()[:, 0].tolist() == [0.7]
    assert to_hex(diamond.get_facecolor()[0]) == TRAINED
    assert axis.get_xlim()[0] < axis.patches[0].get_x() == pytest.approx(-0.2)
    assert axis.get_title("left") == "gap score"


def test_a_path_joins_the_ranks_in_order_and_colour() -> None:
    """Three points, the line through them from low to high, and the share of variance."""
    at = np.array([[0.0, 0.0], [1.0, 2.0], [3.0, 1.0]])
    (axis,) = drawn(paths({"trained": {"three": (at, 0.5)}}, {"three": THREE})).axes
    assert np.array_equal(axis.lines[0].get_xydata(), at)
    assert np.allclose(axis.collections[0].get_facecolor(), rank_colours(3))
    assert [text.get_text() for text in axis.texts] == ["low", "high"]
    assert axis.get_xlabel() == "50 % of the variance"


def test_neighbours_leave_out_the_rank_itself() -> None:
    """Bars at the values of the ranks; the chosen one, whose cosine is 1, is a line."""
    (axis,) = drawn(neighbours({"words": torch.tensor([0.5, 1.0, -0.2])}, THREE, 1)).axes
    assert [bar.get_height() for bar in axis.patches] == pytest.approx([0.5, 0.0, -0.2])
    assert axis.lines[0].get_xdata()[0] == 1


def test_means_by_gap_stop_where_pairs_are_few() -> None:
    """Cosine 1 − gap/10 of 14 ranks: gaps 1 and 2 have 13 and 12 pairs; gap 3 has 11 and is left out."""
    index = torch.arange(14.0)
    table = 1 - (index[:, None] - index).abs() / 10
    (axis,) = drawn(by_gap({"words": {"trained": table, "random weights": table}})).axes
    trained = axis.lines[0]
    assert trained.get_xdata().tolist() == [1, 2]
    assert trained.get_ydata() == pytest.approx([0.9, 0.8])
    assert to_hex(trained.get_color()) == TRAINED


def test_wordings_and_sentences_show_every_score() -> None:
    """All three wordings are counted; a kind of sentence has its diamond and its rings."""
    axis = drawn(wording_histogram(np.array([0.1, 0.5, 0.52]), 0.5, (-0.4, 0.6), xlabel="gap")).axes[0]
    assert sum(bar.get_height() for bar in axis.patches[1:]) == 3
    axis = drawn(sentence_rows({"ages": {"bare": (0.6, [0.1]), "own": (0.7, [0.2])}}, xlabel="gap")).axes[0]
    assert [mark.get_offsets()[0].tolist() for mark in axis.collections] == [
        [0.1, 0],
        [0.6, 0],
        [0.2, 1],
        [0.7, 1],
    ]


def test_unseen_names_have_a_dot_at_their_nearest_row() -> None:
    """Row 0 is nearest to column 1, row 1 to column 0; two animals before one thing."""
    table = torch.tensor([[0.1, 0.5, 0.0], [0.4, 0.2, 0.1], [0.0, 0.1, 0.3]])
    axis = drawn(unseen_names({"true": table}, 2, (0, 1))).axes[0]
    assert axis.collections[0].get_offsets().tolist() == [[1, 0], [0, 1], [2, 2]]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["animals", "things"]
    assert axis.lines[0].get_xdata()[0] == 1.5


def test_recall_is_a_mean_over_splits() -> None:
    """Two splits, .2 and .4: a line at .3; shuffled pairs have the colour of their arm."""
    found = {
        "recall@1": np.array([[0.2, 0.3], [0.4, 0.5]]),
        "recall@1, shuffled pairs": np.array([[0.0, 0.0], [0.1, 0.1]]),
    }
    axis = drawn(recall_curves([1.0, 10.0], found, [0.005], 10.0)).axes[0]
    true, shuffled = axis.lines[1:3]
    assert true.get_ydata() == pytest.approx([0.3, 0.4])
    assert to_hex(shuffled.get_color()) == look("shuffled template")[0]


def test_zero_shot_gives_shares_of_the_true_rank_and_every_other_order() -> None:
    """Rows of 4, 2 and no pictures; five other orders; the mark of the true one at its accuracy."""
    counts = torch.tensor([[1.0, 3.0, 0.0], [0.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
    every = np.array([0.33, 0.2, 0.3, 0.4, 0.1, 0.3])
    left, right = drawn(zero_shot(counts, THREE, every, (0.1, 0.5))).axes
    assert left.images[0].get_array().tolist() == [[0.25, 0.75, 0], [0, 0.5, 0.5], [0, 0, 0]]
    assert sum(bar.get_height() for bar in right.patches) == 5
    assert right.containers[-1].lines[0].get_xdata()[0] == pytest.approx(0.33)
