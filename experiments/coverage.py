r"""Print how many test images lie inside the 90 % interval, over five folds of a folder.

    python experiments/coverage.py --root apples --labels apples.csv --label-column count \
        --group-column tree

It prints rows for `book/results/coverage.csv`. The head reads the sentences as they are: stage 1 is
left out, so that five folds take minutes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import torch
import tyro
from torch import Tensor

from l2rclip_lite import L2RCLIP, Config, load_dataset
from l2rclip_lite.commands.options import DataOptions, load_options
from l2rclip_lite.data.base import SPLITS, OrdinalDataset
from l2rclip_lite.heads.calibration import calibrate
from l2rclip_lite.image_side import train_kernel
from l2rclip_lite.method.prediction import Prediction
from l2rclip_lite.training_data import TrainingData

FOLDS = 5


def main(options: DataOptions) -> None:
    """Train and measure each fold on features that are computed once.

    Args:
        options: Of the folder and its table, as `l2rclip fit` takes them.
    """
    chosen = load_options(options)
    config = Config(image_side="kernel", epochs1=0)
    features: dict[str, Tensor] = {}
    rows = []
    for fold in range(1, FOLDS + 1):
        data = load_dataset("csv", **chosen, folds=FOLDS, fold=fold)
        model = L2RCLIP.build(data.ranks, config)
        if not features:
            for part in (data.train, data.val, data.test):
                features |= dict(zip(part.paths, model.encode(part, backbone=True), strict=True))

        row = {"data": Path(chosen["root"]).name, "fold": fold}
        rows.append(row | measure(model, data, features))
    print(pd.DataFrame(rows).round(4).to_csv(index=False), end="")


def measure(
    model: L2RCLIP, data: OrdinalDataset, features: Mapping[str, Tensor]
) -> dict[str, float]:
    """Train the head, calibrate it, and return the coverage and width of its test intervals.

    Args:
        model: It is changed.
        data: One fold.
        features: Those of the image tower, by the path of an image.
    """
    backbone = {}
    targets = {}
    for split in SPLITS:
        part = data.split(split)
        backbone[split] = torch.stack([features[path] for path in part.paths])
        targets[split] = torch.tensor(part.targets)

    train_kernel(model, TrainingData.of(backbone, targets, model))
    calibrate(model, backbone["val"], targets["val"])

    probabilities = model.probabilities(backbone["test"])
    target = targets["test"]
    interval = Prediction.of(probabilities, data.ranks, conformal=float(model.conformal))
    inside = ((interval.low <= target) & (target <= interval.high)).double()
    width = (interval.high - interval.low + 1).double()
    return {
        "ranks": len(data.ranks),
        "val": len(targets["val"]),
        "test": len(target),
        "inside": float(inside.mean()),
        "width": float(width.mean()),
    }


if __name__ == "__main__":
    main(tyro.cli(DataOptions))
