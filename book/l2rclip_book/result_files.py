"""Where the results of the studies lie."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

PLACES = ("results", "book/results")  # as a chapter sees it, and from the root of the repository


def find_result(name: str, folder: str = "") -> Path | None:
    """Return a file of results; None where there is none.

    Args:
        name: Such as "matrix.csv".
        folder: Where it lies; empty looks in both places of the repository.
    """
    for place in (folder,) if folder else PLACES:
        file = Path(place, name)
        if file.is_file():
            return file
    return None


def read_results(folder: str = "") -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """Read the results of the studies: a row per arm, a row per test image, and what is missing.

    Args:
        folder: Of `matrix.csv` and its two siblings, see `find_result`.

    Returns:
        A table with a row per unit, arm and condition, and one with a row per test image, both
        empty where there is no such folder; and the units still missing, like "main/hc18-0".
    """
    file = find_result("matrix.images.csv.gz", folder)
    if file is not None:
        record = json.loads(file.with_name("matrix.json").read_text(encoding="utf-8"))
        rows = read_table(file.with_name("matrix.csv"))
        return rows, read_table(file), record["missing"]

    columns = ["study", "data", "run", "arm", "condition", "rps"]
    rows = pd.DataFrame(columns=[*columns, "n", "n_train", "val_rps", "amae", "seconds"])
    images = pd.DataFrame(columns=[*columns, "path"])
    return rows, images, ["all"]


def read_table(file: Path) -> pd.DataFrame:
    """Read a table of results, in which an empty condition is an empty text.

    Args:
        file: A CSV file, which may be compressed.
    """
    table = pd.read_csv(file, dtype={"condition": str, "level": str, "subject": str})
    return table.fillna({"condition": ""})
