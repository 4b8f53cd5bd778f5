"""Every figure is drawn once, from data made by hand; what matters most is read off its axes."""

import json
from collections.abc import Callable
from typing import Any

import chapters
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from l2rclip_book import embedding_figures as embed
from l2rclip_book import evidence, plots, templates
from l2rclip_book import loss_figures as losses
from l2rclip_book import metric_figures as metrics
from l2rclip_book import rankformer_figures as former
from l2rclip_book.gains import MEAN
from l2rclip_book.loss_figures import on_circle
from l2rclip_book.training_figures import repair_curves, stage_diagram
from l2rclip_book.words_figures import few_figure, landings
from l2rclip_lite.config import Config
from l2rclip_lite.data import Split
from l2rclip_lite.method.ranks import Ranks

STORED = chapters.BOOK / "results"
MOTION = json.loads((STORED / "motion.json").read_text(encoding="utf-8"))
ATTENTION = json.loads((STORED / "attention.json").read_text(encoding="utf-8"))
RANKS = Ranks(("low", "mid", "high"), (0, 10, 20), "a {rank} grade", unit="years")
TEN = Ranks.integers(0, 9, template="grade {rank}")
IMAGES = [Image.new("RGB", (8, 8), (10 * i,) * 3) for i in range(5)]
BYTES = np.stack([np.asarray(image).T for image in IMAGES])
SPLIT = Split([f"{i}.png" for i in range(5)], [2, 0, 0, 2, 2], IMAGES)
SURE = torch.tensor([[0.1, 0.2, 0.7], [0.5, 0.3, 0.2]])[[0, 1, 0, 0, 0]]
HISTORY = pd.DataFrame(
    {
        "stage": [1, 1, 1, 2, 2],
        "epoch": [1, 2, 3, 1, 2],
        "loss": [2.0, 1, 0, 2, 1],
        "val_mae": [0.8, 0.9, 0.8, 0.6, 0.7],
        "val_rps": [0.5, 0.4, 0.5, 0.5, 0.5],
    }
).to_dict("records")
LABELS = np.array([0, 1, 2, 0])
FLAT = np.array([[5.0, 0.0], [0.0, 0.0], [-1.0, 0.0], [2.0, 1.0]])
SPELT = [["start", "a", "no", "end", "·"], ["start", "a", "very", "low", "end"]]
ALONG = torch.tensor([[0.0, 0, 0, 0, 0], [0, 1, 2, 3, 0]])  # a number for each token of SPELT
WAYS = {order: on_circle(0, 90).expand(4, 2, 2) for order in ("true", "blind", "shuffled")}
ENDS = {order: {"circle": [1.0, 0.0], "sphere": [-0.5, 0.5]} for order in WAYS}
SENTENCE = [([("a", False), ("low", True), ("leaf", False)], 0.0)]
SCORES = templates.Scores(0.7, [0.1, 0.2], (-0.5, 0.5))
CURVE = metrics.reliability([0, 0, 1], [[0.9, 0.1, 0], [0.7, 0.3, 0], [0.7, 0.3, 0]], RANKS)
ERRORS = [torch.tensor([[0.5, 1.5], [0.0, 1.0]])] * 3
SHARES = pd.DataFrame({"data": ["pears"], "run": 0, "arm": "words", "shots": "2", "share": 80.0})
STEPS = pd.DataFrame({"arm": ["cross-entropy", "numbers"], "rps": [2.0, 1.0], "data": "pears"})
STEPS = STEPS.assign(low=0.9, high=2.1, share=50.0)
GAINS = pd.DataFrame({"row": "words", "data": ["hc18", "apples81", MEAN], "gain": [5.0, 3, 4]})

DRAWN: list[tuple[Callable[..., Figure], tuple[Any, ...]]] = [
    (plots.contact_sheet, (SPLIT, RANKS)),
    (plots.image_grid, (IMAGES, list("abcde"))),
    (plots.training_curves, (HISTORY, RANKS)),
    (plots.confusion, ({"me": ([0, 1, 2], [0, 1, 2])}, RANKS)),
    (plots.gallery, (SPLIT, SURE, RANKS, [3, 1])),
    (metrics.reliability_diagram, ({"T": CURVE},)),
    (metrics.threshold_scale, (IMAGES[:3], [0.1, 0.2, 0.5], [0, 0.2, 0.4, 1], RANKS)),
    (metrics.staircases, ({"far": [0.5, 0, 0.5]}, 0, RANKS)),
    (embed.clouds, (dict.fromkeys("ABC", embed.Cloud(FLAT, LABELS, FLAT[:3])), RANKS)),
    (embed.thumbnails, (FLAT, LABELS, BYTES, {"a": [0, 2, 3], "b": [1, 0, 3]}, RANKS)),
    (embed.motion_figure, (MOTION, {"start": 0}, TEN)),
    (losses.free_texts, (WAYS, ENDS)),
    (former.token_grid, (SPELT, ALONG > 1, 2)),
    (former.axes_figure, ({"rank": ALONG}, {"rank": torch.eye(2)}, SPELT, (1, 3))),
    (former.movement_figure, ({"a": ALONG[1:]}, SPELT[1:])),
    (former.attention_figure, (ATTENTION, [("names", 1)])),
    (templates.token_figure, ({"CLIP": SENTENCE, "MiniLM": SENTENCE},)),
    (templates.score_rows, ({"words": {"mine": SCORES, "other": SCORES}},)),
    (stage_diagram, (Config(),)),
    (repair_curves, ({"after": ERRORS}, {"rps": 1.0, "mae": 1.0}, 1, pd.DataFrame({"seed": []}))),
    (landings, ({("no", "some"): np.array([0.0, 40.0])}, 80.0)),
    (few_figure, (SHARES,)),
    (evidence.staircase, (STEPS,)),
]


@pytest.mark.parametrize(("draw", "data"), DRAWN, ids=[draw.__name__ for draw, _ in DRAWN])
def test_a_figure_is_drawn(draw: Callable[..., Figure], data: tuple[Any, ...]) -> None:
    """To the last tick."""
    draw(*data).draw_without_rendering()


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
    assert dots(plots.training_curves(HISTORY, RANKS, select=select)) == [[[2, 0.9], kept]]


def test_of_answers_that_are_sure_at_07_half_is_right() -> None:
    """Accuracy stands over confidence."""
    assert dots(metrics.reliability_diagram({"T": CURVE})) == [[[0.7, 0.5], [0.9, 1]]]


def test_the_framed_word_reads_the_words_of_its_own_sentence() -> None:
    """Words that are read are 2, others 1, start and end 0."""
    figure = former.axes_figure({"rank": ALONG}, {"rank": torch.eye(2)}, SPELT, (1, 3))
    assert cells(figure) == [0, 1, 1, 0, 0, 0, 2, 2, 2, 0]


def test_intervals_are_where_the_numbers_say() -> None:
    """Two sets and their mean on one line, in the order of the book."""
    axis = evidence.intervals(GAINS.assign(low=1, high=7), label="reduced by").axes[0]
    marks = [mark for mark in axis.collections if mark.get_zorder() == 3]
    assert [mark.get_offsets()[0][0] for mark in marks] == [3, 5, 4]
