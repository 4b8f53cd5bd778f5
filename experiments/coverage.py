r"""Print how many test images lie inside the 90 % interval, over five folds of a folder.

    python experiments/coverage.py --root apples --labels apples.csv --label-column count \
        --group-column tree

It prints rows for `book/results/coverage.csv`. The head reads the sentences as they are: stage 1 is
left out, so that five folds take minutes.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pandas as pd
import torch
import tyro

from l2rclip_lite import L2RCLIP, Config, load_dataset
from l2rclip_lite.calibration import calibrate
from l2rclip_lite.commands.common import DataOptions
from l2rclip_lite.data.base import SPLITS
from l2rclip_lite.prediction import Prediction
from l2rclip_lite.training.features import TrainingData
from l2rclip_lite.training.stages import train_kernel

FOLDS = 5


def main(options: DataOptions) -> None:
    """Train and measure each fold on features that are computed once.

    Args:
        options: Of the folder and its table, as `l2rclip fit` takes them.
    """
    options_set = {key: value for key, value in asdict(options).items() if value}
    config = Config(image_side="kernel", epochs1=0)
    features = {}
    rows = []
    for fold in range(1, FOLDS + 1):
        data = load_dataset("csv", **options_set, folds=FOLDS, fold=fold)
        model = L2RCLIP.build(data.ranks, config)
        for part in () if features else (data.train, data.val, data.test):
            features |= dict(zip(part.paths, model.encode(part, backbone=True), strict=True))
        wide = {
            split: torch.stack([features[path] for path in data.split(split).paths])
            for split in SPLITS
        }
        targets = {split: torch.tensor(data.split(split).targets) for split in SPLITS}
        loaded = TrainingData.of(wide, targets, model)
        train_kernel(model, loaded)
        calibrate(model, wide["val"], targets["val"])
        p = model.probabilities(wide["test"])
        true = targets["test"]
        prediction = Prediction.of(p, data.ranks, conformal=float(model.conformal))
        inside = ((prediction.low <= true) & (true <= prediction.high)).double()
        width = (prediction.high - prediction.low + 1).double()
        row = {
            "data": Path(options_set["root"]).name,
            "fold": fold,
            "ranks": len(data.ranks),
            "val": len(wide["val"]),
        }
        rows.append(
            row | {"test": len(true), "inside": float(inside.mean()), "width": float(width.mean())}
        )
    print(pd.DataFrame(rows).round(4).to_csv(index=False), end="")


if __name__ == "__main__":
    main(tyro.cli(DataOptions))
