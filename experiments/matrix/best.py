"""The combinations of a sweep, best first: the mean over its runs, and the standard deviation between them.

    python experiments/matrix/best.py runs/sweep/matrix.csv --by mae_expected

The rows hold test metrics. The first line is the best of many looks at them and flatters itself: run the combination that
you choose on seeds it has not seen before you report it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd


def ranking(rows: pd.DataFrame, by: str, *, largest: bool = False) -> pd.DataFrame:
    """Mean, standard deviation and number of runs of each arm on each data set.

    Args:
        rows: What `collect.py` wrote.
        by: A column.
        largest: Whether large is good.

    Raises:
        SystemExit: There is no such column.
    """
    if by not in rows:
        raise SystemExit(f"there is no column {by}; try mae_expected, mae, rps or qwk")
    found = rows.groupby(["data", "arm"])[by].agg(["mean", "std", "count"]).reset_index()
    return found.sort_values(["data", "mean"], ascending=[True, not largest], ignore_index=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rows", type=Path, help="matrix.csv")
    parser.add_argument("--by", default="mae_expected", help="a column of it")
    parser.add_argument("--largest", action="store_true", help="large is good, as for qwk")
    parser.add_argument("--top", type=int, default=10, help="lines of each data set")
    options = parser.parse_args()
    found = ranking(pd.read_csv(options.rows), options.by, largest=options.largest)
    print(found.groupby("data").head(options.top).round(4).to_string(index=False))


if __name__ == "__main__":
    main()
