"""`l2rclip data csv --check`: exact copies are faults, near ones are named, large images are decoded one by one."""

import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from l2rclip_lite.data import describe, load_dataset
from l2rclip_lite.data.base import SPLITS
from l2rclip_lite.data.near_copies import MAX_DISTANCE, difference_hash, nearest_copies
from l2rclip_lite.errors import InputError


def folder(root: Path, images: dict[str, Image.Image]) -> Path:
    """One image for each file name; the first part of a name is its split."""
    lines = ["path,label,split"]
    for place, (name, image) in enumerate(images.items()):
        image.save(root / name, quality=60)
        lines.append(f"{name},{place % 2},{name.split('_')[0]}")
    (root / "labels.csv").write_text("\n".join(lines))
    return root


def leaves(count: int, seed: int) -> list[Image.Image]:
    """Generated leaves."""
    data = load_dataset("leaves", size=60, seed=seed)
    return [data.train[place][0] for place in range(count)]


def test_a_copy_saved_again_is_named_and_another_leaf_is_not(tmp_path: Path) -> None:
    """As a JPEG, and at half size; a leaf of another seed is another leaf. The exit code stays 0."""
    one, two, three = leaves(3, seed=0)
    other, another = leaves(2, seed=1)
    small = two.resize((64, 64))
    images = {"train_0.png": one, "train_1.png": two, "train_2.png": three}
    images |= {"val_0.png": other, "val_1.jpg": one, "test_0.png": small, "test_1.png": another}
    text, usable = describe.check("csv", {"root": folder(tmp_path, images)})
    assert "no fault was found" in text
    assert "2 images to look at" in text
    assert "val_1.jpg nearly the same picture as train_0.png in train" in text
    assert "test_0.png nearly the same picture as train_1.png in train" in text
    assert usable


def test_an_exact_copy_stays_a_fault(tmp_path: Path) -> None:
    """It is not named a second time as a near one; pictures of one colour are not compared."""
    one, two = leaves(2, seed=0)
    red, blue = (Image.new("RGB", (32, 32), colour) for colour in ("red", "blue"))
    images = {"train_0.png": one, "train_1.png": red, "val_0.png": two, "test_0.png": one}
    images |= {"test_1.png": blue}
    text, _ = describe.check("csv", {"root": folder(tmp_path, images)})
    assert "test_0.png the same pixels as train_0.png in train" in text
    assert "nearly" not in text


def test_the_nearest_within_the_distance_is_found_across_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Twenty differing bits are a copy, twenty-one are none; blocks of three give the same."""
    monkeypatch.setattr("l2rclip_lite.data.near_copies.BLOCK", 3)
    generator = np.random.default_rng(0)
    earlier = [generator.choice(np.float32([-1, 1]), 256) for _ in range(10)]
    hashes = []
    for bits, change in ((8, MAX_DISTANCE), (4, MAX_DISTANCE + 1), (1, 0), (9, 3)):
        hashes.append(earlier[bits].copy())
        hashes[-1][:change] *= -1
    assert nearest_copies([*hashes, None], [None, *earlier]) == [9, None, 2, 10, None]
    assert difference_hash(Image.new("RGB", (8, 8))) is None


def test_large_images_are_decoded_one_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this thread, so that the memory of one is what the next one takes."""
    threads = dict[str, threading.Thread]()
    real = describe.read_image

    def read_image(file: str) -> Image.Image:
        threads[Path(file).name] = threading.current_thread()
        return real(file)

    monkeypatch.setattr(describe, "read_image", read_image)
    monkeypatch.setattr(describe, "LARGE_IMAGE", 100)
    sizes = {"train_0.png": 9, "train_1.png": 20, "val_0.png": 10, "test_0.png": 30}
    images = {name: Image.new("RGB", (side, side)) for name, side in sizes.items()}
    describe.check("csv", {"root": folder(tmp_path, images)})
    here = {name for name, thread in threads.items() if thread is threading.main_thread()}
    assert here == {"train_1.png", "test_0.png"}


def test_what_cannot_be_checked_is_said(tmp_path: Path) -> None:
    """Images that are no files, and options that take some of them away."""
    for name in ("leaves", "retinamnist"):
        with pytest.raises(InputError, match=rf"^{name}: its images are no files"):
            describe.check(name, {"size": 60})

    images = {f"{split}_{k}.png": leaf for split in SPLITS for k, leaf in enumerate(leaves(4, 0))}
    with pytest.raises(InputError, match=r"^csv: all images are checked; leave out --few-shot\.$"):
        describe.check("csv", {"root": folder(tmp_path, images), "few_shot": 1})
