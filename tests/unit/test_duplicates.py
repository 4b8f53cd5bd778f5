"""Second shots are found, other pictures are not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from l2rclip_lite.data.base import Card, OrdinalDataset, Split
from l2rclip_lite.duplicates import BLOCK, near_duplicates, thumbnail
from l2rclip_lite.ranks import Ranks

RANKS = Ranks(("low", "high"), (0, 1), "{rank} damage")


def scene(seed: int) -> Image.Image:
    """Smooth noise: an 8 × 8 pattern, enlarged."""
    small = np.random.default_rng(seed).integers(0, 200, size=(8, 8, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((64, 64), Image.Resampling.BICUBIC)


def dataset(*pictures: Image.Image) -> OrdinalDataset:
    """The first ones in train, the last two in val and test."""
    last = len(pictures) - 2
    parts = [
        Split(
            [f"{k}.jpg" for k in part],
            [k % 2 for k in range(len(part))],
            lambda i, part=part: pictures[part[i]],
        )
        for part in (range(last), [last], [last + 1])
    ]
    return OrdinalDataset("mine", *parts, RANKS, Card("mine", "", "", "", "", ""), allow_empty_ranks=True)


def test_a_second_shot_is_found_across_splits() -> None:
    """Picture 1 again, lighter and cropped, as the test picture; and nothing else."""
    second = ImageEnhance.Brightness(scene(1).crop((1, 1, 63, 63))).enhance(1.2)
    found = near_duplicates(dataset(scene(0), scene(1), scene(2), scene(3), second))
    assert found[["first", "second", "first_split", "second_split"]].values.tolist() == [
        ["1.jpg", "4.jpg", "train", "test"]
    ]
    assert 0.92 <= found["similarity"][0] < 1


def test_pairs_beyond_a_block_are_found_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """With blocks of two, pictures 0 and 4 stand in different ones."""
    monkeypatch.setattr("l2rclip_lite.duplicates.BLOCK", 2)
    found = near_duplicates(dataset(scene(0), scene(1), scene(2), scene(3), scene(0)), threshold=0.999)
    assert found[["first", "second"]].values.tolist() == [["0.jpg", "4.jpg"]]
    assert found["similarity"][0] == pytest.approx(1)
    assert BLOCK > 2


@given(st.integers(0, 1000), st.floats(0.3, 1.2), st.integers(0, 40))
def test_a_thumbnail_knows_no_brightness_and_no_contrast(seed: int, contrast: float, lift: int) -> None:
    """Grey' = c · grey + d has the same thumbnail, up to the rounding of bytes."""
    grey = np.asarray(scene(seed).convert("L"), dtype=float)
    other = Image.fromarray((contrast * grey + lift).clip(0, 255).astype(np.uint8))
    one = thumbnail(Image.fromarray(grey.astype(np.uint8)))
    assert one.sum() == pytest.approx(0, abs=1e-9)
    assert np.linalg.norm(one) == pytest.approx(1)
    assert thumbnail(other) @ one > 0.995


def test_a_picture_of_one_grey_is_like_no_other() -> None:
    """No direction, so no similarity, not even to itself."""
    flat = Image.new("RGB", (20, 20), "grey")
    assert not thumbnail(flat).any()
    assert near_duplicates(dataset(flat, flat, scene(0), scene(1))).empty
