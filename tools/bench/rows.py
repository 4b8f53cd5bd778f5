"""Every figure that is measured, and its target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from device_rows import clip_miniature, device_waits, two_processes
from list_rows import csv_rows, encoding_growth, list_memory, list_seconds, morph_rows
from timing import Figure, Setting
from training_rows import (
    gpu,
    kernel_morph,
    memory,
    ordinalclip,
    stage1_batch,
    stage1_ranks,
    stage2_mini,
    stage2_vit,
)
from use_rows import decode, first_use, help_time, import_time, inference, metrics


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
        stage2_mini, "stage-2 step ÷ forward and backward of the bare image tower, mini", 1.05
    ),
    "stage2-vit": Row(
        stage2_vit, "stage-2 step ÷ forward and backward of the bare image tower, ViT-B-16", 1.05
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
    "import": Row(import_time, "import l2rclip_lite − import torch", 0.5, unit="s"),
    "first-use": Row(first_use, "every public name imported − import torch", 0, "none", "s"),
    "help": Row(help_time, "l2rclip --help", 0.5, unit="s"),
    "lists-csv": Row(
        csv_rows, "55,134 rows of a CSV to a ready data set, no image opened", 1.0, unit="s"
    ),
    "lists-morph": Row(
        morph_rows, "55,134 rows of the lists of MORPH II to a ready data set", 1.0, unit="s"
    ),
    "lists-million": Row(
        list_seconds,
        "1,000,000 rows of a CSV to a ready data set, processor time",
        10.0,
        unit="s",
    ),
    "lists-memory": Row(
        list_memory,
        "peak memory of a process that loads 1,000,000 rows, imports included",
        954,
        unit="MiB",
    ),
    "encode-growth": Row(
        encoding_growth, "slowest ÷ fastest image of 10,000, 100,000 and 200,000 to encode", 1.10
    ),
    "metrics": Row(
        metrics, "all metrics of 55,134 predictions with 1,000 bootstrap samples", 5.0, unit="s"
    ),
    "memory": Row(memory, "peak memory of stage 2 ÷ training of the bare image tower, mini", 1.10),
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
    "device-waits": Row(
        device_waits,
        "moments at which a training step waits for its device, counted on a simulated one",
        1,
        unit="a step",
    ),
    "two-processes": Row(
        two_processes,
        "largest difference of weights, two processes against one, three epochs",
        1e-5,
        unit="",
    ),
    "clip-miniature": Row(
        clip_miniature,
        "`make clip` (published CLIPs) in miniature, on random towers",
        0,
        "none",
        "s",
    ),
    "gpu-images": Row(gpu, "stage-2 training of ViT-B-16 in bf16", 0, "none", "images/s"),
}
