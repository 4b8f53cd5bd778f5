"""Rows about pictures: how fast they are decoded, and what a training step waits for them."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from PIL import Image
from timing import in_turns, paired, run_stage
from workload import Found, NotMeasuredError, Setting, build, settings

from l2rclip_lite import load_dataset, load_towers
from l2rclip_lite.data import OrdinalDataset
from l2rclip_lite.images import as_bytes
from l2rclip_lite.schemes import Pictures, stage2

FACE_SIZE = (400, 480)  # pixels, about those of MORPH II
IMAGES = 320  # of an epoch
BATCH = 16


def bracol(setting: Setting, images: int | None = None) -> OrdinalDataset:
    """BRACOL's first fold, or the first training pictures of it."""
    if setting.data is None or not (setting.data / "bracol_severity").is_dir():
        raise NotMeasuredError(
            "the pictures of BRACOL are not here; give --data, the folder that holds bracol_severity"
        )
    data = load_dataset("bracol", root=setting.data / "bracol_severity", fold=1)
    return replace(data, train=data.train[:images], val=data.val[:1], test=data.test[:1])


def from_files(setting: Setting) -> Found:
    """An epoch of stage 2 that decodes its JPEG files as it goes ÷ the same epoch with decoded pictures in memory.

    Whole epochs, so the first batch, for which nobody worked ahead, is counted.
    """
    data = bracol(setting, 64 if setting.quick else IMAGES)
    pair = paired(epoch_of(setting, data, "stream"), epoch_of(setting, data, "memory"), setting.repeats)
    return Found.ratio(pair, images=len(data.train), batch=BATCH, pixels=list(data.train[0][0].size))


def epoch_of(setting: Setting, data: OrdinalDataset, store: Any) -> Callable[[], None]:
    """A function that trains an epoch of stage 2."""
    model = build(settings(setting, "mini", BATCH, pictures=store), data.ranks)
    pictures = Pictures.load(data, model, True)
    stage = stage2(model, pictures)
    return lambda: run_stage(stage, pictures.targets["train"], data.ranks, model.config)


def decode(setting: Setting) -> Found:
    """Pictures a second that one process reads from JPEG bytes, squashes and turns into a tensor.

    Drawn leaves at the size of MORPH's pictures, so that the row needs no data of anybody.
    """
    towers = load_towers(setting.towers("mini"), image_size=setting.image_size)
    leaves = load_dataset("leaves", size=60, pixels=480).train
    files = []
    for index in range(32):
        stream = io.BytesIO()
        leaves[index][0].resize(FACE_SIZE).save(stream, "JPEG", quality=90)
        files.append(stream.getvalue())

    def read() -> None:
        for file in files:
            as_bytes(towers.squash(Image.open(io.BytesIO(file))))

    (times,) = in_turns([read], setting.repeats)
    size = sum(map(len, files)) / len(files)
    return Found.of([len(files) / seconds for seconds in times], bytes_per_file=size, pixels=list(FACE_SIZE))
