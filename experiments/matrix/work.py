"""The work of one unit, for the notebook that runs it and the script that checks a row again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from plan import merged
from threadpoolctl import threadpool_limits

from l2rclip_book.studies import Arm, Study, image_features
from l2rclip_lite import Config, load_dataset, load_towers


class Work:
    """Data, towers and image features of a unit.

    Args:
        unit: From `plan.unit`.
        name: Of the data set in the plan; names the file of features.
        cache: Folder for image features; None keeps none.
    """

    def __init__(self, unit: dict[str, Any], name: str, cache: Path | None = None) -> None:
        torch.set_num_threads(1)  # the rows do not depend on the machine's cores
        threadpool_limits(1)  # nor do those of scikit-learn
        self.unit = unit
        self.data = load_dataset(**unit["load"])

        config = Config(**unit["settings"])
        size = config.image_size or self.data.image_size
        self.towers = load_towers(config.towers, weights=config.weights, image_size=size, seed=0)

        parts = [name]
        if unit["load"]["name"] == "leaves":  # another seed is other images
            parts.append(str(unit["seed"]))
        tower = f"{config.weights or config.towers}-{self.towers.image_size}"
        parts.append(re.sub(r"[^A-Za-z0-9.]+", "-", tower))
        file = cache / f"{'-'.join(parts)}.safetensors" if cache else None
        self.features = image_features(self.data, self.towers, file)

    def rows(
        self, arm: str | None = None, condition: str | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield rows of metrics, each as soon as it is computed.

        Args:
            arm: Only this one; None trains all.
            condition: Only this one, as `words` spells it; None takes all.
        """
        arms = []
        for name, fields in self.unit["arms"].items():
            if arm in (None, name):
                arms.append(Arm(name, **fields))

        for change, settings in self.unit["conditions"]:
            if condition not in (None, words(change)):
                continue

            config = Config(**merged(self.unit["settings"], settings))
            factor, level = next(iter(change.items()), ("", ""))
            origin = {
                "fold": self.unit["fold"],
                "seed": self.unit["seed"],
                "factor": factor,
                "level": level,
                "condition": words(change),
            }
            study = Study(self.data, self.towers, config, self.features)
            for row in study.rows(arms, change):
                yield origin | row


def words(condition: dict[str, Any]) -> str:
    """Return a condition as the results spell it.

    Example:
        >>> words({"few_shot": 4})
        'few_shot=4'
    """
    return ", ".join(f"{name}={value}" for name, value in condition.items())
