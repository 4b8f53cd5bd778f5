"""Order in text features beside its controls, a CLIP made of names, and their figures: each worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_hex
from torch import Tensor

from l2rclip_book.alignment import prototypes, recall, split_names, unseen_similarity
from l2rclip_book.heat_maps import heat_maps
from l2rclip_book.statistics import ordinality
from l2rclip_book.template_figures import TRAINED, score_rows, token_figure
from l2rclip_book.templates import (
    further_is_less,
    orders,
    p_value,
    random_weights,
    shuffled_gaps,
    shuffled_scores,
    token_rows,
    two_axes,
)
from l2rclip_lite.mini import MiniTowers, load_towers
from l2rclip_lite.prompts import centred
from l2rclip_lite.ranks import Ranks


@pytest.fixture(scope="module")
def mini() -> MiniTowers:
    """The offline default, with its real weights."""
    towers = load_towers("mini")
    assert isinstance(towers, MiniTowers)
    return towers


def on_circle(*degrees: float) -> Tensor:
    """Unit vectors in the plane."""
    angle = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    return torch.stack([angle.cos(), angle.sin()], dim=1)


def test_both_tokenizers_cut_as_they_are_known_to(mini: MiniTowers) -> None:
    """CLIP: nine + teen, 3 tokens with a hyphen, one token per digit; MiniLM: nineteen and 21 are words."""
    ranks = Ranks(("nineteen", "twenty-one", "21"), (0, 1, 2), "a {rank} years old face")
    for towers, expected in (
        (load_towers("tiny/random"), [["nine", "teen"], ["twenty", "-", "one"], ["2", "1"]]),
        (mini, [["nineteen"], ["twenty", "-", "one"], ["21"]]),
    ):
        rows = token_rows(towers, ranks)
        assert [[text for text, named in row if named] for row in rows] == expected
        assert [text for text, named in rows[2] if not named] == ["a", "years", "old", "face"]


def test_three_vectors_on_an_arc_have_two_orders_as_good_as_the_truth() -> None:
    """At 0°, 60°, 120° the true order and its mirror score 1, the four others -½: p = 2/6."""
    scores = shuffled_gaps(on_circle(0, 60, 120), orders(3, 6))
    assert scores == pytest.approx([1, -0.5, -0.5, -0.5, -0.5, 1])
    assert p_value(scores) == pytest.approx(1 / 3)
    assert len({tuple(order) for order in orders(5, 120).tolist()}) == 120
    assert not np.array_equal(orders(62, 3, seed=1), orders(62, 3, seed=2))


@given(st.integers(3, 8), st.integers(0, 2**31))
def test_the_fast_gap_is_the_gap_of_ordinality(count: int, seed: int) -> None:
    """Any features, any orders; the first order is the true one, and reading backwards changes no gap."""
    features = torch.randn(count, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    names = np.concatenate([orders(count, 4, seed), orders(count, 1)[:, ::-1]])
    slow = shuffled_scores(features, names)
    assert shuffled_gaps(features, names) == pytest.approx(slow["gap"], abs=1e-12)
    assert {score: values[0] for score, values in slow.items()} == ordinality(features)
    assert slow["gap"][-1] == pytest.approx(slow["gap"][0], abs=1e-12)


def test_random_weights_keep_the_sentence_and_forget_its_meaning(mini: MiniTowers) -> None:
    """Digits, one token each, lose all order; words keep some, because they share tokens; the towers stay."""
    names = [str(age) for age in range(16, 78)]
    ages = Ranks.integers(16, 77, template="{rank} years")
    with torch.inference_mode():
        before = mini.encode_text(names)
        one, same, other = (random_weights(mini, seed).encode_text(names) for seed in (0, 0, 1))
        words = random_weights(mini, 0).encode_text(ages.sentences)
        assert torch.equal(mini.encode_text(names), before)
    assert torch.equal(one, same)
    assert not torch.allclose(one, other, atol=0.1)
    assert abs(ordinality(centred(one))["gap"]) < 0.1
    assert ordinality(centred(words))["gap"] > 0.15


def test_local_order_by_hand() -> None:
    """At 0°, 10°, 20°, 5°. Gap 1 against 2: rightwards 10 < 20 won, 10 > 5 lost; leftwards 15 > 5 lost, 10 < 20 won.

    Gap 2 against 3: of 0, 20° against 5° is lost; of 3, 5° against 5° is a tie. One step against three: both lost.
    """
    features = on_circle(0, 10, 20, 5)
    assert further_is_less(features, [1]) == 0.5
    assert further_is_less(features, [2]) == 0.25
    assert further_is_less(features, [1], by=2) == 0
    assert further_is_less(on_circle(0, 0, 0)) == 0.5


def test_two_axes_say_what_they_leave_out() -> None:
    """Variances 9 : 4 : 1 in three directions: 13/14 on two axes."""
    cross = torch.tensor([[3.0, 0, 0], [-3, 0, 0], [0, 2, 0], [0, -2, 0], [0, 0, 1], [0, 0, -1]])
    assert two_axes(cross)[1] == pytest.approx(13 / 14)


def test_a_linear_world_is_found_and_a_shuffled_one_is_not() -> None:
    """Texts that are a linear map of the rows: the rest is found without a miss; wrong pairs find next to nothing."""
    generator = torch.Generator().manual_seed(1)
    classifier = torch.randn(200, 20, generator=generator)
    texts = classifier @ torch.randn(20, 15, generator=generator)
    assert recall(unseen_similarity(classifier, texts, 1e-3, seed=0)) == 1
    assert recall(unseen_similarity(classifier, texts, 1e-3, seed=0, shuffle=True)) < 0.2
    assert sorted(torch.cat(split_names(40, seed=3)).tolist()) == list(range(40))
    table = torch.tensor([[0.9, 0.1, 0.9], [0.8, 0.2, 0.1], [0.5, 0.4, 0.3]])  # its own column: 1st, 2nd, 3rd
    assert [recall(table, k) for k in (1, 2, 3)] == pytest.approx([1 / 3, 2 / 3, 1])


def test_prototypes_are_rows_and_names_of_the_same_things(mini: MiniTowers) -> None:
    """Four of the thousand names, evenly spread: unit texts, which `mini` moves by its mean, and classifier rows."""
    names, rows, texts = prototypes(mini, 4)
    assert names == ["tench", "Siberian Husky", "cliff dwelling", "quilt"]
    assert (rows.shape, texts.shape) == ((4, 1280), (4, 384))
    assert texts.norm(dim=1) == pytest.approx(torch.ones(4))
    moved = torch.nn.functional.normalize(texts - mini.text.get_buffer("mean"), dim=1)
    with torch.inference_mode():
        assert torch.allclose(moved, mini.encode_text([f"a photo of a {name}" for name in names]), atol=1e-5)


def test_heat_maps_share_names_or_have_their_own() -> None:
    """Three panels in two rows: shared names are written once per row; cells show rounded numbers, never -0.0."""
    table = np.array([[1.0, -0.04], [0.25, 1.0]])
    figure = heat_maps(dict.fromkeys("abc", table), ["low", "high"], columns=2, below=True, digits=1)
    figure.canvas.draw()
    panels = figure.axes[:3]
    assert [text.get_text() for text in panels[0].texts] == ["1.0", "0.0", "0.2", "1.0"]
    assert [len(panel.get_yticklabels()) for panel in panels] == [2, 0, 2]
    own = heat_maps({"a": table, "b": table}, {"a": ["x", "y"], "b": ["u", "v"]})
    assert [label.get_text() for label in own.axes[1].get_yticklabels()] == ["u", "v"]


def test_a_token_is_a_box_and_the_counts_are_below() -> None:
    """Three tokens, one of the lowest rank; a table of counts below."""
    tokens = [("a", False), ("low", True), ("leaf", False)]
    figure = token_figure({"CLIP": [(tokens, 0.0)]}, {"spaces": [1, 2, 3]}, ["low", "mid", "high"])
    figure.canvas.draw()
    assert [text.get_text() for text in figure.axes[0].texts] == ["a", "low", "leaf"]
    assert figure.axes[1].collections[0].get_array().tolist() == [[1, 2, 3]]


def test_scores_are_beside_their_controls() -> None:
    """A diamond at .7, two rings, and a band from -.2 to .3; the first row is on top."""
    scores = {"gap": {"mine": (0.7, [0.1, 0.2]), "other": (0.5, [0.0])}}
    figure = score_rows(scores, {"gap": {"mine": (-0.2, 0.3), "other": (-0.1, 0.1)}})
    figure.canvas.draw()
    (axis,) = figure.axes
    rings, diamonds = axis.collections
    assert rings.get_offsets()[:, 0].tolist() == [0.1, 0.2, 0.0]
    assert diamonds.get_offsets()[:, 0].tolist() == [0.7, 0.5]
    assert to_hex(diamonds.get_facecolor()[0]) == TRAINED
    assert axis.get_xlim()[0] < axis.patches[0].get_x() == pytest.approx(-0.2)
    assert axis.get_ylim()[0] > axis.get_ylim()[1]
