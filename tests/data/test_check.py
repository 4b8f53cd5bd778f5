"""`l2rclip data csv --check`: exact copies are faults, near ones are named."""

import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from l2rclip_lite.data import check, load_dataset, read_image
from l2rclip_lite.data.base import SPLITS
from l2rclip_lite.data.near_copies import MAX_DISTANCE, difference_hash, nearest_copies
from l2rclip_lite.errors import InputError


def write_images(root: Path, images: dict[str, Image.Image]) -> Path:
    """Write the images and their table; the first part of a name is its split."""
    lines = ["path,label,split"]
    for place, (name, image) in enumerate(images.items()):
        image.save(root / name, quality=60)
        lines.append(f"{name},{place % 2},{name.split('_')[0]}")
    (root / "labels.csv").write_text("\n".join(lines))
    return root


def leaves(count: int, seed: int) -> list[Image.Image]:
    """Return generated leaves."""
    data = load_dataset("leaves", size=60, seed=seed)
    return [data.train[place][0] for place in range(count)]


def test_a_copy_saved_again_is_named_and_another_leaf_is_not(tmp_path: Path) -> None:
    """As a JPEG, and at half size; a leaf of another seed is another leaf. The data can be used."""
    first, second, third = leaves(3, seed=0)
    other, another = leaves(2, seed=1)
    images = {
        "train_0.png": first,
        "train_1.png": second,
        "train_2.png": third,
        "val_0.png": other,
        "val_1.jpg": first,
        "test_0.png": second.resize((64, 64)),
        "test_1.png": another,
    }

    text, usable = check.check("csv", {"root": write_images(tmp_path, images)})

    assert "no fault was found" in text
    assert "2 images to look at" in text
    assert "val_1.jpg nearly the same picture as train_0.png in train" in text
    assert "test_0.png nearly the same picture as train_1.png in train" in text
    assert usable


def test_an_exact_copy_stays_a_fault(tmp_path: Path) -> None:
    """It is not named a second time as a near one; pictures of one colour are not compared."""
    first, second = leaves(2, seed=0)
    images = {
        "train_0.png": first,
        "train_1.png": Image.new("RGB", (32, 32), "red"),
        "val_0.png": second,
        "test_0.png": first,
        "test_1.png": Image.new("RGB", (32, 32), "blue"),
    }

    text, _ = check.check("csv", {"root": write_images(tmp_path, images)})

    assert "test_0.png the same pixels as train_0.png in train" in text
    assert "nearly" not in text


@pytest.mark.parametrize("block", [3, 1024])
def test_the_nearest_within_the_distance_is_a_copy(
    monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    """Twenty differing bits are a copy, twenty-one are none; in blocks or at once.

    A picture without a hash is a copy of none; the first of the earlier ones has none either.
    """
    monkeypatch.setattr("l2rclip_lite.data.near_copies.BLOCK", block)
    generator = np.random.default_rng(0)
    earlier = [generator.choice(np.float32([-1, 1]), 256) for _ in range(10)]

    hashes: list[np.ndarray | None] = []
    for original, n_changed in ((8, MAX_DISTANCE), (4, MAX_DISTANCE + 1), (1, 0), (9, 3)):
        changed = earlier[original].copy()
        changed[:n_changed] *= -1
        hashes.append(changed)

    assert nearest_copies([*hashes, None], [None, *earlier]) == [9, None, 2, 10, None]


def test_a_picture_of_one_colour_has_no_hash() -> None:
    """It differs in nothing from any other."""
    assert difference_hash(Image.new("RGB", (8, 8))) is None


def test_large_images_are_decoded_one_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this thread, so that the memory of one is what the next one takes."""
    in_main_thread = set[str]()

    def record(file: str) -> Image.Image:
        if threading.current_thread() is threading.main_thread():
            in_main_thread.add(Path(file).name)
        return read_image(file)

    monkeypatch.setattr(check, "read_image", record)
    monkeypatch.setattr(check, "LARGE_IMAGE", 100)  # pixels
    sides = {"train_0.png": 9, "train_1.png": 20, "val_0.png": 10, "test_0.png": 30}
    images = {name: Image.new("RGB", (side, side)) for name, side in sides.items()}

    check.check("csv", {"root": write_images(tmp_path, images)})
    assert in_main_thread == {"train_1.png", "test_0.png"}


def test_what_cannot_be_checked_is_named(tmp_path: Path) -> None:
    """Images that are no files, and options that take some of them away."""
    for name in ("leaves", "retinamnist"):
        with pytest.raises(InputError, match=rf"^{name}: its images are no files"):
            check.check(name, {"size": 60})

    images = {f"{split}_{k}.png": leaf for split in SPLITS for k, leaf in enumerate(leaves(4, 0))}
    with pytest.raises(InputError, match=r"^csv: all images are checked; leave out --few-shot\.$"):
        check.check("csv", {"root": write_images(tmp_path, images), "few_shot": 1})
