"""What the figures of a run draw, read off their axes: the right image, bar, number and mark."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from PIL import Image

from l2rclip_lite import plots
from l2rclip_lite.data import Split
from l2rclip_lite.plots import rank_colours
from l2rclip_lite.ranks import Ranks

RANKS = Ranks(("low", "mid", "high"), (0.0, 1.0, 2.0), template="a {rank} grade", unit="grade")
GREY = Split(
    [f"{i}.png" for i in range(5)],
    [2, 0, 0, 2, 2],
    [Image.new("RGB", (4, 4), (10 * i,) * 3) for i in range(5)],
)


def shown(axis: Axes) -> list[int]:
    """The grey values of the images in a panel."""
    return [int(np.asarray(image.get_array())[0, 0, 0]) for image in axis.get_images()]


def test_a_contact_sheet_has_the_first_images_of_each_rank_in_its_column() -> None:
    """Rank 0 has images 1 and 2, rank 1 none, rank 2 has 0, 3 and 4, of which two fit. Of many ranks, both ends."""
    panels = np.array(plots.contact_sheet(GREY, RANKS, rows=2).axes).reshape(2, 3)
    assert [axis.get_title() for axis in panels[0]] == ["low", "mid", "high"]
    assert [[shown(axis) for axis in row] for row in panels] == [[[10], [], [0]], [[20], [], [30]]]
    assert [axis.axison for axis in panels[:, 1]] == [False, False]
    edges = [to_hex(axis.spines["left"].get_edgecolor()) for axis in panels[0]]
    assert edges == [to_hex(colour) for colour in rank_colours(3)]
    ages = Ranks.integers(16, 77, template="a photo of a {rank} years old face", unit="years")
    figure = plots.contact_sheet(GREY, ages, rows=1)
    assert [axis.get_title() for axis in figure.axes] == [ages.names[k] for k in (0, 15, 30, 46, 61)]


def test_training_curves_mark_the_epoch_that_was_chosen() -> None:
    """Stage 1 ties at 0.8 and the lower RPS decides for epoch 2; stage 2 goes on counting at 4."""
    rows = [(1, 1, 0.8, 0.5), (1, 2, 0.8, 0.4), (1, 3, 0.9, 0.5), (2, 1, 0.7, 0.5), (2, 2, 0.6, 0.5)]
    history = [{"stage": s, "epoch": e, "loss": 2.0 - e, "val_mae": m, "val_rps": r} for s, e, m, r in rows]
    left, right = plots.training_curves(history, RANKS, reference=1.2).axes
    assert sorted(left.collections[-1].get_offsets().tolist()) == [[2, 0.8], [5, 0.6]]
    assert sorted(text.get_text() for text in left.texts) == ["0.60", "0.80"]
    assert [list(line.get_xdata()) for line in right.lines] == [[1, 2, 3], [4, 5]]
    assert left.lines[-1].get_ydata() == [1.2, 1.2]
    assert left.get_ylim() == (0, pytest.approx(1.35 * 1.2))


def test_confusion_shares_add_up_to_each_true_rank() -> None:
    """Of two lows one is called high (MAE 2 of three answers, 2/3); rank mid never occurs and stays 0 %."""
    answers = pd.DataFrame({"true": [0, 0, 2], "predicted": [0, 2, 2]})
    axis = plots.confusion({"model": (answers["true"], answers["predicted"])}, RANKS).axes[0]
    cells = [text.get_text() for text in axis.texts]
    assert cells == ["50%", "0%", "50%", "0%", "0%", "0%", "0%", "0%", "100%"]
    assert axis.get_title("left") == "model\nMAE 0.67 grade"


def test_a_gallery_outlines_the_true_rank() -> None:
    """Images 3 and 1 over their probabilities; the bar of the true rank has an edge and a triangle."""
    probabilities = torch.tensor([[0.1, 0.2, 0.7], [0.5, 0.3, 0.2]])[[0, 1, 0, 0, 0]]
    above, below = np.array(plots.gallery(GREY, probabilities, RANKS, [3, 1]).axes).reshape(2, 2)
    assert [(shown(axis), axis.get_title()) for axis in above] == [([30], "true: high"), ([10], "true: low")]
    heights = [[round(bar.get_height(), 6) for bar in axis.patches] for axis in below]
    assert heights == [[0.1, 0.2, 0.7], [0.5, 0.3, 0.2]]
    assert [[bar.get_linewidth() == 2.2 for bar in axis.patches].index(True) for axis in below] == [2, 0]
    assert [list(axis.lines[0].get_xdata()) for axis in below] == [[2], [0]]
