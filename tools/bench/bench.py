"""Measure speed and memory against the targets and write them down.

    python tools/bench/bench.py                        every row -> book/results/speed.json
    python tools/bench/bench.py --only metrics,help    two rows, the others in the file stay
    python tools/bench/bench.py --device cuda          -> book/results/speed-cuda.json
    python tools/bench/bench.py --quick                tiny towers: do the rows run? -> runs/bench-quick.json

A figure is a ratio of medians of things measured in turns (see timing.py). Nothing else should run on the machine.
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
from rows import ROWS, NotMeasuredError, Setting, cores

from l2rclip_lite.files import write_json

ROOT = Path(__file__).resolve().parents[2]


def machine(setting: Setting) -> str:
    """The machine in words."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    words = f"{(names or [platform.processor()])[0]}, {cores()} cores, threads: {torch.get_num_threads()}"
    words += f", torch {torch.__version__.split('+')[0]}"
    return f"{torch.cuda.get_device_name()}, {words}" if setting.device == "cuda" else words


def measured(name: str, setting: Setting) -> dict[str, Any]:
    """One line of the results file."""
    row, start = ROWS[name], time.perf_counter()
    about = {"what": row.what, "unit": row.unit, "target": row.target, "direction": row.direction}
    about |= {
        "machine": machine(setting),
        "threads": torch.get_num_threads(),
        "load_before": round(os.getloadavg()[0], 1),
    }
    try:
        figure = row.measure(setting)
    except NotMeasuredError as reason:
        return about | {"value": None, "met": None, "repeats": 0, "reason": str(reason)}
    digits = json.dumps(about | figure | {"met": row.met(figure["value"])})
    short = json.loads(
        digits, parse_float=lambda text: float(f"{float(text):.5g}")
    )  # more would be noise
    return short | {"took_seconds": round(time.perf_counter() - start)}


def main() -> None:
    """Measure, write, and say where."""
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
    given = parser.parse_args()
    names = [name.strip() for name in given.only.split(",")]
    if unknown := set(names) - set(ROWS):
        parser.error(f"there is no row {min(unknown)!r}; choose from {', '.join(ROWS)}")
    warnings.simplefilter(
        "ignore"
    )  # remarks of libraries about random weights would break the lines below
    logging.disable(logging.WARNING)
    torch.set_num_threads(given.threads)
    setting = Setting(given.repeats, given.device, given.data, given.quick)
    file = (
        ROOT / "book" / "results" / ("speed-cuda.json" if given.device == "cuda" else "speed.json")
    )
    out = given.out or (ROOT / "runs" / "bench-quick.json" if given.quick else file)
    rows = json.loads(out.read_text(encoding="utf-8"))["rows"] if out.is_file() else {}
    for name in names:
        rows[name] = found = measured(name, setting)
        write_json(
            out, {"device": given.device, "rows": {key: rows[key] for key in ROWS if key in rows}}
        )
        verdict = {True: "met", False: "MISSED", None: "no target"}[found["met"]]
        print(
            f"{name:<14}{found.get('reason') or format(found['value'], '.3g')} {found['unit']}  {verdict}",
            flush=True,
        )
    print(f"written: {os.path.relpath(out)}")


if __name__ == "__main__":
    main()
