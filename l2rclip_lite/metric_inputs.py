"""What the metrics accept, read into NumPy arrays; what cannot be used is refused, with the row and the fix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from l2rclip_lite.errors import InputError
from l2rclip_lite.ranks import Ranks

Indices: TypeAlias = Int[np.ndarray, " batch"] | Int[Tensor, " batch"] | Sequence[int]
Values: TypeAlias = Float[np.ndarray, " batch"] | Float[Tensor, " batch"] | Sequence[float]
Labels: TypeAlias = Indices | Values
Probabilities: TypeAlias = Float[np.ndarray, "batch rank"] | Float[Tensor, "batch rank"] | list[list[float]]
Array: TypeAlias = NDArray[Any]


def numbers(given: object, name: str, axes: int = 1) -> Array:
    """A NumPy copy (int64 or float64); refuses a wrong shape and what is not a finite number.

    Args:
        given: An array, a tensor or a plain sequence.
        name: What to call it in an error.
        axes: How many axes it must have.

    Raises:
        InputError: A wrong shape, no row, or a value that is no finite number.

    Example:
        >>> numbers([0.5, 1], "y_pred")
        array([0.5, 1. ])
    """
    if isinstance(given, Tensor):
        given = given.detach().cpu()
        given = (given.double() if given.is_floating_point() else given).numpy()  # NumPy knows no bfloat16
    array = np.asarray(given)
    if array.ndim != axes or array.size == 0:
        raise InputError(f"metrics: {name} has shape {array.shape}; give {axes} axes and at least one image.")
    if array.dtype.kind not in "iuf":
        raise InputError(f"metrics: {name} holds {array.dtype} values; give integers or floats.")
    array = array.astype(float if array.dtype.kind == "f" else np.int64)
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        raise InputError(f"metrics: {name} is {array[tuple(bad[0])]} in row {bad[0][0]}; repair that row.")
    return array


def rank_indices(given: object, name: str, ranks: Ranks) -> Array:
    """Rank indices, checked against the number of ranks.

    Args:
        given: Whole numbers, one an image.
        name: What to call them in an error.
        ranks: The label space.

    Raises:
        InputError: Floats, or an index outside [0, K).

    Example:
        >>> rank_indices([0, 2], "y_true", Ranks.integers(16, 18, template="{rank} years old"))
        array([0, 2])
    """
    array, last = numbers(given, name), len(ranks) - 1
    if array.dtype.kind == "f":
        raise InputError(f"metrics: {name} holds floats; give rank indices as integers from 0 to {last}.")
    bad = np.flatnonzero((array < 0) | (array > last))
    if len(bad):
        raise InputError(f"metrics: {name} is {array[bad[0]]} in row {bad[0]}; give ranks from 0 to {last}.")
    return array


def check_paired(left: Array, right: Array) -> None:
    """Refuse truth and predictions of different length."""
    if len(left) != len(right):
        raise InputError(f"metrics: {len(left)} true ranks, {len(right)} predictions; give one an image.")


@dataclass(frozen=True)
class Scored:
    """Predictions beside the truth, one entry an image."""

    true: Array  # rank index
    nearest: Array  # rank index of the prediction
    error: Array  # prediction − truth, in the unit
    step: Array  # |prediction − truth|, in ranks
    value: Array  # prediction, in the unit
    count: int  # K

    def take(self, images: Array) -> Scored:
        """Some of the images."""
        return replace(self, **{name: part[images] for name, part in vars(self).items() if name != "count"})


def score(y_true: object, y_pred: object, ranks: Ranks) -> Scored:
    """Read a prediction on the three scales that `metrics` describes: its value, its position, its nearest rank.

    Raises:
        InputError: As `rank_indices` and `numbers`, or not one prediction a true rank.

    Example:
        >>> found = score([0, 2], [16.4, 17.0], Ranks.integers(16, 18, template="{rank} years old"))
        >>> found.nearest.tolist(), found.step.round(1).tolist()
        ([0, 1], [0.4, 1.0])
    """
    true, pred = rank_indices(y_true, "y_true", ranks), numbers(y_pred, "y_pred")
    values = np.array(ranks.values)
    check_paired(true, pred)
    value = pred if pred.dtype.kind == "f" else values[rank_indices(pred, "y_pred", ranks)]
    step = np.abs(np.interp(value, values, np.arange(len(ranks))) - true)
    nearest = np.searchsorted((values[1:] + values[:-1]) / 2, value)
    return Scored(true, nearest, value - values[true], step, value, len(ranks))


def forecast(y_true: object, probabilities: object, ranks: Ranks) -> tuple[Array, Array]:
    """Rank indices and the rows of probabilities beside them, rescaled to sum to 1.

    Args:
        y_true: Rank indices.
        probabilities: One row an image, one column a rank.
        ranks: The label space.

    Raises:
        InputError: Not one row an image, not one column a rank, or a row that does not sum to 1 within 0.01.

    Example:
        >>> forecast([1], [[0.25, 0.75]], Ranks.integers(1, 2, template="grade {rank}"))
        (array([1]), array([[0.25, 0.75]]))
    """
    true = rank_indices(y_true, "y_true", ranks)
    p = numbers(probabilities, "probabilities", axes=2).astype(float)
    check_paired(true, p)
    if p.shape[1] != len(ranks):
        raise InputError(f"metrics: probabilities have {p.shape[1]} columns; give one a rank, {len(ranks)}.")
    total = p.sum(1)
    bad = np.flatnonzero((p < 0).any(1) | (np.abs(total - 1) > 0.01))
    if len(bad):
        row = f"row {bad[0]} of probabilities sums to {total[bad[0]]:.4g}, lowest {p[bad[0]].min():.4g}"
        raise InputError(f"metrics: {row}; give numbers ≥ 0 that sum to 1, for example a softmax.")
    return true, p / total[:, None]
