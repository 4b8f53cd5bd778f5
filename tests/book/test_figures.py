"""Every figure is drawn once, from data made by hand; what it shows is read off its axes."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from PIL import Image

from l2rclip_book import calibration_figures as own_data
from l2rclip_book import embedding_figures as embed
from l2rclip_book import loss_figures as losses
from l2rclip_book import metric_figures as metrics
from l2rclip_book import plots, template_figures
from l2rclip_book import rankformer_figures as former
from l2rclip_book.loss_geometry import on_circle
from l2rclip_book.style import DATA, METHODS
from l2rclip_lite.data import Split
from l2rclip_lite.method.ranks import Ranks

RANKS = Ranks(("low", "mid", "high"), (0, 10, 20), "a {rank} grade", unit="years")
IMAGES = [Image.new("RGB", (8, 8), (10 * i,) * 3) for i in range(5)]
SPLIT = Split([f"{i}.png" for i in range(5)], [2, 0, 0, 2, 2], IMAGES)
MONEY = Ranks(("$", "$1 to $5", r"$\x$"), (0, 3, 9), "for {rank}")  # the last would stop Matplotlib
EPOCHS = [(1, 1, 0.8, 0.5), (1, 2, 0.9, 0.4), (1, 3, 0.8, 0.5), (2, 1, 0.6, 0.5), (2, 2, 0.7, 0.5)]
HISTORY = [
    {"stage": s, "epoch": e, "loss": 2.0 - e, "val_mae": m, "val_rps": r} for s, e, m, r in EPOCHS
]
LABELS = np.array([0, 1, 2, 0])
FLAT = np.array([[5.0, 0.0], [0.0, 0.0], [-1.0, 0.0], [2.0, 1.0]])
SPELT = [["start", "a", "no", "end", "·"], ["start", "a", "very", "low", "end"]]
ALONG = torch.tensor([[0.0, 0, 0, 0, 0], [0, 1, 2, 3, 0]])  # a number for each token of SPELT
ORDERS = ("true", "blind", "shuffled")


# --- what is read off a figure --------------------------------------------------------------------


def ticks(figure: Figure) -> list[str]:
    """Return what is written at the ticks of all panels and colour bars."""
    labels = []
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            labels += [label.get_text() for label in axis.get_ticklabels(which="both")]
    return [label for label in labels if label]


def first_three_ticks(figure: Figure) -> list[str]:
    """Return the names of three ranks."""
    return ticks(figure)[:3]


def powers_of_ten(figure: Figure) -> list[str]:
    """Return the labels inside a horizontal axis of seven."""
    return ticks(figure)[1:6]


def texts(figure: Figure) -> list[str]:
    """Return what is written in the first panel."""
    return [text.get_text() for text in figure.axes[0].texts]


def second_and_third_text(figure: Figure) -> list[str]:
    """Return what is written on two words."""
    return texts(figure)[1:3]


def horizontal_labels(figure: Figure) -> list[str]:
    """Return the panels' labels of the horizontal axis."""
    return [axes.get_xlabel() for axes in figure.axes]


def dots(figure: Figure) -> list[Any]:
    """Return the places of the dots in the first panel, one list for each call that drew some."""
    drawn = [dots for dots in figure.axes[0].collections if isinstance(dots, PathCollection)]
    return [np.asarray(dots.get_offsets()).round(6).tolist() for dots in drawn]


def cells(figure: Figure) -> list[float]:
    """Return what the heat map of the first panel shows, in reading order."""
    return np.asarray(figure.axes[0].collections[0].get_array()).ravel().tolist()


def image_numbers(figure: Figure) -> list[float]:
    """Return the number of the image in each panel; -1 where there is none."""
    numbers = []
    for axes in figure.axes:
        if axes.images:
            grey = axes.images[0].get_array()[0, 0, 0]
            numbers.append(float(grey / 10))
        else:
            numbers.append(-1)
    return numbers


def bar_heights(figure: Figure) -> list[list[float]]:
    """Return the heights of the bars of each panel."""
    panels = []
    for axes in figure.axes:
        panels.append([round(float(bar.get_height()), 6) for bar in axes.patches])
    return panels


def frame_ranks(figure: Figure) -> list[int]:
    """Return the rank whose colour the frame of each image has."""
    colours = [to_hex(colour) for colour in plots.rank_colours(3)]
    framed = [axes for axes in figure.axes if axes.images]
    return [colours.index(to_hex(axes.spines["left"].get_edgecolor())) for axes in framed]


def highest_bin(figure: Figure) -> float:
    """Return the largest count of the fourth panel's histogram."""
    return figure.axes[3].lines[0].get_ydata().max()


# --- what it must be ------------------------------------------------------------------------------


def log_axes() -> Figure:
    """Draw axes: across, many powers of ten; up, less than one."""
    with plots.style():
        figure = Figure()
        figure.subplots().set(xscale="log", yscale="log", xlim=(1e-5, 1e7), ylim=(0.2, 0.7))
    return figure


# figure, its arguments, what is read off it, what that must be
FIGURES = [
    pytest.param(
        partial(plots.contact_sheet, rows=2),
        (SPLIT, RANKS),
        image_numbers,
        [1, -1, 0, 2, -1, 3],
        id="the first two images of each rank stand in its column, and none shows rank 1",
    ),
    pytest.param(
        plots.training_curves,
        (HISTORY, RANKS),
        dots,
        [[[2, 0.9], [5, 0.7]]],
        id="in stage 1 epoch 2 has the lowest RPS, and stage 2, from 4 on, keeps its last",
    ),
    pytest.param(
        partial(plots.training_curves, select="rps"),
        (HISTORY, RANKS),
        dots,
        [[[2, 0.9], [4, 0.6]]],
        id="in an earlier release the lowest RPS was kept, and of two the lower error decided",
    ),
    pytest.param(
        plots.confusion,
        ({"me": ([0, 0, 2], [0, 2, 2])}, RANKS),
        cells,
        [0.5, 0, 0.5, 0, 0, 0, 0, 0, 1],
        id="of two lows one is called high",
    ),
    pytest.param(
        plots.confusion,
        ({"$2 of $3": ([0, 1, 2], [0, 1, 2])}, MONEY),
        first_three_ticks,
        [*MONEY.names],
        id="a rank may be called $",
    ),
    pytest.param(
        log_axes,
        (),
        powers_of_ten,
        ["10⁻⁵", "0.001", "0.1", "10", "1,000"],
        id="a power of ten is no formula",
    ),
    pytest.param(
        plots.gallery,
        (
            SPLIT,
            torch.tensor([[0.1, 0.2, 0.7], [0.5, 0.3, 0.2]])[[0, 1, 0, 0, 0]],
            RANKS,
            [3, 1],
        ),
        bar_heights,
        [[], [], [0.1, 0.2, 0.7], [0.5, 0.3, 0.2]],
        id="below images 3 and 1 stand their probabilities",
    ),
    pytest.param(
        plots.image_grid,
        (IMAGES, list("abcde")),
        image_numbers,
        [0, 1, 2, 3, 4, -1, -1, -1],
        id="five images leave three places empty",
    ),
    pytest.param(
        own_data.reliability_diagram,
        (
            {
                "T": own_data.reliability(
                    [0, 0, 1],
                    [[0.9, 0.1], [0.7, 0.3], [0.7, 0.3]],
                    Ranks(("a", "b"), (0, 1), "{rank}"),
                )
            },
        ),
        dots,
        [[[0.7, 0.5], [0.9, 1]]],
        id="of the answers that are sure at 0.7 half is right, and the one at 0.9 is",
    ),
    pytest.param(
        metrics.threshold_scale,
        (IMAGES[:3], [0.1, 0.2, 0.5], [0, 0.2, 0.4, 1], RANKS),
        frame_ranks,
        [0, 1, 2],
        id="ranks begin at 0, 20 and 40 %, and an edge opens its rank",
    ),
    pytest.param(
        metrics.staircases,
        ({"far": [0.5, 0, 0.5]}, 0, RANKS),
        horizontal_labels,
        ["", "squares add up to 0.5"],
        id="mass ½ on the truth and ½ two ranks above are two gaps of ½, squared ¼ each",
    ),
    pytest.param(
        partial(embed.clouds, columns=1),
        ({"A": embed.Cloud(FLAT, LABELS, FLAT[:3])}, RANKS),
        dots,
        [FLAT.tolist(), FLAT[:3].tolist()],
        id="images are discs, and each of the three ranks has a diamond",
    ),
    pytest.param(
        embed.thumbnails,
        (
            FLAT,
            LABELS,
            np.stack([np.asarray(image).T for image in IMAGES]),
            {"a": [0, 2, 3], "b": [1, 0, 3]},
            RANKS,
        ),
        image_numbers,
        [-1, 2, 3, 0, 1, 3, 0],
        id="images stand in the order of their points from left to right",
    ),
    pytest.param(
        losses.free_texts,
        (
            {order: on_circle(0, 90).expand(4, 2, 2) for order in ORDERS},
            {order: {"circle": [1.0, 1.0, 0.0], "sphere": [-0.5, 0.5]} for order in ORDERS},
        ),
        highest_bin,
        2,
        id="two of the starts on the circle end in one bin",
    ),
    pytest.param(
        former.token_grid,
        (SPELT, torch.tensor([[0, 0, 1, 0, 0], [0, 0, 1, 1, 0]], dtype=torch.bool), 2),
        cells,
        [1, 2, 2, 3, 3, 1, 0, 1, 2, 2, 3, 3, 3, 1],
        id="start 1, two context vectors 2, words 3, end 1, padding 0",
    ),
    pytest.param(
        former.axes_figure,
        ({"rank": ALONG}, {"rank": torch.eye(2)}, SPELT, (1, 3)),
        cells,
        [0, 1, 1, 0, 0, 0, 2, 2, 2, 0],
        id="the framed word reads the words of its own sentence",
    ),
    pytest.param(
        former.movement_figure,
        ({"a": ALONG[1:]}, SPELT[1:]),
        second_and_third_text,
        ["a\n1.00", "very\n2.00"],
        id="each word has its movement below it",
    ),
    pytest.param(
        template_figures.token_figure,
        (
            {
                "CLIP": [([("a", False), ("low", True), ("leaf", False)], 0.0)],
                "MiniLM": [([("a", False), ("low", True), ("leaf", False)], 0.0)],
            },
        ),
        texts,
        ["a", "low", "leaf"],
        id="each token stands in its box",
    ),
    pytest.param(
        template_figures.score_rows,
        (
            {
                "words": {
                    "mine": template_figures.Scores(0.7, [0.1, 0.2], (-0.5, 0.5)),
                    "other": template_figures.Scores(0.5, [0.0], (-0.5, 0.5)),
                }
            },
        ),
        dots,
        [[[0.1, 0], [0.2, 0], [0, 1]], [[0.7, 0], [0.5, 1]]],
        id="rings of random weights, then the trained network's diamonds",
    ),
]


def luminance(colour: str) -> float:
    """Return the relative luminance as WCAG defines it, plus the 0.05 of its contrast ratio."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722)) + 0.05


def contrast(colour: str, page: str) -> float:
    """Return the contrast ratio of two colours."""
    dark, light = sorted((luminance(colour), luminance(page)))
    return light / dark


@pytest.mark.parametrize("page", ["#ffffff", "#12161b"])
def test_colours_hold_on_a_light_and_a_dark_page(page: str) -> None:
    """Figures have no ground of their own; `#12161b` is the dark page of `_static/book.css`."""
    assert contrast(plots.INK, page) >= 3.9
    colours = [*plots.COLOURS.values()]
    colours += [colour for colour, _ in METHODS.values()]
    colours += [colour for _, colour, _ in DATA.values()]
    for colour in colours:
        assert contrast(colour, page) >= 2.5, colour


@pytest.mark.parametrize(("draw", "data", "read", "expected"), FIGURES)
def test_a_figure_shows_its_data(
    draw: Callable[..., Figure], data: tuple[Any, ...], read: Callable[[Figure], Any], expected: Any
) -> None:
    """What each row of `FIGURES` is called; and no formula is left at a tick."""
    figure = draw(*data)
    figure.draw_without_rendering()
    assert read(figure) == expected
    assert not [label for label in ticks(figure) if "$" in label and label not in MONEY.names]
