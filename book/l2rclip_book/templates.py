"""Sentences in a text tower: tokens, the order of ranks before training, and controls of it."""

import copy
import math
from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from l2rclip_book.plots import INK, METHODS, drawn, grid, heat_map, name_rows, panels
from l2rclip_book.statistics import cosine_distances, spearman_rho
from l2rclip_lite.method import Texts
from l2rclip_lite.towers.mini import MiniTowers

Orders = Int[np.ndarray, "order rank"]


def random_weights(towers: MiniTowers, seed: int) -> MiniTowers:
    """Return the same text network before training: weights drawn anew, origin at 0.

    Weights start as BERT's do: matrices and embeddings from N(0, 0.02²), biases 0, norms 1. Any
    order that is left comes from spelling: sentences that share words have similar features in any
    network.

    Args:
        towers: Left as they are.
        seed: Decides the weights.
    """
    blank = copy.deepcopy(towers)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in blank.text["bert"].named_parameters():
            if weight.dim() > 1:
                weight.normal_(0, 0.02, generator=generator)
            else:
                weight.fill_(float(name.endswith("LayerNorm.weight")))
        blank.text.get_buffer("mean").zero_()
    return blank


def orders(count: int, draws: int, seed: int = 0) -> Orders:
    """Return orders of K names: the true one first, then all others if few, else seeded shuffles.

    Args:
        count: Number of ranks K.
        draws: Number of orders at most; all K! are listed where that is no more.
        seed: Decides the shuffles.

    Returns:
        min(K!, draws) permutations of 0 … K-1, one per row.

    Example:
        >>> orders(3, 100).tolist()
        [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]
        >>> orders(62, 100).shape
        (100, 62)
    """
    if math.factorial(count) <= draws:
        return np.array(list(permutations(range(count))))

    generator = np.random.default_rng(seed)
    shuffles = [generator.permutation(count) for _ in range(draws - 1)]
    return np.stack([np.arange(count), *shuffles])


def shuffled_gaps(features: Texts, names: Orders) -> Float[np.ndarray, " order"]:
    """Compute the score `gap` alone, for thousands of orders at once.

    It is the null distribution of Mantel's test.

    Example:
        >>> angle = torch.tensor([0.0, 60.0, 120.0]).double().deg2rad()
        >>> arc = torch.stack([angle.cos(), angle.sin()], 1)
        >>> shuffled_gaps(arc, orders(3, 6)).tolist()
        [1.0, -0.5, -0.5, -0.5, -0.5, 1.0]
    """
    distance = cosine_distances(features)
    i, j = np.triu_indices(len(distance), 1)
    return spearman_rho((j - i)[None], distance[names[:, i], names[:, j]])


TRAINED = METHODS["words"][0]
SHUFFLED = METHODS["shuffled words"][0]


class Scores(NamedTuple):
    """A score of order beside its two controls."""

    trained: float
    untrained: Sequence[float]  # the same network with random weights, one number per seed
    shuffled: tuple[float, float]  # nine of ten shuffles score between these


@drawn()
def score_rows(scores: Mapping[str, Mapping[str, Scores]]) -> Figure:
    """Draw gap scores beside their controls.

    Diamonds are the trained network, rings are random weights, bands are shuffles.

    Args:
        scores: By panel title and row; every panel has the same rows.
    """
    for rows in scores.values():
        names = list(rows)
    figure, shown = panels(scores, len(scores), 0.36 * len(names) + 1.2, sharey=True)
    for axis, title, rows in shown:
        table = pd.DataFrame(list(rows.values()))
        low, high = np.transpose(table["shuffled"].tolist())
        rings = table["untrained"].explode()
        axis.barh(
            table.index,
            high - low,
            0.62,
            low,
            color=SHUFFLED,
            alpha=0.4,
            label="shuffled names, 90 %",
        )
        axis.scatter(
            rings,
            rings.index,
            facecolor="none",
            edgecolor=INK,
            label="random weights, one ring per seed",
        )
        axis.plot(table["trained"], table.index, "D", color=TRAINED, label="trained network")
        axis.set(xlim=(-1, 1), xticks=(-0.5, 0, 0.5, 1), xlabel="gap score")
        grid(axis, "x", title)

    first = figure.axes[0]
    name_rows(first, names)
    figure.legend(*first.get_legend_handles_labels(), loc="outside upper left", ncols=3)
    return figure


@drawn()
def heat_maps(
    tables: Mapping[str, ArrayLike],
    names: Sequence[str],
    *,
    columns: int,
    cmap: str = "RdBu_r",
    label: str = "cosine",
    digits: int | None = None,
) -> Figure:
    """Draw square tables side by side, coloured from -1 to 1.

    Args:
        tables: By panel title.
        names: Of the rows, which are also the columns; written at the left panels. An empty name
            leaves its row unlabelled.
        columns: Panels per row.
        cmap: A diverging colour map.
        label: Of the colour bar.
        digits: Decimals of the numbers written into the cells; None writes none.

    Example:
        >>> heat_maps({"mine": np.eye(2)}, ["low", "high"], columns=1).axes[0].get_title("left")
        'mine'
    """
    figure, shown = panels(tables, columns, 2.4, sharey=True)
    for axis, _, table in shown:
        heat_map(
            axis,
            table,
            cmap=cmap,
            vmin=-1,
            vmax=1,
            annot=digits is not None,
            fmt=f"z.{digits}f",
            xticklabels=False,
            yticklabels=names,
        )
    mesh = figure.axes[0].collections[0]
    figure.colorbar(mesh, ax=figure.axes, label=label, shrink=0.8, pad=0.02, aspect=30)
    return figure
