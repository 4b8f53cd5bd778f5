"""Rows about many images: long lists, none of whose images may be opened, and features."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from unittest.mock import patch

import torch
from PIL import Image
from timing import (
    GRADES,
    MORPH,
    Figure,
    NotMeasuredError,
    Setting,
    ages,
    in_a_new_process,
    in_turns,
    summary,
)

from l2rclip_lite import L2RCLIP, Config, load_dataset
from l2rclip_lite.data import OrdinalDataset
from l2rclip_lite.data.base import SPLITS

FEW = 100  # images, for what is done once
FOLDER = 1_000  # images of a folder
LINKS = 20_000  # names of one file: file systems allow no more than 65,000
TRAINED = ("train", "train", "train", "val", "test")


def csv_rows(setting: Setting) -> Figure:
    """Load a CSV of one's own over images, none of which may be opened."""
    number = 1_000 if setting.quick else MORPH
    names = ages(62).names
    with tempfile.TemporaryDirectory() as folder:
        _make_images(Path(folder), number)
        _write_table(Path(folder), number, names)
        ranks = ",".join(names)
        return _time_loading(
            setting,
            number,
            lambda: load_dataset("csv", root=folder, labels=f"{number}.csv", ranks=ranks),
        )


def morph_rows(setting: Setting) -> Figure:
    """Load the published lists of MORPH II over empty files with the names of its images."""
    if setting.data is None:
        raise NotMeasuredError("the published lists: give --data, the folder that holds datalists")

    lists = setting.data / "datalists"
    listed = load_dataset("morph", lists=lists, protocol="random")
    with tempfile.TemporaryDirectory() as folder:
        for split in SPLITS:
            for path in listed.split(split).paths:
                file = Path(folder, path)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.touch()

        return _time_loading(
            setting,
            MORPH,
            lambda: load_dataset("morph", root=folder, lists=lists, protocol="random"),
        )


def _time_loading(setting: Setting, number: int, load: Callable[[], OrdinalDataset]) -> Figure:
    """Measure the seconds of loading, during which no image may be opened."""
    with patch("PIL.Image.open", side_effect=AssertionError("an image was opened")):
        (seconds,) = in_turns([load], setting.repeats)
    return summary(seconds, {"rows": number})


def list_seconds(setting: Setting) -> Figure:
    """Measure how long CSV files of several lengths take to load; the value is the longest's."""
    return _of_lists(setting, "seconds")


def list_memory(setting: Setting) -> Figure:
    """Measure the peak memory of processes that load such files; the value is the longest's."""
    return _of_lists(setting, "mib")


def _of_lists(setting: Setting, what: str) -> Figure:
    """Load lists of several lengths, and return the seconds or the memory of the longest."""
    numbers = (100, 1_000, 10_000) if setting.quick else (10_000, 100_000, 1_000_000)
    with tempfile.TemporaryDirectory() as folder:
        _make_images(Path(folder), numbers[-1])
        for number in {FEW, *numbers}:
            _write_table(Path(folder), number, "01234")

        measured = {}
        for number in numbers:
            calls = ((folder, FEW), (folder, number))
            measured[number] = [in_a_new_process(_load, *calls) for _ in range(3)]
    longest = [run[what] for run in measured[numbers[-1]]]
    return summary(longest, {"rows": {number: runs[0] for number, runs in measured.items()}})


def encoding_growth(setting: Setting) -> Figure:
    """Encode ever more images of 64 pixels by tiny towers, with features kept on the disk.

    The value compares the slowest with the fastest image of the three largest numbers.
    """
    numbers = (100, 200, 400) if setting.quick else (1_000, 10_000, 100_000, 200_000)
    measured = {}
    with tempfile.TemporaryDirectory() as folder:
        _make_images(Path(folder), numbers[-1])
        for number in numbers:
            measured[number] = in_a_new_process(_encode, (folder, FEW), (folder, number))

    per_image = [measured[number]["seconds"] / number for number in numbers[-3:]]
    return summary([max(per_image) / min(per_image)], {"images": measured})


def _name(index: int) -> str:
    """Return the path of an image."""
    return f"{index // FOLDER:04d}/{index:07d}.jpg"


def _make_images(root: Path, number: int) -> None:
    """Write images of noise, each under many names."""
    source = root / "0.jpg"
    for index in range(number):
        if index % LINKS == 0:
            source = root / f"{index}.jpg"
            Image.effect_noise((64, 64), 80).convert("RGB").save(source)
        if index % FOLDER == 0:
            (root / _name(index)).parent.mkdir()
        os.link(source, root / _name(index))


def _write_table(root: Path, number: int, names: Sequence[str]) -> None:
    """Write a table of the first images, with a column of each kind."""
    with (root / f"{number}.csv").open("w", encoding="utf-8") as stream:
        stream.write("path,label,group,split\n")
        for index in range(number):
            group = index // len(names)
            label = names[index % len(names)]
            stream.write(f"{_name(index)},{label},g{group},{TRAINED[group % 5]}\n")


def _load(folder: str, number: int) -> None:
    """Load, in a child, a table."""
    load_dataset("csv", root=folder, labels=f"{number}.csv")


def _encode(folder: str, number: int) -> None:
    """Encode, in a child, the first images of the folder, and keep their features."""
    torch.set_num_threads(1)
    model = L2RCLIP.build(GRADES, Config(towers="tiny/random", heads=2))
    files = [os.path.join(folder, _name(index)) for index in range(number)]
    with tempfile.TemporaryDirectory() as cache:
        model.encode(files, backbone=True, cache=cache)
