"""Figures of the chapter on RankFormer: what they show is what they were given."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from l2rclip_lite import rankformer_plots as draw
from l2rclip_lite.plots import COLOURS, rank_colours

SPELT = [["start", "a", "no", "end", "·"], ["start", "a", "very", "low", "end"]]
NAMES = torch.tensor([[False, False, True, False, False], [False, False, True, True, False]])


def boxes(axis: Axes) -> list[FancyBboxPatch]:
    """Slots in reading order."""
    return [patch for patch in axis.patches if isinstance(patch, FancyBboxPatch)]


def written(axis: Axes) -> list[str]:
    """Texts on a panel."""
    return [text.get_text() for text in axis.texts]


def drawn(figure: Figure) -> Figure:
    """Render, so that an error of the layout is one of the test."""
    figure.canvas.draw()
    return figure


def test_token_grid_has_context_after_the_start_and_frames_names() -> None:
    """5 slots + 2 vectors; "no" of rank 0 is slot 4 and framed in its colour, "a" is not."""
    (axis,) = drawn(draw.token_grid(SPELT, NAMES, context=2)).axes
    assert written(axis)[:7] == ["start", "c1", "c2", "a", "no", "end", "·"]
    found = boxes(axis)
    assert to_hex(found[1].get_facecolor()) == draw.CONTEXT
    assert to_hex(found[0].get_facecolor()) == draw.FIXED
    assert found[4].get_edgecolor()[:3] == pytest.approx(rank_colours(2)[0][:3])
    assert found[3].get_linewidth() != found[4].get_linewidth()


def test_axes_figure_colours_what_is_read_and_frames_the_word() -> None:
    """A zero is not read; the framed slot is the one that was asked."""
    reads = {"token": torch.tensor([[0.0, 0, 0, 0, 0], [0, 1, 2, 3, 0]])}
    figure = drawn(draw.axes_figure(reads, {"token": torch.eye(2)}, SPELT, (1, 3)))
    found = boxes(figure.axes[0])
    seen = [to_hex(box.get_facecolor()) == draw.SEEN for box in found]
    assert seen == [False] * 5 + [False, True, True, True, False]
    assert to_hex(found[8].get_edgecolor()) == COLOURS["stage 2"]


def test_groups_figure_counts_and_shares_colours() -> None:
    """Both "a" share group 0 and a colour; the rest stand alone, without one."""
    groups = torch.tensor([[-1, 0, 1, -1, -1], [-1, 0, 2, 3, -1]])
    (axis,) = drawn(draw.groups_figure({"rank": groups}, SPELT)).axes
    assert axis.get_title("left") == "axis rank: 4 different shifts for 5 words"
    colours = [to_hex(box.get_facecolor()) for box in boxes(axis)]
    assert colours[1] == colours[6] != draw.BLANK
    assert colours[2] == colours[7] == draw.BLANK


def test_movement_figure_writes_numbers_on_words_alone() -> None:
    """Start and padding keep their names, words get their distance."""
    moved = torch.full((2, 5), 0.5)
    axis = drawn(draw.movement_figure({"rank": moved}, SPELT)).axes[0]
    assert written(axis)[:5] == ["start", "a\n0.50", "no\n0.50", "end", "·"]


def test_alpha_figure_shows_both_moments() -> None:
    """A line before and a line after in each panel, a place for each α."""
    rows = {name: [0.0, 0.5] for name in ("words", "texts", "order")}
    figure = drawn(draw.alpha_figure(rows, {name: [0.0, 0.9] for name in rows}, [0.0, 1.0]))
    for axis in figure.axes:
        values = [np.asarray(line.get_ydata())[1] for line in axis.lines[:2]]
        assert values == [0.5, 0.9]
        assert [label.get_text() for label in axis.get_xticklabels()] == ["0", "1"]


def test_attention_is_shown_on_a_log_scale_and_cut() -> None:
    """1 is 0, 2 is 1, 100 is cut to 8, which is 3."""
    table = np.array([[1.0, 2.0], [0.5, 100.0]])
    figure = drawn(draw.attention_figure({"rank": (table, table)}, {"rank": ["no", "low"]}))
    shown = figure.axes[0].images[0].get_array()
    assert shown is not None
    assert shown.tolist() == [[0.0, 1.0], [-1.0, 3.0]]


def test_borrowing_figure_names_its_sides() -> None:
    """Four panels in two rows; names stand on the outer sides only, and two places stay empty."""
    panels = {f"axis {k}": torch.eye(2) for k in range(4)}
    figure = drawn(draw.borrowing_figure(panels, ["no", "low"]))
    titled = [axis for axis in figure.axes if axis.get_title("left")]
    assert [axis.get_title("left") for axis in titled] == list(panels)
    assert written(titled[0]) == ["1.0", "0.0", "0.0", "1.0"]
    assert [text.get_text() for text in titled[0].get_yticklabels()] == ["no", "low"]


def test_gap_figure_tells_alike_names_apart() -> None:
    """Of three pairs one has names of one length; curves stand over 1 and 2 ranks apart."""
    table = torch.tensor([[1.0, 0.5, -0.5], [0.5, 1.0, -0.25], [-0.5, -0.25, 1.0]])
    alike = torch.tensor([[True, True, False], [True, True, False], [False, False, True]])
    curve = {"axis rank": torch.tensor([0.1, -0.2]), "context": torch.tensor([0.0, 0.3])}
    figure = drawn(draw.gap_figure(curve, curve, table, alike))
    same, other = figure.axes[1].collections
    assert np.asarray(same.get_offsets())[:, 1].tolist() == [0.5]
    assert np.asarray(other.get_offsets())[:, 1].tolist() == [-0.5, -0.25]
    assert np.asarray(figure.axes[0].lines[0].get_xdata()).tolist() == [1, 2]
