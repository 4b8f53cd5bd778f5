"""The work of one unit, for its notebook or for `make clip`, and what its arms may begin with.

A relative is a run on related images, trained once for all arms that use it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from filelock import FileLock
from plan import merged
from studies import OURS, Arm, Study, image_features
from study_parts import reworded
from threadpoolctl import threadpool_limits
from torch import Tensor

from l2rclip_lite import L2RCLIP, Config, fit, load_dataset, load_towers
from l2rclip_lite.baselines import train_baseline
from l2rclip_lite.devices import choose_device
from l2rclip_lite.errors import TrainingError
from l2rclip_lite.files import write_json, write_text
from l2rclip_lite.model_file import MODEL
from l2rclip_lite.towers.base import Towers
from l2rclip_lite.training import config_for
from l2rclip_lite.training_data import TrainingData


class Work:
    """Data, towers and image features of a unit.

    Args:
        unit: From `plan.unit`. Settings that name no device mean a CPU. It may have `commits`, see
            `load_towers`.
        cache: Folder for image features, and for what arms begin with; None keeps none.
    """

    def __init__(self, unit: dict[str, Any], cache: Path | None = None) -> None:
        config = Config(**({"device": "cpu"} | unit["settings"]))
        torch.set_num_threads(1)  # rows do not depend on the machine's cores
        threadpool_limits(1)  # nor do those of scikit-learn
        self.unit = unit
        self.data = load_dataset(**unit["load"])

        size = config.image_size or self.data.image_size
        self.towers = load_towers(config.towers, image_size=size, commits=unit.get("commits")).to(
            choose_device(config)
        )

        self.features = image_features(self.data, self.towers, cache)
        self.cache = cache

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield rows of metrics, each as soon as it is computed."""
        of_start: dict[str, list[Arm]] = {}
        for name, fields in self.unit["arms"].items():
            arm = Arm(name, **fields)
            of_start.setdefault(arm.start, []).append(arm)

        for start, arms in of_start.items():
            towers, features, path = self._beginning(start)
            for change, settings in self.unit["conditions"]:
                config = Config(**merged(self.unit["settings"], settings), start=path)
                factor, level = next(iter(change.items()), ("", ""))
                origin = {
                    "fold": self.unit["fold"],
                    "seed": self.unit["seed"],
                    "factor": factor,
                    "level": level,
                    "condition": ", ".join(f"{name}={value}" for name, value in change.items()),
                }
                data = reworded(self.data, **change, seed=config.seed)
                for row in Study(data, towers, config, features).rows(arms):
                    yield origin | row

    def _beginning(self, start: str) -> tuple[Towers, Mapping[str, Tensor], str | None]:
        """Return towers, image features and start of the arms that begin with a relative.

        Args:
            start: One of the `relatives` of the unit; an empty one leaves the towers untrained.
        """
        if not start:
            return self.towers, self.features, None
        assert self.cache is not None, "a relative is kept for other units"
        relative = relative_of(self.unit["relatives"][start], self.cache)
        config = Config(**({"device": "cpu"} | self.unit["settings"]), start=relative)
        model = L2RCLIP.build(self.data.ranks, config, self.data.image_size)
        towers = model.towers.to(choose_device(config))
        return towers, image_features(self.data, towers), relative


def write_unit(
    work: Work, key: Mapping[str, Any], out: Path, origin: Mapping[str, str]
) -> pd.DataFrame:
    """Train every arm of a unit, print a line for each, and write its files.

    Args:
        work: The unit.
        key: Its `study`, `data` and `run`.
        out: The CSV of its rows. The scores of its test images and, last, a JSON file that says how
            the rows were made are written beside it.
        origin: Further columns of each row, `commit` among them.

    Returns:
        The rows.

    Raises:
        TrainingError: An error is not a number.
    """
    rows = []
    images = []
    for row in work.rows():
        scores = row.pop("images")
        images.append(scores.assign(**key, arm=row["arm"], condition=row["condition"]))
        rows.append({**key, **row, **origin})
        print(
            f"{row['condition']:<24}{row['arm']:<32}RPS {row['rps']:7.3f}  "
            f"MAE of the median {row['mae_median']:7.3f}  {row['seconds']:6.1f} s",
            flush=True,
        )
        if math.isnan(row["mae"]):
            where = f"{key['study']} on {key['data']}"
            raise TrainingError(f"{where}: the error of {row['arm']} is not a number.")

    table = pd.DataFrame(rows)
    write_text(out, table.to_csv(index=False))
    image_scores = pd.concat(images).to_csv(index=False, float_format="%.4f")
    write_text(out.with_suffix(".images.csv"), image_scores)

    versions = {name: version(name) for name in ("numpy", "torch", "scikit-learn")}
    record = {"unit": work.unit, "versions": versions, "card": work.data.card.to_dict()}
    write_json(out.with_suffix(".json"), record | dict(origin))
    return table


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

    return cache / "relatives" / f"{relative['name'].replace(' ', '-')}-{seed}-{digest}"


def _train(relative: dict[str, Any], folder: Path) -> None:
    """Train a relative into a folder."""
    data = load_dataset(**relative["load"])
    config = Config(**({"device": "cpu"} | relative["settings"]))

    if relative["method"] == OURS:
        fit(data, config, folder, quiet=True)
        return
    model = L2RCLIP.build(data.ranks, config_for(data, config), data.image_size)
    images = TrainingData.load(data, model)
    train_baseline(relative["method"], model, images).save_pretrained(folder)
