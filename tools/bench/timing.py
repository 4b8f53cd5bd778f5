"""Time calls in turns, so that a busy moment of the machine hits all of them; measure memory."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from l2rclip_lite.method.stage import Stage

Call = Callable[[], object]
Detail = Mapping[str, object]  # anything else that the results file holds about a figure
Figure = dict[str, Any]  # value, low and high quartile, repeats, detail


def now() -> float:
    """Return the seconds of a steady clock, after the GPU has done its work."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def seconds_of(call: Call) -> float:
    """Measure the seconds of one call."""
    start = now()
    call()
    return now() - start


def in_turns(calls: Sequence[Call], repeats: int) -> list[list[float]]:
    """Measure the seconds of several calls, `repeats` of each after one that does not count.

    Every second round goes backwards.
    """
    seconds: list[list[float]] = [[] for _ in calls]
    for turn in range(repeats + 1):
        order = list(range(len(calls)))
        if turn % 2 == 0:
            order.reverse()

        for which in order:
            seconds[which].append(seconds_of(calls[which]))
    return [column[1:] for column in seconds]


def steps_and(
    train: Callable[[], Iterable[object]], other: Call, repeats: int, warmup: int = 2
) -> list[list[float]]:
    """Measure the seconds of whole training steps, with `other` between each two of them.

    A step lasts from one end of `Stage.step` to the next: batch, augmentation, forward, backward,
    optimiser and all else that the loop does. `train` may have more steps than are needed; it is
    stopped.
    """
    steps: list[float] = []
    others: list[float] = []
    ended: list[float] = []
    real_step = Stage.step

    class EnoughError(Exception):
        pass

    def step(stage: Stage, loss: torch.Tensor, rows: torch.Tensor) -> None:
        real_step(stage, loss, rows)
        steps.extend(now() - end for end in ended)
        if len(steps) == warmup + repeats:
            raise EnoughError
        others.append(seconds_of(other))
        ended[:] = [now()]

    with patch.object(Stage, "step", step):
        try:
            for _ in train():
                pass
        except EnoughError:
            return [steps[warmup:], others[warmup:]]
    raise ValueError(f"{len(steps)} steps, {warmup + repeats} wanted")


def ratio(ours: Sequence[float], other: Sequence[float], detail: Detail) -> Figure:
    """Return the ratio of the medians, and quartiles of the paired ratios.

    Example:
        >>> ratio([2.0, 2.2, 20.0, 2.0, 2.1], [1.0, 1.0, 10.0, 1.0, 1.0], {})["value"]
        2.1
    """
    seconds = statistics.median(ours)
    other_seconds = statistics.median(other)
    paired = [a / b for a, b in zip(ours, other, strict=True)]

    figure = summary(paired, {"seconds": seconds, "other_seconds": other_seconds, **detail})
    figure["value"] = seconds / other_seconds
    return figure


def summary(numbers: Sequence[float], detail: Detail | None = None) -> Figure:
    """Return the median and the quartiles of numbers; those of one number are that number."""
    column = list(numbers) * 2 if len(numbers) == 1 else numbers  # `quantiles` takes no single one
    low, median, high = statistics.quantiles(column, n=4, method="inclusive")
    return {
        "value": median,
        "low": low,
        "high": high,
        "repeats": len(numbers),
        "detail": dict(detail or {}),
    }


def peak_of(work: Callable[..., None], *arguments: object) -> float:
    """Measure the MiB that some work adds, at its peak, to those of its imports.

    It runs in a fresh process, on Linux.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_report, args=(sender, work, arguments))
    child.start()
    sender.close()
    try:
        return float(receiver.recv())
    finally:
        child.join()


def _report(pipe: Connection, work: Callable[..., None], arguments: tuple[object, ...]) -> None:
    """Work, in the child, and send how much the peak rose."""
    before = peak()
    work(*arguments)
    pipe.send(peak() - before)


def peak() -> float:
    """Return the most memory that this process ever had, in MiB.

    `ru_maxrss` would begin with the parent's.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    for line in status.splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 2**10
    raise ValueError("/proc/self/status has no line VmHWM")
