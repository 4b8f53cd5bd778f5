"""UMAP layouts of features, turned alike, and measures of how far a layout may be believed."""

from __future__ import annotations

import warnings
from typing import TypeAlias

import numpy as np
from jaxtyping import Float
from scipy.linalg import orthogonal_procrustes
from scipy.spatial.distance import pdist, squareform
from sklearn.cluster import DBSCAN
from sklearn.neighbors import NearestNeighbors

from l2rclip_book.statistics import spearman_rho
from l2rclip_lite.errors import InputError

Points: TypeAlias = Float[np.ndarray, "batch dim"]
Flat: TypeAlias = Float[np.ndarray, "batch 2"]


def umap_layout(
    points: Points,
    *,
    neighbours: int = 15,
    min_dist: float = 0.1,
    seed: int = 0,
    epochs: int | None = None,
) -> Flat:
    """Compute a UMAP layout in two dimensions.

    UMAP gets its lists of neighbours ready made: to find them itself, it compiles code for five
    seconds.

    Args:
        points: Features.
        neighbours: Length of each list, the point itself included; from 2 to the number of points.
        min_dist: How close points may lie in the layout, from 0 to 1.
        seed: Decides the layout; another seed gives another one.
        epochs: Rounds of its optimiser; None leaves the number to UMAP.

    Raises:
        InputError: A setting outside its range, or umap-learn is missing.
    """
    if not (2 <= neighbours <= len(points) and 0 <= min_dist <= 1):
        ranges = f"neighbours from 2 to {len(points)}, min_dist from 0 to 1"
        raise InputError(f"umap: {ranges}; not {neighbours} and {min_dist}.")

    with warnings.catch_warnings():
        # it warns of TensorFlow, and of points that cannot be added later
        warnings.simplefilter("ignore")
        try:
            from umap import UMAP
        except ImportError as error:
            raise InputError(
                "umap: umap-learn is not installed; run: pip install umap-learn"
            ) from error

        search = NearestNeighbors(n_neighbors=neighbours).fit(points)
        distance, index = search.kneighbors(points)
        umap = UMAP(
            n_neighbors=neighbours,
            min_dist=min_dist,
            n_epochs=epochs,
            random_state=seed,
            n_jobs=1,
            precomputed_knn=(index.astype(np.int32), distance.astype(np.float32), None),
            force_approximation_algorithm=True,  # else it ignores the lists of a small set
        )
        layout = umap.fit_transform(points.astype(np.float32))
    return np.asarray(layout, dtype=float)


def turned_like(flat: Flat, reference: Flat) -> Flat:
    """Move, turn and mirror a layout, never stretch it, to lie like another of the same points.

    The turn is the solution of the orthogonal Procrustes problem.

    Example:
        >>> upright = np.array([[0.0, 2.0], [0.0, 0.0]])
        >>> lying = np.array([[-9.0, 0.0], [9.0, 0.0]])
        >>> turned_like(upright, lying).round(6).tolist()
        [[-1.0, 0.0], [1.0, 0.0]]
    """
    centred = flat - flat.mean(0)
    turn, _ = orthogonal_procrustes(centred, reference - reference.mean(0))
    return np.asarray(centred @ turn)


def distance_agreement(points: Points, flat: Flat) -> float:
    """Compute Spearman's ρ between the distances of points and those of their places in a plot.

    It is taken over all pairs of points, and lies in [−1, 1].

    Example:
        >>> line = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [5.0, 0.0, 0.0]])
        >>> distance_agreement(line, np.array([[0.0, 0.0], [0.0, 2.0], [0.0, 9.0]]))
        1.0
    """
    return float(spearman_rho(pdist(points)[None], pdist(flat)[None])[0])


def islands(flat: Flat, *, gap: float = 0.05) -> int:
    """Count the islands of five points or more in a layout.

    Between two islands lies water that is wider than `gap` of the layout's extent.

    Args:
        flat: Places.
        gap: Share of the largest distance in the layout, in (0, 1).

    Example:
        >>> row = np.stack([np.arange(10) + 90 * (np.arange(10) > 4), np.zeros(10)], axis=1)
        >>> islands(row)
        2
    """
    distance = squareform(pdist(flat))
    clustering = DBSCAN(eps=gap * distance.max(), min_samples=1, metric="precomputed")
    island_sizes = np.bincount(clustering.fit_predict(distance))
    return int((island_sizes >= 5).sum())
