"""Gather the rows of all finished units into one table; a JSON file says how they were made.

    python experiments/matrix/collect.py runs/studies --out book/results/matrix.csv

The scores of every test image go beside it, into matrix.images.csv.gz.

Units that have not been run, or failed, are named in the JSON file: no row is lost silently. Of a
search the recipe of each method is printed, and the one that it would have without each data set in
turn.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pandas as pd
import plan as planning

from l2rclip_book.tuned import chosen_recipes
from l2rclip_lite.files import write_json, write_text


def gather(folder: Path, plan: dict[str, Any]) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return all rows in a folder, in the order of the plan, as text: no number is rounded.

    Args:
        folder: The `out` of the Snakemake run.
        plan: What was to be run, from `plan.read`.

    Returns:
        The rows, and how they were made.
    """
    files = unit_files(folder, plan)
    done = {unit: file for unit, file in files.items() if is_finished(file)}

    tables = [pd.read_csv(file, dtype=str, keep_default_na=False) for file in done.values()]
    rows = pd.concat(tables, ignore_index=True).fillna("")

    origins = {}
    for unit, file in done.items():
        origins[unit] = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
    versions = {tuple(origin["versions"].items()) for origin in origins.values()}
    return rows, {
        "units": len(done),
        "missing": sorted(files.keys() - done.keys()),
        "commits": sorted(rows["commit"].unique()),
        "versions": [dict(pairs) for pairs in sorted(versions)],
        "settings": plan["settings"],
        "data": data_with_cards(plan, origins),
        "studies": plan["studies"],
    }


def unit_files(folder: Path, plan: dict[str, Any]) -> dict[str, Path]:
    """Return the file of rows of every unit of a plan, by its name, such as "main/hc18-0"."""
    units = planning.every_unit(plan)
    names = [f"{unit['study']}/{unit['data']}-{unit['run']}" for unit in units]
    return {name: folder / "rows" / f"{name}.csv" for name in names}


def is_finished(file: Path) -> bool:
    """Return whether a unit has its rows; its JSON file is written last."""
    return file.is_file() and file.with_suffix(".json").is_file()


def data_with_cards(
    plan: dict[str, Any], origins: dict[str, dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Return what the plan has of each data set that was used, and its card."""
    used = {}
    for unit, origin in origins.items():
        _, file = unit.split("/")
        data, _ = file.rsplit("-", 1)
        used[data] = plan["data"][data] | {"card": origin["card"]}
    return used


def image_scores(folder: Path, table: pd.DataFrame) -> pd.DataFrame:
    """Return the scores of every test image of the units in a table, as text, see `gather`."""
    units = table[["study", "data", "run"]].drop_duplicates()
    files = [
        folder / "rows" / study / f"{data}-{run}.images.csv"
        for study, data, run in units.itertuples(index=False)
    ]
    tables = [pd.read_csv(file, dtype=str, keep_default_na=False) for file in sorted(files)]
    return pd.concat(tables)


def write_table(
    out: Path, table: pd.DataFrame, images: pd.DataFrame, origin: dict[str, Any]
) -> None:
    """Write the rows into a CSV, and beside it the scores of the images and how rows were made."""
    write_text(out, table.to_csv(index=False))
    packing = {"method": "gzip", "mtime": 0}
    images.to_csv(out.with_suffix(".images.csv.gz"), index=False, compression=packing)
    write_json(out.with_suffix(".json"), origin)


def main() -> None:
    """Parse the command line, write the three files, print what they hold."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="the `out` of the Snakemake run")
    parser.add_argument("--preset", default="page", choices=planning.PRESETS)
    parser.add_argument(
        "--out", type=Path, required=True, help="the CSV; a JSON file is written beside it"
    )
    options = parser.parse_args()

    table, origin = gather(options.folder, planning.read(options.preset))
    write_table(options.out, table, image_scores(options.folder, table), origin)

    if options.preset == "search":
        print(chosen_recipes(table).to_string())
    n_missing = len(origin["missing"])
    print(f"{len(table)} rows of {origin['units']} units; {n_missing} units missing")


if __name__ == "__main__":
    main()
