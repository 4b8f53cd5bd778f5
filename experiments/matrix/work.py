"""The work of one unit: the same few lines for the notebook that runs it and for the script that checks a row again."""

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
        self.unit, self.data = unit, load_dataset(**unit["load"])
        config = Config(**unit["settings"])
        size = config.image_size or self.data.image_size
        self.towers = load_towers(config.towers, weights=config.weights, image_size=size, seed=0)
        drawn = f"-{unit['seed']}" if unit["load"]["name"] == "leaves" else ""
        tower = f"{config.weights or config.towers}-{self.towers.image_size}"
        file = f"{name}{drawn}-{re.sub(r'[^A-Za-z0-9.]+', '-', tower)}.safetensors"
        self.features = image_features(self.data, self.towers, cache / file if cache else None)

    def rows(
        self, arm: str | None = None, condition: str | None = None
    ) -> Iterator[dict[str, Any]]:
        """Rows of metrics, as soon as each is known.

        Args:
            arm: Only this one; None trains all.
            condition: Only this one, as `words` spells it; None takes all.
        """
        arms = [
            Arm(name, **about) for name, about in self.unit["arms"].items() if arm in (None, name)
        ]
        for change, settings in self.unit["conditions"]:
            if condition not in (None, words(change)):
                continue
            config = Config(**merged(self.unit["settings"], settings))
            factor, level = next(iter(change.items()), ("", ""))
            about = {
                "fold": self.unit["fold"],
                "seed": self.unit["seed"],
                "factor": factor,
                "level": level,
            }
            for row in Study(self.data, self.towers, config, self.features).rows(arms, change):
                yield about | {"condition": words(change)} | row


def words(condition: dict[str, Any]) -> str:
    """A condition as the results spell it.

    Example:
        >>> words({"few_shot": 4})
        'few_shot=4'
    """
    return ", ".join(f"{name}={value}" for name, value in condition.items())
