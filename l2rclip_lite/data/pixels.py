"""Squares of bytes on their way to a tower: scaled and augmented."""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn


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
