"""Features that were kept are taken only whole, finite, and for the images and the tower they are of."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from l2rclip_lite.config import Config
from l2rclip_lite.feature_cache import CachedFeatures
from l2rclip_lite.files import read_tensors, save_tensors
from l2rclip_lite.images import ResizedImages
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.towers.base import Towers

NOISE = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)
IMAGES = [Image.fromarray(pixels) for pixels in NOISE]


@pytest.fixture
def model(tiny: Towers) -> L2RCLIP:
    """An untrained one."""
    return L2RCLIP(tiny, Ranks(("low", "high"), (0, 1), template="a {rank} grade"), Config(heads=2))


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
    other = [path for path in file.parent.iterdir() if path != file]
    file.write_bytes(other[0].read_bytes())


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
    """Wrong rows were taken; wrong shapes, types and keys were tracebacks."""
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
    cached = CachedFeatures(tmp_path, ResizedImages(IMAGES, 8), "a tower", [torch.ones(2)])
    cached.write(torch.full((4, 2), torch.nan))
    assert not [*tmp_path.iterdir()]
    cached.write(torch.ones(4, 2))
    assert cached.read(torch.float32) is not None
    assert cached.read(torch.float16) is None
