"""Every figure is drawn once, from data made by hand; what matters most is read off its axes."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.text import Text

from l2rclip_book import evidence, plots
from l2rclip_book import metric_figures as metrics
from l2rclip_book import rankformer_figures as former
from l2rclip_book.gains import MEAN
from l2rclip_lite.method.ranks import Ranks

RANKS = Ranks(("low", "mid", "high"), (0, 10, 20), "a {rank} grade", unit="years")
HISTORY = pd.DataFrame(
    {
        "stage": [1, 1, 1, 2, 2],
        "epoch": [1, 2, 3, 1, 2],
        "loss": [2.0, 1, 0, 2, 1],
        "val_mae": [0.8, 0.9, 0.8, 0.6, 0.7],
        "val_rps": [0.5, 0.4, 0.5, 0.5, 0.5],
    }
).to_dict("records")
SPELT = [["start", "a", "no", "end", "·"], ["start", "a", "very", "low", "end"]]
ALONG = torch.tensor([[0.0, 0, 0, 0, 0], [0, 1, 2, 3, 0]])  # a number for each token of SPELT
SURE = np.array([[0.9, 0.1, 0], [0.7, 0.3, 0], [0.7, 0.3, 0]])
CURVE = metrics.reliability(np.array([0, 0, 1]), SURE)
GAINS = pd.DataFrame({"row": "words", "data": ["hc18", "apples81", MEAN], "gain": [5.0, 3, 4]})


# --- what must not be wrong -----------------------------------------------------------------------


def dots(figure: Figure) -> list[Any]:
    """Return the places of the dots in the first panel, one list for each call that drew some."""
    drawn = [dots for dots in figure.axes[0].collections if isinstance(dots, PathCollection)]
    return [np.asarray(dots.get_offsets()).round(6).tolist() for dots in drawn]


def cells(figure: Figure) -> list[float]:
    """Return what the heat map of the first panel shows, in reading order."""
    return np.asarray(figure.axes[0].collections[0].get_array()).ravel().tolist()


def test_of_two_lows_one_is_called_high() -> None:
    """A row of a confusion is a true rank, and adds up to one."""
    figure = plots.confusion({"me": ([0, 0, 2], [0, 2, 2])}, RANKS)
    assert cells(figure) == [0.5, 0, 0.5, 0, 0, 0, 0, 0, 1]


def test_names_with_two_dollars_are_no_formula() -> None:
    """A rank may be called "$5 to $10"."""
    axis = plots.confusion({"$5 to $10": ([0, 1, 2], [0, 1, 2])}, RANKS).axes[0]
    names = axis.findobj(Text)
    assert "$5 to $10\nMAE 0.00 years" in [name.get_text() for name in names]
    assert not any(name.get_parse_math() for name in names)


@pytest.mark.parametrize(("select", "kept"), [("auto", [5, 0.7]), ("rps", [4, 0.6])])
def test_the_epochs_that_a_run_kept_are_marked(select: str, kept: list[float]) -> None:
    """Stage 1 its lowest RPS; stage 2, from 4 on, its last, or in an earlier release its best."""
    (marked,) = dots(plots.training_curves(HISTORY, RANKS, 1.0, select))
    assert sorted(marked) == [[2, 0.9], kept]


def test_of_answers_that_are_sure_at_07_half_is_right() -> None:
    """Accuracy stands over confidence."""
    assert dots(metrics.reliability_diagram("T", CURVE)) == [[[0.7, 0.5], [0.9, 1]]]


def test_the_framed_word_reads_the_words_of_its_own_sentence() -> None:
    """They have the colour of what is read, its start and its end do not."""
    figure = former.axes_figure({"rank": ALONG}, {"rank": torch.eye(2)}, SPELT, (1, 3))
    (table,) = figure.axes[0].tables
    seen = to_rgba(former.SEEN)
    read = [[table[rank, slot].get_facecolor() == seen for slot in range(5)] for rank in (0, 1)]
    assert read == (ALONG > 0).tolist()


def test_intervals_are_where_the_numbers_say() -> None:
    """Two sets and their mean on one line, in the order of the book."""
    axis = evidence.intervals(GAINS.assign(low=1, high=7), label="reduced by").axes[0]
    marks = [mark for mark in axis.collections if mark.get_zorder() == 3]
    assert [mark.get_offsets()[0][0] for mark in marks] == [3, 5, 4]
