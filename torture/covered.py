"""What of the package the tests run, by module, from Coverage.py's JSON report.

    make coverage TABLE=book/results/coverage.csv    runs the tests under coverage and writes the table

Exit code 1 when lines or branches of the whole package are covered less than they should be.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd

LEAST = 95.0  # %, of lines and of branches


def table(report: dict[str, Any]) -> pd.DataFrame:
    """A row a module: statements and branches, how many of them ran."""
    rows = []
    for name, file in sorted(report["files"].items()):
        found = file["summary"]
        rows.append(
            {
                "module": name.removeprefix("l2rclip_lite/"),
                "lines": found["num_statements"],
                "lines_run": found["covered_lines"],
                "branches": found["num_branches"],
                "branches_run": found["covered_branches"],
            }
        )
    return pd.DataFrame(rows)


def shares(rows: pd.DataFrame) -> dict[str, float]:
    """Percent of all lines and of all branches."""
    total = rows.sum(numeric_only=True)
    return {part: float(100 * total[f"{part}_run"] / total[part]) for part in ("lines", "branches")}


def main() -> int:
    """Parse the command line, write the table, judge."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("report", type=Path, help="what `coverage json` wrote")
    parser.add_argument("--out", type=Path, help="the table, as CSV")
    options = parser.parse_args()
    rows = table(json.loads(options.report.read_text(encoding="utf-8")))
    if options.out:
        rows.to_csv(options.out, index=False)
    found = shares(rows)
    print(
        ", ".join(f"{part} {share:.1f} %" for part, share in found.items()), f"(at least {LEAST:g} % of each)"
    )
    return 0 if min(found.values()) >= LEAST else 1


if __name__ == "__main__":
    sys.exit(main())
