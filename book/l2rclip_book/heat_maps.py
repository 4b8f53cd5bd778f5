"""Heat maps, one panel per table and one colour scale for all: similarity, attention, gradient alignment."""

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


def heat_maps(
    tables: Mapping[str, Table],
    names: Sequence[str] | Mapping[str, Sequence[str]],
    *,
    columns: int = 3,
    height: float = 2.4,
    limit: float = 1.0,
    cmap: str = "RdBu_r",
    label: str = "cosine",
    below: bool = False,
    digits: int | None = None,
) -> Figure:
    """Square tables side by side, coloured from -limit to limit.

    Args:
        tables: By panel title.
        names: Of the rows, which are also the columns. One sequence for all tables is written at
            the outer panels only; a mapping by panel title, at each of them. An empty name leaves
            its row unlabelled.
        columns: Panels per row.
        height: Of a row of panels, inches.
        limit: Colours end at ±limit.
        cmap: A diverging colour map.
        label: Of the colour bar.
        below: Whether columns are named, too.
        digits: Decimals of the numbers written into the cells; None writes none.

    Example:
        >>> heat_maps({"mine": np.eye(2)}, ["low", "high"]).axes[0].get_title("left")
        'mine'
    """
    rows = -(-len(tables) // columns)
    each = isinstance(names, Mapping)
    look = {"cmap": cmap, "vmin": -limit, "vmax": limit, "square": True, "cbar": False}
    with style():
        figure = Figure(figsize=(WIDTH, rows * height), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for place, (title, table) in enumerate(tables.items()):
            axis = axes[place]
            values = np.asarray(table)
            own = names[title] if isinstance(names, Mapping) else names
            down = own if each or place % columns == 0 else False
            across = own if below and (each or place + columns >= len(tables)) else False
            texts = digits is not None and np.round(values, digits) + 0.0  # without -0.0
            sns.heatmap(
                values,
                ax=axis,
                annot=texts,
                fmt=f".{digits}f",
                yticklabels=down,
                xticklabels=across,
                **look,
            )
            axis.set_title(title)
            axis.tick_params(length=0)
            axis.tick_params("y", rotation=0)
        for axis in axes[len(tables) :]:
            axis.remove()
        shown = list(axes[: len(tables)])
        figure.colorbar(
            shown[0].collections[0], ax=shown, label=label, shrink=0.8, pad=0.02, aspect=30
        )
    return figure
