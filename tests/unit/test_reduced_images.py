"""Large JPEG files are decoded at a reduced scale where a small image is wanted; others are not."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image
from torch import Tensor

from l2rclip_lite.data import images
from l2rclip_lite.data.base import Split
from l2rclip_lite.data.images import ImageFiles, ResizedImages, read_image

SIDE = 32


def photo() -> Image.Image:
    """Return something like a photograph: smooth, with a little noise."""
    random = np.random.default_rng(0)
    coarse = Image.fromarray(random.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((800, 600), Image.Resampling.BICUBIC), dtype=np.int16)
    noisy = smooth + random.integers(-8, 9, smooth.shape)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def pixels_of(image: object) -> Tensor:
    """Return the small square."""
    return ResizedImages([image], SIDE)[0][0].int()


@pytest.fixture
def reduced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the small test image count as large."""
    monkeypatch.setattr(images, "REDUCED", 100_000)


def saved(folder: Path, kind: str) -> Path:
    """Write the photograph in some way."""
    file = folder / f"{kind}.jpg"
    image = photo()
    if kind == "turned":
        exif = image.getexif()
        exif[ExifTags.Base.Orientation] = 6
        image.transpose(Image.Transpose.ROTATE_90).save(file, exif=exif, quality=95)
    elif kind == "many":
        image.save(file, "MPO", save_all=True, append_images=[image], quality=95)
    else:
        image.convert(kind).save(file, quality=95)
    return file


@pytest.mark.parametrize("kind", ["RGB", "L", "CMYK", "turned", "many"])
@pytest.mark.usefixtures("reduced")
def test_a_large_jpeg_is_decoded_in_part_and_looks_the_same(tmp_path: Path, kind: str) -> None:
    """Whether a path or an image of a split, which may be a part of another."""
    file = saved(tmp_path, kind)
    small = read_image(file, side=SIDE)
    assert sorted(small.size) == [75, 100]

    whole = pixels_of(read_image(file))
    assert (pixels_of(file) - whole).abs().max() <= 2

    split = Split(["a", "b"], [0, 1], ImageFiles([file, file], ["", ""]))
    for part in (split, split.subset([1]), split + split):
        assert torch.equal(ResizedImages(part, SIDE)[0][0].int(), pixels_of(file))


@pytest.mark.usefixtures("reduced")
def test_a_transform_and_other_formats_get_all_pixels(tmp_path: Path) -> None:
    """What a user does to an image may depend on its size."""
    file = saved(tmp_path, "RGB")
    split = Split(["a"], [0], ImageFiles([file], [""]), transform=lambda image: image)
    assert torch.equal(ResizedImages(split, SIDE)[0][0].int(), pixels_of(read_image(file)))

    photo().save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png", side=SIDE).size == (800, 600)


def test_a_jpeg_of_two_megapixels_is_decoded_whole(tmp_path: Path) -> None:
    """So are all images of the published results."""
    for width, expected in ((1_000, 1_000), (1_001, 251)):
        file = tmp_path / f"{width}.jpg"
        Image.new("L", (width, 2_000)).save(file)
        assert read_image(file, side=100).width == expected
