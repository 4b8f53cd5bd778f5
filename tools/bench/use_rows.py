"""Rows about the use of the package: its start, its answers and metrics, many images."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from PIL import Image
from timing import (
    GRADES,
    MORPH,
    Figure,
    Setting,
    ages,
    in_a_new_process,
    in_turns,
    ratio,
    summary,
)
from training_rows import noise

from l2rclip_lite import L2RCLIP, evaluate, load_dataset
from l2rclip_lite.data.images import squeezed

FEW = 100  # rows, for what is done once
FOLDER = 1_000  # images of a folder
LINKS = 20_000  # names of one file: file systems allow no more than 65,000
TRAINED = ("train", "train", "train", "val", "test")


def inference(setting: Setting) -> Figure:
    """Compare images in memory per second with the bare tower on batches that are ready."""
    config = setting.config("mini", 32)
    model = L2RCLIP.build(GRADES, config).eval()
    images = noise(96, model.towers.image_size)
    batches = [model.towers.normalize(batch.float() / 255) for batch in torch.split(images, 32)]

    @torch.inference_mode()
    def bare() -> None:
        for batch in batches:
            model.towers.encode_image(batch)

    def ours() -> None:
        model.probabilities(model.encode([(image, 0) for image in images]))

    bare_seconds, our_seconds = in_turns([bare, ours], setting.repeats)
    return ratio(bare_seconds, our_seconds)


def help_time(setting: Setting) -> Figure:
    """Measure the command with `--help`, in a fresh interpreter."""
    command = [sys.executable, "-m", "l2rclip_lite", "--help"]

    def ask() -> None:
        subprocess.run(command, check=True, capture_output=True)

    (seconds,) = in_turns([ask], setting.repeats)
    return summary(seconds)


def metrics(setting: Setting) -> Figure:
    """Measure every metric of 55,134 predictions over 62 ranks, with 1,000 resamples."""
    number = 500 if setting.quick else MORPH
    generator = torch.Generator().manual_seed(0)
    target = torch.randint(62, (number,), generator=generator)
    near = -(((torch.arange(62) - target[:, None]) / 4) ** 2)
    probabilities = torch.softmax(near + torch.randn(number, 62, generator=generator), dim=1)

    def measure() -> None:
        evaluate(probabilities, target, ages(62), intervals=True, resamples=1000)

    (seconds,) = in_turns([measure], setting.repeats)
    return summary(seconds)


def decode(setting: Setting) -> Figure:
    """Measure images per second that one process reads from JPEG bytes and resizes."""
    leaves = load_dataset("leaves", size=60, pixels=480).train
    files = []
    for index in range(32):
        image, _ = leaves[index]
        stream = io.BytesIO()
        image.resize((400, 480)).save(stream, "JPEG", quality=90)
        files.append(stream.getvalue())

    def read() -> None:
        for file in files:
            squeezed(Image.open(io.BytesIO(file)), side=224)

    (times,) = in_turns([read], setting.repeats)
    return summary([len(files) / seconds for seconds in times])


def list_seconds(setting: Setting) -> Figure:
    """Measure how long CSV files of several lengths take to load; the value is the longest's."""
    numbers = (100, 1_000, 10_000) if setting.quick else (10_000, 100_000, 1_000_000)
    with tempfile.TemporaryDirectory() as folder:
        _make_images(Path(folder), numbers[-1])
        for number in (FEW, *numbers):
            _write_table(Path(folder), number)

        measured = {}
        for number in numbers:
            measured[number] = [in_a_new_process(_load, folder, number) for _ in range(3)]
    seconds = {number: times[0] for number, times in measured.items()}
    return summary(measured[numbers[-1]], {"seconds": seconds})


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
            group, label = divmod(index, 5)
            stream.write(f"{_name(index)},{label},g{group},{TRAINED[group % 5]}\n")


def _load(folder: str, number: int) -> float:
    """Load, in a child, a table; return the seconds of the processor, without what is done once."""
    load_dataset("csv", root=folder, labels=f"{FEW}.csv")
    start = time.process_time()
    load_dataset("csv", root=folder, labels=f"{number}.csv")
    return time.process_time() - start
