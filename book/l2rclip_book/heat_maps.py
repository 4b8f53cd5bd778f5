"""Heat maps, one panel per table and one colour scale for all: similarity, attention, alignment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import seaborn as sns
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from l2rclip_book.plots import style
from l2rclip_book.style import WIDTH

Table = Float[Tensor, "row column"] | Float[np.ndarray, "row column"]


def heat_maps(  # noqa: PLR0913  (as chapters name them)
    tables: Mapping[str, Table],
    names: Sequence[str],
    *,
    columns: int = 3,
    height: float = 2.4,
    cmap: str = "RdBu_r",
    label: str = "cosine",
    below: bool = False,
    digits: int | None = None,
) -> Figure:
    """Draw square tables side by side, coloured from -1 to 1.

    Args:
        tables: By panel title.
        names: Of the rows, which are also the columns; written at the outer panels. An empty name
            leaves its row unlabelled.
        columns: Panels per row.
        height: Of a row of panels, inches.
        cmap: A diverging colour map.
        label: Of the colour bar.
        below: Whether columns are named, too.
        digits: Decimals of the numbers written into the cells; None writes none.

    Example:
        >>> heat_maps({"mine": np.eye(2)}, ["low", "high"]).axes[0].get_title("left")
        'mine'
    """
    rows = -(-len(tables) // columns)
    with style():
        figure = Figure(figsize=(WIDTH, rows * height), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()

        for place, (title, table) in enumerate(tables.items()):
            is_left = place % columns == 0
            is_lowest = place + columns >= len(tables)
            sns.heatmap(
                np.asarray(table),
                ax=axes[place],
                cmap=cmap,
                vmin=-1.0,
                vmax=1.0,
                square=True,
                cbar=False,
                annot=None if digits is None else np.round(table, digits) + 0.0,  # without -0.0
                fmt=".2g" if digits is None else f".{digits}f",
                yticklabels=names if is_left else False,
                xticklabels=names if below and is_lowest else False,
            )
            axes[place].set_title(title)
            axes[place].tick_params(length=0)
            axes[place].tick_params("y", rotation=0)

        for empty in axes[len(tables) :]:
            empty.remove()
        shown = list(axes[: len(tables)])
        mesh = shown[0].collections[0]
        figure.colorbar(mesh, ax=shown, label=label, shrink=0.8, pad=0.02, aspect=30)
    return figure
