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

from l2rclip_lite.data import OrdinalDataset, load_dataset
from l2rclip_lite.data.base import SPLITS
from l2rclip_lite.data.benchmarks import DATA_SETS, DataSet
from l2rclip_lite.data.check import leakage
from l2rclip_lite.files import write_json, write_text

OUT = Path(__file__).resolve().parents[1] / "book" / "results" / "data_sets.csv"
KEYS = ("protocol", "category", "fold")


def choices(facts: DataSet) -> Iterator[dict[str, Any]]:
    """Yield protocol, category and fold of every split of a benchmark; what it lacks is None."""
    for protocol, split in facts.protocols.items():
        for category, fold in product(facts.categories or (None,), split.folds or (None,)):
            yield dict(zip(KEYS, (protocol or None, category, fold), strict=True))


def counts(data: OrdinalDataset) -> pd.DataFrame:
    """Return the images of each rank of a data set, a row per rank."""
    ranks = data.ranks
    columns = {"rank": range(len(ranks)), "name": ranks.names, "value": ranks.values}
    return pd.DataFrame(columns | {split: data.counts(split) for split in SPLITS})


def main(words: list[str]) -> None:
    """Write the table and the leakage, of folders such as `bracol=DIR`."""
    folders = dict(word.split("=") for word in words)
    tables = []
    leakages = []
    for name, facts in DATA_SETS.items():
        if name in ("csv", "coffee"):  # of the user's own, and photographs of bracol
            continue

        place: dict[str, Any] = {"lists": folders["lists"]}
        if name in folders:
            place = {"root": folders[name]}
        elif name == "leaves":
            place = {}
        for choice in choices(facts):
            chosen = {key: value for key, value in choice.items() if value is not None}
            data = load_dataset(name, **place, **chosen)
            names = {"data": name, **choice}
            tables.append(counts(data).assign(**names))
            leakages.append(names | {"unit": data.ranks.unit} | leakage(data))

    table = pd.concat(tables, ignore_index=True).astype({"fold": "Int64"})
    columns = ["data", *KEYS]
    table = table[[*columns, *table.columns.drop(columns)]]
    write_text(OUT, table.to_csv(index=False, float_format="%g"))
    write_json(OUT.with_suffix(".json"), {"leakage": leakages})


if __name__ == "__main__":
    main(sys.argv[1:])
