"""Count the pictures of every rank in every benchmark, and what test shares with training: numbers, no list row.

    python tools/count_ranks.py --lists DIR --retinamnist DIR --bracol DIR --out book/results/data_sets.csv

DIR are the official lists (`l2rclip data morph --download DIR`), RetinaMNIST and BRACOL. No picture is opened. The CSV
has a row a rank; the JSON beside it has the leakage of every fold. Chapter 11 draws both.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from l2rclip_lite.data import adience, aesthetics, clap2015, hci, load_dataset, morph
from l2rclip_lite.data.base import SPLITS, OrdinalDataset
from l2rclip_lite.data.leakage import leakage
from l2rclip_lite.files import write_json, write_text
from l2rclip_lite.rundir import versions

KEYS = ("protocol", "category", "fold")


def benchmarks(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Arguments of `load_dataset` for every data set, protocol, category and fold."""
    listed = {"lists": options.lists}
    yield {"name": "leaves"}
    yield from ({"name": "bracol", "root": options.bracol, "fold": fold} for fold in range(1, 6))
    yield {"name": "retinamnist", "root": options.retinamnist}
    for protocol, folds in morph.FOLDS.items():
        yield from ({"name": "morph", "protocol": protocol, "fold": fold} | listed for fold in folds)
    yield from ({"name": "clap2015", "protocol": protocol} | listed for protocol in clap2015.PROTOCOLS)
    yield from ({"name": "adience", "fold": fold} | listed for fold in adience.FOLDS)
    yield from ({"name": "hci", "fold": fold} | listed for fold in hci.FOLDS)
    for protocol, folds in aesthetics.FOLDS.items():
        for category in aesthetics.CATEGORIES:
            about = {"name": "aesthetics", "protocol": protocol, "category": category}
            yield from (about | {"fold": fold} | listed for fold in folds)


def rows_of(data: OrdinalDataset, about: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """One row a rank."""
    counts = [data.counts(split) for split in SPLITS]
    for rank, (name, value) in enumerate(zip(data.ranks.names, data.ranks.values, strict=True)):
        ranked = {"rank": rank, "name": name, "value": value}
        yield about | ranked | {split: each[rank] for split, each in zip(SPLITS, counts, strict=True)}


def main() -> None:
    """Parse the command line, write the table and the leakage."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("lists", "retinamnist", "bracol"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="the CSV; a JSON file is written beside it")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    shared: list[dict[str, Any]] = []
    for source in benchmarks(options):
        data = load_dataset(**source)
        about = {"data": data.name} | {key: source.get(key) for key in KEYS}
        rows += rows_of(data, about)
        shared.append(about | {"unit": data.ranks.unit} | asdict(leakage(data)))
    table = pd.DataFrame(rows).astype({"fold": "Int64"})
    write_text(options.out, table.to_csv(index=False, float_format="%g"))
    write_json(options.out.with_suffix(".json"), {"versions": versions(), "leakage": shared})
    print(table.groupby(["data", "protocol", "category", "fold"], dropna=False)[list(SPLITS)].sum())


if __name__ == "__main__":
    main()
