"""Features on disk: never an old answer, never computed twice, and shared without harm."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from l2rclip_lite import feature_cache
from l2rclip_lite.config import Config
from l2rclip_lite.data import OrdinalDataset
from l2rclip_lite.errors import InputError
from l2rclip_lite.feature_cache import cached_features
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.pixels import load_pixels


@pytest.fixture
def model(leaves: OrdinalDataset, small: Config) -> L2RCLIP:
    """A fresh model on the tiny towers."""
    return L2RCLIP.build(leaves.ranks, small)


def names(folder: Path) -> set[str]:
    """The files in a folder."""
    return {path.name for path in folder.iterdir()}


def test_they_are_the_models_features_and_the_tower_runs_once(
    model: L2RCLIP, leaves: OrdinalDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In pieces of 32 of 40 pictures; the second time nothing is encoded; the features can be trained on."""
    monkeypatch.setattr(feature_cache, "PIECE", 32)
    pixels = load_pixels(leaves.train, model.towers)
    assert torch.equal(cached_features(model, pixels, tmp_path), model.features(pixels))
    assert len(names(tmp_path)) == 2
    monkeypatch.delattr(L2RCLIP, "features")
    again = cached_features(model, pixels, tmp_path)
    (again * torch.ones(1, requires_grad=True)).sum().backward()
    monkeypatch.undo()
    assert torch.equal(again, model.features(pixels))


def test_what_changes_a_feature_changes_its_name(
    model: L2RCLIP, leaves: OrdinalDataset, tmp_path: Path
) -> None:
    """One byte of a picture, one weight: encoded anew. The prompts, which no image feature sees: not."""
    pixels = load_pixels(leaves.test, model.towers)
    cached_features(model, pixels, tmp_path)
    with torch.no_grad():
        model.prompts.context.add_(1)
    cached_features(model, pixels, tmp_path)
    assert len(names(tmp_path)) == 1
    pixels[0, 0, 0, 0] ^= 1
    assert torch.equal(cached_features(model, pixels, tmp_path), model.features(pixels))
    assert len(names(tmp_path)) == 2
    with torch.no_grad():
        next(model.towers.image.parameters()).add_(0.01)
    assert torch.equal(cached_features(model, pixels, tmp_path), model.features(pixels))
    assert len(names(tmp_path)) == 3


def test_two_runs_may_share_a_folder(model: L2RCLIP, leaves: OrdinalDataset, tmp_path: Path) -> None:
    """Both begin at once; both get the features, and one file stays."""
    pixels = load_pixels(leaves.train, model.towers)
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(cached_features, model, pixels, tmp_path) for _ in range(2)]
        assert all(torch.equal(one.result(), model.features(pixels)) for one in both)
    assert len(names(tmp_path)) == 1


def test_a_damaged_piece_is_named(model: L2RCLIP, leaves: OrdinalDataset, tmp_path: Path) -> None:
    """It says which file to delete."""
    pixels = load_pixels(leaves.test, model.towers)
    cached_features(model, pixels, tmp_path)
    file = next(tmp_path.iterdir())
    file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(InputError, match=rf"{file.name}: damaged .*; delete it"):
        cached_features(model, pixels, tmp_path)
