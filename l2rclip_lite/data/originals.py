"""Labels that owners publish in other files than a list: masks, boxes, a head circumference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from l2rclip_lite.data.base import read_image
from l2rclip_lite.data.benchmarks import DataSet
from l2rclip_lite.data.folder import read_table
from l2rclip_lite.errors import InputError


def read_original(root: Path, facts: DataSet) -> pd.DataFrame:
    """The rows that a list of the data set would have, from the owners' own layout.

    A mask or a file of boxes is measured by `measure`. From a CSV file the label is a polynomial of the last column: for
    fetal heads, weeks = 8.96 + 0.540 HC + 0.0003 HC³ with the circumference HC in cm (Hadlock 1984).

    Args:
        root: The owners' folder, or one above it.
        facts: What `benchmarks.toml` knows; `facts.original` names the files.

    Returns:
        The first two of `facts.columns`, and `where`.

    Raises:
        InputError: No such files, or one that cannot be used.
    """
    name, label = facts.columns[:2]
    files = sorted(root.rglob(facts.original["files"]))
    if not files:
        looked = f"there is no labels.csv in {root} and no {facts.original['files']} below it"
        raise InputError(f"{facts.card.name}: {looked}; name the folder that holds images and labels.")
    columns = facts.original.get("columns")
    if columns is None:
        rows = [(f"{file.stem.removesuffix('_mask')}.jpg", str(measure(file)), file.name) for file in files]
        return pd.DataFrame(rows, columns=[name, label, "where"])
    table = read_table(files[0], columns)
    lengths = pd.to_numeric(table[columns[1]], errors="coerce")
    numbers = np.polynomial.polynomial.polyval(lengths, facts.original["polynomial"])
    return pd.DataFrame({name: table[columns[0]], label: numbers.astype(str), "where": table["where"]})


def measure(file: Path) -> float:
    r"""Percent of a leaf that is ill in a mask (red ill, green healthy), or the number of boxes in a text file.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "apples.txt"
        >>> _ = file.write_text("0 0.3 0.3 0.1 0.1\n0 0.6 0.4 0.1 0.1\n")
        >>> measure(file)
        2
    """
    if file.suffix == ".png":
        pixels = np.asarray(read_image(file))
        ill, healthy = (int((pixels[..., channel] > 127).sum()) for channel in (0, 1))
        if not ill + healthy:
            raise InputError(f"{file}: the mask shows no leaf, neither red nor green; replace it.")
        return 100 * ill / (ill + healthy)
    rows = [line.split() for line in file.read_text("utf-8", errors="replace").splitlines() if line.strip()]
    for number, row in enumerate(rows, 1):
        if len(row) != 5:
            raise InputError(
                f"{file} row {number}: a box is a class and four numbers, not {row!r:.60}; mend it."
            )
    return len(rows)
