"""Features that were kept are taken for their images and tower alone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from l2rclip_lite.config import Config
from l2rclip_lite.data import OrdinalDataset, images
from l2rclip_lite.data.images import ResizedImages, scaled
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.towers import load_towers
from l2rclip_lite.towers.base import Towers
from l2rclip_lite.towers.open_clip import OpenClipTowers
from l2rclip_lite.training import fit

NOISE = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)
MANY = np.random.default_rng(1).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
IMAGES = [Image.fromarray(pixels) for pixels in NOISE]
RANKS = Ranks(("low", "high"), (0, 1), template="a {rank} grade")


@pytest.fixture
def model(tiny: Towers) -> L2RCLIP:
    """An untrained one."""
    return L2RCLIP(tiny, RANKS, Config(heads=2))


@pytest.fixture
def n_encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of images in every batch that open_clip's towers have encoded."""
    sizes: list[int] = []
    encode = OpenClipTowers.backbone

    def count(self: OpenClipTowers, pixels: Tensor) -> Tensor:
        sizes.append(len(pixels))
        return encode(self, pixels)

    monkeypatch.setattr(OpenClipTowers, "backbone", count)
    return sizes


def test_a_fit_keeps_features_for_other_runs(
    leaves: OrdinalDataset, small: Config, tmp_path: Path, n_encoded: list[int]
) -> None:
    """Sixty images are encoded once; the second run has other settings, and the same images."""
    one = replace(small, image_side="kernel")
    for name, config in {"one": one, "other": replace(one, lr1=1e-3, seed=0)}.items():
        fit(leaves, config, tmp_path / name, cache=tmp_path / "cache", quiet=True)
    assert n_encoded == [32, 8, 10, 10]


def test_other_images_and_other_towers_have_features_of_their_own(
    model: L2RCLIP, tmp_path: Path, n_encoded: list[int]
) -> None:
    """Of these images in this order, whatever the model beside the tower."""
    features = model.encode(IMAGES, backbone=True, cache=tmp_path)
    same = L2RCLIP(model.towers, RANKS, Config(heads=2, seed=1))
    other = L2RCLIP(load_towers("tiny/random", seed=1), RANKS, Config(heads=2))

    assert torch.equal(same.encode(IMAGES, backbone=True, cache=tmp_path), features)
    turned = model.encode(IMAGES[::-1], backbone=True, cache=tmp_path)
    assert torch.allclose(turned, features.flip(0), atol=1e-5)  # a batch decides the last bits
    assert not torch.allclose(other.encode(IMAGES, backbone=True, cache=tmp_path), features)
    assert n_encoded == [4, 4, 4]


def in_pieces(model: L2RCLIP, folder: Path) -> Tensor:
    """Encode the many images in batches of four."""
    with torch.no_grad():
        return images.encode_images(
            ResizedImages(MANY, model.towers.image_size),
            lambda pixels: model.towers.backbone(model.towers.normalize(scaled(pixels))),
            batch_size=4,
            workers=0,
            quiet=True,
            cache=folder,
            encoder="of a test",
        )


def test_pieces_are_the_features_of_one_file_bit_for_bit(
    model: L2RCLIP, tmp_path: Path, n_encoded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pieces hold whole batches: of 14 images in batches of 4 there are 12 in a file.

    One that is missing is encoded anew, the others are read.
    """
    whole = in_pieces(model, tmp_path / "whole")
    monkeypatch.setattr(images, "PIECE", 14)
    parts = in_pieces(model, tmp_path / "parts")
    assert torch.equal(parts, whole)
    assert n_encoded == [4] * 20

    files = sorted((tmp_path / "parts").iterdir(), key=lambda file: file.stat().st_size)
    assert len(files) == 4
    files[-1].unlink()
    assert torch.equal(in_pieces(model, tmp_path / "parts"), whole)
    assert n_encoded == [4] * 23
