"""Features that were kept are taken only whole, finite, and for their images and tower."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import ConcatDataset, Subset

from l2rclip_lite.config import Config
from l2rclip_lite.data import OrdinalDataset, Split
from l2rclip_lite.data.images import ImageFiles, ResizedImages, file_digest
from l2rclip_lite.data.pixels import scaled
from l2rclip_lite.errors import InputError
from l2rclip_lite.files import read_tensors, save_tensors
from l2rclip_lite.method.model import L2RCLIP
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.runs.encoding import CachedFeatures, FeatureCache, encode_images
from l2rclip_lite.towers.base import Towers
from l2rclip_lite.towers.load import load_towers
from l2rclip_lite.towers.open_clip import OpenClipTowers
from l2rclip_lite.training.fit import fit

NOISE = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)
IMAGES = [Image.fromarray(pixels) for pixels in NOISE]


RANKS = Ranks(("low", "high"), (0, 1), template="a {rank} grade")


@pytest.fixture
def model(tiny: Towers) -> L2RCLIP:
    """An untrained one."""
    return L2RCLIP(tiny, RANKS, Config(heads=2))


# --- what is taken and what is computed ---------------------------------------------------------


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


def test_features_of_an_image_that_changes_while_it_is_encoded_are_not_kept(tmp_path: Path) -> None:
    """They would be those of another image than the one whose name they have."""
    file = tmp_path / "a.png"
    IMAGES[0].save(file)
    cache = FeatureCache(tmp_path / "cache", "pixels", torch.float32)

    def encode(pixels: Tensor) -> Tensor:
        IMAGES[1].save(file)
        return pixels.float().flatten(1)

    with pytest.raises(InputError, match="an image was changed while images were encoded"):
        encode_images(
            ResizedImages([str(file)], 8),
            encode,
            batch_size=1,
            workers=0,
            quiet=True,
            cache=cache,
        )
    assert not cache.folder.exists()


def test_the_features_of_images_are_computed_once(
    model: L2RCLIP, tmp_path: Path, n_encoded: list[int]
) -> None:
    """Of these images in this order, whatever the model beside the tower."""
    features = model.encode(IMAGES, backbone=True, cache=tmp_path)
    other = L2RCLIP(model.towers, RANKS, Config(heads=2, seed=1))

    assert torch.equal(other.encode(IMAGES, backbone=True, cache=tmp_path), features)
    assert n_encoded == [4]


def test_a_fit_keeps_features_for_other_runs(
    leaves: OrdinalDataset, small: Config, tmp_path: Path, n_encoded: list[int]
) -> None:
    """Sixty images are encoded once; the second run has other settings, and the same images."""
    cache = tmp_path / "cache"
    one = replace(small, image_side="kernel")
    other = replace(one, lr1=1e-3)
    fit(leaves, one, tmp_path / "one", cache=cache, quiet=True)
    fit(leaves, other, tmp_path / "other", cache=cache, quiet=True)
    assert n_encoded == [32, 8, 10, 10]


def test_other_images_and_other_towers_have_features_of_their_own(
    model: L2RCLIP, tmp_path: Path, n_encoded: list[int]
) -> None:
    """Nothing is taken for another thing."""
    features = model.encode(IMAGES, backbone=True, cache=tmp_path)
    other = L2RCLIP(load_towers("tiny/random", seed=1), RANKS, Config(heads=2))

    fewer = model.encode(IMAGES[1:], backbone=True, cache=tmp_path)
    assert torch.allclose(fewer, features[1:], atol=1e-5)  # a batch decides the last bits
    assert not torch.allclose(other.encode(IMAGES, backbone=True, cache=tmp_path), features)
    assert n_encoded == [4, 3, 4]


def test_images_are_told_apart_by_their_content_not_by_their_names(
    model: L2RCLIP, tmp_path: Path, n_encoded: list[int]
) -> None:
    """A file that was replaced under its old name is encoded anew."""
    files = [tmp_path / f"{index}.png" for index in range(4)]
    for image, file in zip(IMAGES, files, strict=True):
        image.save(file)
    features = model.encode(files, backbone=True, cache=tmp_path / "cache")

    files[0].write_bytes(files[1].read_bytes())
    replaced = model.encode(files, backbone=True, cache=tmp_path / "cache")

    assert torch.equal(replaced[0], features[1])
    assert n_encoded == [4, 4]


def test_an_image_is_what_its_dataset_its_file_or_its_pixels_say(tmp_path: Path) -> None:
    """In this order; a transform may change what a dataset knows of."""
    file = tmp_path / "a.png"
    IMAGES[0].save(file)
    split = Split(["a"], [0], ImageFiles([file], [""]))
    digest = file_digest(file)

    parts: list[Any] = [split, Subset(split, [0]), ConcatDataset([split]), [file], [(file, 1)]]
    for images in parts:
        assert ResizedImages(images, 8).digest(0) == digest

    turned = replace(split, transform=lambda image: image.rotate(90))
    assert turned.digest(0) is None
    of_pixels = [ResizedImages(images, 8).digest(0) for images in (turned, IMAGES, IMAGES[1:])]
    assert len({digest, *of_pixels}) == 4


# --- damage -------------------------------------------------------------------------------------


def damaged(change: Callable[[Tensor], Tensor]) -> Callable[[Path], None]:
    """Write other features under the old metadata."""

    def write(file: Path) -> None:
        tensors, metadata = read_tensors(file)
        save_tensors(file, {"features": change(tensors["features"])}, metadata)

    return write


def without_metadata(file: Path) -> None:
    """As release 0.2 wrote it, or a stranger."""
    save_tensors(file, read_tensors(file)[0], {})


def of_other_images(file: Path) -> None:
    """A whole file, under the name of another."""
    (other,) = [path for path in file.parent.iterdir() if path != file]
    file.write_bytes(other.read_bytes())


def under_another_name(file: Path) -> None:
    """The tensor has another key."""
    tensors, metadata = read_tensors(file)
    save_tensors(file, {"x": tensors["features"]}, metadata)


def half(file: Path) -> None:
    """As of a copy that was cut off."""
    file.write_bytes(file.read_bytes()[:600])


DAMAGE: dict[str, Callable[[Path], None]] = {
    "rows in another order": damaged(lambda features: features.flip(0)),
    "a row less": damaged(lambda features: features[1:]),
    "a column less": damaged(lambda features: features[:, 1:]),
    "doubles": damaged(lambda features: features.double()),
    "no numbers": damaged(lambda features: features * torch.nan),
    "one bit": damaged(lambda features: features.nextafter(features + 1)),
    "no metadata": without_metadata,
    "another key": under_another_name,
    "other images": of_other_images,
    "half a file": half,
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_cache_is_written_anew_with_a_line(
    kind: str, model: L2RCLIP, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wrong rows were taken once; wrong shapes, types and keys were tracebacks."""
    features = model.encode(IMAGES, backbone=True, cache=tmp_path)
    (file,) = tmp_path.iterdir()
    model.encode(IMAGES[::-1], backbone=True, cache=tmp_path)
    assert torch.equal(model.encode(IMAGES, backbone=True, cache=tmp_path), features)
    assert capsys.readouterr().err == ""

    DAMAGE[kind](file)
    assert torch.equal(model.encode(IMAGES, backbone=True, cache=tmp_path), features)
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert file.name in line
    assert line.endswith("; these features are computed and written anew\n")

    assert torch.equal(model.encode(IMAGES, backbone=True, cache=tmp_path), features)
    assert capsys.readouterr().err == ""


def test_features_of_damaged_weights_are_not_kept(tmp_path: Path) -> None:
    """They are no numbers, and would be the fault of the cache later."""
    cached = CachedFeatures(tmp_path, ResizedImages(IMAGES, 8), "a tower", range(4))
    cached.write(torch.full((4, 2), torch.nan))
    assert not [*tmp_path.iterdir()]
    cached.write(torch.ones(4, 2))
    assert cached.read(torch.float32) is not None
    assert cached.read(torch.float16) is None


# --- many images, in pieces ---------------------------------------------------------------------

MANY = np.random.default_rng(1).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)


def in_pieces(model: L2RCLIP, folder: Path, piece: int, batch_size: int = 4) -> Tensor:
    """Encode the many images, a file for so many."""
    cache = FeatureCache.of_towers(folder, model.towers, "here", torch.float32)
    return encode_images(
        ResizedImages(MANY, model.towers.image_size),
        lambda pixels: model.towers.backbone(model.towers.normalize(scaled(pixels))),
        batch_size=batch_size,
        workers=0,
        quiet=True,
        cache=replace(cache, piece=piece),
    )


@torch.no_grad()
def test_pieces_are_the_features_of_one_file_bit_for_bit(
    model: L2RCLIP, tmp_path: Path, n_encoded: list[int]
) -> None:
    """Pieces hold whole batches: of 14 images in batches of 4 there are 12 in a file."""
    whole = in_pieces(model, tmp_path / "whole", 40)
    parts = in_pieces(model, tmp_path / "parts", 14)
    assert torch.equal(parts, whole)
    assert len([*(tmp_path / "parts").iterdir()]) == 4
    assert n_encoded == [4] * 20


@torch.no_grad()
def test_a_damaged_or_missing_piece_alone_is_encoded_anew(
    model: L2RCLIP, tmp_path: Path, n_encoded: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    """The others are read."""
    features = in_pieces(model, tmp_path, 8)
    files = sorted(tmp_path.iterdir())
    half(files[0])
    files[1].unlink()
    n_encoded.clear()

    assert torch.equal(in_pieces(model, tmp_path, 8), features)
    assert n_encoded == [4] * 4
    lines = capsys.readouterr().err
    assert lines.count("\n") == 1
    assert files[0].name in lines


@torch.no_grad()
def test_a_disk_without_room_for_all_is_one_sentence_after_the_first_piece(
    model: L2RCLIP, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written stays, and is taken when there is room."""
    usage = shutil.disk_usage
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda folder: usage(folder)._replace(free=99))
        with pytest.raises(InputError, match=r"take 0.0 GB more, and only 0.0 are free; free some"):
            in_pieces(model, tmp_path, 8)
    assert len([*tmp_path.iterdir()]) == 1
    in_pieces(model, tmp_path, 8)
    assert len([*tmp_path.iterdir()]) == 5
