"""Runs at the edge: hardly any data, extreme values, steps that are not finite, leaks."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from faults import TRIED
from PIL import Image

from l2rclip_lite.config import Config
from l2rclip_lite.data.base import OrdinalDataset
from l2rclip_lite.errors import TrainingError
from l2rclip_lite.method import losses
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.runs.results import Run
from l2rclip_lite.training import fit

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
EACH = (0, 1, 2) * 3  # labels of a split


@dataclass(frozen=True)
class Case:
    """Labels of the three splits, the values of the ranks, and settings."""

    train: Sequence[int] = EACH
    val: Sequence[int] = EACH
    test: Sequence[int] = EACH
    values: Sequence[float] = (0, 1, 2)
    settings: Mapping[str, Any] = field(default_factory=dict)


TRAINS = {
    "one label everywhere": Case(train=[1] * 6, val=[1] * 3, test=[1] * 3),
    "one image per split": Case(train=[0], val=[1], test=[2]),
    "a last batch of one": Case(train=[*EACH[:8], 0], values=(-1e9, 0, 1e-6)),
}

Images = list[tuple[Image.Image, int]]


def noise_of(case: Case) -> list[Images]:
    """Return three splits of noise."""
    generator = np.random.default_rng(0)
    splits = []
    for labels in (case.train, case.val, case.test):
        split = []
        for label in labels:
            pixels = generator.integers(0, 256, (64, 64, 3), np.uint8)
            split.append((Image.fromarray(pixels), label))
        splits.append(split)
    return splits


def fit_case(case: Case, out: Path) -> Run:
    """Train a case in seconds."""
    names = tuple(f"grade {rank}" for rank in range(len(case.values)))
    ranks = Ranks(names, tuple(case.values), "a {rank} leaf")
    data = OrdinalDataset.from_datasets(noise_of(case), ranks, allow_empty_ranks=True)
    config = Config.from_dict(TINY.to_dict() | dict(case.settings))
    TRIED[EDGE] += 1
    return fit(data, config, out, quiet=True)


def check_finite(run: Run) -> None:
    """Assert that every figure of a run is one."""
    for split in ("val", "test"):
        for name, value in run.metrics[split].items():
            assert math.isfinite(value), name


@pytest.mark.parametrize("name", TRAINS)
def test_a_run_at_the_edge_ends_in_finite_figures(tmp_path: Path, name: str) -> None:
    """Nothing warns."""
    check_finite(fit_case(TRAINS[name], tmp_path / "run"))


@pytest.mark.parametrize("poison", ["loss", "gradient"])
def test_a_step_that_is_not_finite_stops_the_run_which_can_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, poison: str
) -> None:
    """The sentence names stage, epoch and step; repaired, the run ends as if nothing had been."""
    config = replace(TINY, epochs2=2, lambda_rps=1.0)
    ranks = Ranks(("a", "b", "c"), (0, 1, 2), "a {rank} leaf")
    images = noise_of(Case())
    whole = fit(images, config, tmp_path / "whole", ranks=ranks, quiet=True)

    steps = itertools.count(1)
    ranked_probability_loss = losses.ranked_probability_loss

    def poisoned(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        loss = ranked_probability_loss(logits, target)
        if next(steps) != 5:
            return loss
        if poison == "loss":
            return loss * math.inf
        zero = logits - logits.detach()  # the slope of its root is infinite
        return loss + zero.square().sum().sqrt()

    with monkeypatch.context() as patch:
        patch.setattr(losses, "ranked_probability_loss", poisoned)
        with pytest.raises(TrainingError, match=r"^stage 2, epoch 2, step 2: .*; "):
            fit(images, config, tmp_path / "run", ranks=ranks, quiet=True)

    resumed = fit(images, config, tmp_path / "run", ranks=ranks, quiet=True)
    assert resumed.history == whole.history
    timeless = {"seconds": None}
    assert resumed.metrics | timeless == whole.metrics | timeless
    TRIED["a loss or a gradient that is not finite in one step"] += 1
