"""Pixels: of any layout as RGB bytes, for `images.as_rgb`; scaled and augmented, for towers."""

import hashlib
import warnings
from collections.abc import Callable, Iterator

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import ExifTags, Image, ImageOps
from torch import Tensor, nn
from torchvision.transforms.v2.functional import to_dtype

BAND = 256  # rows of a large image that are converted at once, so that no second copy is needed
DARK = 16  # of 255: 12 bits stored as 16 come out below it


def stored_bits(image: Image.Image) -> int:
    """Return how many bits a channel has in the file of an image that is not loaded yet; else 8.

    Pillow gives the upper eight bits of colours of 16, but 16 bits of grey, which it can hold.
    """
    layouts = []
    if image.format in ("PNG", "TIFF"):
        for tile in getattr(image, "tile", ()):
            arguments = tile[3]  # the layout, or a tuple that begins with it
            layouts.append(str(arguments[0] if isinstance(arguments, tuple) else arguments))

    if any(";12" in layout for layout in layouts):
        return 12
    if image.mode.startswith("I;16") or any(";16" in layout for layout in layouts):
        return 16
    return 8


def upright_rgb(image: Image.Image, bits: int) -> Image.Image:
    """Return an image upright, as RGB, on white.

    Args:
        image: Of Pillow.
        bits: How many a channel has in its file, see `stored_bits`.

    Raises:
        ValueError: No pixels, more than 16 bits, or nearly black.
    """
    if not (image.width and image.height):
        raise ValueError(f"it has no pixels ({image.width} x {image.height}); leave it out")
    if image.mode in ("I", "F"):
        raise ValueError(f"its pixels of mode {image.mode} have more than 16 bits; give 8 or 16")

    image.load()
    if _is_turned(image):
        image = ImageOps.exif_transpose(image)

    if image.mode.startswith("I;16"):
        key = image.info.get("transparency")
        rgb = _by_bands(image, lambda band: _grey_of_deep(band, bits, key))
    elif image.has_transparency_data:
        rgb = _by_bands(image, _on_white)
    elif image.mode == "RGB" and type(image) is Image.Image:
        rgb = image
    else:
        rgb = image.convert("RGB")

    if bits == 16 and np.max(rgb.getextrema()) < DARK:
        raise ValueError(
            "its brightest value is below 4,096 of 65,535, nearly black; "
            "multiply the values of all images by one factor, those of 12 bits by 16"
        )
    return rgb


def _is_turned(image: Image.Image) -> bool:
    """Return whether an EXIF tag says that an image is to be turned; damaged EXIF says nothing."""
    try:
        with warnings.catch_warnings(action="ignore"):  # they name no image
            return image.getexif().get(ExifTags.Base.Orientation, 1) != 1
    except Exception:  # on broken bytes Pillow raises nearly anything
        return False


def _by_bands(image: Image.Image, convert: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """Return an RGB image of converted bands: of 88 megapixels each further copy is 350 MB."""
    rgb = Image.new("RGB", image.size)
    for top, band in bands(image):
        rgb.paste(convert(band), (0, top))
    return rgb


def bands(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Yield the first row of each band of an image, and the band."""
    for top in range(0, image.height, BAND):
        yield top, image.crop((0, top, image.width, min(top + BAND, image.height)))


def _on_white(band: Image.Image) -> Image.Image:
    """Return RGB; what is transparent becomes white."""
    band = band.convert("RGBA")
    white = Image.new("RGBA", band.size, "white")
    return Image.alpha_composite(white, band).convert("RGB")


def _grey_of_deep(band: Image.Image, bits: int, key: object) -> Image.Image:
    """Return the upper eight bits; convert("RGB") would clip. `key` is the transparent value."""
    values = np.asarray(band)
    grey = (values >> (bits - 8)).astype(np.uint8)
    if isinstance(key, int):
        grey[values == key] = 255
    return Image.fromarray(grey).convert("RGB")


def channels_last(tensor: Tensor) -> np.ndarray:
    """Return a tensor (channels, height, width) as an array (height, width, channels)."""
    shape = tuple(tensor.shape)
    if tensor.ndim == 3 and shape[0] > 4 and shape[2] <= 4:
        raise ValueError(
            f"a tensor of shape {shape} has its channels last; give x.permute(2, 0, 1)"
        )
    if tensor.ndim != 3 or not 1 <= shape[0] <= 4:
        raise ValueError(
            f"a tensor of shape {shape} is no image; give (3, height, width), "
            "or (1, height, width) of a grey one: x[None]"
        )
    if not tensor.numel():
        raise ValueError(f"a tensor of shape {shape} has no pixels; leave it out")

    tensor = tensor.detach().cpu()
    if tensor.is_floating_point():
        tensor = tensor.float()  # of 16 bits, times 255 would round past 255 and wrap around
        if not -0.1 < tensor.min() <= tensor.max() < 1.1:  # bicubic filters overshoot by less
            raise ValueError(
                "its numbers are neither bytes nor in [0, 1], as after Normalize; "
                "give the image from before"
            )
        tensor = to_dtype(tensor.clamp(0, 1), torch.uint8, True)
    return np.asarray(tensor.permute(1, 2, 0).numpy())


def image_of_array(array: np.ndarray) -> Image.Image:
    """Return an array (height, width) or (height, width, channels) as an image of Pillow."""
    if array.ndim not in (2, 3) or (array.ndim == 3 and not 1 <= array.shape[2] <= 4):
        raise ValueError(
            f"an array of shape {array.shape} is no image; give bytes (height, width, 3), "
            "such as x.transpose(1, 2, 0) of channels that come first"
        )
    if array.dtype.kind == "u" and array.dtype.itemsize == 2:
        array = array >> 8
    elif array.dtype == bool:
        array = array * np.uint8(255)
    elif array.dtype != np.uint8:
        raise ValueError(
            f"its numbers are {array.dtype}; give bytes (height, width, 3), "
            "such as (x * 255).round().astype('uint8') of those in [0, 1]"
        )
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    return Image.fromarray(np.ascontiguousarray(array, dtype=np.uint8))


def pixel_digest(image: Image.Image) -> bytes:
    """Return SHA-256 of the size and the pixels of an RGB image."""
    digest = hashlib.sha256(f"{image.width} x {image.height}".encode())
    for _, band in bands(image):
        digest.update(band.tobytes())
    return digest.digest()


def scaled(
    pixels: UInt8[Tensor, "*batch 3 height width"],
) -> Float[Tensor, "*batch 3 height width"]:
    """Return bytes as floats in [0, 1]."""
    return pixels.float().div_(255)


class Augment(nn.Module):
    """Random flips and light changes that keep every grade, independent for each image of a batch.

    Half of the images are flipped left to right, half of them (if asked for) top to bottom;
    brightness and contrast change by up to 15 %. torchvision's transforms draw once per call; these
    draw once per image.

    Args:
        upside_down: Whether to flip top to bottom, too: right for a leaf, wrong for a face.
        light: Whether to change brightness and contrast.

    Example:
        >>> Augment()(torch.full((3, 2, 2), 128, dtype=torch.uint8)).shape
        torch.Size([3, 2, 2])
    """

    def __init__(self, upside_down: bool = False, *, light: bool = True) -> None:
        super().__init__()
        self.upside_down = upside_down
        self.light = light

    def forward(
        self,
        pixels: UInt8[Tensor, "*batch 3 height width"],
        generator: torch.Generator | None = None,
        draws: Float[Tensor, "4 *batch 1 1 1"] | None = None,
    ) -> UInt8[Tensor, "*batch 3 height width"]:
        """Return the images, changed.

        Args:
            pixels: One image or a batch, as bytes.
            generator: Source of the draws; None takes torch's global one.
            draws: What `torch.rand` drew for these images, in place of new draws.
        """
        if draws is None:
            draws = torch.rand(4, *pixels.shape[:-3], 1, 1, 1, generator=generator)
        mirror, turn, brightness, contrast = draws.to(pixels.device)

        pixels = torch.where(mirror < 0.5, pixels.flip(-1), pixels)
        if self.upside_down:
            pixels = torch.where(turn < 0.5, pixels.flip(-2), pixels)
        if not self.light:
            return pixels

        brightness = 0.85 + 0.3 * brightness
        contrast = 0.85 + 0.3 * contrast
        light = scaled(pixels)
        middle = light.mean(dim=(-3, -2, -1), keepdim=True)
        light = (light * brightness - middle) * contrast + middle
        return light.clamp_(0, 1).mul_(255).round_().byte()
