"""Projections and the distances behind them: each number is derived where it stands."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from l2rclip_lite.errors import InputError
from l2rclip_lite.ordinality import spearman_rho
from l2rclip_lite.projections import (
    balanced_pca,
    distance_agreement,
    gap_distances,
    label_axis,
    modality_gap,
    nearest,
    umap_layout,
)


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
    once, thrice = (
        balanced_pca(clouds, small) for clouds in ([small, large], [np.repeat(small, 3, 0), large])
    )
    np.testing.assert_allclose(once.axes, thrice.axes, atol=1e-9)
    np.testing.assert_allclose(once.share, thrice.share, atol=1e-9)


def test_axes_rise_along_the_ranks() -> None:
    """Points at −1, 0, 1 on a line: read upwards the axis is (1, 0), read downwards (−1, 0)."""
    line = np.array([[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
    assert balanced_pca([line], line, axes=1).axes.tolist() == [[1, 0]]
    assert balanced_pca([line], line[::-1], axes=1).axes.tolist() == [[-1, 0]]


def test_the_label_axis_lies_on_noise_and_only_on_what_it_was_fitted_on() -> None:
    """With n = d = 400 the expected correlation is 1/√(1 + 400/400) = 0.71 where it was fitted, 0 elsewhere."""
    points, labels = noise(400, 400), np.random.default_rng(1).integers(0, 10, 400)
    other, others = noise(400, 400, 2), np.random.default_rng(3).integers(0, 10, 400)
    axis = label_axis(points, labels)
    assert np.corrcoef(points @ axis, labels)[0, 1] == pytest.approx(0.71, abs=0.05)
    assert abs(np.corrcoef(other @ axis, others)[0, 1]) < 0.15
    with pytest.raises(InputError, match="do not vary"):
        label_axis(points[:2], np.array([1, 1]))


def test_nearest_agrees_with_a_full_table_and_starts_with_the_point_itself() -> None:
    """Against SciPy's distances, with a copy of point 0 as point 1, which must not take its first place."""
    points = noise(30, 3)
    points[1] = points[0]
    index, distance = nearest(points, 5)
    np.testing.assert_allclose(distance, np.sort(cdist(points, points), 1)[:, :5], atol=1e-6)
    assert index[:, 0].tolist() == list(range(30))


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


@settings(max_examples=30, deadline=None)
@given(st.integers(3, 12), st.integers(0, 1000))
def test_gap_distances_do_not_change_with_the_order_of_the_points_or_their_length(
    count: int, seed: int
) -> None:
    """Pairs are a set, and a cosine knows no length: sorted (gap, distance) pairs are the same."""
    points, generator = noise(count, 4, seed), np.random.default_rng(seed)
    position, order = generator.integers(0, 5, count), generator.permutation(count)
    scaled = points * generator.uniform(0.5, 2, (count, 1))
    one = np.array(sorted(zip(*gap_distances(points, position), strict=True)))
    other = np.array(sorted(zip(*gap_distances(scaled[order], position[order]), strict=True)))
    np.testing.assert_allclose(one, other, atol=1e-9)


def test_agreement_is_perfect_for_a_turned_picture_and_blind_to_its_scale() -> None:
    """A rotation keeps all distances and a factor keeps their order; a picture of other points shares nothing."""
    flat = noise(40, 2)
    turned = flat @ np.array([[0.6, 0.8], [-0.8, 0.6]])
    assert distance_agreement(flat, 3 * turned) == pytest.approx(1)
    assert abs(distance_agreement(flat, noise(40, 2, 9))) < 0.2


def test_the_modality_gap_by_hand() -> None:
    """Means (0.5, 0.5) and (0, −1): the gap is √(0.25 + 2.25) = √2.5, the means have lengths √0.5 and 1."""
    found = modality_gap(np.eye(2), np.array([[0.0, -1.0]]))
    assert found == pytest.approx({"gap": 2.5**0.5, "image": 0.5**0.5, "text": 1.0})


def test_spearman_of_gaps_is_what_the_ordinality_score_is() -> None:
    """One definition of order for sentences and for pictures: the same ρ from both functions."""
    from l2rclip_lite.ordinality import ordinality

    points = noise(8, 5)
    gap, distance = gap_distances(points, np.arange(8))
    assert spearman_rho(gap[None], distance[None])[0] == pytest.approx(ordinality(points)["gap"])
