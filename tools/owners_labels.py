"""Write labels.csv from the masks, boxes or circumferences that the owners of data publish.

    python tools/owners_labels.py NAME ROOT

NAME is bracol-area, apples81, cherries81, pears or hc18, ROOT the owners' folder or one above it.
Then `l2rclip fit --dataset NAME --root ROOT` reads ROOT/labels.csv. A mask or a file of boxes is
measured by `measure`, and an image without a box is left out; the label of a fetal head is a
polynomial of its circumference: weeks = 8.96 + 0.540 HC + 0.0003 HC^3 with HC in cm (Hadlock 1984).
`benchmarks.toml` has the numbers.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import tyro

from l2rclip_lite.data.benchmarks import DATA_SETS, DataSet
from l2rclip_lite.data.reading import read_image
from l2rclip_lite.errors import InputError, sentence
from l2rclip_lite.files import write_text


def labels(root: Path, facts: DataSet) -> pd.DataFrame:
    """Return the two columns that labels.csv of this data set has.

    Raises:
        InputError: There are no such files.
    """
    name, label = facts.columns[:2]
    files = sorted(root.rglob(facts.original["files"]))
    if not files:
        missing = f"there is no {facts.original['files']} below {root}"
        raise InputError(f"{facts.card.name}: {missing}; name the owners' folder.")

    columns = facts.original.get("columns")
    if columns is None:
        rows = [(f"{file.stem.removesuffix('_mask')}.jpg", measure(file)) for file in files]
        table = pd.DataFrame(rows, columns=[name, label])
        return table[table[label] >= facts.span[0]]  # no crop without a fruit

    table = pd.read_csv(files[0])
    numbers = np.polynomial.polynomial.polyval(table[columns[1]], facts.original["polynomial"])
    return pd.DataFrame({name: table[columns[0]], label: numbers})


def measure(file: Path) -> float:
    """Count the boxes of a text file, one a line, or measure the percent of a leaf that is ill.

    In a mask red is ill and green healthy.
    """
    if file.suffix != ".png":
        lines = file.read_text("utf-8").splitlines()
        return sum(1 for line in lines if line.strip())

    pixels = np.asarray(read_image(file))
    n_ill = int((pixels[..., 0] > 127).sum())
    n_healthy = int((pixels[..., 1] > 127).sum())
    return 100 * n_ill / (n_ill + n_healthy)


def main(
    name: Literal["bracol-area", "apples81", "cherries81", "pears", "hc18"], root: Path, /
) -> None:
    """Write ROOT/labels.csv.

    Args:
        name: bracol-area, apples81, cherries81, pears or hc18.
        root: The owners' folder, or one above it.
    """
    write_text(root / "labels.csv", labels(root, DATA_SETS[name]).to_csv(index=False))


if __name__ == "__main__":
    try:
        tyro.cli(main)
    except InputError as error:
        sys.exit(sentence(error))
