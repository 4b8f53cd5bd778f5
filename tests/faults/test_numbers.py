"""Runs at the edge: hardly any data, extreme values, steps that are not finite, leaks."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from children import CONFIG
from PIL import Image

from l2rclip_lite.data.base import OrdinalDataset
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.training import fit

TINY = replace(CONFIG, epochs1=1, epochs2=1, batch_size=4)
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
    run = fit(data, TINY, tmp_path / "run", quiet=True)
    for split in ("val", "test"):
        for name, value in run.metrics[split].items():
            assert math.isfinite(value), name
