"""Measure speed and memory against the targets and write them down.

    python benchmarks/bench.py                        every row -> benchmarks/results/cpu.json
    python benchmarks/bench.py --only metrics,lists   two rows, the others in the file stay
    python benchmarks/bench.py --device cuda          -> benchmarks/results/gpu-<name>.json
    python benchmarks/bench.py --quick                tiny towers and pictures: do the rows run? -> runs/bench-quick.json

A figure is a ratio of medians of things measured in turns (see timing.py). Nothing else should run on the machine.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import parts
import rows_data
import rows_gpu
import rows_stage1
import rows_training
import rows_use
import torch
import workload
from targets import TARGETS, Target

from l2rclip_lite.allocator import keep_freed_memory
from l2rclip_lite.files import write_json

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
Row = Callable[[workload.Setting], workload.Found]
ROWS: dict[str, Row] = {
    "stage2-mini": rows_training.stage2_mini,
    "stage2-vit": rows_training.stage2_vit,
    "stage1-cache": rows_stage1.cache,
    "stage1-ranks": rows_stage1.time_by_ranks,
    "stage1-memory": rows_stage1.memory_by_ranks,
    "stage1-loop": rows_stage1.operators_by_ranks,
    "inference": rows_use.inference,
    "data-jpeg": rows_data.from_files,
    "import": rows_use.first_import,
    "first-use": rows_use.first_use,
    "help": rows_use.first_help,
    "lists-csv": rows_use.csv_list,
    "lists-morph": rows_use.morph_list,
    "metrics": rows_use.metrics,
    "memory": rows_training.memory,
    "ordinalclip": rows_training.ordinalclip,
    "decode": rows_data.decode,
    "gpu-images": rows_gpu.images_per_second,
    "gpu-share": rows_gpu.share_of_peak,
}
PROFILES = {"profile-stage1": parts.stage1_parts, "profile-stage2": parts.stage2_parts}


def machine(setting: workload.Setting) -> str:
    """The machine in words."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = (line.partition(":") for line in info.read_text().splitlines())
        name = next((value.strip() for key, _, value in lines if key.strip() == "model name"), name)
    words = f"{name}, {rows_use.cores()} cores, threads: {setting.threads}, torch {torch.__version__.split('+')[0]}"
    return f"{torch.cuda.get_device_name()}, {words}" if setting.device == "cuda" else words


def load() -> float | None:
    """Processes that wanted a core in the last minute, ours among them."""
    return round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None


def measure(target: Target, row: Row, setting: workload.Setting) -> dict[str, Any]:
    """One line of the results file."""
    about = {"what": target.what, "unit": target.unit, "target": target.target, "direction": target.direction}
    about |= {"machine": machine(setting), "threads": setting.threads, "load_before": load()}
    start = time.perf_counter()
    try:
        with workload.threads(setting.threads):
            found = row(setting)
    except workload.NotMeasuredError as reason:
        return about | {"value": None, "met": None, "repeats": 0, "reason": str(reason)}
    figures = {"value": found.value, "low": found.low, "high": found.high}
    return (
        about
        | {key: _short(value) for key, value in figures.items()}
        | {"met": target.met(found.value), "repeats": found.repeats, "detail": _short(found.detail)}
        | {"took_seconds": round(time.perf_counter() - start)}
    )


def _short(value: Any) -> Any:
    """Numbers with five digits: more would be noise."""
    if isinstance(value, dict):
        return {key: _short(part) for key, part in value.items()}
    return float(f"{value:.5g}") if isinstance(value, float) else value


def said(row: dict[str, Any]) -> str:
    """A measured row for the terminal."""
    if row["value"] is None:
        return f"not measured: {row['reason']}"
    wanted = "" if row["met"] is None else f", {row['direction']} {row['target']:.3g}"
    verdict = {True: ": met", False: ": MISSED", None: ""}[row["met"]]
    spread = f"[{row['low']:.3g}, {row['high']:.3g}]"
    return f"{row['value']:.3g} {row['unit']} {spread}{wanted}{verdict} ({row['took_seconds']} s)"


def run(names: list[str], setting: workload.Setting, out: Path) -> bool:
    """Measure rows and profiles one after the other; each is in the file as soon as it is known.

    Returns:
        Whether no row missed its target.
    """
    keep_freed_memory()  # as `fit` does, for both sides of every row
    stored = json.loads(out.read_text(encoding="utf-8")) if out.is_file() else {}
    rows, profiles = stored.get("rows", {}), stored.get("profiles", {})
    good = True
    for number, name in enumerate(names, start=1):
        print(f"[{number}/{len(names)}] {name} ... ", end="", flush=True)
        if name in ROWS:
            rows[name] = measure(TARGETS[name], ROWS[name], setting)
            good &= rows[name]["met"] is not False
            print(said(rows[name]), flush=True)
        else:
            profiles[name] = _profile(name, setting)
            print(profiles[name].get("milliseconds") or profiles[name]["reason"], flush=True)
        ordered = {key: rows[key] for key in TARGETS if key in rows}
        write_json(out, {"device": setting.device, "rows": ordered, "profiles": profiles})
    return good


def _profile(name: str, setting: workload.Setting) -> dict[str, Any]:
    """Where the time goes, or why nobody knows."""
    try:
        with workload.threads(setting.threads):
            return {"machine": machine(setting)} | PROFILES[name](setting)
    except workload.NotMeasuredError as reason:
        return {"machine": machine(setting), "reason": str(reason)}


def data_folder() -> Path | None:
    """Where the real data lies, by the rule of the tests."""
    sys.path.append(str(ROOT / "tests" / "support"))
    from real_data import folder_of

    found = folder_of("bracol_severity")
    return found.parent if found else None


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help=f"rows, by commas: {', '.join([*ROWS, *PROFILES])}")
    parser.add_argument("--repeats", type=int, default=7, help="of each row, at least 5 unless --quick")
    parser.add_argument(
        "--threads", type=int, default=rows_use.cores(), help="of torch; all cores unless given"
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--data", type=Path, help="folder that holds bracol_severity and datalists")
    parser.add_argument("--out", type=Path, help="results file")
    parser.add_argument("--quick", action="store_true", help="only show that the rows run")
    return parser.parse_args()


def main() -> None:
    """Measure, write, and say where."""
    given = arguments()
    names = [name.strip() for name in given.only.split(",") if name.strip()] or [*ROWS, *PROFILES]
    if unknown := [name for name in names if name not in ROWS and name not in PROFILES]:
        raise SystemExit(
            f"--only: there is no row {unknown[0]!r}; choose from {', '.join([*ROWS, *PROFILES])}"
        )
    if given.repeats < 5 and not given.quick:
        raise SystemExit(f"--repeats {given.repeats}: a median of fewer than 5 says little; give 5 or more")
    if given.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("--device cuda: no CUDA GPU is visible here")
    warnings.simplefilter("ignore")  # the libraries' remarks about a random CLIP would break the lines below
    logging.disable(logging.WARNING)
    setting = workload.Setting(
        given.repeats, given.threads, given.device, given.data or data_folder(), given.quick
    )
    file = "cpu.json"
    if given.device == "cuda":
        file = f"gpu-{torch.cuda.get_device_name().lower().replace(' ', '-')}.json"
    out = given.out or (ROOT / "runs" / "bench-quick.json" if given.quick else RESULTS / file)
    good = run(names, setting, out)
    print(f"{'every target met' if good else 'some targets missed'}; written: {os.path.relpath(out)}")


if __name__ == "__main__":
    main()
