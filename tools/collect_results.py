"""Gather finished runs into one tidy table: a row a method and run, and a JSON file that says how they were made.

    python tools/collect_results.py runs/bracol1 runs/bracol2 runs/bracol3 --out book/results/bracol.csv
    python tools/collect_results.py runs/bracol4 --add book/results/bracol.csv --out book/results/bracol.csv
    python tools/collect_results.py runs/bracol_random* --name "random prototypes" --add ... --out ...

Prints mean and spread over the runs, those of the earlier table (--add) among them.
"""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path
from typing import Any

import pandas as pd

from l2rclip_lite.files import write_json, write_text
from l2rclip_lite.rundir import read_config, read_metrics

RUN = ["data", "fold", "seed"]
OURS = "L2RCLIP"
DIGITS = "%.6f"
FIGURES = ["n", "accuracy", "mae", "qwk", "mae_expected", "rps", "spearman"]


def rows_of(folder: Path, name: str = OURS) -> list[dict[str, Any]]:
    """The test figures of L2RCLIP and of every baseline of a run; under another name, those of L2RCLIP alone."""
    state, metrics = read_config(folder), read_metrics(folder)
    if metrics is None:
        raise SystemExit(f"{folder}: this run is not finished; give the same `l2rclip fit` again.")
    source = state["dataset"]["source"] or {}
    about = dict(zip(RUN, (state["dataset"]["name"], source.get("fold"), state["seed"]), strict=True))
    if name != OURS:
        return [about | {"method": name} | metrics["test"]]
    methods = {OURS: metrics["test"]}
    if "test_after_stage1" in metrics:  # joint training has no stage 1
        methods[f"{OURS}, stage 1 only"] = metrics["test_after_stage1"]
    return [about | {"method": name} | found for name, found in (methods | metrics["baselines"]).items()]


def joined(table: pd.DataFrame, earlier: pd.DataFrame) -> pd.DataFrame:
    """Both tables, sorted by run; where both have a row for a method and run, the earlier one is left out."""
    key = [*RUN, "method"]
    kept = earlier.merge(table[key], how="left", on=key, indicator="there")
    kept = kept[kept["there"] == "left_only"].drop(columns="there")
    return pd.concat([kept, table]).sort_values(RUN, kind="stable", ignore_index=True)


def made_with(folder: Path) -> dict[str, Any]:
    """Settings, versions and data card of a run, for the JSON file."""
    state = read_config(folder)
    about = state["dataset"]
    return {name: state[name] for name in ("config", "versions")} | {
        name: about[name] for name in ("card", "counts")
    }


def main() -> None:
    """Parse the command line, write the table, print the summary."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path, help="directories of finished runs")
    parser.add_argument("--out", type=Path, required=True, help="the CSV; a JSON file is written beside it")
    parser.add_argument("--add", type=Path, help="an earlier CSV, whose other rows stay in the table")
    parser.add_argument(
        "--name", default=OURS, help="what L2RCLIP with other settings is called in the table"
    )
    options = parser.parse_args()
    rows = [row for folder in options.runs for row in rows_of(folder, options.name)]
    # Read back as the earlier table is: one kind of number, one kind of gap.
    text = pd.DataFrame(rows).to_csv(index=False, float_format=DIGITS)
    table = pd.read_csv(io.StringIO(text))
    made = [made_with(options.runs[0])]
    if options.add:
        table = joined(table, pd.read_csv(options.add))
        before = json.loads(options.add.with_suffix(".json").read_text(encoding="utf-8"))
        made += [one for one in (before, *before.pop("earlier", [])) if one != made[0]]
    write_text(options.out, table.to_csv(index=False, float_format=DIGITS))
    write_json(options.out.with_suffix(".json"), made[0] | ({"earlier": made[1:]} if made[1:] else {}))
    known = [figure for figure in FIGURES if figure in table]
    print(table.groupby("method", sort=False)[known].agg(["mean", "std"]).round(4).to_string())


if __name__ == "__main__":
    main()
