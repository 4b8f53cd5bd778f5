"""One picture becomes the same bytes through every door; what is none is refused."""

import io
import json
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader

from l2rclip_lite.commands.predict import predict
from l2rclip_lite.config import Config
from l2rclip_lite.data.base import Computed, Split
from l2rclip_lite.errors import InputError
from l2rclip_lite.estimator import L2RCLIPClassifier
from l2rclip_lite.export import answer
from l2rclip_lite.images import ResizedImages, as_rgb
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.towers.base import Towers

SIDE = 8
RANKS = Ranks(("low", "high"), (0, 1), template="a {rank} grade")


def picture() -> np.ndarray:
    """Noise of 24 x 16 pixels."""
    return np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)


def upright() -> Tensor:
    """The picture as a square of bytes, from Pillow alone."""
    square = Image.fromarray(picture()).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(square)).permute(2, 0, 1)


def turned() -> Image.Image:
    """The picture lying on its side, with the EXIF tag that brings it upright."""
    image = Image.fromarray(picture()).transpose(Image.Transpose.ROTATE_90)
    image.getexif()[0x0112] = 6
    return image


def opened(file: Path) -> Image.Image:
    """What Pillow gives, before anything is decoded."""
    return Image.open(io.BytesIO(file.read_bytes()))


def clear(image: np.ndarray) -> np.ndarray:
    """The picture with opacity; what is fully clear may have any colour."""
    opacity = np.full((*image.shape[:2], 1), 255, np.uint8)
    opacity[:4] = 0
    return np.concatenate([image, opacity], axis=2)


def forms(folder: Path) -> dict[str, Any]:
    """The picture in each form that an image may have."""
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
        "tensor, 16 bits": torch.from_numpy(pixels.astype(np.uint16) * 257).permute(2, 0, 1),
    }


def test_every_form_of_a_picture_gives_the_same_bytes(tmp_path: Path) -> None:
    """Bit for bit those that Pillow makes of the upright picture; labels beside it change nothing."""
    for form, image in forms(tmp_path).items():
        assert torch.equal(ResizedImages([image], SIDE)[0][0], upright()), form
        assert torch.equal(ResizedImages([(image, 1)], SIDE)[0][0], upright()), form
    cells = pd.DataFrame({"image": list(forms(tmp_path).values())[:2]}, index=[7, 5])
    assert torch.equal(ResizedImages(cells["image"], SIDE)[1][0], upright())


def test_transparency_is_white_in_every_form(tmp_path: Path) -> None:
    """Four rows are clear: in a file, in Pillow's four modes of it, in an array and in a tensor."""
    pixels = clear(picture())
    white = np.where(pixels[..., 3:] == 0, 255, picture())
    image = Image.fromarray(pixels)
    image.save(tmp_path / "clear.png")
    grey = np.array(Image.fromarray(picture()).convert("L"))
    grey_on_white = np.repeat(np.where(pixels[..., 3] == 0, 255, grey)[..., None], 3, axis=2)

    for form in (tmp_path / "clear.png", image, pixels, torch.from_numpy(pixels).permute(2, 0, 1)):
        assert np.array_equal(as_rgb(form), white)
    assert np.array_equal(as_rgb(np.dstack([grey, pixels[..., 3]])), grey_on_white)
    assert np.array_equal(as_rgb(image.convert("RGBa")), white)
    tall = np.tile(pixels, (60, 1, 1))  # of several bands
    assert np.array_equal(as_rgb(tall), np.tile(white, (60, 1, 1)))


def test_every_door_sees_the_same_picture(
    tiny: Towers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A photograph that lies on its side and a clear one: as a file, and as Pillow opens it."""
    model = L2RCLIP(tiny, RANKS, Config(towers="tiny/random", heads=2))
    model.save_pretrained(tmp_path / "run")
    grader = L2RCLIPClassifier()
    grader.model_, grader.order_, grader.n_features_in_ = model, np.arange(2), tiny.dim
    turned().save(tmp_path / "turned.png", exif=turned().getexif())
    Image.fromarray(clear(picture())).save(tmp_path / "clear.png")

    for file in sorted(tmp_path.glob("*.png")):
        pixels = model.transform()(file)[None]
        with torch.no_grad():
            features = model.image_features(pixels)
        p = model.probabilities(features)

        for image in (file, opened(file)):
            own = [(image, 1)]
            loader = DataLoader(Computed(model.transform(), [image]), batch_size=1)
            assert torch.equal(next(iter(loader)), pixels)
            assert torch.equal(exported_pixels(image, tiny), pixels)
            assert torch.equal(model.encode(image), features)
            assert torch.equal(model.encode(own), features)
            assert torch.equal(model.encode(Split.from_dataset(own)), features)
            assert torch.equal(model.predict(image).probabilities, p)
            assert np.allclose(grader.predict_proba([image]), p, rtol=1e-6)

        assert predict(str(tmp_path / "run"), [str(file)]) == 0
        answer_line = json.loads(capsys.readouterr().out)
        assert answer_line["probabilities"] == p[0].double().numpy().round(6).tolist()


def exported_pixels(image: Any, towers: Towers) -> Tensor:
    """What an exported graph is given, then resized and normalised as the graph does."""
    given: dict[str, np.ndarray] = {}

    class Session:
        """It stands for onnxruntime's."""

        def run(self, _: None, inputs: dict[str, np.ndarray]) -> Any:
            """Take the inputs."""
            given.update(inputs)
            return np.zeros((1, 2)), np.zeros(1)

    answer(Session(), image)
    resized = towers.resize()(torch.from_numpy(given["pixels"][0].copy()))
    return towers.normalize(resized[None].float() / 255)


def png(values: np.ndarray, colour: int) -> bytes:
    """A PNG of 16 bits; `colour` is 0 for grey, 2 for RGB, 6 for RGBA."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    head = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


DEEP = "nearly black; multiply the values of all images by one factor, those of 12 bits by 16"


@pytest.mark.parametrize(("colour", "channels"), [(0, ()), (2, (3,)), (6, (4,))])
def test_of_16_bits_the_upper_eight_count_and_12_bits_are_no_black_image(
    tmp_path: Path, colour: int, channels: tuple[int, ...]
) -> None:
    """4,096 of 65,535 is 16 of 255 whatever else is shown; a microscope's 4,095 is refused."""
    file = tmp_path / "cells.png"
    values = np.full((300, 4, *channels), 65_535)
    values[0, :, ...] = 4_096
    file.write_bytes(png(values, colour))
    assert as_rgb(file).getpixel((0, 1)) == (255, 255, 255)
    if colour != 6:
        assert as_rgb(file).getpixel((0, 0)) == (16, 16, 16)
        array = as_rgb(values.astype(np.uint16))
        assert np.array_equal(array, as_rgb(file))

    values = np.random.default_rng(0).integers(0, 4_096, (8, 8, *channels))
    if colour == 6:
        values[..., 3] = 65_535
    file.write_bytes(png(values, colour))
    for image in (file, opened(file)):
        with pytest.raises(InputError, match=DEEP):
            as_rgb(image)
    if colour != 6:
        with pytest.raises(InputError, match=DEEP):
            as_rgb(values.astype(np.uint16))

    file.write_bytes(png(np.where(values == 65_535, values, values * 16), colour))
    assert np.array_equal(np.array(as_rgb(file))[..., 0], values.reshape(8, 8, -1)[..., 0] >> 4)


def test_a_tiff_that_declares_12_bits_is_read_as_such(tmp_path: Path) -> None:
    """Two values in three bytes, as microscopes pack them: 4,095 is white, 2,048 is 128."""
    entries = [(256, 4), (257, 1), (258, 12), (259, 1), (262, 1), (273, 8), (277, 1), (278, 1)]
    entries += [(279, 6)]
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    pixels = bytes.fromhex("fff800 7ff000")
    head = b"II*\0" + struct.pack("<I", 8 + len(pixels))
    tiff = head + pixels + struct.pack("<H", len(entries)) + directory + bytes(4)
    (tmp_path / "cells.tif").write_bytes(tiff)
    grey = np.array(as_rgb(tmp_path / "cells.tif"))[0, :, 0].tolist()
    assert grey == [255, 128, 127, 0]


REFUSED = {
    "channels last": (torch.zeros(8, 8, 3), "has its channels last; give x.permute(2, 0, 1)"),
    "no channels": (torch.zeros(8, 8), "give (3, height, width), or (1, height, width)"),
    "channels first": (np.zeros((3, 8, 8), np.uint8), "x.transpose(1, 2, 0)"),
    "integers": (torch.zeros(3, 8, 8).int(), "its numbers are int32; give bytes"),
    "floats": (np.zeros((8, 8, 3)), "its numbers are float64; give bytes"),
    "normalised": (torch.full((3, 8, 8), -2.0), "as after Normalize; give the image from before"),
    "not a number": (torch.full((3, 8, 8), torch.nan), "neither bytes nor in [0, 1]"),
    "no pixels": (Image.new("RGB", (0, 8)), "it has no pixels (0 x 8); leave it out"),
    "no rows": (torch.zeros(3, 0, 8), "has no pixels; leave it out"),
    "no columns": (np.zeros((8, 0, 3), np.uint8), "it has no pixels (0 x 8); leave it out"),
    "32 bits": (Image.new("F", (8, 8)), "have more than 16 bits; give 8 or 16"),
    "nothing": (None, "NoneType is no image; give a path"),
    "bytes": (b"\x89PNG", "bytes is no image; give a path"),
    "a number": (3, "int is no image; give a path"),
    "a table": (pd.DataFrame({"path": ["a.png"]}), "DataFrame is no image; give a path"),
    "a generator": ((x for x in "ab"), "generator is no image; give a path"),
    "pairs by name": ({"image": 1}, "dict is no image; give a path"),
}


@pytest.mark.untyped
@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_image_is_refused_in_a_sentence(kind: str, tiny: Towers) -> None:
    """By `predict`, which says which one, and by the transform."""
    image, sentence = REFUSED[kind]
    model = L2RCLIP(tiny, RANKS, Config(heads=2))
    with pytest.raises(InputError, match=f"^image 0: .*{re.escape(sentence)}"):
        model.predict(image)
    with pytest.raises(InputError, match=f"^image 1: .*{re.escape(sentence)}"):
        model.predict([Image.new("L", (8, 8)), image])
    with pytest.raises(InputError, match=re.escape(sentence)):
        model.transform()(image)


@pytest.mark.untyped
def test_normalize_takes_no_bytes(tiny: Towers) -> None:
    """`resize` gives bytes: without a division by 255 the towers saw numbers up to 940."""
    with pytest.raises(
        InputError, match=r"the pixels are torch\.uint8; give pixels\.float\(\) / 255"
    ):
        tiny.normalize(tiny.resize()(Image.new("L", (8, 8)))[None])


def test_transform_augments_as_the_config_says(tiny: Towers) -> None:
    """Not at all without `augment`; top to bottom only with `upside_down`."""
    picture = Image.new("L", (64, 64), 0)
    picture.paste(200, (0, 0, 64, 32))  # the upper half is light

    def light_above(**settings: bool) -> set[bool]:
        transform = L2RCLIP(tiny, RANKS, Config(heads=2, **settings)).transform(train=True)
        return {bool(x[:, :32].mean() > x[:, 32:].mean()) for x in map(transform, [picture] * 20)}

    assert light_above(upside_down=True) == {True, False}
    assert light_above(upside_down=False) == {True}
    plain = L2RCLIP(tiny, RANKS, Config(heads=2, augment=False))
    assert torch.equal(plain.transform(train=True)(picture), plain.transform()(picture))


@pytest.mark.untyped
@pytest.mark.parametrize("label", [1, 1.0, True, np.int64(1), np.array([1]), torch.tensor([[1]])])
def test_a_label_is_a_whole_number_of_any_type(label: Any) -> None:
    """As `MedMNIST` and tensors have them."""
    pairs = [(Image.new("L", (4, 4)), label)]
    assert Split.from_dataset(pairs).targets == (1,)
    assert ResizedImages(pairs, 4)[0][1] == 1
    assert Split(["a"], [label], [Image.new("L", (4, 4))]).targets == (1,)


@pytest.mark.untyped
@pytest.mark.parametrize("label", [0.5, float("nan"), "1", None, np.array([0, 1]), torch.rand(1)])
def test_another_label_is_refused_never_cut(label: Any) -> None:
    """In a split, in a dataset of one's own, and beside an image."""
    pairs = [(Image.new("L", (4, 4)), label)]
    for read in (
        lambda: Split.from_dataset(pairs),
        lambda: ResizedImages(pairs, 4)[0],
        lambda: Split(["a"], [label], [Image.new("L", (4, 4))]),
    ):
        with pytest.raises(InputError, match="no whole number; give the index of its rank"):
            read()


MEMORY = """
import resource, sys
from l2rclip_lite.images import read_image
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert read_image(sys.argv[1]).mode == "RGB"
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kilobytes on Linux")
def test_a_large_image_is_decoded_without_spare_copies(tmp_path: Path) -> None:
    """Of nine megapixels, 4 bytes each: what was decoded and what is returned, 34 MiB each."""
    size = (3_000, 3_000)
    Image.new("RGBA", size, (9, 9, 9, 99)).save(tmp_path / "large.png", compress_level=1)
    words = [sys.executable, "-c", MEMORY, str(tmp_path / "large.png")]
    used = float(subprocess.run(words, capture_output=True, check=True, text=True).stdout)
    assert used < 2.4 * 4 * size[0] * size[1] / 2**20


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_white_stays_white_in_any_precision(dtype: torch.dtype) -> None:
    """Each of the 256 values comes back within the rounding of the type; none wraps around to 0."""
    values = torch.arange(256).div(255).to(dtype).expand(3, 1, 256)
    pixels = np.asarray(as_rgb(values))[0, :, 0].astype(int)
    error = np.abs(pixels - np.arange(256))
    assert pixels[-1] == 255
    assert error.max() <= (1 if dtype == torch.bfloat16 else 0)
