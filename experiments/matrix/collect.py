"""Gather the rows of all finished units into one tidy table, with a JSON file that says how they were made.

    python experiments/matrix/collect.py runs/matrix --out book/results/matrix.csv

Units that have not been run, or failed, are named in the JSON file: no row is lost silently.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import pandas as pd
import plan as planning

from l2rclip_lite.files import write_json, write_text


def gather(folder: Path, preset: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """All rows under a folder, in the order of the plan, as text: no number is read and rounded on the way.

    Args:
        folder: The `out` of the Snakemake run.
        preset: Its preset.

    Returns:
        The rows, and what there is to say about them.

    Raises:
        SystemExit: There is no row.
    """
    plan = planning.read(preset)
    every = {name: dict(about) for name, about in plan["data"].items()}
    for about in every.values():
        about.pop("folder", None)
    units = planning.units(plan | {"data": every})
    files = {(u["study"], u["data"], u["run"]): _file(folder, u) for u in units}
    done = {
        key: file for key, file in files.items() if file.is_file() and file.with_suffix(".json").is_file()
    }
    if not done:
        raise SystemExit(
            f"{folder}: no finished unit under {folder / 'rows'}; run experiments/Snakefile first."
        )
    tables = [pd.read_csv(file, dtype=str, keep_default_na=False) for file in done.values()]
    table = pd.concat(tables, ignore_index=True).fillna("")
    made = [json.loads(file.with_suffix(".json").read_text(encoding="utf-8")) for file in done.values()]
    cards = {data: one["card"] for (_, data, _), one in zip(done, made, strict=True)}
    about = {
        "units": len(done),
        "missing": [f"{study}/{data}-{run}" for study, data, run in files.keys() - done.keys()],
        "commits": sorted({one["commit"] for one in made}),
        "versions": made[0]["versions"],
        "features": {
            file.stem: _sha256(file) for file in sorted((folder / "features").glob("*.safetensors"))
        },
        "settings": plan["settings"],
        "data": {name: every[name] | {"card": card} for name, card in cards.items()},
        "studies": plan["studies"],
    }
    about["missing"] = sorted(about["missing"])
    return table, about


def _sha256(file: Path) -> str:
    """Where a rerun's features have another hash, its processor rounds otherwise, and rows may differ in last digits."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _file(folder: Path, unit: dict[str, Any]) -> Path:
    return folder / "rows" / unit["study"] / f"{unit['data']}-{unit['run']}.csv"


def main() -> None:
    """Parse the command line, write both files, say what they hold."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="the `out` of the Snakemake run")
    parser.add_argument("--preset", default="page", choices=planning.PRESETS)
    parser.add_argument("--out", type=Path, required=True, help="the CSV; a JSON file is written beside it")
    options = parser.parse_args()
    table, about = gather(options.folder, options.preset)
    write_text(options.out, table.to_csv(index=False))
    write_json(options.out.with_suffix(".json"), about)
    print(f"{len(table)} rows of {about['units']} units; {len(about['missing'])} units missing")


if __name__ == "__main__":
    main()
