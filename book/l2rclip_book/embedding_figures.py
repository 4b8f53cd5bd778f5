"""Figures of features: clouds of points in rank colours, and UMAP layouts."""

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from scipy.linalg import orthogonal_procrustes
from sklearn.neighbors import NearestNeighbors

from l2rclip_book.plots import INK, NARROW, drawn, panels, rank_colours, spread_out
from l2rclip_lite.method.ranks import Ranks

Points = Float[np.ndarray, "batch dim"]
Flat = Float[np.ndarray, "batch 2"]
Index = Int[np.ndarray, " batch"]


def umap_layout(points: Points, neighbours: int, *, epochs: int | None) -> Flat:
    """Compute a UMAP layout in two dimensions.

    UMAP gets its lists of neighbours ready made: to find them itself, it compiles code for five
    seconds.

    Args:
        points: Features.
        neighbours: Length of each list, the point itself included; from 2 to the number of points.
        epochs: Rounds of its optimiser; None leaves the number to UMAP.

    Raises:
        ImportError: umap-learn is missing.
    """
    # it warns of TensorFlow, of points that cannot be added later, and that a seed costs speed
    with warnings.catch_warnings(action="ignore"):
        from umap import UMAP

        search = NearestNeighbors(n_neighbors=neighbours).fit(points)
        distance, index = search.kneighbors(points)
        umap = UMAP(
            n_neighbors=neighbours,
            n_epochs=epochs,
            random_state=0,
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


class Cloud(NamedTuple):
    """A panel: places and rank indices of images.

    Where ranks are drawn, a place for each; and whether the circle of radius 1 is drawn.
    """

    places: Flat
    labels: Index
    ranks: Flat | None = None
    circle: bool = False


def on_circle(images: Points, labels: Index, texts: Points) -> Cloud:
    """Project the sphere of features of length 1 onto a plane through its middle.

    Up is the mean of the images, across the direction in which they differ most; labels choose only
    its sign, so that ranks rise to the right.

    Args:
        images: Unit vectors, (n, d).
        labels: Their rank indices.
        texts: A vector for each rank, (K, d); its length does not matter.

    Returns:
        The panel, with the circle.
    """
    up = images.mean(0) / np.linalg.norm(images.mean(0))
    level = images - np.outer(images @ up, up)
    across = np.linalg.svd(level, full_matrices=False)[2][0]
    rise = across @ ((labels - labels.mean()) @ images)
    plane = np.stack([across * np.sign(rise), up])
    directions = texts / np.linalg.norm(texts, axis=1, keepdims=True)
    return Cloud(images @ plane.T, labels, directions @ plane.T, circle=True)


@drawn()
def clouds(panels_of: Mapping[str, Cloud], ranks: Ranks, *, columns: int = 3) -> Figure:
    """Draw one panel of coloured points per projection; the ranks are diamonds on a line.

    Args:
        panels_of: By title.
        ranks: The label space.
        columns: Panels per row; the last one is full, too.
    """
    number = len(ranks)
    colours = ListedColormap(rank_colours(number))
    look: dict[str, Any] = {"cmap": colours, "vmin": -0.5, "vmax": number - 0.5}
    figure, shown = panels(panels_of, columns, 0.4 + (NARROW - 0.7) / columns, NARROW)
    figure.set_figheight(figure.get_figheight() + 0.3)
    for axis, _, panel in shown:
        if panel.circle:
            axis.add_patch(Circle((0, 0), 1, fill=False, color=INK, linewidth=0.8))
            axis.set(xlim=(-1.1, 1.1), ylim=(-1.1, 1.1), aspect="equal")
            axis.spines[:].set_visible(False)
        x, y = panel.places.T
        points = axis.scatter(x, y, 12, panel.labels, linewidth=0, **look)
        if panel.ranks is not None:
            x, y = panel.ranks.T
            axis.plot(x, y, color=INK, linewidth=1, zorder=3)
            of_ranks = rank_colours(len(panel.ranks))
            axis.scatter(x, y, 26, of_ranks, marker="D", edgecolor=INK, zorder=4)
        axis.set(xticks=[], yticks=[])

    aspect = 32 * len(shown) / columns
    bar = figure.colorbar(
        points, ax=figure.axes, label=ranks.unit, fraction=0.03, pad=0.015, aspect=aspect
    )
    named = spread_out(ranks, 7)
    bar.set_ticks(named, labels=[f"{ranks.values[rank]:g}" for rank in named])
    return figure


@drawn()
def motion_figure(file: Path | None, ranks: Ranks) -> Figure | None:
    """Draw three frames of the map that moves: a row per model, a column per moment.

    Args:
        file: What `tools/motion_data.py` writes; without it there is no figure.
        ranks: The label space.
    """
    if file is None:
        return None

    stored = json.loads(file.read_text(encoding="utf-8"))
    first, second = stored["epochs"]
    moments = {
        "after stage 1": first,
        "one epoch later": first + 1,
        "after stage 2": first + second,
    }
    labels = np.array(stored["labels"])
    frames = {}
    for panel in stored["panels"]:
        for moment, frame in moments.items():
            images, vectors = panel["frames"][frame]
            places = np.reshape(panel["images"][images], (-1, 2))
            of_ranks = np.reshape(panel["ranks"][vectors], (-1, 2))
            title = f"{panel['title']}\n{moment}\nρ = {panel['rho'][frame] / 100:.2f}"
            frames[title] = Cloud(places, labels, of_ranks)

    figure = clouds(frames, ranks)
    wide, tall = stored["box"]
    column = (NARROW - 0.8) / len(moments)
    figure.set_figheight(len(stored["panels"]) * (column * tall / wide + 0.5))
    for axis in figure.axes[: len(frames)]:
        axis.set(xlim=(0, wide), ylim=(0, tall), aspect="equal")
    for axis, panel in zip(figure.axes[:: len(moments)], stored["panels"], strict=False):
        axis.set_ylabel(f"{panel['shows']:.0%} shown")
    return figure
