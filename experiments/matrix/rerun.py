r"""Train rows of a results table again, and print whether every metric is the same.

    python experiments/matrix/rerun.py book/results/matrix.csv --rows 3 --draw 1 --data DATA
    python experiments/matrix/rerun.py book/results/matrix.csv --data DATA \
        --where "study == 'main' and arm == 'words'"

Rows are drawn at random by --draw among those that --where chooses. On a CPU of the kind that made
the table, with the code of its commit, the image features have the same hash, and every number is
the same. Another CPU rounds differently, and training makes the difference larger.
`book/results/matrix_again.csv` holds rows from such a CPU: with a frozen tower nine of ten moved by
less than 0.01 % of their RPS, and one by 2 %; with a tuned tower half moved by more than 3 %. A
line that differs says whether its features are those of the table, as the JSON file beside it has
them. Exit status 1 where a metric differs by more than --tolerance.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import plan as planning
from collect import feature_hashes
from work import Work

NOT_REPEATED = ("seconds", "commit", "study", "data", "run")


def train_again(
    row: dict[str, Any], data_folder: Path | None
) -> tuple[dict[str, Any], dict[str, str]]:
    """Train a row of the table again.

    Args:
        row: A row of the table, empty cells as "".
        data_folder: Where the folders of the real data sets are.

    Returns:
        The new row, and the hash of its image features by the name of their file.
    """
    run = int(row["seed"])
    unit = planning.unit(planning.read(), row["study"], row["data"], run, "page", data_folder)
    with TemporaryDirectory() as cache:
        (new,) = Work(unit, row["data"], Path(cache)).rows(row["arm"], row["condition"])
        return new, feature_hashes(Path(cache))


def differences(old: dict[str, Any], new: dict[str, Any], tolerance: float = 0.0) -> list[str]:
    """Return the columns in which two rows differ, with both values."""
    different = []
    for name, value in old.items():
        if name in NOT_REPEATED:
            continue

        other = new.get(name, "")
        if pd.isna(other):
            other = ""
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
    parser.add_argument("--where", help="choose among the rows, e.g. \"arm == 'words'\"")
    parser.add_argument("--data", type=Path, help="folder of the real data sets")
    parser.add_argument("--tolerance", type=float, default=1e-5)
    options = parser.parse_args()

    texts = {"level": str, "condition": str}
    table = pd.read_csv(options.table, dtype=texts, keep_default_na=False)
    if options.where:
        table = table.query(options.where)
    drawn = table.sample(min(options.rows, len(table)), random_state=options.draw)
    origin = json.loads(options.table.with_suffix(".json").read_text(encoding="utf-8"))

    all_same = True
    for record in drawn.to_dict("records"):
        row = {str(name): value for name, value in record.items()}
        new, hashes = train_again(row, options.data)
        different = differences(row, new, options.tolerance)
        if different:
            all_same = False
            same_features = hashes.items() <= origin["features"].items()
            rounding = "the same" if same_features else "rounded in another way"
            different.append(f"image features {rounding}")

        title = f"{row['study']}/{row['data']}-{row['seed']} {row['condition']} {row['arm']}"
        print(f"{title}: {'; '.join(different) or 'the same'}", flush=True)
    sys.exit(not all_same)


if __name__ == "__main__":
    main()
