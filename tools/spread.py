"""Train what a chapter trains, with five seeds under three kinds of processor kernels.

    python tools/spread.py            every chapter that trains
    python tools/spread.py 07 --jobs 2

A chapter that trains has a cell tagged `spread`, in which it hands over its numbers. Each run is
the chapter at the profile `page` with another SEED, in a process of its own, and becomes a row of
book/results/spread/NN.csv. A row that is there is not made again, so a stopped command resumes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import chapters
import execute
import kernels
import pandas as pd

from l2rclip_book.results import KEPT_IN
from l2rclip_lite.files import write_text

SEEDS = range(5)
FOLDER = chapters.BOOK / "results" / "spread"
KEYS = ["kernels", "seed", "commit"]


def row_of(source: Path, kind: str, seed: int) -> dict[str, float | str]:
    """Run a chapter in a child process under a kind of kernels, and return its row.

    Raises:
        SystemExit: the chapter failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "numbers.json"
        environment = os.environ | kernels.KINDS.get(kind, {}) | {KEPT_IN: str(file)}
        command = [sys.executable, __file__, str(source), "--seed", str(seed)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{source.stem}, {kind}, seed {seed}:\n{done.stderr[-3000:]}")
        numbers: dict[str, float] = json.loads(file.read_text(encoding="utf-8"))
    return {"kernels": kind, "seed": seed, "commit": chapters.short_commit(), **numbers}


def add(file: Path, row: dict[str, float | str]) -> None:
    """Write a row into a table, which is replaced as a whole."""
    table = pd.DataFrame([row])
    if file.exists():
        table = pd.concat([pd.read_csv(file), table])
    write_text(file, table.sort_values(KEYS).to_csv(index=False, lineterminator="\n"))


def missing(source: Path, kinds: list[str]) -> list[tuple[str, int]]:
    """List the kinds of kernels and the seeds that a chapter's table lacks."""
    file = FOLDER / f"{source.stem[:2]}.csv"
    present: set[tuple[str, int]] = set()
    if file.exists():
        table = pd.read_csv(file)
        present = set(zip(table["kernels"], table["seed"], strict=True))
    return [(kind, seed) for kind in kinds for seed in SEEDS if (kind, seed) not in present]


def spread(sources: list[Path], jobs: int) -> int:
    """Make all missing rows, `jobs` at a time; the status is 1 if a run failed."""
    status = 0
    with ThreadPoolExecutor(jobs) as pool:
        runs = {
            pool.submit(row_of, source, kind, seed): (source, kind, seed)
            for source in sources
            for kind, seed in missing(source, kernels.kinds_here())
        }
        for run in as_completed(runs):
            source, kind, seed = runs[run]
            try:
                add(FOLDER / f"{source.stem[:2]}.csv", run.result())
                print(f"{source.stem}: {kind}, seed {seed}", flush=True)
            except SystemExit as error:
                print(error, flush=True)
                status = 1
    return status


def main() -> int:
    """Parse the command line and make the missing rows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("chapter", nargs="*", help="number or name; none means all that train")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--seed", type=int, help="run one source with this seed, in this process")
    options = parser.parse_args()

    if options.seed is not None:  # the numbers go where `KEPT_IN` says
        kernels.prepare_environment()
        execute.run(Path(options.chapter[0]), {"PROFILE": "page", "SEED": options.seed})
        return 0
    sources = chapters.sources(options.chapter) if options.chapter else chapters.trained()
    return spread(sources, options.jobs)


if __name__ == "__main__":
    sys.exit(main())
