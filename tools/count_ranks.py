r"""Count the images of every rank in every benchmark, and what test shares with training.

    python tools/count_ranks.py --lists DIR --retinamnist DIR --bracol DIR --bracol-area DIR \
        --apples81 DIR --hc18 DIR --out book/results/data_sets.csv

Numbers are written, and no row of a list.
DIR are the official lists (`l2rclip data morph --download DIR`) and the folders of the others. No
image is opened. The CSV has one row per rank; the JSON beside it has the leakage of every fold. The
chapter on data sets draws both.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from l2rclip_lite.data import load_dataset
from l2rclip_lite.data.benchmarks import DATA_SETS
from l2rclip_lite.data.describe import leakage
from l2rclip_lite.files import write_json, write_text

SPLITS = ("train", "val", "test")
KEYS = ("protocol", "category", "fold")


def benchmarks(folders: dict[str, Path]) -> Iterator[dict[str, Any]]:
    """Arguments of `load_dataset` for every data set, protocol, category and fold but those of the user's own."""
    for name, facts in DATA_SETS.items():
        if name == "csv":
            continue
        here = (
            {"root": folders[name]}
            if name in folders
            else {}
            if name == "leaves"
            else {"lists": folders["lists"]}
        )
        for protocol, cut in facts.protocols.items():
            for category in facts.categories or (None,):
                for fold in cut.folds or (None,):
                    about = dict(zip(KEYS, (protocol or None, category, fold), strict=True))
                    yield (
                        {"name": name}
                        | here
                        | {key: value for key, value in about.items() if value is not None}
                    )


def main() -> None:
    """Parse the command line, write the table and the leakage."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("lists", "retinamnist", "bracol", "bracol-area", "apples81", "hc18", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    folders = {name.replace("_", "-"): path for name, path in vars(parser.parse_args()).items()}
    tables = []
    shared = []
    for source in benchmarks(folders):
        data = load_dataset(**source)
        about = {"data": data.name} | {key: source.get(key) for key in KEYS}
        names = {
            "rank": range(len(data.ranks)),
            "name": data.ranks.names,
            "value": data.ranks.values,
        }
        counts = {split: data.counts(split) for split in SPLITS}
        tables.append(pd.DataFrame({**about, **names, **counts}))
        shared.append(about | {"unit": data.ranks.unit} | leakage(data))
    table = pd.concat(tables, ignore_index=True).astype({"fold": "Int64"})
    write_text(folders["out"], table.to_csv(index=False, float_format="%g"))
    write_json(folders["out"].with_suffix(".json"), {"leakage": shared})
    print(table.groupby(["data", *KEYS], dropna=False)[list(SPLITS)].sum())


if __name__ == "__main__":
    main()
