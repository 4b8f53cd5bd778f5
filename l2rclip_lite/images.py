"""Pictures as tensors: squashed once and kept as bytes, flipped and re-lit by seeded generators."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from l2rclip_lite.config import Config


def augment(
    pixels: Float[Tensor, "batch 3 height width"],
    generator: torch.Generator,
    upside_down: bool = True,
    *,
    part: tuple[int, slice] | None = None,
) -> Float[Tensor, "batch 3 height width"]:
    """Random flips and light changes that keep every grade what it was.

    Args:
        pixels: Pictures in [0, 1].
        generator: Decides everything; the same state gives the same pictures.
        upside_down: Whether to flip top to bottom, too: right for a leaf, wrong for a face.
        part: These pictures are that slice of a batch of so many, and change as they would in the whole batch.

    Returns:
        Pictures in [0, 1], changed independently.

    Example:
        >>> augment(torch.full((1, 3, 2, 2), 0.5), torch.Generator().manual_seed(0)).shape
        torch.Size([1, 3, 2, 2])
    """
    draw = _draw(pixels, generator, part)
    return _relight(_flip(pixels, draw, upside_down), draw)


def augmented(
    pixels: UInt8[Tensor, "batch 3 height width"],
    config: Config,
    generator: torch.Generator,
    *,
    part: tuple[int, slice] | None = None,
) -> UInt8[Tensor, "batch 3 height width"]:
    """A training batch of bytes, or a part of one, changed by `augment` as the config says."""
    if not config.augment:
        return pixels
    draw = _draw(pixels, generator, part)
    flipped = _flip(pixels, draw, bool(config.upside_down))  # as bytes: a quarter of the memory to move
    return _relight(flipped.float() / 255, draw).mul_(255).round_().byte()


def _draw(pixels: Tensor, generator: torch.Generator, part: tuple[int, slice] | None) -> Tensor:
    """Four numbers a picture; a part of a batch gets its own of those of the whole."""
    batch, mine = part or (len(pixels), slice(None))
    return torch.rand(4, batch, 1, 1, 1, generator=generator)[:, mine].to(pixels.device)


def _flip(pixels: Tensor, draw: Tensor, upside_down: bool) -> Tensor:
    """Half of the pictures left to right, half of them top to bottom."""
    pixels = torch.where(draw[0] < 0.5, pixels.flip(3), pixels)
    return torch.where(draw[1] < 0.5, pixels.flip(2), pixels) if upside_down else pixels


def _relight(pixels: Tensor, draw: Tensor) -> Tensor:
    """Brightness and contrast, each up to 15 % up or down."""
    brightness, contrast = 0.85 + 0.3 * draw[2], 0.85 + 0.3 * draw[3]
    middle = pixels.mean(dim=(1, 2, 3), keepdim=True)
    return ((pixels * brightness - middle) * contrast + middle).clamp(0, 1)


def as_bytes(picture: Image.Image) -> UInt8[Tensor, "3 height width"]:
    """A picture's RGB bytes, channels first."""
    return torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1).contiguous()
