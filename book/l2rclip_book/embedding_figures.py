"""Figures of features: clouds of points in rank colours, UMAP layouts, and images behind points."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float, Int, UInt8
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from scipy.linalg import orthogonal_procrustes
from scipy.spatial.distance import pdist
from sklearn.cluster import DBSCAN
from sklearn.neighbors import NearestNeighbors

from l2rclip_book.plots import INK, WIDTH, canvas, drawn, frame_image, rank_colours, spread_out, tie
from l2rclip_book.statistics import spearman_rho
from l2rclip_lite.method.ranks import Ranks

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
        ImportError: umap-learn is missing.
    """
    with warnings.catch_warnings():
        # it warns of TensorFlow, and of points that cannot be added later
        warnings.simplefilter("ignore")
        from umap import UMAP

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
    clustering = DBSCAN(eps=gap * pdist(flat).max(), min_samples=1)
    island_sizes = np.bincount(clustering.fit_predict(flat))
    return int((island_sizes >= 5).sum())


Index: TypeAlias = Int[np.ndarray, " batch"]


def cloud(axis: Axes, flat: Flat, labels: Index, ranks: Ranks) -> None:
    """Draw points in the colours of their ranks."""
    colours = np.array(rank_colours(len(ranks)))
    axis.scatter(flat[:, 0], flat[:, 1], c=colours[labels], s=17, linewidth=0)


def rank_bar(figure: Figure, axes: np.ndarray, ranks: Ranks) -> None:
    """Draw a colour bar of the ranks with at most seven of their values, or of short names."""
    number = len(ranks)
    scale = ScalarMappable(Normalize(-0.5, number - 0.5), ListedColormap(rank_colours(number)))
    bar = figure.colorbar(
        scale, ax=list(axes.flat), label=ranks.unit, fraction=0.03, pad=0.015, aspect=32 * len(axes)
    )

    names = list(ranks.names)
    if max(map(len, names)) > 3:
        names = [f"{value:g}" for value in ranks.values]
    named = spread_out(ranks, 7)
    bar.set_ticks(named, labels=[names[rank] for rank in named])


class Cloud(NamedTuple):
    """A panel: places and rank indices of images, and, where ranks are drawn, a place for each."""

    places: Flat
    labels: Index
    ranks: Flat | None = None


@drawn()
def clouds(
    panels: Mapping[str, Cloud], ranks: Ranks, *, columns: int = 3, metric: bool = False
) -> Figure:
    """Draw one panel of coloured points per projection; the ranks are diamonds on a line.

    Args:
        panels: By title.
        ranks: The label space.
        columns: Panels per row; the last one is full, too.
        metric: Whether distances on the page mean something: if so, both axes have one scale.
    """
    rows = -(-len(panels) // columns)
    figure = canvas(0.35 + rows * min((WIDTH - 0.8) / columns, 2.6))
    axes = figure.subplots(rows, columns, squeeze=False)

    for axis, (title, panel) in zip(axes.flat, panels.items(), strict=True):
        cloud(axis, panel.places, panel.labels, ranks)
        if panel.ranks is not None:
            _draw_ranks(axis, panel.ranks)

        axis.set_title(title, fontsize=9)
        axis.set(xticks=[], yticks=[])
        if metric:
            axis.set_aspect("equal", adjustable="datalim")

    rank_bar(figure, axes, ranks)
    return figure


def _draw_ranks(axis: Axes, places: Flat) -> None:
    """Draw a diamond for each rank, and a line through them from the lowest to the highest."""
    colours = rank_colours(len(places))
    axis.plot(*places.T, color=INK, linewidth=1, zorder=3)
    axis.scatter(places[:, 0], places[:, 1], c=colours, s=38, marker="D", edgecolor=INK, zorder=4)


@drawn()
def thumbnails(
    flat: Flat,
    labels: Index,
    images: UInt8[np.ndarray, "batch 3 height width"],
    chosen: Mapping[str, Sequence[int]],
    ranks: Ranks,
) -> Figure:
    """Draw a cloud between two strips of its images, each tied to its point, from left to right.

    Args:
        flat: Places.
        labels: Rank index of each.
        images: RGB bytes of each.
        chosen: Two strips, the upper one first: indices of images, as many in each, by title.
        ranks: The label space.
    """
    columns = len(next(iter(chosen.values())))
    colours = rank_colours(len(ranks))
    side = WIDTH / columns
    figure = canvas(2 * side + 3.9)
    grid = figure.add_gridspec(3, columns, height_ratios=(side, 3, side))
    middle = figure.add_subplot(grid[1, :])
    cloud(middle, flat, labels, ranks)
    middle.set(xticks=[], yticks=[])

    above, below = chosen
    figure.suptitle(above, x=0.02, ha="left")
    figure.supxlabel(below, x=0.02, ha="left")
    for row, strip in zip((0, 2), chosen.values(), strict=True):
        from_left = sorted(strip, key=lambda index: float(flat[index, 0]))
        for column, index in enumerate(from_left):
            axis = figure.add_subplot(grid[row, column])
            colour = colours[labels[index]]
            frame_image(axis, images[index].transpose(1, 2, 0), colour)
            axis.set_xlabel(f"{ranks.values[labels[index]]:g}")
            axis.xaxis.set_label_position("top" if row == 0 else "bottom")
            tie(figure, axis, row / 2, middle, flat[index], INK)
            middle.scatter(
                flat[index, 0], flat[index, 1], color=colour, s=52, edgecolor=INK, zorder=4
            )
    return figure


@drawn()
def motion_figure(stored: Mapping[str, Any], frames: Mapping[str, int], ranks: Ranks) -> Figure:
    """Draw frames of the map that moves: a row per model, a column per moment.

    Args:
        stored: What `tools/motion_data.py` writes.
        frames: Number of a frame by its title.
        ranks: The label space.
    """
    labels = np.array(stored["labels"])
    wide, tall = stored["box"]
    column = (WIDTH - 0.8) / len(frames)
    figure = canvas(len(stored["panels"]) * (column * tall / wide + 0.4))
    axes = figure.subplots(len(stored["panels"]), len(frames), squeeze=False)

    for row, panel in zip(axes, stored["panels"], strict=True):
        row[0].set_ylabel(f"{panel['title']}, {panel['shows']:.0%} shown")
        for axis, (title, frame) in zip(row, frames.items(), strict=True):
            images, vectors = panel["frames"][frame]
            cloud(axis, np.reshape(panel["images"][images], (-1, 2)), labels, ranks)
            _draw_ranks(axis, np.reshape(panel["ranks"][vectors], (-1, 2)))
            rho = panel["rho"][frame] / 100
            axis.set_title(f"{title}\nρ = {rho:.2f}", fontsize=9)
            axis.set(xlim=(0, wide), ylim=(0, tall), xticks=[], yticks=[], aspect="equal")

    rank_bar(figure, axes, ranks)
    return figure
