"""Gather the rows of all finished units into one tidy table, with a JSON file that says how they were made.

    python experiments/matrix/collect.py runs/studies --out book/results/matrix.csv

The scores of every test image go beside it, into matrix.images.csv.gz.

Units that have not been run, or failed, are named in the JSON file: no row is lost silently. Of a sweep the combinations
are printed, best first, by the RPS of the validation images: mean and standard deviation over its runs.
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
    """All rows in a folder, in the order of the plan, as text: no number is read and rounded on the way.

    Args:
        folder: The `out` of the Snakemake run.
        preset: Its preset.

    Returns:
        The rows, and how they were made.

    Raises:
        SystemExit: There is no row.
    """
    plan = planning.read(preset)
    data = {
        name: {k: v for k, v in about.items() if k != "folder"}
        for name, about in plan["data"].items()
    }
    names = [
        f"{one['study']}/{one['data']}-{one['run']}"
        for one in planning.units(plan | {"data": data})
    ]
    files = {name: folder / "rows" / f"{name}.csv" for name in names}
    done = {
        name: file
        for name, file in files.items()
        if file.is_file() and file.with_suffix(".json").is_file()
    }
    if not done:
        raise SystemExit(
            f"{folder}: no finished unit in {folder / 'rows'}; run experiments/Snakefile first."
        )
    tables = [pd.read_csv(file, dtype=str, keep_default_na=False) for file in done.values()]
    rows = pd.concat(tables, ignore_index=True).fillna("")
    made = {
        name: json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
        for name, file in done.items()
    }
    cards = {name.split("/")[1].rsplit("-", 1)[0]: one["card"] for name, one in made.items()}
    about = {
        "units": len(done),
        "missing": sorted(files.keys() - done.keys()),
        "commits": sorted(rows["commit"].unique()),
        "versions": [
            dict(one) for one in sorted({tuple(one["versions"].items()) for one in made.values()})
        ],
        "features": feature_hashes(folder / "features"),
        "settings": plan["settings"],
        "data": {name: data[name] | {"card": card} for name, card in cards.items()},
        "studies": plan["studies"],
    }
    return rows, about


def feature_hashes(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file of image features: where it is another one, the processor rounds differently."""
    files = sorted(folder.glob("*.safetensors"))
    return {file.stem: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def ranking(table: pd.DataFrame, by: str = "val_rps") -> pd.DataFrame:
    """Mean, standard deviation and number of runs of each arm on each data set, the least error first."""
    table = table.assign(**{by: table[by].astype(float)})
    scores = table.groupby(["data", "arm"])[by].agg(["mean", "std", "count"]).reset_index()
    return scores.sort_values(["data", "mean"], ignore_index=True)


def main() -> None:
    """Parse the command line, write both files, say what they hold."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="the `out` of the Snakemake run")
    parser.add_argument("--preset", default="page", choices=planning.PRESETS)
    parser.add_argument(
        "--out", type=Path, required=True, help="the CSV; a JSON file is written beside it"
    )
    options = parser.parse_args()
    table, about = gather(options.folder, options.preset)
    write_text(options.out, table.to_csv(index=False))
    rows, done = options.folder / "rows", table[["study", "data", "run"]].drop_duplicates()
    units = [rows / study / f"{data}-{run}" for study, data, run in done.itertuples(index=False)]
    scores = [pd.read_csv(unit.with_suffix(".images.csv")) for unit in sorted(units)]
    pd.concat(scores).to_csv(
        options.out.with_suffix(".images.csv.gz"),
        index=False,
        compression={"method": "gzip", "mtime": 0},
    )
    write_json(options.out.with_suffix(".json"), about)
    if options.preset == "sweep":
        print(ranking(table).groupby("data").head(10).round(4).to_string(index=False))
    print(f"{len(table)} rows of {about['units']} units; {len(about['missing'])} units missing")


if __name__ == "__main__":
    main()
