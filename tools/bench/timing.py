"""The conditions of a measurement; calls timed in turns, so that a busy moment hits all of them."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from l2rclip_lite import Config, Ranks
from l2rclip_lite.method.optimisation import Stage

Call = Callable[[], object]
Train = Callable[[], Iterable[object]]
Figure = dict[str, Any]  # value, low and high quartile, repeats, detail

GRADES = Ranks(
    ("no", "slight", "moderate", "strong", "very strong"),
    (0, 1, 2, 3, 4),
    "a leaf with {rank} damage",
)
MORPH = 55_134  # images


@dataclass(frozen=True)
class Setting:
    """How to measure."""

    repeats: int = 7
    """Of each row."""
    quick: bool = False
    """Whether to use tiny towers and few rows, which shows that a row runs and nothing else."""

    def config(self, towers: str, batch_size: int) -> Config:
        """Return the package's defaults on these towers, for one epoch a stage."""
        return Config(
            towers="tiny/random" if self.quick else towers,
            batch_size=batch_size,
            image_size=64 if self.quick else 224,
            device="cpu",
            epochs1=1,
            epochs2=1,
        )


def ages(number: int) -> Ranks:
    """Return ages in a row; between 121 and 740 no name has more words than another."""
    return Ranks.integers(121, 120 + number, template="a photo of a {rank} years old face")


def seconds_of(call: Call) -> float:
    """Measure the seconds of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def in_turns(calls: Sequence[Call], repeats: int) -> list[list[float]]:
    """Measure the seconds of several calls, `repeats` of each after one that does not count."""
    seconds: list[list[float]] = [[] for _ in calls]
    for _ in range(repeats + 1):
        for column, call in zip(seconds, calls, strict=True):
            column.append(seconds_of(call))
    return [column[1:] for column in seconds]


def steps_and(train: Train, other: Call) -> list[list[float]]:
    """Measure the seconds of whole training steps but the first, with `other` before each of them.

    A step lasts from one end of `Stage.step` to the next: batch, augmentation, forward, backward,
    optimiser and all else that the loop does.
    """
    steps: list[float] = []
    others: list[float] = []
    ended: list[float] = []
    real_step = Stage.step

    def step(stage: Stage, loss: torch.Tensor) -> None:
        real_step(stage, loss)
        steps.extend(time.perf_counter() - end for end in ended)
        others.append(seconds_of(other))
        ended[:] = [time.perf_counter()]

    with patch.object(Stage, "step", step):
        for _ in train():
            pass
    return [steps, others[:-1]]


def steps_in_turns(runs: Sequence[Train], repeats: int) -> list[list[float]]:
    """Measure the mean seconds a step of several trainings; the first step of each is left out."""
    seconds: list[list[float]] = [[] for _ in runs]
    for _ in range(repeats):
        for column, train in zip(seconds, runs, strict=True):
            times, _ = steps_and(train, lambda: None)
            column.append(statistics.mean(times))
    return seconds


def ratio(ours: Sequence[float], other: Sequence[float]) -> Figure:
    """Return the ratio of the medians, and quartiles of the paired ratios.

    Example:
        >>> ratio([2.0, 2.2, 20.0, 2.0, 2.1], [1.0, 1.0, 10.0, 1.0, 1.0])["value"]
        2.1
    """
    seconds = statistics.median(ours)
    other_seconds = statistics.median(other)
    paired = [a / b for a, b in zip(ours, other, strict=True)]

    figure = summary(paired, {"seconds": seconds, "other_seconds": other_seconds})
    figure["value"] = seconds / other_seconds
    return figure


def summary(numbers: Sequence[float], detail: object = None) -> Figure:
    """Return the median and the quartiles of numbers, beside what else is to be kept of them."""
    low, median, high = np.quantile(numbers, [0.25, 0.5, 0.75]).tolist()
    return {
        "value": median,
        "low": low,
        "high": high,
        "repeats": len(numbers),
        "detail": detail,
    }


def in_a_new_process(work: Callable[..., float], *arguments: object) -> float:
    """Return what `work` returns in a new process."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context) as pool:
        return pool.submit(work, *arguments).result()
