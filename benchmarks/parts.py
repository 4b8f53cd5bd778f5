"""Where the time of a training step goes: torch's profiler, added up into a handful of parts with names.

Forward parts are labelled spans. A backward operator carries the number of the forward operator that it belongs to, and so
falls into the part in which that one was called.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import torch
from rows_stage1 import BATCH, stage1_of
from timing import run_stage
from torch.profiler import ProfilerActivity, profile, record_function
from workload import GRADES, NotMeasuredError, Setting, ages, build, settings, stage2_of

from l2rclip_lite import L2RCLIP, Ranks
from l2rclip_lite.stages import Stage

LABEL = "part: "
STEP, IMAGE, TEXT, FORMER = "step", "image tower", "text tower", "RankFormer"
DATA, LOSS, OPTIMISER, REST = "pictures and augmentation", "losses", "optimiser", "rest"
BACKWARD = "autograd::engine::evaluate_function"
Span = tuple[float, float, str]


def stage2_parts(setting: Setting) -> dict[str, Any]:
    """A step of stage 2, mini."""
    config = settings(setting, "mini", 16)
    steps = setting.repeats
    model = build(config, GRADES)
    return parts_of(model, stage2_of(model, 16 * steps), GRADES, steps)


def stage1_parts(setting: Setting) -> dict[str, Any]:
    """A step of stage 1 with 62 ranks, mini."""
    config = settings(setting, "mini", BATCH)
    steps = setting.repeats
    with _watched() as built:
        stage = stage1_of(config, ages(62), BATCH * steps)
    return parts_of(built[0], stage, ages(62), steps)


@contextmanager
def _watched() -> Iterator[list[L2RCLIP]]:
    """The models that are built meanwhile."""
    built: list[L2RCLIP] = []
    make = L2RCLIP.build

    def build_and_keep(*given: Any, **named: Any) -> L2RCLIP:
        built.append(make(*given, **named))
        return built[-1]

    with patch.object(L2RCLIP, "build", build_and_keep):
        yield built


def parts_of(model: L2RCLIP, stage: Stage, ranks: Ranks, steps: int) -> dict[str, Any]:
    """Milliseconds of each part of a step.

    Args:
        model: What trains.
        stage: With pictures or features for all steps.
        ranks: The label space.
        steps: How many to profile.

    Returns:
        `milliseconds` of the parts and of the whole `step`, `steps`, `threads`.
    """
    if model.config.device == "cuda":
        raise NotMeasuredError("the profile counts the time of a CPU; a GPU works on while Python goes ahead")
    targets = torch.arange(steps * model.config.batch_size) % len(ranks)
    run_stage(stage, targets, ranks, model.config)  # first calls are slow
    watched = replace(stage, loss=labelled(STEP, stage.loss))
    with _labels(model), profile(activities=[ProfilerActivity.CPU]) as found:
        run_stage(watched, targets, ranks, model.config)
    totals = added_up(list(found.events() or []))
    each = {name: round(total / 1000 / steps, 3) for name, total in totals.items()}
    return {
        "milliseconds": each,
        "steps": steps,
        "threads": torch.get_num_threads(),
        "towers": model.config.towers,
    }


def labelled(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, its time under a name."""

    def run(*given: Any, **named: Any) -> Any:
        with record_function(LABEL + name):
            return call(*given, **named)

    return run


@contextmanager
def _labels(model: L2RCLIP) -> Iterator[None]:
    """Names for the towers and RankFormer."""
    towers, former = model.towers, getattr(model.prompts, "rankformer", None)
    with ExitStack() as stack:
        for name, method in ((IMAGE, "encode_image"), (TEXT, "encode_embeddings")):
            stack.enter_context(patch.object(towers, method, labelled(name, getattr(towers, method))))
        if former is not None:
            stack.enter_context(patch.object(former, "forward", labelled(FORMER, former.forward)))
        yield


def added_up(events: list[Any]) -> dict[str, float]:
    """Microseconds of each part, over all steps; the parts sum to the time from the first step to the last."""
    named = [
        (e.time_range.start, e.time_range.end, e.name.removeprefix(LABEL))
        for e in events
        if e.name.startswith(LABEL)
    ]
    steps = sorted(span for span in named if span[2] == STEP)
    inner = sorted(span for span in named if span[2] != STEP and _inside(span, steps))
    total: dict[str, float] = defaultdict(float)
    for start, end, _ in steps:
        mine = [span for span in inner if start <= span[0] and span[1] <= end]
        for low, high, name in mine:
            total[f"{name}, forward"] += high - low
        first = mine[0][0] if mine and mine[0][2] == IMAGE else start
        total[DATA] += first - start
        total[LOSS] += end - first - sum(high - low for low, high, _ in mine)
    part = _part_of_number(events, steps, inner)
    for event in events:
        if event.name.startswith(BACKWARD):
            name = part.get(event.sequence_nr, REST)
            total[name if name in (LOSS, REST) else f"{name}, backward"] += event.cpu_time_total
        elif event.name.startswith("Optimizer.step"):
            total[OPTIMISER] += event.cpu_time_total
    ends = [e.time_range.end for e in events if e.name.startswith("Optimizer.step")]
    whole = max(ends) - steps[0][0]
    total[REST] += whole - sum(total.values())
    return dict(total) | {STEP: whole}


def _inside(span: Span, steps: list[Span]) -> bool:
    """Whether a span lies in the forward half of a step."""
    at = bisect_right(steps, span) - 1
    return at >= 0 and span[1] <= steps[at][1]


def _part_of_number(events: list[Any], steps: list[Span], inner: list[Span]) -> dict[int, str]:
    """Sequence number of a forward operator -> the part in which it was called."""
    found: dict[int, str] = {}
    for event in events:
        if event.sequence_nr < 0 or event.name.startswith((BACKWARD, LABEL)):
            continue
        own = (event.time_range.start, event.time_range.end, "~")
        if not _inside(own, steps) or event.sequence_nr in found:
            continue
        at = bisect_right(inner, own) - 1
        around = at >= 0 and own[1] <= inner[at][1]
        found[event.sequence_nr] = inner[at][2] if around else LOSS
    return found
