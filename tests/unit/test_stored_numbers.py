"""Weights with 8 bits: how far they move, what is refused, and the relative that ships."""

from pathlib import Path

import pytest
import torch
from l2rclip_lite.runs.stored_numbers import as_float32, as_int8
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from scipy.stats import spearmanr

import l2rclip_lite
from l2rclip_lite.config import Config
from l2rclip_lite.data import load_dataset
from l2rclip_lite.errors import InputError
from l2rclip_lite.method.model import L2RCLIP
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.runs.model_file import MODEL, ModelFile

RANKS = Ranks(("new", "used", "worn"), (0, 2, 7), template="a {rank} tyre")
NAMES = Ranks(("no", "low", "high"), (0, 1, 2), "a photo of a leaf with {rank} damage")


def test_no_number_moves_by_more_than_half_a_step() -> None:
    """Of its own row: a row of small numbers has small steps. A vector stays as it is."""
    weight = torch.randn(4, 3, 2, generator=torch.Generator().manual_seed(0))
    weight *= torch.tensor([100.0, 1.0, 0.01, 0.0])[:, None, None]
    bias = torch.tensor([0.123456789])

    stored = as_int8({"weight": weight, "bias": bias})
    read = as_float32(stored)
    step = weight.abs().amax(dim=(1, 2)) / 127
    moved = (read["weight"] - weight).abs().amax(dim=(1, 2))
    assert set(read) == {"weight", "bias"}
    assert stored["weight"].dtype == torch.int8
    assert (moved <= 0.5001 * step).all()
    assert torch.equal(read["bias"], bias)


@pytest.mark.parametrize("scale", [None, torch.ones(2), torch.full((3,), torch.nan)])
def test_steps_that_are_missing_or_wrong_are_one_sentence(
    tmp_path: Path, scale: torch.Tensor | None
) -> None:
    """A file that somebody has changed."""
    file = L2RCLIP.build(RANKS, Config(towers="tiny/random", heads=2)).save_pretrained(tmp_path)
    tensors = load_file(file) | {"rank_features": torch.ones(3, 64, dtype=torch.int8)}
    if scale is not None:
        tensors["rank_features.scale"] = scale
    metadata = {"l2rclip": stored_settings(file)}
    save_file(tensors, file, metadata)

    with pytest.raises(InputError, match=r"model\.safetensors: cannot be used \(rank_features\.sc"):
        ModelFile.read(tmp_path / MODEL)


def stored_settings(file: Path) -> str:
    """Return the metadata of a model file."""
    with safe_open(file, framework="pt") as stored:
        return str(stored.metadata()["l2rclip"])


def test_the_relative_that_ships_orders_leaves_by_words_it_never_had() -> None:
    """At most 5 MB; three names order drawn leaves, which the plain tower does not."""
    file = Path(l2rclip_lite.__file__).with_name("leaves-percent.safetensors")
    assert file.stat().st_size <= 5_000_000

    test = load_dataset("leaves", size=400, pixels=96, seed=5).test
    images = [image for image, _ in test]
    answer = L2RCLIP.from_pretrained("leaves-percent").with_ranks(NAMES).predict(images)
    assert spearmanr(test.targets, answer.expected)[0] > 0.4


def test_a_run_begins_with_the_relative_that_ships() -> None:
    """By its name; its tower is the one that the new model has."""
    relative = L2RCLIP.from_pretrained("leaves-percent")
    config = Config(start="leaves-percent", image_size=96, heads=2, hidden=16)
    model = L2RCLIP.build(NAMES, config)

    pixels = torch.linspace(0, 1, 2 * 3 * 96 * 96).reshape(2, 3, 96, 96)
    assert torch.equal(model.image_features(pixels), relative.image_features(pixels))
