"""Images of other than 8 bits a channel: the upper eight count, and no image turns black."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from l2rclip_lite.data.reading import as_rgb
from l2rclip_lite.errors import InputError


def forms(values: np.ndarray, folder: Path) -> list[Any]:
    """Return 16 bits as an array and a tensor; grey ones also in a file."""
    if values.ndim == 3:
        return [values, torch.from_numpy(values.transpose(2, 0, 1).copy())]

    Image.fromarray(values).save(folder / "cells.png")
    return [values, torch.from_numpy(values[None]), folder / "cells.png", values.astype(">u2")]


@pytest.mark.parametrize("channels", [(), (3,)], ids=["grey", "RGB"])
def test_of_16_bits_the_upper_eight_count(channels: tuple[int, ...], tmp_path: Path) -> None:
    """4,096 of 65,535 is 16 of 255, whatever else is shown; an image below that is refused."""
    values = np.full((300, 4, *channels), 65_535, np.uint16)
    values[0, :, ...] = 4_096
    for image in forms(values, tmp_path):
        rgb = as_rgb(image)
        assert rgb.getpixel((0, 0)) == (16, 16, 16)
        assert rgb.getpixel((0, 1)) == (255, 255, 255)

    for image in forms(np.full_like(values, 4_095), tmp_path):
        with pytest.raises(InputError, match="nearly black; multiply the values of all images by"):
            as_rgb(image)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_white_stays_white_in_any_precision(dtype: torch.dtype) -> None:
    """Each of the 256 values comes back within the rounding of the type; none wraps around to 0."""
    values = torch.arange(256).div(255).to(dtype).expand(3, 1, 256)
    pixels = np.asarray(as_rgb(values))[0, :, 0].astype(int)
    errors = np.abs(pixels - np.arange(256))
    rounding = {torch.bfloat16: 1}.get(dtype, 0)
    assert pixels[-1] == 255
    assert errors.max() <= rounding
