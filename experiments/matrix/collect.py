"""Gather the rows of all finished units into one table; a JSON file says how they were made.

    python experiments/matrix/collect.py runs/studies --out book/results/matrix.csv

The scores of every test image go beside it, into matrix.images.csv.gz.

Units that have not been run, or failed, are named in the JSON file: no row is lost silently. Of a
search the recipe of each method is printed, and the one that it would have without each data set in
turn.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import plan as planning
import tyro

from l2rclip_book.tuned import chosen_recipes
from l2rclip_lite.errors import TrainingError
from l2rclip_lite.files import read_json, write_json, write_text


def gather(folder: Path, plan: dict[str, Any]) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Return all rows in a folder, in the order of the plan, as text: no number is rounded.

    Args:
        folder: The `out` of the Snakemake run.
        plan: What was to be run, from `plan.read`.

    Returns:
        The rows, the scores of every test image, and how they were made.

    Raises:
        TrainingError: No unit has rows.
    """
    tables = []
    images = {}
    missing = []
    versions = set()
    data = {}
    for unit in planning.every_unit(plan):
        name = planning.name_of(unit)
        file = folder / "rows" / f"{name}.csv"
        if not is_finished(file):
            missing.append(name)
            continue

        tables.append(pd.read_csv(file, dtype=str, keep_default_na=False))
        scores = file.with_suffix(".images.csv")
        images[scores] = pd.read_csv(scores, dtype=str, keep_default_na=False)
        origin = read_json(file.with_suffix(".json"))
        versions.add(tuple(origin["versions"].items()))
        data[unit["data"]] = plan["data"][unit["data"]] | {"card": origin["card"]}

    if not tables:
        raise TrainingError("every unit failed, so there are no rows; the sentences above say why.")
    rows = pd.concat(tables, ignore_index=True).fillna("")
    record = {
        "units": len(tables),
        "missing": sorted(missing),
        "commits": sorted(rows["commit"].unique()),
        "versions": [dict(pairs) for pairs in sorted(versions)],
        "settings": plan["settings"],
        "data": data,
        "studies": plan["studies"],
    }
    return rows, pd.concat([images[file] for file in sorted(images)]), record


def is_finished(file: Path) -> bool:
    """Return whether a unit has its rows; its JSON file is written last."""
    return file.is_file() and file.with_suffix(".json").is_file()


def write_table(
    out: Path, table: pd.DataFrame, images: pd.DataFrame, origin: dict[str, Any]
) -> None:
    """Write the rows into a CSV, and beside it the scores of the images and how rows were made."""
    write_text(out, table.to_csv(index=False))
    packing = {"method": "gzip", "mtime": 0}
    images.to_csv(out.with_suffix(".images.csv.gz"), index=False, compression=packing)
    write_json(out.with_suffix(".json"), origin)


def main(
    folder: tyro.conf.Positional[Path],
    out: Path,
    preset: str = "page",
) -> None:
    """Gather the rows of all finished units into one table, and print what it holds.

    Args:
        folder: The `out` of the Snakemake run.
        out: The CSV; two files are written beside it.
        preset: What was to be run, see `plan.read`.
    """
    table, images, origin = gather(folder, planning.read(preset))
    write_table(out, table, images, origin)

    if preset == "search":
        print(chosen_recipes(table).to_string())
    n_missing = len(origin["missing"])
    print(f"{len(table)} rows of {origin['units']} units; {n_missing} units missing")


if __name__ == "__main__":
    tyro.cli(main)
