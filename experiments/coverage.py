r"""Print how many test images lie inside the 90 % interval, over five folds of a folder.

    python experiments/coverage.py --root apples --labels apples.csv --label-column count \
        --group-column tree

It prints rows for `book/results/coverage.csv`. The head reads the sentences as they are: stage 1 is
left out, so that five folds take minutes.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import tyro

from l2rclip_lite import Config, fit, load_dataset
from l2rclip_lite.config import DataOptions

FOLDS = 5


def main(options: DataOptions) -> None:
    """Train each fold, and measure the intervals of its test images.

    Args:
        options: Of the folder and its table, as `l2rclip fit` takes them.
    """
    chosen: dict[str, Any] = {**options}
    config = Config(image_side="kernel", epochs1=0)
    rows = []
    for fold in range(1, FOLDS + 1):
        data = load_dataset("csv", **chosen, folds=FOLDS, fold=fold)
        with TemporaryDirectory() as folder:
            run = fit(data, config, folder, quiet=True)
            answers = pd.read_csv(run.out / "predictions.csv")

        inside = answers["true_rank"].between(answers["low_rank"], answers["high_rank"])
        width = answers["high_rank"] - answers["low_rank"] + 1
        row = {"data": Path(chosen["root"]).name, "fold": fold, "ranks": len(data.ranks)}
        row |= {"val": len(data.val), "test": len(data.test)}
        rows.append(row | {"inside": inside.mean(), "width": width.mean()})
    print(pd.DataFrame(rows).round(4).to_csv(index=False), end="")


if __name__ == "__main__":
    main(tyro.cli(DataOptions))
