"""Runs at the edge: hardly any data, extreme values, steps that are not finite, leaks."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

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


Images = list[tuple[Image.Image, int]]


def noise_of(labels: Sequence[int]) -> Images:
    """Return a split of noise."""
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (len(labels), 64, 64, 3), np.uint8)
    return [(Image.fromarray(noise), label) for noise, label in zip(pixels, labels, strict=True)]


@pytest.mark.parametrize(
    ("labels", "values"),
    [
        (([1] * 6, [1] * 3, [1] * 3), (0, 1, 2)),  # one label everywhere
        (([0], [1], [2]), (0, 1, 2)),  # one image per split
        (([*EACH[:8], 0], EACH, EACH), (-1e9, 0, 1e-6)),  # a last batch of one
    ],
)
def test_a_run_at_the_edge_ends_in_finite_figures(
    tmp_path: Path, labels: Sequence[Sequence[int]], values: tuple[float, ...]
) -> None:
    """Nothing warns."""
    ranks = Ranks(("grade 0", "grade 1", "grade 2"), values, "a {rank} leaf")
    data = OrdinalDataset.from_datasets(
        [noise_of(part) for part in labels], ranks, allow_empty_ranks=True
    )
    TRIED[EDGE] += 1
    run = fit(data, TINY, tmp_path / "run", quiet=True)
    for split in ("val", "test"):
        for name, value in run.metrics[split].items():
            assert math.isfinite(value), name


@pytest.mark.parametrize("poison", ["loss", "gradient"])
def test_a_step_that_is_not_finite_stops_the_run_which_can_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, poison: str
) -> None:
    """The sentence names stage, epoch and step; repaired, the run ends as if nothing had been."""
    config = replace(TINY, epochs2=2, lambda_rps=1.0)
    ranks = Ranks(("a", "b", "c"), (0, 1, 2), "a {rank} leaf")
    images = [noise_of(EACH)] * 3
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
