"""The signs of failure of a run: their ranges are the measured ones, and what cannot be said."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from l2rclip_book.provoked import HEALTHY, PROVOKED
from l2rclip_book.signs import SIGNS, Sign, measure, see_images
from l2rclip_lite.config import Config
from l2rclip_lite.data import OrdinalDataset, load_dataset
from l2rclip_lite.errors import InputError
from l2rclip_lite.method.model import L2RCLIP
from l2rclip_lite.towers.load import load_towers
from l2rclip_lite.training import fit

STORED = Path(__file__).parents[2] / "book" / "results" / "spread" / "08.csv"
SMALL = Config(
    towers="tiny/random", epochs1=1, epochs2=1, batch_size=16, heads=2, hidden=32, lr2=1e-3
)


@pytest.fixture(scope="module")
def leaves() -> OrdinalDataset:
    """Ten test images."""
    return load_dataset("leaves", size=60, pixels=64)


@pytest.mark.parametrize("sign", SIGNS, ids=lambda sign: sign.column)
def test_the_ranges_are_those_of_the_stored_runs(sign: Sign) -> None:
    """Least and largest value of healthy runs, and of runs that were made to fail."""
    runs = pd.read_csv(STORED)
    assert len(runs) == 15
    for name, values in ((HEALTHY, sign.healthy), (sign.provoked_by, sign.provoked)):
        column = runs[f"{name}: {sign.column}"]
        assert values == (round(column.min(), 2), round(column.max(), 2))
    assert sign.provoked_by in PROVOKED


def test_a_sign_fires_beyond_the_middle_between_the_ranges() -> None:
    """On either side; and never where the ranges overlap."""
    above = replace(SIGNS[0], healthy=(0.5, 0.9), provoked=(-0.1, 0.3), advice="Mend it.")
    assert [above.fires(value) for value in (0.39, 0.41)] == [True, False]
    assert above.says(0.2) == "As in runs that failed. Mend it."
    below = replace(above, healthy=(-0.1, 0.3), provoked=(0.5, 0.9))
    assert [below.fires(value) for value in (0.39, 0.41)] == [False, True]

    overlap = replace(above, provoked=(-0.1, 0.6))
    assert not overlap.fires(-9.0)
    assert "decides nothing" in overlap.says(-9.0)


def test_the_images_of_a_run_are_seen_before_and_after(
    leaves: OrdinalDataset, tmp_path: Path
) -> None:
    """By the untrained tower, and by that of the run."""
    model = fit(leaves, SMALL, tmp_path / "run", quiet=True).model
    seen = see_images(model, leaves)
    untrained = L2RCLIP(load_towers("tiny/random", image_size=64), leaves.ranks, SMALL)

    assert torch.allclose(seen.before, untrained.encode(leaves.test), atol=1e-5)
    assert seen.after is not None
    assert torch.allclose(seen.after, model.encode(leaves.test), atol=1e-5)
    assert not torch.allclose(seen.after, seen.before, atol=1e-3)
    assert all(isinstance(value, float) for value in measure(model, seen).values())


def test_what_cannot_be_computed_is_said_in_words(leaves: OrdinalDataset) -> None:
    """A frozen tower; no images; plain sentences; a run that began with another one."""
    model = L2RCLIP.build(leaves.ranks, replace(SMALL, image_side="kernel"), 64)
    values = measure(model, see_images(model, leaves))
    assert values["spread"] == "the image tower was not trained in this run."
    assert isinstance(values["margin"], float)
    assert measure(model, None)["margin"] == "this one needs the test images."

    plain = L2RCLIP.build(leaves.ranks, replace(SMALL, epochs1=0), 64)
    assert measure(plain, None)["template"] == "stage 1 has trained no prompts in this run."
    plain.config = replace(SMALL, start="relative")
    with pytest.raises(InputError, match="began with another run"):
        see_images(plain, leaves)
