"""Gather finished runs into one tidy table, one row per run, and a JSON file that says how the first was made.

    python tools/collect_results.py runs/bracol? --out book/results/bracol.csv
    python tools/collect_results.py runs/bracol_random* --name "random prototypes" --add book/results/bracol.csv --out ...

Prints mean and spread over the runs, those of the earlier table (--add) among them.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pandas as pd

from l2rclip_lite.runs import read_json, write_json, write_text

KEY = ["data", "fold", "seed", "method"]
FIGURES = ["n", "accuracy", "mae", "qwk", "mae_expected", "rps", "spearman"]


def row_of(folder: Path, name: str) -> dict[str, Any]:
    """The test figures of a run."""
    if not (folder / "metrics.json").exists():
        raise SystemExit(f"{folder}: this run is not finished; give the same `l2rclip fit` again.")
    made, metrics = read_json(folder / "config.json"), read_json(folder / "metrics.json")
    about = made["dataset"]
    key = (about["name"], (about["source"] or {}).get("fold"), made["config"]["seed"], name)
    return dict(zip(KEY, key, strict=True)) | metrics["test"]


def main() -> None:
    """Parse the command line, write the table, print the summary; a new row replaces an earlier one of the same run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path, help="directories of finished runs")
    parser.add_argument("--out", type=Path, required=True, help="the CSV; a JSON file is written beside it")
    parser.add_argument("--add", type=Path, help="an earlier CSV, whose other rows stay in the table")
    parser.add_argument("--name", default="L2RCLIP", help="what L2RCLIP with other settings is called")
    options = parser.parse_args()
    table = pd.DataFrame([row_of(folder, options.name) for folder in options.runs])
    if options.add:
        table = pd.concat([pd.read_csv(options.add), table]).drop_duplicates(KEY, keep="last")
    table = table.sort_values(KEY[:3], kind="stable", ignore_index=True)
    write_text(options.out, table.to_csv(index=False, float_format="%.6f"))
    write_json(options.out.with_suffix(".json"), read_json(options.runs[0] / "config.json"))
    known = [figure for figure in FIGURES if figure in table]
    print(table.groupby("method", sort=False)[known].agg(["mean", "std"]).round(4).to_string())


if __name__ == "__main__":
    main()
