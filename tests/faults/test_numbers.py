"""Numbers at the edge: data that is hardly there, values that floats can hardly hold, steps that are not finite, leaks."""

from __future__ import annotations

import gc
import math
import os
import threading
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

from l2rclip_lite import metrics, training
from l2rclip_lite.config import Config
from l2rclip_lite.data.base import OrdinalDataset
from l2rclip_lite.errors import InputError, TrainingError
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.training import fit

TINY = Config(towers="tiny/random", epochs1=1, epochs2=1, batch_size=4, heads=2, hidden=16, device="cpu", threads=1)
EACH = [0, 1, 2] * 3
LABELS: dict[str, Any] = {
    "one label everywhere": ([1] * 6, [1] * 3, [1] * 3),
    "one image per split": ([0], [1], [2]),
    "a last batch of one": ([*EACH[:8], 0], EACH, EACH),
    "training labels all equal": ([1] * 6, EACH, EACH),
    "a rank without a training image": ([0, 2] * 4, EACH, EACH),
    "black images": (EACH, EACH, EACH),
    "the same image under all labels": (EACH, EACH, EACH),
}
VALUES: dict[str, tuple[float, float, float]] = {
    "least gap and largest value": (-1e9, 0, 1e-6),
    "negative": (-30, -20, -10.5),
    "one far away": (0, 1, 1e9),
}
SETTINGS: list[dict[str, Any]] = [
    {"lr1": 1e6, "lr2": 1e6},
    {"precision": "bf16", "lr2": 1e3},
    {"batch_size": 2**31 - 1},
    {"batch_size": 1},
    {"lambda1": 1e6, "lambda2": 1e6, "weight_decay": 1e6},
    {"image_side": "adapter"},
    {"context_length": 0},
    {"epochs1": 0},
    {"lr1": 1e-310, "lr2": 1e-310},
    *({"controls": c} for c in ({"contrastive": "plain"}, {"push_power": 2, "symmetric": True}, {"order": "blind"})),
    *({"controls": c} for c in ({"order": "shuffled", "normalise": "global"}, {"prototypes": "shuffled"})),
]
few = None if LONG else 3  # cases of each table in the short form


def image(kind: str, number: int) -> Image.Image:
    """Noise, the same noise for all, or nothing at all."""
    noise = np.random.default_rng(0 if kind.startswith("the same") else number).integers(0, 256, (64, 64, 3), np.uint8)
    return Image.fromarray(noise * (kind != "black images"))


def data(labels: Sequence[Sequence[int]] = (EACH, EACH, EACH), kind: str = "") -> list[list[tuple[Image.Image, int]]]:
    """Three map-style data sets."""
    return [[(image(kind, 100 * s + n), label) for n, label in enumerate(split)] for s, split in enumerate(labels)]


def ends(out: Path, images: Any, config: Config = TINY, values: Sequence[float] = (0, 1, 2), *, may_stop: bool = False) -> None:
    """A run in finite figures, or with a sentence that says where it stopped."""
    TRIED["numbers"] += 1
    names = tuple(f"grade {k}" for k in range(len(values)))
    try:
        ranks = Ranks(names, tuple(values), "a {rank} leaf")
        run = fit(OrdinalDataset.from_datasets(images, ranks, allow_empty_ranks=True), config, out, quiet=True)
    except (InputError, TrainingError) as error:
        assert may_stop, error
        assert "; " in str(error), error
    else:
        for row in (run.metrics["val"], run.metrics["test"]):
            assert all(math.isfinite(value) for value in row.values()), row


@pytest.mark.parametrize("case", list(LABELS)[:few])
def test_data_that_is_hardly_there(tmp_path: Path, case: str) -> None:
    """Every figure is finite, and nothing warns."""
    ends(tmp_path / "run", data(LABELS[case], case))


@pytest.mark.parametrize("case", list(VALUES)[:few])
def test_rank_values_at_the_edge(tmp_path: Path, case: str) -> None:
    """What single precision can hold."""
    ends(tmp_path / "run", data(), values=VALUES[case])


@pytest.mark.parametrize("values", [(0, 1e-30), (0, 1e30), (0, 1e39), (1e8, 1e8 + 1), (0, math.nan), (-math.inf, 0)])
def test_rank_values_beyond_it(values: tuple[float, float]) -> None:
    """Refused before a run begins."""
    with judged("numbers", about="values" if math.isfinite(values[1]) and abs(values[1]) < 1e9 else ""):
        Ranks(("low", "high"), values, "a {rank} leaf")


@pytest.mark.parametrize("changed", SETTINGS[:few], ids=str)
def test_settings_that_nobody_should_choose(tmp_path: Path, changed: dict[str, Any]) -> None:
    """Finite figures, or a sentence with stage, epoch, step and the setting to change."""
    ends(tmp_path / "run", data(), Config.from_dict(TINY.to_dict() | changed), may_stop=True)


@pytest.mark.parametrize("step", range(1, 7) if LONG else [5])
@pytest.mark.parametrize("bad", ["loss", "gradient"])
def test_a_poisoned_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: str, step: int) -> None:
    """The sentence names stage, epoch and step; repaired, the run ends as if nothing had been."""
    config, ranks, calls = replace(TINY, epochs2=2), Ranks(("a", "b", "c"), (0, 1, 2), "a {rank} leaf"), iter(range(1, 99))
    whole = fit(data(), config, tmp_path / "whole", ranks=ranks, quiet=True)
    real = training.ordinal_pairwise_loss

    def poisoned(z: torch.Tensor, *given: Any, **options: Any) -> torch.Tensor:
        loss = real(z, *given, **options)
        if next(calls) != step:
            return loss
        return loss * math.inf if bad == "loss" else loss + (z - z.detach()).square().sum().sqrt()

    monkeypatch.setattr(training, "ordinal_pairwise_loss", poisoned)
    with pytest.raises(TrainingError, match=rf"^stage 2, epoch {(step + 2) // 3}, step {(step - 1) % 3 + 1}: .*; "):
        fit(data(), config, tmp_path / "run", ranks=ranks, quiet=True)
    monkeypatch.undo()
    again = fit(data(), config, tmp_path / "run", ranks=ranks, quiet=True)
    assert (again.metrics, list(again.history)) == (whole.metrics, list(whole.history))
    TRIED["poisoned-step"] += 1


@pytest.mark.skipif(not LONG, reason="minutes: make faults")
def test_a_thousand_ranks(tmp_path: Path) -> None:
    """Most without a training image."""
    labels = np.random.default_rng(0).integers(0, 1000, 60).tolist()
    ends(tmp_path / "run", data([labels, labels[:20], labels[20:40]]), values=range(1000))


@pytest.mark.skipif(not LONG, reason="minutes: make faults")
def test_random_labels_teach_nothing(tmp_path: Path) -> None:
    """It trains all the same; the agreement with fresh random labels is chance."""
    draw = np.random.default_rng(0)
    images = data([draw.integers(0, 3, size).tolist() for size in (120, 60, 120)])
    config, ranks = replace(TINY, batch_size=16, epochs1=4, epochs2=4), Ranks(("a", "b", "c"), (0, 1, 2), "a {rank} leaf")
    run = fit(images, config, tmp_path / "run", ranks=ranks, quiet=True)
    assert run.metrics["test"]["qwk_low"] - 0.1 <= 0 <= run.metrics["test"]["qwk_high"] + 0.1
    TRIED["numbers"] += 1


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
    with judged("metrics", must=not size or kind != "good"):
        found = metrics.evaluate(rows, target, ranks, intervals=True, resamples=20, seed=seed % 9)
        assert all(math.isfinite(value) for value in found.values()), found


@pytest.mark.skipif(not LONG or not os.path.exists("/proc/self/statm"), reason="minutes, on Linux: make faults")
def test_nothing_grows(tmp_path: Path) -> None:
    """The same runs again and again in one process: after a warm-up neither memory nor files nor threads grow."""
    sizes, handles, threads = [], [], []
    for round_ in range(40):
        changed = ({}, {"image_side": "adapter"}, {"precision": "bf16"}, {"batch_size": 9})[round_ % 4]
        ends(tmp_path / str(round_), data(), replace(TINY, **changed))
        gc.collect()
        sizes.append(int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]))
        handles.append(len(os.listdir("/proc/self/fd")))
        threads.append(threading.active_count())
        TRIED["soak"] += 1
    assert np.median(sizes[-8:]) <= 1.05 * np.median(sizes[16:24])
    assert max(handles[16:]) <= max(handles[:16])
    assert max(threads[16:]) <= max(threads[:16])
