"""From an image to the pixels of a tower: squeezed, augmented, normalised."""

import pytest
import torch

from l2rclip_lite.data.images import Augment
from l2rclip_lite.towers.base import Towers


def test_normalised_pixels_by_hand(tiny: Towers, mini: Towers) -> None:
    """White is (1 − 0.48145466)/0.26862954 = 1.930336 in CLIP's red.

    In mini it is (255 − 127)/128 = 1, and black −127/128.
    """
    white = torch.ones(1, 3, 1, 1)
    black = torch.zeros(1, 3, 1, 1)
    assert float(tiny.normalize(white)[0, 0, 0, 0]) == pytest.approx(1.930336, abs=1e-6)
    assert mini.normalize(white).flatten().tolist() == pytest.approx([1, 1, 1])
    assert mini.normalize(black).flatten().tolist() == pytest.approx([-127 / 128] * 3)


def test_augmentation_by_hand() -> None:
    """Each image of a batch gets draws of its own: flips for draws below 1/2, then ±15 % light."""
    pixels = torch.arange(2 * 3 * 4 * 4, dtype=torch.uint8).view(2, 3, 4, 4)
    draws = torch.rand(4, 2, generator=torch.Generator().manual_seed(3))
    augmented = Augment(upside_down=True)(pixels, draws[..., None, None, None])
    for index, (across, down, bright, contrast) in enumerate(draws.T):
        image = pixels[index].float() / 255
        if across < 0.5:
            image = image.flip(2)
        if down < 0.5:
            image = image.flip(1)
        lit = image * (0.85 + 0.3 * bright)
        expected = (lit - image.mean()) * (0.85 + 0.3 * contrast) + image.mean()
        assert torch.equal(augmented[index], (expected.clamp(0, 1) * 255).round().byte())
