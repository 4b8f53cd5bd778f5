"""Predictions beside the truth, and the loss of each image."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from l2rclip_lite.metrics.checks import SLACK, check_paired, numbers
from l2rclip_lite.ranks import Ranks

PerImage: TypeAlias = np.ndarray


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


def absolute_error(answers: Answers) -> PerImage:
    """Return |ŷ_i − r_{y_i}|."""
    return np.abs(answers.error)


def squared_error(answers: Answers) -> PerImage:
    """Return (ŷ_i − r_{y_i})²."""
    return np.asarray(answers.error**2)


def rank_steps(answers: Answers) -> PerImage:
    """Return the distance from the true rank, in ranks."""
    return answers.steps


def is_right(answers: Answers) -> PerImage:
    """Return whether the nearest rank is the true one."""
    return np.asarray(answers.nearest == answers.true)


def is_right_or_neighbour(answers: Answers) -> PerImage:
    """Return whether the nearest rank is the true one or next to it."""
    return np.asarray(np.abs(answers.nearest - answers.true) <= 1)


def is_within(answers: Answers, k: float) -> PerImage:
    """Return whether |ŷ_i − r_{y_i}| ≤ k, in the unit of the ranks."""
    return np.asarray(absolute_error(answers) <= k + SLACK)
