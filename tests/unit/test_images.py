"""One picture becomes the same bytes, in whatever form it comes; what is none is refused."""

import io
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from l2rclip_lite.config import Config, Controls
from l2rclip_lite.data.base import Split
from l2rclip_lite.data.images import Augment, ResizedImages
from l2rclip_lite.data.reading import as_rgb, read_image
from l2rclip_lite.errors import InputError
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.towers.base import Towers

SIDE = 8
RANKS = Ranks(("low", "high"), (0, 1), template="a {rank} grade")


def picture() -> np.ndarray:
    """Return noise of 24 x 16 pixels."""
    return np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)


def upright() -> Tensor:
    """Return the picture as a square of bytes, made by Pillow alone."""
    square = Image.fromarray(picture()).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(square)).permute(2, 0, 1)


def turned() -> Image.Image:
    """Return the picture lying on its side, with the EXIF tag that brings it upright."""
    image = Image.fromarray(picture()).transpose(Image.Transpose.ROTATE_90)
    image.getexif()[0x0112] = 6
    return image


def opened(file: Path) -> Image.Image:
    """Return a file as Pillow opens it, before anything is decoded."""
    return Image.open(io.BytesIO(file.read_bytes()))


def clear(image: np.ndarray) -> np.ndarray:
    """Return the picture with four rows that are fully clear, and so may have any colour."""
    opacity = np.full((*image.shape[:2], 1), 255, np.uint8)
    opacity[:4] = 0
    return np.concatenate([image, opacity], axis=2)


def forms(folder: Path) -> dict[str, Any]:
    """Return the picture in each form that an image may have."""
    pixels = picture()
    turned().save(folder / "turned.png", exif=turned().getexif())
    Image.fromarray(pixels).save(folder / "plain.png")

    channels_first = torch.from_numpy(pixels).permute(2, 0, 1)
    return {
        "path": folder / "plain.png",
        "text": str(folder / "plain.png"),
        "turned file": folder / "turned.png",
        "turned, opened": opened(folder / "turned.png"),
        "turned, in memory": turned(),
        "turned, converted": opened(folder / "turned.png").convert("RGB"),
        "array": pixels,
        "array, 16 bits": pixels.astype(np.uint16) * 257,
        "array, 16 bits of another machine": (pixels.astype(">u2") * 257).astype(">u2"),
        "tensor": channels_first,
        "tensor of floats": channels_first / 255,
        "tensor of halves": (channels_first / 255).half(),
        "tensor, 16 bits": torch.from_numpy(pixels.astype(np.uint16) * 257).permute(2, 0, 1),
    }


def test_every_form_of_a_picture_gives_the_same_bytes(tmp_path: Path) -> None:
    """Bit for bit those that Pillow makes of the upright picture; a label beside it is ignored."""
    for form, image in forms(tmp_path).items():
        assert torch.equal(ResizedImages([image], SIDE)[0][0], upright()), form
        assert torch.equal(ResizedImages([(image, 1)], SIDE)[0][0], upright()), form


def test_transparency_is_white_in_every_form(tmp_path: Path) -> None:
    """Four rows are clear: in a file, in two of Pillow's modes, in an array and in a tensor."""
    pixels = clear(picture())
    white = np.where(pixels[..., 3:] == 0, 255, picture())
    image = Image.fromarray(pixels)
    image.save(tmp_path / "clear.png")
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)
    for form in (tmp_path / "clear.png", image, image.convert("RGBa"), pixels, tensor):
        assert np.array_equal(as_rgb(form), white)
    assert as_rgb(np.zeros((1, 1, 2), np.uint8)).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("kind", "damage"),
    [("jpg", b"\xff" * 50), ("png", b"II"), ("webp", b"MM\0*"), ("jpg", b"II+\0\x08\0\0\0")],
)
def test_exif_that_is_damaged_says_nothing(kind: str, damage: bytes, tmp_path: Path) -> None:
    """The image is taken as it is stored, at every reading, without a warning; as viewers do."""
    file = tmp_path / f"photo.{kind}"
    Image.fromarray(picture()).save(file, exif=b"Exif\0\0" + damage)
    with warnings.catch_warnings(action="error"):
        image = read_image(file)
        twice = as_rgb(image)
    stored = np.asarray(Image.open(file).convert("RGB"))
    assert np.array_equal(np.asarray(twice), stored)


# --- every way into the package -----------------------------------------------------------------


@pytest.fixture
def model(tiny: Towers) -> L2RCLIP:
    """A model that nobody trained."""
    return L2RCLIP(tiny, RANKS, Config(towers="tiny/random", heads=2))


@torch.no_grad()
@pytest.mark.parametrize("form", [Path, opened])
def test_encode_and_predict_see_what_the_transform_sees(
    form: Callable[[Path], Any], model: L2RCLIP, tmp_path: Path
) -> None:
    """A photograph that lies on its side: alone, with a label, and as a data set."""
    file = tmp_path / "turned.png"
    turned().save(file, exif=turned().getexif())
    image = form(file)
    pixels = model.transform()(file)[None]
    features = model.image_features(pixels)
    labelled = [(image, 1)]

    assert torch.equal(model.encode(image), features)
    assert torch.equal(model.encode(labelled), features)
    assert torch.equal(model.encode(Split.from_dataset(labelled)), features)
    assert torch.equal(model.predict(image).probabilities, model.probabilities(features))


# --- what is refused ----------------------------------------------------------------------------

REFUSED = {
    "12 bits": (np.full((8, 8), 4_095, np.uint16), "nearly black; multiply the values"),
    "no channels": (torch.zeros(8, 8), "or a tensor (3, height, width)"),
    "floats": (np.zeros((8, 8, 3)), "its numbers are float64"),
    "normalised": (torch.full((3, 8, 8), -2.0), "neither bytes nor in [0, 1], as after Normalize"),
    "no pixels": (Image.new("RGB", (0, 8)), "it has no pixels (0 x 8)"),
    "32 bits": (Image.new("F", (8, 8)), "have more than 16 bits"),
    "pairs by name": ({"image": 1}, "dict is no image; give a path"),
}


@pytest.mark.untyped
@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_image_is_refused_in_a_sentence(kind: str, model: L2RCLIP) -> None:
    """By `predict`, which says which one, and by the transform."""
    image, sentence = REFUSED[kind]
    with pytest.raises(InputError, match=f"^image 1: .*{re.escape(sentence)}"):
        model.predict([Image.new("L", (8, 8)), image])
    with pytest.raises(InputError, match=re.escape(sentence)):
        model.transform()(image)


@pytest.mark.untyped
def test_normalize_takes_no_bytes(tiny: Towers) -> None:
    """`resize` gives bytes: without a division by 255 the towers saw numbers up to 940 once."""
    pixels = tiny.resize()(Image.new("RGB", (8, 8)))[None]
    sentence = r"the pixels are torch\.uint8; give pixels\.float\(\) / 255"
    with pytest.raises(InputError, match=sentence):
        tiny.normalize(pixels)


# --- augmentation -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "augment"),
    [
        ({"upside_down": True}, Augment(True)),
        ({"controls": Controls(light=False)}, Augment(light=False)),
        ({"augment": False}, nn.Identity()),
    ],
)
def test_training_images_are_changed_as_the_config_says(
    settings: dict[str, Any], augment: nn.Module, tiny: Towers
) -> None:
    """By torch's seed: four draws flip and light up the picture in four ways."""
    transform = L2RCLIP(tiny, RANKS, Config(heads=2, **settings)).transform(train=True)
    for seed in range(4):
        torch.manual_seed(seed)
        pixels = transform(picture())
        torch.manual_seed(seed)
        by_hand = tiny.normalize(augment(tiny.resize()(Image.fromarray(picture())))[None] / 255)[0]
        assert torch.allclose(pixels, by_hand, atol=1e-6)
