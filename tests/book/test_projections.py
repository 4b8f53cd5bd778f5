"""Projections and the distances behind them, derived by hand or by an independent library."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2rclip_book.projections import balanced_pca, gap_distances, label_axis
from l2rclip_book.statistics import ordinality, spearman_rho
from l2rclip_lite.errors import InputError


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


def test_a_horseshoe_always_rises_to_the_right_and_opens_upwards() -> None:
    """Ranks along a parabola, however it lies: axis 1 rises from rank to rank, axis 2 is higher at both ends."""
    along = np.linspace(-3, 3, 7)
    curve = np.stack([-along, -0.2 * along**2], axis=1)
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
