"""Measure speed against the targets and write it down.

    python tools/bench/bench.py                        every row -> book/results/speed.json
    python tools/bench/bench.py --only metrics,help    two rows, the others in the file stay

A figure is a ratio of medians of calls that were measured in turns (see timing.py). Nothing else
should run on the machine.
"""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
import tyro
from timing import Figure, Setting
from training_rows import (
    kernel_morph,
    ordinalclip,
    stage1_batch,
    stage1_ranks,
    stage2,
)
from use_rows import (
    decode,
    help_time,
    inference,
    list_seconds,
    metrics,
)

from l2rclip_lite.files import read_json, write_json

OUT = Path(__file__).resolve().parents[2] / "book" / "results" / "speed.json"


@dataclass(frozen=True)
class Row:
    """A figure and its target."""

    measure: Callable[[Setting], Figure]
    what: str
    target: float = 0
    direction: Literal["at most", "at least", "none"] = "at most"
    unit: str = "×"

    def met(self, value: float) -> bool | None:
        """Return whether a figure reaches the target; None where there is none.

        Example:
            >>> ROWS["inference"].met(0.9), ROWS["stage2-mini"].met(1.04)
            (False, True)
        """
        if self.direction == "at most":
            return value <= self.target
        if self.direction == "at least":
            return value >= self.target
        return None


ROWS = {
    "stage2-mini": Row(
        stage2, "stage-2 step ÷ forward and backward of the bare image tower, mini", 1.05
    ),
    "stage2-vit": Row(
        partial(stage2, towers="ViT-B-16/random"),
        "stage-2 step ÷ forward and backward of the bare image tower, ViT-B-16",
        1.05,
    ),
    "stage1-ranks": Row(
        stage1_ranks,
        "growth of the stage-1 step ÷ growth of the ranks, the larger of 5 to 62 and 62 to 620",
        1.0,
    ),
    "stage1-batch": Row(
        stage1_batch, "stage-1 step per image, 6,250 a step ÷ 512 a step, 62 ranks, mini", 3.0
    ),
    "kernel-morph": Row(
        kernel_morph, "choice of the kernel head, 55,134 images × 1,280 × 62 ranks", 240, unit="s"
    ),
    "inference": Row(
        inference, "inference images/s ÷ images/s of the bare image tower, mini", 0.97, "at least"
    ),
    "help": Row(help_time, "l2rclip --help", 0.5, unit="s"),
    "lists-million": Row(
        list_seconds,
        "1,000,000 rows of a CSV to a ready data set, processor time",
        10.0,
        unit="s",
    ),
    "metrics": Row(
        metrics, "all metrics of 55,134 predictions with 1,000 bootstrap samples", 5.0, unit="s"
    ),
    "ordinalclip": Row(
        ordinalclip, "step of OrdinalCLIP's scheme ÷ stage-2 step, 62 ranks, mini", 1.5, "at least"
    ),
    "decode": Row(
        decode,
        "JPEG files of 400 by 480 pixels decoded and resized, one process",
        0,
        "none",
        "images/s",
    ),
}


def machine() -> str:
    """Describe the machine in words."""
    information = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = information.partition("model name\t: ")[2].partition("\n")[0]
    version = torch.__version__.split("+")[0]
    cores = torch.get_num_threads()
    return f"{model}, {cores} cores, threads: {cores}, torch {version}"


def measured(row: Row, setting: Setting) -> dict[str, Any]:
    """Measure a row and return its entry in the results file."""
    facts = {"machine": machine(), "load_before": round(os.getloadavg()[0], 1)}
    figure = row.measure(setting)
    entry = vars(row) | facts | figure | {"met": row.met(figure["value"])}
    del entry["measure"]
    # five digits; more would be noise
    return json.loads(json.dumps(entry), parse_float=lambda text: float(f"{float(text):.5g}"))


def main(*, only: str = ",".join(ROWS)) -> None:
    """Measure the rows, print a line for each, and write the results.

    Args:
        only: Rows, by commas.
    """
    names = only.split(",")
    unknown = set(names) - set(ROWS)
    if unknown:
        raise SystemExit(f"there is no row {min(unknown)!r}; choose from {', '.join(ROWS)}")

    # remarks of libraries about random weights would break the lines below
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(len(os.sched_getaffinity(0)))

    rows = read_json(OUT)["rows"] if OUT.is_file() else {}
    verdicts = {True: "met", False: "MISSED", None: "no target"}
    for name in names:
        entry = measured(ROWS[name], Setting())
        verdict = verdicts[entry["met"]]
        print(f"{name:<14}{entry['value']:.3g} {entry['unit']}  {verdict}", flush=True)
        rows[name] = entry
        write_json(OUT, {"rows": {key: rows[key] for key in ROWS if key in rows}})


if __name__ == "__main__":
    tyro.cli(main)
