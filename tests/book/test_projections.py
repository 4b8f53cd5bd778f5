"""Layouts behind the plots of features, derived by hand."""

import numpy as np
import pytest

from l2rclip_book.projections import islands, turned_like, umap_layout
from l2rclip_lite.errors import InputError


def noise(batch: int, dim: int, seed: int = 0) -> np.ndarray:
    """Return normal random points."""
    return np.random.default_rng(seed).standard_normal((batch, dim))


def test_a_mirrored_and_turned_layout_turns_back_and_keeps_its_size() -> None:
    """A quarter turn and a mirror are undone; a layout of twice the size stays twice as large."""
    flat = noise(20, 2)
    centred = flat - flat.mean(0)
    mirror = np.array([[0.0, 1.0], [1.0, 0.0]])
    quarter_turn = np.array([[0.0, 1.0], [-1.0, 0.0]])
    moved = flat @ mirror @ quarter_turn
    np.testing.assert_allclose(turned_like(moved + 5, flat), centred, atol=1e-9)
    np.testing.assert_allclose(turned_like(2 * moved, flat), 2 * centred, atol=1e-9)


def test_water_must_be_wide_and_an_island_large() -> None:
    """A row of 20 points is one island, without four inner ones two; four points apart are none."""
    row = np.stack([np.linspace(0, 1, 20), np.zeros(20)], axis=1)
    assert islands(row, gap=0.06) == 1
    assert islands(np.delete(row, range(8, 12), axis=0), gap=0.06) == 2
    assert islands(np.concatenate([row, row[:4] + np.array([0, 9])]), gap=0.06) == 1


def test_umap_names_its_ranges() -> None:
    """A list of neighbours cannot be longer than the set."""
    with pytest.raises(InputError, match="neighbours from 2 to 5, min_dist from 0 to 1; not 6"):
        umap_layout(noise(5, 3), neighbours=6)
