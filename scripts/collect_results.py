"""Gather finished runs into one tidy table: a row a method and run, and a JSON file that says how they were made.

    python scripts/collect_results.py runs/bracol1 runs/bracol2 runs/bracol3 --out book/results/bracol.csv

Prints mean and spread over the runs.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pandas as pd

from l2rclip_lite.files import write_json, write_text
from l2rclip_lite.rundir import read_config, read_metrics

FIGURES = ["n", "accuracy", "mae", "qwk", "mae_expected", "rps", "spearman"]


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """The test figures of L2RCLIP and of every baseline of a run."""
    state, metrics = read_config(folder), read_metrics(folder)
    if metrics is None:
        raise SystemExit(f"{folder}: this run is not finished; give the same `l2rclip fit` again.")
    source = state["dataset"]["source"] or {}
    about = {"data": state["dataset"]["name"], "fold": source.get("fold"), "seed": state["seed"]}
    methods = {"L2RCLIP": metrics["test"]}
    if "test_after_stage1" in metrics:  # joint training has no stage 1
        methods["L2RCLIP, stage 1 only"] = metrics["test_after_stage1"]
    return [about | {"method": name} | found for name, found in (methods | metrics["baselines"]).items()]


def main() -> None:
    """Parse the command line, write the table, print the summary."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path, help="directories of finished runs")
    parser.add_argument("--out", type=Path, required=True, help="the CSV; a JSON file is written beside it")
    options = parser.parse_args()
    table = pd.DataFrame([row for folder in options.runs for row in rows_of(folder)])
    write_text(options.out, table.to_csv(index=False, float_format="%.6f"))
    first = read_config(options.runs[0])
    made = {"config": first["config"], "versions": first["versions"], "card": first["dataset"]["card"]}
    write_json(options.out.with_suffix(".json"), made | {"counts": first["dataset"]["counts"]})
    known = [figure for figure in FIGURES if figure in table]
    print(table.groupby("method", sort=False)[known].agg(["mean", "std"]).round(4).to_string())


if __name__ == "__main__":
    main()
