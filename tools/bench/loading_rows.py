"""Rows about loading long lists of images, none of which may be opened."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

from setting import MORPH, NotMeasuredError, Setting, ages
from timing import Figure, in_turns, summary

from l2rclip_lite import load_dataset
from l2rclip_lite.data import OrdinalDataset
from l2rclip_lite.data.base import SPLITS


def csv_rows(setting: Setting) -> Figure:
    """Load a CSV of one's own over empty files, none of which can be opened as an image."""
    number = 1_000 if setting.quick else MORPH
    names = ages(62).names
    splits = ("train", "train", "train", "val", "test")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        lines = ["path,label,split"]
        for index in range(number):
            path = f"{index % 100:02d}/{index}.jpg"
            _make_empty(root / path)
            lines.append(f"{path},{names[index % 62]},{splits[index // 62 % 5]}")
        (root / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")

        ranks = ",".join(names)
        return time_loading(setting, number, lambda: load_dataset("csv", root=root, ranks=ranks))


def morph_rows(setting: Setting) -> Figure:
    """Load the published lists of MORPH II over empty files with the names of its images."""
    if setting.data is None or not (setting.data / "datalists").is_dir():
        raise NotMeasuredError(
            "the published lists are not here; give --data, the folder that holds datalists"
        )

    lists = setting.data / "datalists"
    listed = load_dataset("morph", lists=lists, protocol="random")
    with tempfile.TemporaryDirectory() as folder:
        for split in SPLITS:
            for path in listed.split(split).paths:
                _make_empty(Path(folder, path))

        return time_loading(
            setting,
            MORPH,
            lambda: load_dataset("morph", root=folder, lists=lists, protocol="random"),
        )


def _make_empty(file: Path) -> None:
    """Make an empty file, and the folders above it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()


def time_loading(setting: Setting, number: int, load: Callable[[], OrdinalDataset]) -> Figure:
    """Measure the seconds of loading, during which no image may be opened."""
    with patch("PIL.Image.open", side_effect=AssertionError("an image was opened")):
        data = load()
        n_rows = sum(len(data.split(split)) for split in SPLITS)
        if n_rows != number:
            raise AssertionError(f"{n_rows} rows of {number} were loaded")

        (seconds,) = in_turns([load], setting.repeats)
    return summary(seconds, {"rows": number})
