"""Measure speed and memory against the targets and write them down.

    python tools/bench/bench.py                        every row -> book/results/speed.json
    python tools/bench/bench.py --only metrics,help    two rows, the others in the file stay
    python tools/bench/bench.py --device cuda          -> book/results/speed-cuda.json
    python tools/bench/bench.py --quick                tiny towers: do the rows run?
                                                       -> runs/bench-quick.json

A figure is a ratio of medians of calls that were measured in turns (see timing.py). Nothing else
should run on the machine.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from rows import ROWS
from setting import NotMeasuredError, Setting, cores

from l2rclip_lite.files import write_json

ROOT = Path(__file__).resolve().parents[2]


def machine(setting: Setting) -> str:
    """Describe the machine in words."""
    words = [
        _processor(),
        f"{cores()} cores",
        f"threads: {torch.get_num_threads()}",
        f"torch {torch.__version__.split('+')[0]}",
    ]
    if setting.device == "cuda":
        words.insert(0, torch.cuda.get_device_name())
    return ", ".join(words)


def _processor() -> str:
    """Return the name of the processor, from Linux where it has one."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


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

    text = json.dumps(entry | figure | {"met": row.met(figure["value"])})
    entry = json.loads(text, parse_float=_five_digits)
    return entry | {"took_seconds": round(time.perf_counter() - start)}


def _five_digits(text: str) -> float:
    """Return a number with five digits; more would be noise."""
    return float(f"{float(text):.5g}")


def _line(name: str, entry: dict[str, Any]) -> str:
    """Return a measured row as one line."""
    if entry["value"] is None:
        return f"{name:<14}not measured: {entry['reason']}"
    value = format(entry["value"], ".3g")
    verdict = {True: "met", False: "MISSED", None: "no target"}[entry["met"]]
    return f"{name:<14}{value} {entry['unit']}  {verdict}"


def _results_file(options: argparse.Namespace) -> Path:
    """Return the file to write."""
    if options.out:
        return options.out
    if options.quick:
        return ROOT / "runs" / "bench-quick.json"
    name = "speed-cuda.json" if options.device == "cuda" else "speed.json"
    return ROOT / "book" / "results" / name


def _parser() -> argparse.ArgumentParser:
    """Return the options of the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default=",".join(ROWS), help="rows, by commas (default: all)")
    parser.add_argument("--repeats", type=int, default=7, help="of each row")
    parser.add_argument("--threads", type=int, default=cores(), help="of torch")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--data", type=Path, help="folder that holds datalists")
    parser.add_argument("--out", type=Path, help="results file")
    parser.add_argument("--quick", action="store_true", help="only show that the rows run")
    return parser


def main() -> None:
    """Measure the rows, print a line for each, and write the results."""
    parser = _parser()
    options = parser.parse_args()
    names = [name.strip() for name in options.only.split(",")]
    unknown = set(names) - set(ROWS)
    if unknown:
        parser.error(f"there is no row {min(unknown)!r}; choose from {', '.join(ROWS)}")

    # remarks of libraries about random weights would break the lines below
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(options.threads)
    setting = Setting(options.repeats, options.device, options.data, options.quick)

    out = _results_file(options)
    rows = {}
    if out.is_file():
        rows = json.loads(out.read_text(encoding="utf-8"))["rows"]
    for name in names:
        entry = measured(name, setting)
        print(_line(name, entry), flush=True)
        if entry["value"] is None and name in rows:  # what was measured before stays
            continue
        rows[name] = entry
        in_order = {key: rows[key] for key in ROWS if key in rows}
        write_json(out, {"device": options.device, "rows": in_order})
    print(f"written: {os.path.relpath(out)}")


if __name__ == "__main__":
    main()
