"""Projections and the distances behind them, derived by hand, and what the figures of features draw."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from l2rclip_book import embedding_figures as draw
from l2rclip_book.projections import (
    Plane,
    balanced_pca,
    gap_distances,
    label_axis,
    umap_layout,
)
from l2rclip_book.statistics import ordinality, spearman_rho
from l2rclip_lite.errors import InputError
from l2rclip_lite.plots import rank_colours
from l2rclip_lite.ranks import Ranks

RANKS = Ranks(("no", "low", "high"), (0, 10, 20), "a leaf with {rank} damage", unit="percent")
PLANE = Plane(np.zeros(3), np.eye(3)[:2], np.array([0.5, 0.25]))
LABELS = np.array([0, 1, 2, 0])
POINTS = np.arange(12.0).reshape(4, 3)


def noise(batch: int, dim: int, seed: int = 0) -> np.ndarray:
    """Normal random points."""
    return np.random.default_rng(seed).standard_normal((batch, dim))


def test_one_cloud_gives_ordinary_pca() -> None:
    """The axes are eigenvectors of the covariance matrix, largest first, and shares are its eigenvalues over their sum."""
    points = noise(40, 5) * [5, 4, 3, 2, 1]
    plane = balanced_pca([points], points, axes=5)
    values, vectors = np.linalg.eigh(np.cov(points.T))
    np.testing.assert_allclose(plane.share, values[::-1] / values.sum(), rtol=1e-9)
    np.testing.assert_allclose(np.abs(plane.axes @ vectors[:, ::-1]), np.eye(5), atol=1e-9)
    assert plane.seen(points) == pytest.approx(1)


def test_a_cloud_weighs_the_same_however_often_it_is_copied() -> None:
    """Repeating every point of one cloud three times changes its n but not its mean of squares: the plane stays."""
    small, large = noise(7, 4, 1), noise(50, 4, 2) + 1
    once, thrice = (balanced_pca([np.repeat(small, n, 0), large], small) for n in (1, 3))
    np.testing.assert_allclose(once.axes, thrice.axes, atol=1e-9)
    np.testing.assert_allclose(once.share, thrice.share, atol=1e-9)


@pytest.mark.parametrize("turned", [1, -1])
@pytest.mark.parametrize("mirrored", [1, -1])
def test_a_horseshoe_always_rises_to_the_right_and_opens_upwards(turned: int, mirrored: int) -> None:
    """Ranks along a parabola, however it lies: axis 1 rises from rank to rank, axis 2 is higher at both ends."""
    along = np.linspace(-3, 3, 7)
    curve = np.stack([turned * along, mirrored * 0.2 * along**2], axis=1)
    x, y = balanced_pca([curve], curve).project(curve).T
    assert np.all(np.diff(x) > 0)
    assert y[0] > y[3] < y[6]


def test_the_label_axis_lies_on_noise_and_only_on_what_it_was_fitted_on() -> None:
    """With n = d = 400 the expected correlation is 1/√(1 + 400/400) = 0.71 where it was fitted, 0 elsewhere."""
    points, labels = noise(400, 400), np.random.default_rng(1).integers(0, 10, 400)
    other, others = noise(400, 400, 2), np.random.default_rng(3).integers(0, 10, 400)
    axis = label_axis(points, labels)
    assert np.corrcoef(points @ axis, labels)[0, 1] == pytest.approx(0.71, abs=0.05)
    assert abs(np.corrcoef(other @ axis, others)[0, 1]) < 0.15
    with pytest.raises(InputError, match="do not vary"):
        label_axis(points[:2], np.array([1, 1]))


@pytest.mark.slow
def test_umap_is_quiet_and_repeatable_and_keeps_two_far_groups_apart() -> None:
    """Warnings are errors here. Ten units apart with a spread of 1, no point of a group may be nearer to the other mean."""
    points = np.concatenate([noise(30, 4), noise(30, 4, 1) + 10])
    layout = umap_layout(points, neighbours=8, epochs=100)
    assert np.array_equal(layout, umap_layout(points, neighbours=8, epochs=100))
    assert not np.array_equal(layout, umap_layout(points, neighbours=8, epochs=100, seed=1))
    means = np.stack([layout[:30].mean(0), layout[30:].mean(0)])
    assert cdist(layout, means).argmin(1).tolist() == [0] * 30 + [1] * 30
    with pytest.raises(InputError, match="between 2 and 60"):
        umap_layout(points, neighbours=61)


@given(st.integers(3, 12), st.integers(0, 1000))
def test_gap_distances_know_neither_the_order_of_the_points_nor_their_length(count: int, seed: int) -> None:
    """Sorted (gap, distance) pairs are the same; in rank order their ρ is the `gap` of `ordinality`."""
    points, generator = noise(count, 4, seed), np.random.default_rng(seed)
    position, order = np.arange(count), generator.permutation(count)
    scaled = points * generator.uniform(0.5, 2, (count, 1))
    gap, distance = gap_distances(points, position)
    other = np.array(sorted(zip(*gap_distances(scaled[order], position[order]), strict=True)))
    np.testing.assert_allclose(np.array(sorted(zip(gap, distance, strict=True))), other, atol=1e-9)
    assert spearman_rho(gap[None], distance[None])[0] == pytest.approx(ordinality(points)["gap"])


def test_clouds_have_the_colours_of_their_ranks() -> None:
    """Points in the rank colours of 0, 1, 2, 0 on one scale, and the values of the ranks at the colour bar."""
    flat = POINTS[:, :2]
    figure = draw.clouds({"A": (flat, LABELS), "B": (flat, LABELS)}, RANKS, columns=2, metric=True)
    first, _, bar = figure.axes
    assert np.allclose(first.collections[0].get_offsets(), flat)
    assert np.allclose(first.collections[0].get_facecolors(), np.array(rank_colours(3))[LABELS])
    assert first.get_aspect() == 1
    assert [text.get_text() for text in bar.get_yticklabels()] == ["0", "10", "20"]


def test_moments_and_arrows_share_their_axes() -> None:
    """Shares 0.5 and 0.25 are 50 % and 25 %; three sentences move in stage 1 and no image."""
    features = {"start": (POINTS, POINTS[:3]), "after": (2 * POINTS, POINTS[:3])}
    left, right, _ = draw.moments(PLANE, features, LABELS, RANKS).axes
    assert left.get_xlim() == right.get_xlim()
    assert (left.get_xlabel(), left.get_ylabel()) == ("axis 1 (50%)", "axis 2 (25%)")
    assert np.allclose(right.collections[0].get_offsets(), 2 * POINTS[:, :2])
    still, moved = (POINTS[:3], POINTS[:3]), (POINTS[:3], POINTS[:3] + 1)
    stages = {"stage 1": {"images": still, "sentences": moved}}
    left, _ = draw.arrows(PLANE, stages, RANKS).axes
    assert [tuple(text.xy) for text in left.texts] == [(1, 2), (4, 5), (7, 8)]


def test_thumbnails_are_in_the_order_of_their_points() -> None:
    """Points 0, 2, 3 lie at x = 5, −1, 2, so their images come in the order 2, 3, 0, with the values of their ranks."""
    flat = np.array([[5.0, 0.0], [0.0, 0.0], [-1.0, 0.0], [2.0, 1.0]])
    images = np.zeros((4, 3, 8, 8), dtype=np.uint8) + np.arange(4, dtype=np.uint8)[:, None, None, None]
    figure = draw.thumbnails(flat, LABELS, images, {"a": [0, 2, 3], "b": [1, 0, 3]}, RANKS)
    figure.canvas.draw()
    strips = [axis for axis in figure.axes if axis.images]
    assert [int(axis.images[0].get_array()[0, 0, 0]) for axis in strips] == [2, 3, 0, 1, 3, 0]
    assert [axis.get_xlabel() for axis in strips[:3]] == ["20", "0", "0"]
