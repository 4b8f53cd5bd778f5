"""What a model file may ask for, what it must hold, and what it keeps."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from scipy.stats import spearmanr
from tiny_clip import weights

from l2rclip_lite.config import Config
from l2rclip_lite.data import load_dataset
from l2rclip_lite.errors import InputError
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.model_file import ModelFile, as_float32

RANKS = Ranks(("new", "used", "worn"), (0, 2, 7), template="a {rank} tyre")
CONFIG = Config(towers="tiny/random", heads=2, hidden=16)
PIXELS = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def test_a_model_of_sixteen_bits_loads_as_float32(tmp_path: Path) -> None:
    """Its numbers are those of sixteen bits; what is not finite is refused all the same."""
    model = L2RCLIP.build(RANKS, CONFIG).to(torch.float16)
    file = model.save_pretrained(tmp_path)
    loaded = L2RCLIP.from_pretrained(tmp_path)
    assert loaded.rank_features.dtype == torch.float32
    assert torch.equal(loaded.rank_features, model.rank_features.float())

    content = ModelFile.read(file)
    content.tensors["rank_features"] *= torch.inf
    content.write(file)
    with pytest.raises(InputError, match="rank_features must hold finite numbers of type float32"):
        L2RCLIP.from_pretrained(tmp_path)


@pytest.mark.parametrize("scale", [torch.ones(3), torch.full((2,), torch.nan), None])
def test_eight_bits_have_a_step_for_each_row(scale: torch.Tensor | None) -> None:
    """A step that is missing, of another shape or no number is refused."""
    q = torch.zeros(2, 2, dtype=torch.int8)
    steps = {} if scale is None else {"w.scale": scale}
    with pytest.raises(ValueError, match="w must hold finite numbers"):
        as_float32({"w": q, **steps})


def test_towers_that_no_name_brings_back_are_in_the_file(pocket_model: str, tmp_path: Path) -> None:
    """Random ones, and those of a local file, which may be gone; also when saved once more."""
    local = tmp_path / "w.safetensors"
    save_file(weights(9), local)

    for towers, file in ((f"{pocket_model}/random", None), (pocket_model, str(local))):
        config = replace(CONFIG, towers=towers, weights=file, image_side="kernel")
        model = L2RCLIP.build(RANKS, config)
        model.save_pretrained(tmp_path)
        if file is not None:
            local.unlink()
        for _ in range(2):
            loaded = L2RCLIP.from_pretrained(tmp_path)
            assert torch.equal(loaded(PIXELS), model(PIXELS))
            text = model.towers.encode_text(["a leaf"])
            assert torch.equal(loaded.towers.encode_text(["a leaf"]), text)
            loaded.save_pretrained(tmp_path)


def test_the_models_that_ship_order_leaves() -> None:
    """One its own grades, one words it never had; a run begins with the tower of the second."""
    test = load_dataset("leaves", size=240, pixels=96, seed=5).test
    images = [image for image, _ in test]
    names = Ranks(("no", "low", "high"), (0, 1, 2), "a photo of a leaf with {rank} damage")
    relative = L2RCLIP.from_pretrained("leaves-percent")
    for model in (L2RCLIP.from_pretrained("leaves"), relative.with_ranks(names)):
        assert spearmanr(test.targets, model.predict(images).expected)[0] > 0.4

    config = Config(start="leaves-percent", image_size=96, heads=2, hidden=16)
    begun = L2RCLIP.build(names, config)
    assert torch.equal(begun.encode(images[:2]), relative.encode(images[:2]))
