"""Rows about stage 1: what the cached features save, and how time and memory grow with the ranks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from rows_data import bracol
from timing import in_turns, paired, peak_of, run_stage
from torch.utils._python_dispatch import TorchDispatchMode
from workload import Found, Setting, ages, build, settings

from l2rclip_lite import Config, Ranks
from l2rclip_lite.allocator import keep_freed_memory
from l2rclip_lite.schemes import Pictures, stage1
from l2rclip_lite.stages import Stage

BATCH = 16
FIRST = 121  # "one hundred twenty one": up to 740 no name is longer
MEMORY_REPEATS = 5  # memory hardly varies
MANY, FEW = 6200, 1550  # ranks of which memory is asked
STEPS = {5: 16, 62: 4, 620: 1}  # steps of one measurement: short ones are repeated


def cache(setting: Setting) -> Found:
    """An epoch of stage 1 on BRACOL's first fold ÷ the same epoch with every picture encoded in its step.

    Decoding is left out of both: the pictures are in memory.
    """
    data = bracol(setting, 64 if setting.quick else None)
    model = build(settings(setting, "mini", BATCH, pictures="memory"), data.ranks)
    pictures = Pictures.load(data, model, True)
    pixels, targets = pictures.pixels["train"], pictures.targets["train"]
    ready = stage1(model, {"train": model.features(pixels), "val": torch.zeros(1, model.towers.dim)}, targets)

    def encode_first(chosen: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        with torch.inference_mode():
            model.encode_bytes(pixels[chosen])
        return ready.loss(chosen, generator)

    anew = replace(ready, loss=encode_first)
    pair = paired(
        lambda: run_stage(ready, targets, model.ranks, model.config),
        lambda: run_stage(anew, targets, model.ranks, model.config),
        setting.repeats,
    )
    return Found.ratio(
        pair, images=len(targets), batch=BATCH, ranks=len(model.ranks), towers=model.config.towers
    )


def stage1_of(config: Config, ranks: Ranks, images: int) -> Stage:
    """Stage 1 on random image features."""
    model = build(config, ranks)
    features = F.normalize(torch.randn(images, model.towers.dim, generator=torch.Generator().manual_seed(0)))
    return stage1(model, {"train": features, "val": features[:1]}, torch.arange(images) % len(ranks))


def step_of(setting: Setting, ranks: int) -> Any:
    """A function that trains a few steps of stage 1."""
    config = settings(setting, "mini", BATCH)
    images, space = BATCH * STEPS[ranks], ages(ranks, FIRST)
    stage = stage1_of(config, space, images)
    return lambda: run_stage(stage, torch.arange(images) % ranks, space, config)


def growth(seconds: Sequence[float], ranks: Sequence[int]) -> float:
    """The steepest growth between neighbours, as a share of the growth of the ranks: 1 is linear.

    Example:
        >>> growth([1.0, 5.0, 100.0], [1, 10, 100])
        2.0
    """
    steps = zip(seconds, seconds[1:], ranks, ranks[1:], strict=False)
    return max((after / before) / (more / fewer) for before, after, fewer, more in steps)


def time_by_ranks(setting: Setting) -> Found:
    """Seconds of a step with 5, 62 and 620 ranks, in turns; their names have the same number of words."""
    numbers = list(STEPS)
    times = in_turns([step_of(setting, ranks) for ranks in numbers], setting.repeats)
    each = [[seconds / STEPS[k] for seconds in column] for k, column in zip(numbers, times, strict=True)]
    middle = [Found.of(column).value for column in each]
    rounds = Found.of([growth(row, numbers) for row in zip(*each, strict=True)])
    detail = {"seconds": dict(zip(map(str, numbers), middle, strict=True)), "batch": BATCH}
    return replace(rounds, value=growth(middle, numbers), detail=detail)


def memory_by_ranks(setting: Setting) -> Found:
    """Peak memory of a step with 6,200 ranks ÷ with 1,550, each above what the imports take: 4 would be linear.

    Tiny towers with context prompts alone: the text tower is what is asked about, and mini would take minutes a step.
    """
    config = replace(settings(setting, "tiny/random", BATCH), rankformer=False)
    rounds = [
        [peak_of(one_step, config, ranks, device=setting.device) for ranks in (MANY, FEW)]
        for _ in range(MEMORY_REPEATS)
    ]
    found = Found.of([many / few for many, few in rounds])
    many, few = (sorted(column)[len(column) // 2] for column in zip(*rounds, strict=True))
    found.detail.update(mib=many, other_mib=few, ranks=[MANY, FEW], towers=config.towers)
    return found


def one_step(config: Config, ranks: int) -> None:
    """In a child: one step of stage 1."""
    torch.set_num_threads(config.threads or 1)
    keep_freed_memory()
    run_stage(stage1_of(config, ages(ranks), BATCH), torch.arange(BATCH) % ranks, ages(ranks), config)


class _Count(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the operators that torch is asked for, forward and backward."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.number: int = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.number += 1
        return func(*args, **(kwargs or {}))


def operators(stage: Stage) -> int:
    """Operators of one forward and backward."""
    with _Count() as count:
        torch.autograd.backward(stage.loss(torch.arange(BATCH), torch.Generator().manual_seed(0)))
    return int(count.number)


def operators_by_ranks(setting: Setting) -> Found:
    """A loop over the ranks in Python would call every operator once a rank: 12 times as often."""
    config = settings(setting, "mini", BATCH)
    few, many = (stage1_of(config, ages(ranks), BATCH) for ranks in (5, 62))
    counts = [(operators(many), operators(few)) for _ in range(setting.repeats)]
    return Found.of([a / b for a, b in counts], operators={"5": counts[0][1], "62": counts[0][0]})
