"""What the figures of a run draw, read off their axes: the right picture, bar, number and mark."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from PIL import Image

from l2rclip_lite import plots
from l2rclip_lite.data.base import Card, OrdinalDataset, Split
from l2rclip_lite.plots import COLOURS, rank_colours
from l2rclip_lite.ranks import Ranks

RANKS = Ranks(("low", "mid", "high"), (0.0, 1.0, 2.0), template="a {rank} grade", unit="grade")
TARGETS = [2, 0, 0, 2, 2]
ONE_GREY_EACH = Split(
    [f"{index}.png" for index in range(5)],
    TARGETS,
    lambda index: Image.new("RGB", (4, 4), (10 * index,) * 3),
)


def shown(axis: plots.mpl.axes.Axes) -> list[int]:
    """The grey values of the pictures in a panel."""
    return [int(np.asarray(image.get_array())[0, 0, 0]) for image in axis.get_images()]


def test_a_contact_sheet_has_the_first_pictures_of_each_rank_in_its_column() -> None:
    """Rank 0 has pictures 1 and 2, rank 1 none, rank 2 has 0, 3 and 4, of which two fit."""
    figure = plots.contact_sheet(ONE_GREY_EACH, RANKS, rows=2)
    panels = np.array(figure.axes).reshape(2, 3)
    assert [axis.get_title() for axis in panels[0]] == ["low", "mid", "high"]
    assert [[shown(axis) for axis in row] for row in panels] == [[[10], [], [0]], [[20], [], [30]]]
    assert [axis.axison for axis in panels[:, 1]] == [False, False]
    edges = [to_hex(axis.spines["left"].get_edgecolor()) for axis in panels[0]]
    assert edges == [to_hex(colour) for colour in rank_colours(3)]


def test_a_contact_sheet_of_many_ranks_takes_both_ends() -> None:
    """Of ranks 16 to 77 five columns, evenly: the first, the last, and three between."""
    ages = Ranks.integers(16, 77, template="a photo of a {rank} years old face", unit="years")
    split = Split(["a.png"], [0], lambda index: Image.new("RGB", (4, 4)))
    figure = plots.contact_sheet(split, ages, rows=1)
    assert [axis.get_title() for axis in figure.axes] == [ages.names[k] for k in (0, 15, 30, 46, 61)]


def test_a_histogram_crosses_out_what_is_empty() -> None:
    """Training has ranks 0 and 2; a cross stands at rank 1 and the title counts it."""
    data = OrdinalDataset(
        "mine",
        *(ONE_GREY_EACH,) * 3,
        RANKS,
        Card("mine", "My grades", "", "", "", ""),
        allow_empty_ranks=True,
        protocol=("split by hand",),
    )
    figure = plots.rank_histogram(data)
    axis = figure.axes[0]
    assert [bar.get_height() for bar in axis.patches] == [2, 0, 3]
    assert axis.get_title("left") == "train: 5 pictures, 1 of 3 ranks empty (×)"
    assert axis.collections[0].get_offsets()[:, 0].tolist() == [1]
    assert [text.get_text() for text in axis.texts] == ["2", "", "3"]
    assert figure.get_supxlabel() == "split by hand"


def row(stage: int, epoch: int, error: float, rps: float = 0.5) -> dict[str, float]:
    """A row of `Run.history`."""
    return {"stage": stage, "epoch": epoch, "loss": 2.0 - epoch, "val_mae": error, "val_rps": rps}


def test_training_curves_mark_the_epoch_that_was_chosen() -> None:
    """Stage 1 ties at 0.8 and the lower RPS decides for epoch 2; stage 2 goes on counting at 4."""
    history = [row(1, 1, 0.8, 0.5), row(1, 2, 0.8, 0.4), row(1, 3, 0.9), row(2, 1, 0.7), row(2, 2, 0.6)]
    left, right = plots.training_curves(history, RANKS, reference=1.2).axes
    assert [points.get_offsets()[0].tolist() for points in left.collections] == [[2, 0.8], [5, 0.6]]
    assert [text.get_text() for text in left.texts] == ["0.80", "0.60"]
    assert [line.get_xdata().tolist() for line in right.lines] == [[1, 2, 3], [4, 5]]
    assert left.lines[-1].get_ydata() == [1.2, 1.2]
    assert left.get_ylim() == (0, pytest.approx(1.35 * 1.2))
    assert left.get_ylabel() == "MAE (grade)"
    assert right.get_title("left") == "Training loss (the two stages' losses differ)"


def test_training_curves_of_joint_training_speak_of_one_stage() -> None:
    """No second stage, no reference: one curve, and no word of stages."""
    left, right = plots.training_curves([row(0, 1, 0.5), row(0, 2, 0.4)], RANKS).axes
    assert [line.get_label() for line in left.lines] == ["joint"]
    assert (left.get_xlabel(), right.get_title("left")) == ("epoch", "Training loss")


def test_text_similarity_shows_cosines() -> None:
    """Unit vectors at 0°, 60° and 90°: cosines 1, 1/2, 0 and √3/2."""
    angles = torch.deg2rad(torch.tensor([0.0, 60.0, 90.0]))
    figure = plots.text_similarity({"before": torch.stack([angles.cos(), angles.sin()], 1)}, RANKS)
    axis = figure.axes[0]
    cells = [text.get_text() for text in axis.texts]
    assert cells == ["1.00", "0.50", "0.00", "0.50", "1.00", "0.87", "0.00", "0.87", "1.00"]
    assert axis.get_images()[0].get_clim() == (-1, 1)
    assert [text.get_color() for text in axis.texts[:2]] == ["white", COLOURS["ink"]]
    assert [label.get_text() for label in axis.get_xticklabels()] == list(RANKS.names)


def test_confusion_shares_add_up_to_each_true_rank() -> None:
    """Of two lows one is called high (MAE 2 of three answers, 2/3); rank mid never occurs and stays 0 %."""
    true, predicted = torch.tensor([0, 0, 2]), torch.tensor([0, 2, 2])
    axis = plots.confusion({"model": (true, predicted)}, RANKS).axes[0]
    assert [text.get_text() for text in axis.texts] == [
        "50%",
        "0%",
        "50%",
        "0%",
        "0%",
        "0%",
        "0%",
        "0%",
        "100%",
    ]
    assert axis.get_title("left") == "model\nMAE 0.67 grade"


def test_a_gallery_outlines_the_true_rank() -> None:
    """Pictures 3 and 1 over their probabilities; the bar of the true rank has an edge."""
    probabilities = torch.tensor([[0.1, 0.2, 0.7]]).repeat(5, 1)
    probabilities[1] = torch.tensor([0.5, 0.3, 0.2])
    figure = plots.gallery(ONE_GREY_EACH, probabilities, RANKS, [3, 1])
    above, below = np.array(figure.axes).reshape(2, 2)
    assert [shown(axis) for axis in above] == [[30], [10]]
    assert [axis.get_title() for axis in above] == ["true: high", "true: low"]
    heights = [[round(bar.get_height(), 6) for bar in axis.patches] for axis in below]
    assert heights == [[0.1, 0.2, 0.7], [0.5, 0.3, 0.2]]
    outlined = [[bar.get_linewidth() == 2.2 for bar in axis.patches] for axis in below]
    assert outlined == [[False, False, True], [True, False, False]]
