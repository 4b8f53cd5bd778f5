"""What an arm may begin with: a run on related images, trained once for all arms that use it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from filelock import FileLock

from l2rclip_book.studies import OURS
from l2rclip_lite import L2RCLIP, Config, fit, load_dataset
from l2rclip_lite.baselines import train_baseline
from l2rclip_lite.runs.model_file import MODEL
from l2rclip_lite.training_data import TrainingData


def relative_of(relative: dict[str, Any], cache: Path) -> str:
    """Return what `Config.start` takes of a relative; train it where it is not there yet.

    Args:
        relative: One of the `relatives` of `plan.unit`.
        cache: Folder that several units share.
    """
    if "shipped" in relative:
        return str(relative["shipped"])

    folder = folder_of(relative, cache)
    folder.parent.mkdir(parents=True, exist_ok=True)

    with FileLock(folder.with_suffix(".lock")):  # another unit may be training it
        if not (folder / MODEL).is_file():
            _train(relative, folder)
    return str(folder)


def folder_of(relative: dict[str, Any], cache: Path) -> Path:
    """Return where a relative is kept: other settings or images are another one."""
    seed = relative["settings"]["seed"]
    images = {key: value for key, value in relative["load"].items() if key != "root"}
    made_by = json.dumps([relative["method"], relative["settings"], images], sort_keys=True)
    digest = sha256(made_by.encode()).hexdigest()[:8]

    name = re.sub(r"[^a-z0-9]+", "-", relative["name"].lower())
    return cache / "relatives" / f"{name}-{seed}-{digest}"


def _train(relative: dict[str, Any], folder: Path) -> None:
    """Train a relative into a folder."""
    data = load_dataset(**relative["load"])
    config = Config(**({"device": "cpu"} | relative["settings"]))

    if relative["method"] == OURS:
        fit(data, config, folder, quiet=True)
        return
    config = replace(config, upside_down=not data.upright)
    model = L2RCLIP.build(data.ranks, config, data.image_size)
    images = TrainingData.load(data, model)
    train_baseline(relative["method"], model, images).save_pretrained(folder)
