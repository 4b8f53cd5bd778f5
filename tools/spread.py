"""Train what a chapter trains, with five seeds under three kinds of processor kernels.

    python tools/spread.py            every chapter that trains
    python tools/spread.py 07 --jobs 2

A chapter that trains has a cell tagged `spread`, in which it hands over its numbers. Each run is
the chapter at the profile `page` with another SEED, and becomes a row of
book/results/spread/NN.csv. A row that is there is not made again, so a stopped command resumes.
"""

from __future__ import annotations

import itertools
import os
import tempfile
from pathlib import Path
from unittest.mock import patch

import chapters
import execute
import kernels
import pandas as pd
import tyro

from l2rclip_book.results import KEPT_IN
from l2rclip_lite.files import read_json, write_text

SEEDS = range(5)
FOLDER = chapters.BOOK / "results" / "spread"
KEYS = ["kernels", "seed", "commit"]


def row_of(source: Path, kind: str, seed: int) -> dict[str, float | str]:
    """Run a chapter with a seed under a kind of kernels, and return its row."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "numbers.json"
        # read by the process of the notebook
        environment = kernels.KINDS[kind] | {KEPT_IN: str(file)}
        with patch.dict(os.environ, environment):
            execute.run(source, {"PROFILE": "page", "SEED": seed})
        numbers: dict[str, float] = read_json(file)
    return {"kernels": kind, "seed": seed, "commit": chapters.short_commit(), **numbers}


def rows(file: Path) -> pd.DataFrame:
    """Return the rows of a table, none where there is no file."""
    return pd.read_csv(file) if file.exists() else pd.DataFrame(columns=KEYS)


def add(file: Path, row: dict[str, float | str]) -> None:
    """Write a row into a table, which is replaced as a whole."""
    table = pd.DataFrame([*rows(file).to_dict("records"), row])
    write_text(file, table.sort_values(KEYS).to_csv(index=False, lineterminator="\n"))


def missing(source: Path, kinds: list[str]) -> list[tuple[str, int]]:
    """List the kinds of kernels and the seeds that a chapter's table lacks."""
    table = rows(FOLDER / f"{source.stem[:2]}.csv")
    present = set(zip(table["kernels"], table["seed"], strict=True))
    return [run for run in itertools.product(kinds, SEEDS) if run not in present]


def main(chapter: tuple[str, ...] = (), /, jobs: int = 1) -> None:
    """Make the missing rows.

    Args:
        chapter: Number or name; none means all that train.
        jobs: Runs at a time.

    Raises:
        SystemExit: a run failed.
    """
    kernels.prepare_environment()
    calls = {}
    for source in chapters.sources(chapter) if chapter else chapters.trained():
        for kind, seed in missing(source, kernels.kinds_here()):
            calls[f"{source.stem}: {kind}, seed {seed}"] = (source, kind, seed)
    for name, row in execute.side_by_side(row_of, calls, jobs):
        add(FOLDER / f"{name[:2]}.csv", row)
        print(name, flush=True)


if __name__ == "__main__":
    tyro.cli(main)
