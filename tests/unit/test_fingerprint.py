"""A run knows its images: other ones under the same names are another run, or one sentence."""

import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from l2rclip_lite.config import Config
from l2rclip_lite.data import OrdinalDataset, load_dataset
from l2rclip_lite.data.protocols import few_shot
from l2rclip_lite.errors import InputError
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.runs import RunDirectory, fingerprint

RANKS = Ranks(("low", "high"), (0.0, 1.0), template="a {rank} grade")


def draw(seed: int) -> Image.Image:
    """Return noise of 8 x 8 pixels."""
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve PNG files and their labels."""
    root = tmp_path / "photos"
    root.mkdir()
    names = [f"{index:02d}.png" for index in range(12)]
    for index, name in enumerate(names):
        draw(index).save(root / name)

    splits = ["train"] * 6 + ["val"] * 3 + ["test"] * 3
    table = pd.DataFrame({"path": names, "label": [0, 1] * 6, "split": splits})
    table.to_csv(root / "labels.csv", index=False)
    return root


def load(folder: Path) -> OrdinalDataset:
    """Return the folder as a data set."""
    return load_dataset("csv", root=str(folder))


def test_files_are_known_by_their_bytes_and_nothing_is_decoded(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same files elsewhere are the same; one that changed is not, in any split or part."""
    before = load(folder)
    stored = fingerprint(before)
    part = fingerprint(few_shot(before, 2))
    moved = shutil.copytree(folder, folder.with_name("moved"))

    monkeypatch.setattr(Image, "open", None)
    assert fingerprint(load(moved)) == stored
    assert fingerprint(few_shot(load(moved), 2)) == part != stored

    shutil.copy(folder / "00.png", moved / "11.png")
    assert fingerprint(load(moved)) != stored
    assert fingerprint(few_shot(load(moved), 2)) != part


def test_a_list_is_loaded_without_looking_at_the_files(folder: Path) -> None:
    """55,134 rows are a matter of a second; a file that is no image is met when a run begins."""
    (folder / "03.png").write_bytes(b"")
    data = load(folder)
    os.remove(folder / "03.png")
    os.mkfifo(folder / "03.png")
    with pytest.raises(InputError, match=r"labels\.csv row 5: the image \S+03\.png cannot be used"):
        fingerprint(data)


def test_datasets_of_ones_own_are_known_by_their_pixels() -> None:
    """By one test image, by a label."""

    def of_own(image: int, label: int) -> str:
        pairs = [(draw(i), i % 2) for i in range(4)]
        splits = [pairs, pairs, [(draw(image), label)]]
        return fingerprint(OrdinalDataset.from_datasets(splits, RANKS))

    assert of_own(9, 0) == of_own(9, 0)
    assert len({of_own(9, 0), of_own(8, 0), of_own(9, 1)}) == 3


def test_no_leaf_is_drawn_to_be_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another painter is another data set."""
    monkeypatch.setattr("l2rclip_book.leaves.paint_leaf", None)
    stored = fingerprint(load_dataset("leaves", size=60))
    monkeypatch.setattr("l2rclip_book.leaves.PAINTER", 2)
    assert fingerprint(load_dataset("leaves", size=60)) != stored


def test_a_run_is_not_resumed_with_other_images(folder: Path, tmp_path: Path) -> None:
    """Same names, labels and settings, other pixels: old figures came back without a word."""
    claimed = RunDirectory(tmp_path / "run")
    claimed.folder.mkdir()
    claimed.claim(load(folder), Config(), {"name": "csv", "root": str(folder)})
    claimed.unfinished.mkdir()
    claimed.claim(load(folder), Config(), None)

    shutil.copy(folder / "00.png", folder / "01.png")
    with pytest.raises(InputError, match="holds a run with other images, files, labels"):
        claimed.claim(load(folder), Config(), None)
