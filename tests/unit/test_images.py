"""Pictures as bytes, and augmentation that a seed decides and that keeps what is graded."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from l2rclip_lite.config import Config
from l2rclip_lite.images import augment, augmented


def seeded(seed: int) -> torch.Generator:
    """A generator of its own."""
    return torch.Generator().manual_seed(seed)


@given(seed=st.integers(0, 2**31), batch=st.integers(1, 5), grey=st.floats(0, 1))
def test_same_seed_same_pictures_inside_the_range(seed: int, batch: int, grey: float) -> None:
    """Any batch stays in [0, 1]; a grey picture gets lighter or darker by at most 15 %, contrast has nothing to do there."""
    pixels = torch.rand(batch, 3, 6, 6, generator=seeded(seed))
    found = augment(pixels, seeded(seed))
    assert torch.equal(found, augment(pixels, seeded(seed)))
    assert 0 <= float(found.min()) <= float(found.max()) <= 1
    flat = augment(torch.full((1, 3, 2, 2), grey), seeded(seed))
    assert float(flat.min()) == pytest.approx(float(flat.max()), abs=1e-6)
    assert 0.85 * grey - 1e-6 <= float(flat.mean()) <= min(1.0, 1.15 * grey) + 1e-6


def test_flips_are_fair_independent_and_only_mirror() -> None:
    """One dark corner in 2,000 pictures: it lands in each of the four corners a quarter of the time (sd 0.0097)."""
    pixels = torch.full((2000, 3, 4, 4), 0.5)
    pixels[:, :, 0, 0] = 0.1
    found = augment(pixels, seeded(0)).mean(1)
    corners = torch.stack([found[:, 0, 0], found[:, 0, 3], found[:, 3, 0], found[:, 3, 3]], dim=1)
    share = torch.bincount(corners.argmin(1), minlength=4) / 2000
    assert share.tolist() == pytest.approx([0.25] * 4, abs=0.04)
    inner = found[:, 1:3, 1:3].flatten(1)
    assert (corners.min(1).values < inner.min(1).values).all(), "the dark pixel stays the dark pixel"


def test_what_is_upright_stays_upright() -> None:
    """The dark corner of a face at the top left lands at the top left or right, and never below."""
    pixels = torch.full((500, 3, 4, 4), 0.5)
    pixels[:, :, 0, 0] = 0.1
    found = augment(pixels, seeded(0), upside_down=False).mean(1)
    left = found[:, 0, 0] < found[:, 0, 3]
    assert float(left.float().mean()) == pytest.approx(0.5, abs=0.07)  # sd 0.022
    assert (found[:, 3].min(1).values > found[:, 0].min(1).values).all()


def test_light_changes_by_hand() -> None:
    """Half black, half at 0.4: difference ×(brightness·contrast), mean ×brightness about ... the old mean.

    With b and c drawn in [0.85, 1.15]: ((p·b − m)·c + m) has difference 0.4·b·c and mean (0.2·b − 0.2)·c + 0.2.
    From the two measured numbers b and c are found again, and each covers its range.
    """
    pixels = torch.zeros(1000, 3, 2, 2)
    pixels[:, :, :, 0] = 0.4
    found = augment(pixels + 0.3, seeded(1)).flatten(1)
    product = (found.max(1).values - found.min(1).values) / 0.4
    middle = (found.mean(1) - 0.5) / 0.5  # (b − 1)·c
    contrast = product - middle
    brightness = product / contrast
    for factor in (brightness, contrast):
        assert float(factor.min()) == pytest.approx(0.85, abs=0.005)
        assert float(factor.max()) == pytest.approx(1.15, abs=0.005)
        assert float(factor.mean()) == pytest.approx(1.0, abs=0.015)
    assert abs(float(torch.corrcoef(torch.stack([brightness, contrast]))[0, 1])) < 0.1


def test_switched_off_it_is_the_picture_itself() -> None:
    """Bytes in, the same bytes out; switched on, bytes as well, within a rounding of the float path."""
    pixels = torch.randint(0, 256, (3, 3, 5, 5), dtype=torch.uint8, generator=seeded(0))
    assert augmented(pixels, Config(augment=False), seeded(0)) is pixels
    for upside_down in (True, False):
        found = augmented(pixels, Config(upside_down=upside_down), seeded(0))
        exact = augment(pixels.float() / 255, seeded(0), upside_down) * 255
        assert found.dtype == torch.uint8
        assert float((found.float() - exact).abs().max()) <= 0.5 + 1e-4
