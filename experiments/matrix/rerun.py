"""Train rows of a results table again, and say whether every metric is the same.

    python experiments/matrix/rerun.py book/results/matrix.csv --rows 3 --draw 1 --data DATA
    python experiments/matrix/rerun.py book/results/matrix.csv --where "study == 'main' and arm == 'words'"

Rows are drawn at random by --draw among those that --where chooses. Image features are computed anew, in other
batches, which round differently: on a CPU of the kind that made the table, with the code of its commit, the numbers are
the same to six digits. Exit status 1 where a metric differs by more than --tolerance.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import plan as planning
from work import Work

SAME = ("seconds", "commit", "study", "data", "run")  # what a rerun need not, or cannot, repeat


def again(row: dict[str, Any], data_folder: Path | None, preset: str) -> dict[str, Any]:
    """Train a row of the table again.

    Args:
        row: A row of the table, empty cells as "".
        data_folder: Where the folders of the real data sets are.
        preset: That of the table.
    """
    run = int(row["seed"])
    unit = planning.unit(planning.read(preset), row["study"], row["data"], run, preset, data_folder)
    (new,) = Work(unit, row["data"]).rows(row["arm"], row["condition"])
    return new


def differences(old: dict[str, Any], new: dict[str, Any], tolerance: float = 0.0) -> list[str]:
    """The columns in which two rows differ, with both values."""
    different = []
    for name, value in old.items():
        other = "" if pd.isna(new.get(name, "")) else new.get(name, "")
        if name in SAME:
            continue
        try:
            equal = abs(float(value) - float(other)) <= tolerance
        except ValueError:
            equal = str(value) == str(other)
        if not equal:
            different.append(f"{name}: {value} in the table, {other} now")
    return different


def main() -> None:
    """Parse the command line, rerun, print what differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", type=Path)
    parser.add_argument("--rows", type=int, default=3, help="how many")
    parser.add_argument("--draw", type=int, default=0, help="seed of the drawing")
    parser.add_argument(
        "--where", default="", help="choose among the rows, e.g. \"arm == 'words' and seed == 0\""
    )
    parser.add_argument("--data", type=Path, help="folder of the real data sets")
    parser.add_argument("--tolerance", type=float, default=1e-5)
    parser.add_argument("--preset", default="page", choices=planning.PRESETS, help="that of the table")
    options = parser.parse_args()
    table = pd.read_csv(options.table, dtype={"level": str, "condition": str}, keep_default_na=False)
    table = table.query(options.where) if options.where else table
    bad = 0
    for row in table.sample(min(options.rows, len(table)), random_state=options.draw).to_dict("records"):
        wrong = differences(row, again(row, options.data, options.preset), options.tolerance)
        bad += bool(wrong)
        where = f"{row['study']}/{row['data']}-{row['seed']} {row['condition']} {row['arm']}"
        print(f"{where}: {'the same' if not wrong else '; '.join(wrong)}", flush=True)
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
