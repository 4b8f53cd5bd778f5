"""Large JPEG files are decoded at a reduced scale where a small image is wanted; others are not."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from l2rclip_lite.data import reading
from l2rclip_lite.data.base import Split
from l2rclip_lite.data.images import ResizedImages
from l2rclip_lite.data.reading import ImageFile, read_image

SIDE = 32


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a smooth JPEG of 800 x 600 pixels on its side, and let it count as large."""
    monkeypatch.setattr(reading, "REDUCED", 100_000)
    image = Image.radial_gradient("L").resize((600, 800)).convert("RGB")
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "large.jpg", exif=exif, quality=95)
    return tmp_path / "large.jpg"


def pixels_of(images: object) -> Tensor:
    """Return the small square of the last of these images."""
    return ResizedImages(images, SIDE)[-1][0].int()


def test_a_large_jpeg_is_decoded_in_part_and_looks_the_same(file: Path) -> None:
    """Whether a path or an image of a split, which may be a part of another."""
    assert read_image(file, side=SIDE).size == (100, 75)
    small = pixels_of([file])
    whole = pixels_of([read_image(file)])
    assert not torch.equal(small, whole)
    assert (small - whole).abs().max() <= 2

    split = Split(["a", "b"], [0, 1], [ImageFile(file), ImageFile(file)])
    for part in (split, split.subset([1]), split + split):
        assert torch.equal(pixels_of(part), small)


def test_a_small_jpeg_is_decoded_whole(file: Path) -> None:
    """So are all images of the published results."""
    Image.new("L", (300, 300)).save(file)
    assert read_image(file, side=SIDE).size == (300, 300)
