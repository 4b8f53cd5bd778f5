"""Measure speed and memory against the targets and write them down.

    python tools/bench/bench.py                        every row -> book/results/speed.json
    python tools/bench/bench.py --only metrics,help    two rows, the others in the file stay
    python tools/bench/bench.py --device cuda          -> book/results/speed-cuda.json

A figure is a ratio of medians of calls that were measured in turns (see timing.py). Nothing else
should run on the machine.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from rows import ROWS
from timing import NotMeasuredError, Setting, cores

from l2rclip_lite.files import write_json

RESULTS = Path(__file__).resolve().parents[2] / "book" / "results"


def machine(setting: Setting) -> str:
    """Describe the machine in words."""
    information = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    words = [
        information.partition("model name\t: ")[2].partition("\n")[0],
        f"{cores()} cores",
        f"threads: {torch.get_num_threads()}",
        f"torch {torch.__version__.split('+')[0]}",
    ]
    if setting.device == "cuda":
        words.insert(0, torch.cuda.get_device_name())
    return ", ".join(words)


def measured(name: str, setting: Setting) -> dict[str, Any]:
    """Measure a row and return its entry in the results file."""
    start = time.perf_counter()
    row = ROWS[name]
    entry = {
        "what": row.what,
        "unit": row.unit,
        "target": row.target,
        "direction": row.direction,
        "machine": machine(setting),
        "threads": torch.get_num_threads(),
        "load_before": round(os.getloadavg()[0], 1),
    }
    try:
        figure = row.measure(setting)
    except NotMeasuredError as reason:
        return entry | {"value": None, "met": None, "repeats": 0, "reason": str(reason)}

    entry |= figure | {"met": row.met(figure["value"])}
    entry["took_seconds"] = round(time.perf_counter() - start)
    # five digits; more would be noise
    return json.loads(json.dumps(entry), parse_float=lambda text: float(f"{float(text):.5g}"))


def _line(name: str, entry: dict[str, Any]) -> str:
    """Return a measured row as one line."""
    if entry["value"] is None:
        return f"{name:<14}not measured: {entry['reason']}"
    value = format(entry["value"], ".3g")
    verdict = {True: "met", False: "MISSED", None: "no target"}[entry["met"]]
    return f"{name:<14}{value} {entry['unit']}  {verdict}"


def main() -> None:
    """Measure the rows, print a line for each, and write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default=",".join(ROWS), help="rows, by commas (default: all)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--data", type=Path, help="folder that holds datalists")
    options = parser.parse_args()
    names = options.only.split(",")
    unknown = set(names) - set(ROWS)
    if unknown:
        parser.error(f"there is no row {min(unknown)!r}; choose from {', '.join(ROWS)}")

    # remarks of libraries about random weights would break the lines below
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(cores())
    setting = Setting(device=options.device, data=options.data)

    out = RESULTS / ("speed-cuda.json" if options.device == "cuda" else "speed.json")
    rows = json.loads(out.read_text(encoding="utf-8"))["rows"] if out.is_file() else {}
    for name in names:
        entry = measured(name, setting)
        print(_line(name, entry), flush=True)
        if entry["value"] is None and name in rows:  # what was measured before stays
            continue
        rows[name] = entry
        in_order = {key: rows[key] for key in ROWS if key in rows}
        write_json(out, {"device": options.device, "rows": in_order})


if __name__ == "__main__":
    main()
