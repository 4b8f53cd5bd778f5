"""Time things in turns, so that a busy moment of the machine hits all of them, and measure the memory of a process."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from l2rclip_lite.training.stage import Stage

Call = Callable[[], object]
Figure = dict[str, Any]  # value, low and high quartile, repeats, detail


def now() -> float:
    """Seconds of a steady clock, after the GPU has done what it was told to do."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def seconds_of(call: Call) -> float:
    """How long one call takes."""
    start = now()
    call()
    return now() - start


def in_turns(calls: Sequence[Call], repeats: int) -> list[list[float]]:
    """Seconds of several calls, `repeats` of each after one that does not count; every second round goes backwards."""
    found: list[list[float]] = [[] for _ in calls]
    for turn in range(repeats + 1):
        for which in range(len(calls)) if turn % 2 else reversed(range(len(calls))):
            found[which].append(seconds_of(calls[which]))
    return [numbers[1:] for numbers in found]


def steps_and(train: Call, other: Call, repeats: int, warmup: int = 2) -> list[list[float]]:
    """Seconds of whole training steps, with `other` measured between each two of them.

    A step lasts from one end of `Stage.step` to the next: batch, augmentation, forward, backward, optimiser and all else
    that the loop does. `train` may have more steps than are needed; it is stopped.
    """
    steps: list[float] = []
    others: list[float] = []
    ended: list[float] = []
    real = Stage.step

    class EnoughError(Exception):
        pass

    def step(stage: Stage, loss: torch.Tensor, rows: torch.Tensor) -> None:
        real(stage, loss, rows)
        steps.extend(now() - end for end in ended)
        if len(steps) == warmup + repeats:
            raise EnoughError
        others.append(seconds_of(other))
        ended[:] = [now()]

    with patch.object(Stage, "step", step):
        try:
            train()
        except EnoughError:
            return [steps[warmup:], others[warmup:]]
    raise ValueError(f"{len(steps)} steps, {warmup + repeats} wanted")


def ratio(ours: Sequence[float], other: Sequence[float], **detail: Any) -> Figure:
    """Ratio of the medians, quartiles of the paired ratios.

    Example:
        >>> ratio([2.0, 2.2, 20.0, 2.0, 2.1], [1.0, 1.0, 10.0, 1.0, 1.0])["value"]
        2.1
    """
    middle = {"seconds": statistics.median(ours), "other_seconds": statistics.median(other)}
    figure = of([a / b for a, b in zip(ours, other, strict=True)], **middle, **detail)
    return figure | {"value": middle["seconds"] / middle["other_seconds"]}


def of(numbers: Sequence[float], **detail: Any) -> Figure:
    """Median and quartiles of numbers."""
    low, middle, high = statistics.quantiles(numbers, n=4, method="inclusive")
    return {"value": middle, "low": low, "high": high, "repeats": len(numbers), "detail": detail}


def peak_of(work: Callable[..., None], *given: object) -> float:
    """MiB that some work adds, at its peak, to what its imports take; in a fresh process, on Linux."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    child = context.Process(target=_report, args=(there, work, given))
    child.start()
    there.close()
    try:
        return float(here.recv())
    finally:
        child.join()


def _report(pipe: Any, work: Callable[..., None], given: tuple[object, ...]) -> None:
    """In the child: work, and say how much the peak rose."""
    before = peak()
    work(*given)
    pipe.send(peak() - before)


def peak() -> float:
    """The most memory that this process ever had, MiB (`ru_maxrss` would begin with the parent's)."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 2**10
