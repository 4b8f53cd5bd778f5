"""A run knows its images: other ones under the same names are another run, or one sentence."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from torch.utils.data import ConcatDataset, Subset
from torchvision.datasets import ImageFolder

from l2rclip_lite.commands.common import Place
from l2rclip_lite.commands.finished_run import data_of
from l2rclip_lite.config import Config
from l2rclip_lite.data import OrdinalDataset, Split, load_dataset
from l2rclip_lite.data.fingerprint import difference, fingerprint
from l2rclip_lite.data.protocols import few_shot
from l2rclip_lite.errors import InputError
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.run_directory import RunDirectory

RANKS = Ranks(("low", "high"), (0.0, 1.0), template="a {rank} grade")


def draw(seed: int) -> Image.Image:
    """Noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve PNG files and their labels."""
    root = tmp_path / "photos"
    root.mkdir()
    for index in range(12):
        draw(index).save(root / f"{index:02d}.png")
    names = [f"{index:02d}.png" for index in range(12)]
    splits = ["train"] * 6 + ["val"] * 3 + ["test"] * 3
    table = pd.DataFrame({"path": names, "label": [0, 1] * 6, "split": splits})
    table.to_csv(root / "labels.csv", index=False)
    return root


def load(folder: Path) -> OrdinalDataset:
    """The folder as a data set."""
    return load_dataset("csv", root=str(folder))


def in_memory(*, first: int = 0, label: int = 0) -> OrdinalDataset:
    """Three datasets of one's own, without names."""
    parts = [[(draw(10 * part + i), i % 2) for i in range(4)] for part in range(3)]
    parts[2][0] = (draw(20 + first), label)
    return OrdinalDataset.from_datasets(parts, RANKS)


def test_files_are_known_by_their_bytes_and_nothing_is_decoded(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same files elsewhere are the same; one that changed is not, in any split or part."""
    before = load(folder)
    stored, part = fingerprint(before), fingerprint(few_shot(before, 2))
    moved = shutil.copytree(folder, folder.with_name("moved"))
    monkeypatch.setattr(Image, "open", None)
    assert fingerprint(load(moved)) == stored
    assert fingerprint(few_shot(load(moved), 2)) == part != stored

    shutil.copy(folder / "00.png", moved / "11.png")
    assert difference(stored, fingerprint(load(moved))) == "other images"
    assert difference(part, fingerprint(few_shot(load(moved), 2))) == "other images"

    monkeypatch.undo()
    turned = replace(before, train=replace(before.train, transform=lambda image: image.rotate(180)))
    assert difference(stored, fingerprint(turned)) == "other images"


def test_a_list_is_loaded_without_looking_at_the_files(folder: Path) -> None:
    """55,134 rows are a matter of a second; a file that is no image is met when a run begins."""
    (folder / "03.png").write_bytes(b"")
    data = load(folder)
    os.remove(folder / "03.png")
    os.mkfifo(folder / "03.png")
    with pytest.raises(InputError, match=r"labels\.csv row 5: the image \S+03\.png is a pipe"):
        fingerprint(data)


def test_datasets_of_ones_own_are_known_by_their_pixels() -> None:
    """By one pixel of one test image, by a label."""
    stored = fingerprint(in_memory())
    assert fingerprint(in_memory()) == stored
    assert difference(stored, fingerprint(in_memory(first=1))) == "other images"
    assert "labels" in difference(stored, fingerprint(in_memory(label=1)))


def test_generated_leaves_are_known_by_what_they_follow_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Size and seed; no leaf is drawn for it."""
    monkeypatch.setattr("l2rclip_lite.data.leaves.paint_leaf", None)
    small, large = (load_dataset("leaves", size=60, pixels=side) for side in (64, 96))
    assert fingerprint(small) == fingerprint(load_dataset("leaves", size=60, pixels=64))
    assert difference(fingerprint(small), fingerprint(large)) == "other images"
    monkeypatch.setattr("l2rclip_lite.data.leaves.PAINTER", 2)
    assert difference(fingerprint(small), fingerprint(small)) == ""
    assert fingerprint(load_dataset("leaves", size=60, pixels=64)) != fingerprint(large)


def test_a_run_is_not_resumed_on_other_images(folder: Path, tmp_path: Path) -> None:
    """Same names, labels and settings, other pixels: old figures came back without a word."""
    run = RunDirectory(tmp_path / "run")
    run.folder.mkdir()
    run.claim(load(folder), Config(), None)
    run.unfinished.mkdir()
    run.claim(load(folder), Config(), None)
    shutil.copy(folder / "00.png", folder / "01.png")
    with pytest.raises(InputError, match="holds a run on other images under the same names; bring"):
        run.claim(load(folder), Config(), None)


def test_what_reads_the_data_of_a_run_again_sees_other_images(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """So do `evaluate`, `baselines` and `report`; a run of release 0.2 knows names alone."""
    run = RunDirectory(tmp_path / "run")
    run.folder.mkdir()
    run.claim(load(folder), Config(), {"name": "csv", "root": str(folder)})
    run.unfinished.mkdir()
    where = Place(root=str(folder))
    assert data_of(str(run.folder), where).train.paths == load(folder).train.paths
    assert capsys.readouterr().err == ""

    shutil.copy(folder / "00.png", folder / "01.png")
    with pytest.raises(InputError, match="run: data with other images now; pass the old --root"):
        data_of(str(run.folder), where)

    record = json.loads(run.config.read_text())
    record["dataset"]["fingerprint"] = record["dataset"]["fingerprint"].split(":")[1]
    run.config.write_text(json.dumps(record))
    assert len(data_of(str(run.folder), where).train) == 6
    run.claim(load(folder), Config(), None)
    assert capsys.readouterr().err.count("of an earlier release, whose record has the names") == 2


class Counted:
    """A dataset whose `targets` are of another numbering, and which counts how often it is read."""

    targets = (0, 1, 2, 3)

    def __init__(self) -> None:
        self.n_read = 0

    def __len__(self) -> int:
        """Four images."""
        return 4

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        """Two of each rank."""
        self.n_read += 1
        return draw(index), index // 2


def test_labels_are_those_of_the_items_and_each_is_read_once() -> None:
    """For its label, its digest, its pixels: of 0, 0, 1, 1 the `targets` 0, 1, 2, 3 were taken."""
    dataset = Counted()
    split = Split.from_dataset(dataset)
    assert split.targets == (0, 0, 1, 1)
    fingerprint(OrdinalDataset.from_datasets((split, split[::2], split + split), RANKS))
    assert [image.getpixel((0, 0)) for image, _ in split]
    assert dataset.n_read == 4


def test_an_image_folder_is_not_read_for_its_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor a part or a sum of one; changed `targets` do not reach its items, so they do not count."""
    for index in range(4):
        (tmp_path / "ab"[index // 2]).mkdir(exist_ok=True)
        draw(index).save(tmp_path / "ab"[index // 2] / f"{index}.png")
    dataset = ImageFolder(str(tmp_path), target_transform=lambda label: 1 - label)
    dataset.targets = [9, 9, 9, 9]
    monkeypatch.setattr(Image, "open", None)
    assert Split.from_dataset(dataset).targets == (1, 1, 0, 0)
    sum_of_parts = ConcatDataset([Subset(dataset, [3, 0]), Subset(dataset, [2])])
    assert Split.from_dataset(sum_of_parts).targets == (0, 1, 0)

    class Reversed(ImageFolder):
        """A subclass that gives other labels."""

        def __getitem__(self, index: int) -> Any:
            """An image and its label, from 2."""
            image, label = super().__getitem__(index)
            return image, label + 2

    monkeypatch.undo()
    assert Split.from_dataset(Reversed(str(tmp_path))).targets == (2, 2, 3, 3)


@pytest.mark.parametrize(
    ("datasets", "sentence"),
    [
        ([[(draw(0), 0)]] * 4, "own: 4 datasets; give three, for training, validation and test"),
        ([[(draw(0), 0)]] * 2, "own: 2 datasets; give three"),
        ([[draw(0)]] * 3, r"train/00000: an item is Image, not \(image, rank index\); give pairs"),
        ([iter(())] * 3, "train: tuple_iterator has no length or no items; give a map-style"),
        ([[(draw(0), "low")]] * 3, "train/00000: its label is 'low', no whole number"),
    ],
)
def test_what_are_no_three_datasets_is_refused(datasets: Any, sentence: str) -> None:
    """In one sentence; a fourth one was ignored."""
    with pytest.raises(InputError, match=sentence):
        OrdinalDataset.from_datasets(datasets, RANKS)
