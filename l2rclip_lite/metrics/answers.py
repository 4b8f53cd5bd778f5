"""What a metric takes: numbers, checked once, and predictions beside the truth."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from l2rclip_lite.errors import InputError
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.prediction import check_rows

Indices = Int[np.ndarray, " batch"] | Int[Tensor, " batch"] | Sequence[int]
Values = Float[np.ndarray, " batch"] | Float[Tensor, " batch"] | Sequence[float]
Labels = Indices | Values
Probabilities = Float[np.ndarray, "batch rank"] | Float[Tensor, "batch rank"] | list[list[float]]
PerImage = np.ndarray


def numbers(values: object, name: str, axes: int = 1, last: int | None = None) -> np.ndarray:
    """Return a NumPy copy (int64 or float64) of an array, a tensor or a plain sequence.

    Args:
        values: The numbers.
        name: What to call them in an error.
        axes: How many axes they must have.
        last: K − 1, the highest index, where they must be rank indices; None takes any numbers.

    Raises:
        InputError: A wrong shape or type, no row, a value that is not finite, or an index outside
            [0, `last`].

    Example:
        >>> numbers([0.5, 1], "y_pred")
        array([0.5, 1. ])
        >>> numbers([0, 5], "y_true", last=4)
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: metrics: y_true is 5 in row 1; give ranks from 0 to 4.
    """
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        if values.is_floating_point():
            values = values.double()  # NumPy knows no bfloat16
    array = np.asarray(values)

    kinds = "iuf" if last is None else "iu"
    if array.ndim != axes or array.size == 0 or array.dtype.kind not in kinds:
        wanted = "numbers" if last is None else "a rank index"
        shape = f"{array.dtype}{list(array.shape)}"
        raise InputError(f"metrics: {name} is {shape}; give {wanted} per image.")

    array = array.astype(float if array.dtype.kind == "f" else np.int64)
    bad = ~np.isfinite(array)
    fix = "repair that row"
    if last is not None:
        bad = (array < 0) | (array > last)
        fix = f"give ranks from 0 to {last}"
    if bad.any():
        row = np.argwhere(bad)[0][0]
        raise InputError(f"metrics: {name} is {array[bad][0]} in row {row}; {fix}.")
    return array


def check_paired(left: np.ndarray, right: np.ndarray) -> None:
    """Refuse truth and predictions of different length."""
    if len(left) != len(right):
        raise InputError(
            f"metrics: {len(left)} true ranks, {len(right)} predictions; give one per image."
        )


def checked_probabilities(
    y_true: object, probabilities: object, ranks: Ranks
) -> tuple[np.ndarray, np.ndarray]:
    """Return rank indices and the rows of probabilities beside them, rescaled to sum to 1.

    Args:
        y_true: Rank indices.
        probabilities: One row per image, one column per rank.
        ranks: The label space.

    Raises:
        InputError: Not one row per image, another number of columns, a number that is negative or
            not finite, or a row that does not sum to 1 within 0.01.

    Example:
        >>> checked_probabilities(
        ...     [1], [[0.25, 0.75]], Ranks.integers(1, 2, template="grade {rank}")
        ... )
        (array([1]), array([[0.25, 0.75]]))
    """
    true = numbers(y_true, "y_true", last=len(ranks) - 1)
    p = numbers(probabilities, "probabilities", axes=2).astype(float)
    check_rows(p, ranks)
    check_paired(true, p)
    return true, p / p.sum(1, keepdims=True)


@dataclass(frozen=True)
class Answers:
    """Predictions beside the truth, on the three scales that `l2rclip_lite.metrics` describes.

    Args:
        true: True rank index of each image.
        nearest: Rank index that is nearest to the prediction.
        error: Prediction − truth, in the unit of the ranks.
        steps: |prediction − truth|, in ranks.
        value: Prediction, in the unit of the ranks.
    """

    true: PerImage
    nearest: PerImage
    error: PerImage
    steps: PerImage
    value: PerImage

    @classmethod
    def of(cls, y_true: object, y_pred: object, ranks: Ranks) -> "Answers":
        """Compare predictions with the truth.

        Raises:
            InputError: As `numbers`, or not one prediction per true rank.

        Example:
            >>> ages = Ranks.integers(16, 18, template="{rank} years old")
            >>> answers = Answers.of([0, 2], [16.4, 17.0], ages)
            >>> answers.nearest.tolist(), answers.steps.round(1).tolist()
            ([0, 1], [0.4, 1.0])
        """
        true = numbers(y_true, "y_true", last=len(ranks) - 1)
        value = in_unit(y_pred, "y_pred", ranks)
        check_paired(true, value)

        values = np.array(ranks.values)
        position = np.interp(value, values, np.arange(len(ranks)))
        middles = (values[1:] + values[:-1]) / 2
        return cls(
            true=true,
            nearest=np.searchsorted(middles, value),
            error=value - values[true],
            steps=np.abs(position - true),
            value=value,
        )


def in_unit(labels: object, name: str, ranks: Ranks) -> PerImage:
    """Return rank indices (whole numbers) or values (floats) as values in the unit of the ranks."""
    array = numbers(labels, name)
    if array.dtype.kind == "f":
        return array
    return np.take(ranks.values, numbers(array, name, last=len(ranks) - 1))
