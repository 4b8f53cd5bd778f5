"""Count the images of every rank in every benchmark, and what test shares with training.

    python tools/count_ranks.py lists=DIR bracol=DIR hc18=DIR ...

Numbers are written, and no row of a list. DIR are the official lists (`l2rclip data morph
--download DIR`) and the folder of every other data set. No image is opened. The CSV has one row per
rank; the JSON beside it has the leakage of every fold. The chapter on data sets draws both.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from l2rclip_lite.data import load_dataset
from l2rclip_lite.data.base import SPLITS
from l2rclip_lite.data.benchmarks import DATA_SETS
from l2rclip_lite.data.check import leakage
from l2rclip_lite.files import write_json, write_text

OUT = Path(__file__).resolve().parents[1] / "book" / "results" / "data_sets.csv"
KEYS = ("protocol", "category", "fold")


def benchmarks(folders: dict[str, Path]) -> Iterator[dict[str, Any]]:
    """Yield arguments of `load_dataset` for every benchmark, protocol, category and fold."""
    for name, facts in DATA_SETS.items():
        if name == "csv":  # of the user's own
            continue

        place = {"lists": folders["lists"]}
        if name in folders:
            place = {"root": folders[name]}
        elif name == "leaves":
            place = {}

        for protocol, split in facts.protocols.items():
            folds = split.folds or (None,)
            categories = facts.categories or (None,)
            for category, fold in product(categories, folds):
                choice = {"protocol": protocol or None, "category": category, "fold": fold}
                chosen = {key: value for key, value in choice.items() if value is not None}
                yield {"name": name} | place | chosen


def count(source: dict[str, Any]) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the images of each rank of a data set, a row per rank, and its leakage.

    Args:
        source: Arguments of `load_dataset`.
    """
    data = load_dataset(**source)
    names = {"data": data.name} | {key: source.get(key) for key in KEYS}
    columns = {
        "rank": range(len(data.ranks)),
        "name": data.ranks.names,
        "value": data.ranks.values,
    }
    for split in SPLITS:
        columns[split] = data.counts(split)
    return pd.DataFrame({**names, **columns}), names | {"unit": data.ranks.unit} | leakage(data)


def main(words: list[str]) -> None:
    """Write the table and the leakage, of folders such as `bracol=DIR`."""
    folders = {}
    for word in words:
        name, _, folder = word.partition("=")
        folders[name] = Path(folder)

    tables = []
    leakages = []
    for source in benchmarks(folders):
        table, shared = count(source)
        tables.append(table)
        leakages.append(shared)

    table = pd.concat(tables, ignore_index=True).astype({"fold": "Int64"})
    write_text(OUT, table.to_csv(index=False, float_format="%g"))
    write_json(OUT.with_suffix(".json"), {"leakage": leakages})


if __name__ == "__main__":
    main(sys.argv[1:])
