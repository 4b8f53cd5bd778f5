"""Numbers at the edge: data that is hardly there, values that floats can hardly hold, steps that are not finite, leaks."""

import gc
import math
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from faults import LONG, TRIED, judged, many
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from l2rclip_lite import losses, metrics
from l2rclip_lite.config import Config
from l2rclip_lite.data.base import OrdinalDataset
from l2rclip_lite.errors import TrainingError
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.training.fit import fit

TINY = Config(
    towers="tiny/random",
    epochs1=1,
    epochs2=1,
    batch_size=4,
    heads=2,
    hidden=16,
    device="cpu",
    threads=1,
)
EDGE = "tiny or degenerate data, rank values and settings at the edge"
EACH = [0, 1, 2] * 3
MANY = [n % 50 * 20 for n in range(60)]
CASES: list[tuple[str, Sequence[Sequence[int]], Sequence[float], dict[str, Any]]] = [
    ("one label everywhere", ([1] * 6, [1] * 3, [1] * 3), (0, 1, 2), {}),
    ("one image per split", ([0], [1], [2]), (0, 1, 2), {}),
    ("a last batch of one", ([*EACH[:8], 0], EACH, EACH), (-1e9, 0, 1e-6), {}),
    ("a wild learning rate", (EACH, EACH, EACH), (0, 1, 2), {"lr1": 1e6, "lr2": 1e6}),
    ("black images", (EACH, EACH, EACH), (0, 1, 1e9), {"batch_size": 1}),
    (
        "no gap",
        ([0, 2] * 4, EACH, EACH),
        (-30, -20, -10.5),
        {"precision": "bf16", "batch_size": 2**31 - 1},
    ),
    (
        "heavy losses",
        (EACH, EACH, EACH),
        (0, 1, 2),
        {"preset": "paper", "lambda1": 1e6, "lambda_rps": 1e6, "weight_decay": 1e6},
    ),
    (
        "denormal rates",
        (EACH, EACH, EACH),
        (0, 1, 2),
        {"lr1": 1e-310, "lr2": 1e-310, "context_length": 0},
    ),
    (
        "plain",
        (EACH, EACH, EACH),
        (0, 1, 2),
        {"controls": {"contrastive": "plain", "order": "blind"}},
    ),
    ("derived", (EACH, EACH, EACH), (0, 1, 2), {"controls": {"push_power": 2, "symmetric": True}}),
    (
        "shuffled",
        (EACH, EACH, EACH),
        (0, 1, 2),
        {"controls": {"order": "shuffled", "normalise": "global"}},
    ),
    ("a thousand ranks", (MANY, MANY, MANY), range(1000), {"batch_size": 16}),
]


Splits = list[list[tuple[Image.Image, int]]]


def data(labels: Sequence[Sequence[int]] = (EACH, EACH, EACH), *, black: bool = False) -> Splits:
    """Three splits of noise, or of nothing at all."""
    noise = np.random.default_rng(0)
    return [
        [
            (Image.fromarray(noise.integers(0, 1 if black else 256, (64, 64, 3), np.uint8)), k)
            for k in split
        ]
        for split in labels
    ]


def ends(
    out: Path, images: Any, config: Config, values: Sequence[float], *, may_stop: bool = False
) -> None:
    """A run in finite figures, or with a sentence that says where it stopped."""
    TRIED[EDGE] += 1
    ranks = Ranks(tuple(f"grade {k}" for k in range(len(values))), tuple(values), "a {rank} leaf")
    splits = OrdinalDataset.from_datasets(images, ranks, allow_empty_ranks=True)
    try:
        run = fit(splits, config, out, quiet=True)
    except TrainingError as error:
        if not may_stop or "; " not in str(error):
            raise
    else:
        assert all(
            math.isfinite(value)
            for split in ("val", "test")
            for value in run.metrics[split].values()
        )


@pytest.mark.parametrize(("name", "labels", "values", "changed"), CASES[: None if LONG else 4])
def test_at_the_edge(
    tmp_path: Path, name: str, labels: Any, values: Sequence[float], changed: dict[str, Any]
) -> None:
    """Nothing warns; where a rate or a weight is absurd, the run may stop with a sentence."""
    images, config = (
        data(labels, black=name == "black images"),
        Config.from_dict(TINY.to_dict() | changed),
    )
    ends(tmp_path / "run", images, config, values, may_stop=name.startswith(("a wild", "heavy")))


@pytest.mark.parametrize("step", range(1, 7) if LONG else [5])
@pytest.mark.parametrize("bad", ["loss", "gradient"])
def test_a_poisoned_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: str, step: int
) -> None:
    """The sentence names stage, epoch and step; repaired, the run ends as if nothing had been."""
    config = replace(TINY, epochs2=2, lambda_rps=1.0)
    ranks = Ranks(("a", "b", "c"), (0, 1, 2), "a {rank} leaf")
    whole = fit(data(), config, tmp_path / "whole", ranks=ranks, quiet=True)
    calls, real = iter(range(1, 99)), losses.ranked_probability_loss

    def poisoned(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        loss = real(logits, target)
        if next(calls) != step:
            return loss
        gap = logits - logits.detach()  # 0, but the slope of its root is not
        return loss * math.inf if bad == "loss" else loss + gap.square().sum().sqrt()

    monkeypatch.setattr(losses, "ranked_probability_loss", poisoned)
    where = f"stage 2, epoch {(step + 2) // 3}, step {(step - 1) % 3 + 1}"
    with pytest.raises(TrainingError, match=rf"^{where}: .*; "):
        fit(data(), config, tmp_path / "run", ranks=ranks, quiet=True)
    monkeypatch.undo()
    again = fit(data(), config, tmp_path / "run", ranks=ranks, quiet=True)
    timeless = {"seconds": None}
    assert (again.metrics | timeless, again.history) == (whole.metrics | timeless, whole.history)
    TRIED["a loss or a gradient that is not finite in one step"] += 1


KINDS = {"good": 0.5, "nan": math.nan, "inf": math.inf, "sum": 2.0, "negative": -0.2}


@many(short=60, long=4_000)
@given(st.sampled_from(sorted(KINDS)), st.integers(0, 6), st.integers(0, 2**31), st.booleans())
def test_probabilities_that_are_none(kind: str, size: int, seed: int, same: bool) -> None:
    """Not finite, negative, of another sum: refused; one image, one label, certain rows: finite figures."""
    draw = np.random.default_rng(seed)
    rows = draw.dirichlet([0.1, 1, 1], size=size)
    target = np.full(size, seed % 3) if same else draw.integers(0, 3, size)
    if size and kind != "good":
        rows[draw.integers(size), draw.integers(3)] = KINDS[kind]
    ranks = Ranks(("a", "b", "c"), (0, 1, 2), "grade {rank}")
    with judged("metrics of probabilities that are none", must=not size or kind != "good"):
        found = metrics.evaluate(rows, target, ranks, intervals=True, resamples=20, seed=seed % 9)
        assert all(math.isfinite(value) for value in found.values()), found


@pytest.mark.skipif(
    not LONG or not os.path.exists("/proc/self/statm"), reason="minutes, on Linux: make faults"
)
def test_nothing_grows(tmp_path: Path) -> None:
    """The same four runs again and again in one process: after a warm-up neither memory nor open files grow."""
    sizes, handles = [], []
    for number in range(40):
        changed = ({}, {"image_side": "kernel"}, {"precision": "bf16"}, {"batch_size": 9})[
            number % 4
        ]
        ends(tmp_path / str(number), data(), replace(TINY, **changed), (0, 1, 2))
        gc.collect()
        sizes.append(int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]))
        handles.append(len(os.listdir("/proc/self/fd")))
    assert np.median(sizes[-8:]) <= 1.05 * np.median(sizes[16:24])
    assert max(handles[16:]) <= max(handles[:16])
    TRIED["runs in one process: memory and open files"] += 40
