"""Rows about a million images: long lists, many images to encode; each in a new process."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch
from PIL import Image
from setting import GRADES, Setting
from timing import Figure, peak, summary

from l2rclip_lite import L2RCLIP, Config, load_dataset

LISTS = (10_000, 100_000, 1_000_000)
FEW = 100  # images, for what is done once
FOLDER = 1_000  # images of a folder
LINKS = 20_000  # names of one file: file systems allow no more than 65,000
TRAINED = ("train", "train", "train", "val", "test")


def list_seconds(setting: Setting) -> Figure:
    """Measure how long CSV files of several lengths take to load; the value is the longest's."""
    return _of_lists(setting, "seconds")


def list_memory(setting: Setting) -> Figure:
    """Measure the peak memory of processes that load such files; the value is the longest's."""
    return _of_lists(setting, "mib")


def encoding_growth(setting: Setting) -> Figure:
    """Encode ever more images of 64 pixels by tiny towers, with features kept on the disk.

    The value compares the slowest with the fastest image of the three largest numbers.
    """
    numbers = (100, 200, 400) if setting.quick else (1_000, 10_000, 100_000, 200_000)
    with tempfile.TemporaryDirectory() as folder:
        _make_images(Path(folder), numbers[-1])
        measured = {number: _in_a_new_process(_encode, folder, number) for number in numbers}

    per_image = [measured[number]["seconds"] / number for number in numbers[-3:]]
    return summary([max(per_image) / min(per_image)], {"images": measured})


def _of_lists(setting: Setting, what: str) -> Figure:
    """Load lists of several lengths, and return the seconds or the memory of the longest."""
    numbers = (100, 1_000, 10_000) if setting.quick else LISTS
    with tempfile.TemporaryDirectory() as folder:
        _make_images(Path(folder), numbers[-1])
        for number in {FEW, *numbers}:
            _write_table(Path(folder), number)

        runs = 2 if setting.quick else 3
        measured = {
            number: [_in_a_new_process(_load, folder, number) for _ in range(runs)]
            for number in numbers
        }
    longest = [run[what] for run in measured[numbers[-1]]]
    return summary(longest, {"rows": {number: runs[0] for number, runs in measured.items()}})


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


def _write_table(root: Path, number: int) -> None:
    """Write a table of the first images, with a column of each kind."""
    with (root / f"{number}.csv").open("w", encoding="utf-8") as stream:
        stream.write("path,label,group,split\n")
        for index in range(number):
            split = TRAINED[index // 5 % 5]
            stream.write(f"{_name(index)},{index % 5},g{index // 5},{split}\n")


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


def _in_a_new_process(
    work: Callable[[str, int], None], folder: str, number: int
) -> dict[str, float]:
    """Return the seconds of the processor and the MiB of some work."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context) as pool:
        return pool.submit(_measure, work, folder, number).result()


def _measure(work: Callable[[str, int], None], folder: str, number: int) -> dict[str, float]:
    """Work, in the child, on few images first."""
    work(folder, FEW)
    start = time.process_time()
    work(folder, number)
    return {"seconds": time.process_time() - start, "mib": peak()}
