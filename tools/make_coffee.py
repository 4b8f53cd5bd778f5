"""Write the photographs that ship with the package, from the folder of BRACOL, in seconds.

    python tools/make_coffee.py DATA/bracol_severity     -> l2rclip_lite/data/coffee

All leaves of the two highest grades and 150 of each other one are drawn, made smaller, and kept in
the part of BRACOL's first fold: training, validation or test.
"""

from __future__ import annotations

from pathlib import Path
from shutil import copyfile

import pandas as pd
import tyro
from PIL import Image

import l2rclip_lite
from l2rclip_lite.data.benchmarks import DATA_SETS

FOLDER = Path(l2rclip_lite.__file__).with_name("data") / "coffee"
SIZE = (224, 112)  # of 512 x 256
PER_GRADE = 150
QUALITY = 80  # of JPEG


def main(root: Path, /) -> None:
    """Draw the leaves, and write their images, their table and the licence.

    Args:
        root: The folder that `l2rclip data bracol` makes.
    """
    table = pd.read_csv(root / "labels.csv")
    shuffled = table.sample(frac=1, random_state=0)
    drawn = shuffled.groupby("label").head(PER_GRADE).sort_index()

    (FOLDER / "images").mkdir(parents=True, exist_ok=True)
    for path in drawn["path"]:
        with Image.open(root / path) as image:
            small = image.convert("RGB").resize(SIZE, Image.Resampling.LANCZOS)
        small.save(FOLDER / path, quality=QUALITY, optimize=True)

    names = DATA_SETS["coffee"].ranks.names
    drawn["label"] = [names[int(label)] for label in drawn["label"]]
    drawn[["path", "label", "split"]].to_csv(FOLDER / "labels.csv", index=False)
    copyfile(root / "LICENSE", FOLDER / "LICENSE")


if __name__ == "__main__":
    tyro.cli(main)
