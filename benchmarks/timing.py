"""Time two things side by side, so that a busy moment of the machine hits both.

A pair is one call of each, in turns: this one first, then the other one first. The figure is the ratio of the two
medians, its spread the quartiles of the paired ratios. Nothing here knows what is measured.
"""

from __future__ import annotations

import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from l2rclip_lite.config import Config
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.stages import Stage, train_stage

Call = Callable[[], object]


@dataclass(frozen=True)
class Paired:
    """Seconds of two things that were measured in turns.

    Args:
        ours: Of the first, a number a repeat.
        other: Of the second, as many.
    """

    ours: Sequence[float]
    other: Sequence[float]

    @property
    def ratio(self) -> float:
        """Median of the first ÷ median of the second."""
        return statistics.median(self.ours) / statistics.median(self.other)

    @property
    def spread(self) -> tuple[float, float]:
        """Lower and upper quartile of the paired ratios."""
        return quartiles([a / b for a, b in zip(self.ours, self.other, strict=True)])

    def swapped(self) -> Paired:
        """The other ÷ ours."""
        return Paired(self.other, self.ours)


def quartiles(numbers: Sequence[float]) -> tuple[float, float]:
    """Lower and upper quartile.

    Example:
        >>> quartiles([1.0, 2.0, 3.0, 4.0, 5.0])
        (2.0, 4.0)
    """
    low, _, high = statistics.quantiles(numbers, n=4, method="inclusive")
    return low, high


def now(device: str = "cpu") -> float:
    """Seconds of a steady clock, after the GPU has done what it was told to do."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def seconds_of(call: Call, device: str = "cpu") -> float:
    """How long one call takes."""
    start = now(device)
    call()
    return now(device) - start


def in_turns(
    calls: Sequence[Call], repeats: int, *, warmup: int = 1, device: str = "cpu"
) -> list[list[float]]:
    """Seconds of several calls, in turns; every second round goes backwards.

    Args:
        calls: What to measure.
        repeats: Rounds that count.
        warmup: Rounds before them that do not.
        device: "cpu" or "cuda".

    Returns:
        A list of `repeats` numbers for each call.
    """
    found: list[list[float]] = [[] for _ in calls]
    for turn in range(warmup + repeats):
        order = range(len(calls)) if turn % 2 else reversed(range(len(calls)))
        for which in order:
            seconds = seconds_of(calls[which], device)
            if turn >= warmup:
                found[which].append(seconds)
    return found


def paired(ours: Call, other: Call, repeats: int, *, warmup: int = 1, device: str = "cpu") -> Paired:
    """Two calls in turns."""
    return Paired(*in_turns([ours, other], repeats, warmup=warmup, device=device))


class _EnoughError(Exception):
    """Enough steps."""


def paired_steps(
    stage: Stage, ranks: Ranks, config: Config, images: int, other: Call, repeats: int, *, warmup: int = 2
) -> Paired:
    """Whole training steps of `train_stage` itself, with `other` measured between each two of them.

    A step lasts from one call of the stage's loss to the next: drawing and augmenting the batch, forward, backward,
    optimiser, schedule, and whatever else the loop does. Only `other` is taken out. So the figure stays true when the
    loop changes.

    Args:
        stage: What to train.
        ranks: The label space.
        config: Batch size, device.
        images: Number of training images, so of `images / batch_size` steps an epoch.
        other: Measured once a step, with its own time.
        repeats: Steps that count.
        warmup: Steps before them that do not.

    Returns:
        Seconds of a step and of a call of `other`.
    """
    device = stage_device(stage)
    steps, others = [], []
    ended = [0.0]  # when `other` of the step before was done: since then, the training loop ran

    def loss(*given: Any, **named: Any) -> Any:
        if ended[0]:
            steps.append(now(device) - ended[0])
        if len(steps) == warmup + repeats:
            raise _EnoughError
        others.append(seconds_of(other, device))
        ended[0] = now(device)
        return stage.loss(*given, **named)

    if images < (warmup + repeats + 1) * config.batch_size:
        raise ValueError(f"{images} images are too few for {warmup + repeats} steps of one epoch")
    try:
        run_stage(replace(stage, loss=loss), torch.arange(images) % len(ranks), ranks, config)
    except _EnoughError:
        return Paired(steps[warmup:], others[warmup : warmup + repeats])
    raise AssertionError(f"{len(steps)} steps, {warmup + repeats} wanted")


def run_stage(stage: Stage, targets: torch.Tensor, ranks: Ranks, config: Config) -> None:
    """An epoch of `train_stage` with nothing to validate: the answers are given, each rank as likely as the next."""
    few = torch.zeros(1, dtype=torch.long)
    even = torch.full((1, len(ranks)), 1 / len(ranks))
    once = replace(stage, epochs=1, validate=lambda: even)
    train_stage(once, (targets, few), ranks, config, None, quiet=True)


def stage_device(stage: Stage) -> str:
    """Where the parameters of a stage lie."""
    return next(iter(stage.parameters.values())).device.type


def peak_of(work: Callable[..., None], *given: object, device: str = "cpu") -> float:
    """Memory that some work adds at its peak to what torch and the package take, in a fresh process, MiB.

    Args:
        work: A function of a module, which the child imports.
        given: Its arguments.
        device: "cuda" counts the GPU's memory instead.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    child = context.Process(target=_report, args=(there, work, given, device))
    child.start()
    there.close()
    try:
        return float(here.recv())
    except EOFError as error:
        raise RuntimeError(f"the process that measures {work.__name__} died") from error
    finally:
        child.join()


def _report(pipe: Any, work: Callable[..., None], given: tuple[object, ...], device: str) -> None:
    """In the child: work, then say how much memory it took."""
    before = peak_memory(device)
    work(*given)
    pipe.send(peak_memory(device) - before)


def peak_memory(device: str = "cpu") -> float:
    """The most memory that this process has ever had, MiB.

    Linux says it in /proc. `ru_maxrss` would not do there: a process that was started by a large one begins with its
    parent's number.
    """
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 2**10
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (2**20 if sys.platform == "darwin" else 2**10)
