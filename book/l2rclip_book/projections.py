"""What lies behind a plot of features: PCA over several clouds, the label axis, UMAP, and distances to check them by.

A projection answers a question. PCA asks where the features vary, and never sees a label. The label axis asks where the
labels vary, and will find a direction for any labels. UMAP asks who is near whom, and forgets how far the others are.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Int, Real
from scipy.spatial.distance import pdist
from sklearn.neighbors import NearestNeighbors

from l2rclip_book.statistics import spearman_rho
from l2rclip_lite.errors import InputError

Points: TypeAlias = Float[np.ndarray, "batch dim"]
Flat: TypeAlias = Float[np.ndarray, "batch 2"]
Labels: TypeAlias = Real[np.ndarray, " batch"]


@dataclass(frozen=True)
class Plane:
    """An origin and orthonormal axes to project on.

    Args:
        mean: The origin.
        axes: Unit vectors, the one with the largest variance first.
        share: Share of the fitted variance along each axis, in [0, 1].
    """

    mean: Float[np.ndarray, " dim"]
    axes: Float[np.ndarray, "axis dim"]
    share: Float[np.ndarray, " axis"]

    def project(self, points: Points) -> Float[np.ndarray, "batch axis"]:
        """Coordinates of points in this plane."""
        return np.asarray((points - self.mean) @ self.axes.T)

    def seen(self, points: Points) -> float:
        """Share of a cloud's own variance, about its own mean, that the plane shows; in [0, 1].

        Example:
            >>> cloud = np.array([[1.0, 0.0, 2.0], [-1.0, 0.0, -2.0]])
            >>> round(Plane(np.zeros(3), np.eye(3)[:2], np.zeros(2)).seen(cloud), 3)
            0.2
        """
        own = points - points.mean(0)
        return float(np.square(own @ self.axes.T).sum() / np.square(own).sum())


def balanced_pca(
    clouds: Sequence[Float[np.ndarray, "_ dim"]], rising: Float[np.ndarray, "rank dim"], *, axes: int = 2
) -> Plane:
    r"""PCA in which every cloud weighs the same, however many points it has.

    $S = \frac1C\sum_c \frac1{n_c} \sum_{x \in c} (x-\mu)(x-\mu)^\top$ with $\mu$ the mean of the $C$ cloud means; the
    axes are the first eigenvectors of S. Thirteen sentences are then not outvoted by hundreds of images.

    A component has no sign of its own. Here the first one rises along `rising`, and on all others the two ends of `rising`
    lie above its middle, so that the same curve bends the same way in every figure.

    Args:
        clouds: At least one; a single cloud gives ordinary PCA.
        rising: Points in the order of the ranks, to choose signs by.
        axes: The number of axes, at most `dim`.

    Returns:
        The plane, with the share of the trace of S along each axis.

    Example:
        >>> wide, high = np.array([[-2.0, 0.0], [0.0, 0.0], [2.0, 0.0]]), np.array([[0.0, 1.0], [0.0, -1.0]])
        >>> plane = balanced_pca([high, wide], np.array([[-2.0, 1.0], [0.0, 0.0], [2.0, 1.0]]))
        >>> plane.axes.tolist(), plane.share.round(2).tolist()
        ([[1.0, 0.0], [0.0, 1.0]], [0.73, 0.27])
    """
    mean = np.mean([cloud.mean(0) for cloud in clouds], axis=0)
    rows = np.concatenate([(cloud - mean) / np.sqrt(len(cloud)) for cloud in clouds])
    _, scale, components = np.linalg.svd(rows, full_matrices=False)
    components = components[:axes]
    order = np.linspace(-1, 1, len(rising))
    bend = order**2 - np.mean(order**2)
    height = np.where(
        np.arange(len(components)) == 0, order @ rising @ components.T, bend @ rising @ components.T
    )
    largest = np.take_along_axis(components, np.abs(components).argmax(1)[:, None], 1)[:, 0]
    # where `rising` is flat or straight, the largest entry of the component decides
    sign = np.sign(np.where(np.abs(height) > 1e-9, height, largest))
    return Plane(mean, components * sign[:, None], (scale**2 / (scale**2).sum())[:axes])


def label_axis(points: Points, labels: Labels) -> Float[np.ndarray, " dim"]:
    r"""The unit direction in which labels rise: $w \propto \sum_i (y_i - \bar y)(x_i - \bar x)$.

    It is the first component of partial least squares. With random labels on n random points of d equal dimensions the
    two still correlate at about $1/\sqrt{1 + n/d}$ on the points that it was fitted on, and at 0 on others.

    Args:
        points: Features.
        labels: Ranks or values.

    Raises:
        InputError: Labels that are all equal.

    Example:
        >>> label_axis(np.array([[0.0, 5.0], [1.0, 5.0], [2.0, 5.0]]), np.array([0, 1, 2])).tolist()
        [1.0, 0.0]
    """
    axis = (labels - labels.mean()) @ (points - points.mean(0))
    length = float(np.linalg.norm(axis))
    if length == 0:
        raise InputError("label_axis: the labels do not vary; give at least two different ones.")
    return np.asarray(axis / length)


def umap_layout(points: Points, *, neighbours: int = 15, seed: int = 0, epochs: int | None = None) -> Flat:
    """A UMAP layout in two dimensions.

    UMAP gets its lists of neighbours ready made: to find them itself, it compiles code for five seconds.

    Args:
        points: Features.
        neighbours: Length of each list, the point itself included; from 2 to the number of points.
        seed: Decides the layout; another seed gives another one.
        epochs: Rounds of its optimiser; None leaves the number to UMAP.

    Raises:
        InputError: A number of neighbours outside its range, or umap-learn is missing.
    """
    if not 2 <= neighbours <= len(points):
        raise InputError(f"umap: neighbours must lie between 2 and {len(points)}, not {neighbours}.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of TensorFlow, and of points that cannot be added later
        try:
            from umap import UMAP
        except ImportError as error:
            raise InputError("umap: umap-learn is not installed; run: pip install umap-learn") from error
        distance, index = NearestNeighbors(n_neighbors=neighbours).fit(points).kneighbors(points)
        layout = UMAP(
            n_neighbors=neighbours,
            n_epochs=epochs,
            random_state=seed,
            n_jobs=1,
            precomputed_knn=(index.astype(np.int32), distance.astype(np.float32), None),
            force_approximation_algorithm=True,  # else it ignores the lists of a small set
        ).fit_transform(points.astype(np.float32))
    return np.asarray(layout, dtype=float)


def gap_distances(
    points: Points, position: Int[np.ndarray, " batch"]
) -> tuple[Int[np.ndarray, " pair"], Float[np.ndarray, " pair"]]:
    """Rank gap and cosine distance 1 − cos of all pairs of points.

    Args:
        points: Features; they are scaled to unit length.
        position: Rank index of each.

    Returns:
        Gaps in rank steps, and distances in [0, 2].

    Example:
        >>> gap, distance = gap_distances(
        ...     np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]), np.array([0, 1, 2])
        ... )
        >>> gap.tolist(), distance.round(6).tolist()
        ([1, 2, 1], [1.0, 2.0, 1.0])
    """
    gap = pdist(position[:, None], "cityblock").astype(int)
    return gap, pdist(points, "cosine")


def distance_agreement(points: Points, flat: Flat) -> float:
    """Spearman's ρ of the distances between all pairs of points and between their places in a plot; in [−1, 1].

    Example:
        >>> line = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [5.0, 0.0, 0.0]])
        >>> distance_agreement(line, np.array([[0.0, 0.0], [0.0, 2.0], [0.0, 9.0]]))
        1.0
    """
    return float(spearman_rho(pdist(points)[None], pdist(flat)[None])[0])


def modality_gap(image: Points, text: Float[np.ndarray, "rank dim"]) -> dict[str, float]:
    r"""How far the cloud of images lies from the cloud of texts.

    Args:
        image: Unit image features.
        text: Unit text features.

    Returns:
        `gap`: $\lVert\bar z - \bar t\rVert$, in [0, 2], as in Liang et al. (2022); `image` and `text`: the
        lengths of the two means, each 0 for features in all directions and 1 for features in one.

    Example:
        >>> modality_gap(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0], [0.0, -1.0]]))
        {'gap': 1.0, 'image': 1.0, 'text': 0.0}
    """
    means = image.mean(0), text.mean(0)
    return {
        "gap": float(np.linalg.norm(means[0] - means[1])),
        "image": float(np.linalg.norm(means[0])),
        "text": float(np.linalg.norm(means[1])),
    }
