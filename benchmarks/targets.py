"""What is measured and what it should be: one line a row, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Direction = Literal["at most", "at least", "none"]


@dataclass(frozen=True)
class Target:
    """A row of the table.

    Args:
        id: What `--only` takes.
        what: In words.
        target: The figure to reach; 0 where nothing is asked.
        direction: On which side of it the figure should lie.
        unit: "×" for a ratio, else "s" or a word.
        needs: What else the row needs: "bracol" or "cuda".
    """

    id: str
    what: str
    target: float
    direction: Direction = "at most"
    unit: str = "×"
    needs: str = ""

    def met(self, value: float) -> bool | None:
        """Whether a figure reaches the target; None where there is none.

        Example:
            >>> Target("speed", "ours ÷ theirs", 1.05).met(1.04), TARGETS["inference"].met(0.9)
            (True, False)
        """
        if self.direction == "none":
            return None
        return value <= self.target if self.direction == "at most" else value >= self.target


TARGETS: dict[str, Target] = {
    row.id: row
    for row in (
        Target(
            "stage2-mini", "stage-2 training step ÷ forward and backward of the bare image tower, mini", 1.05
        ),
        Target(
            "stage2-vit",
            "stage-2 training step ÷ forward and backward of the bare image tower, ViT-B-16",
            1.05,
        ),
        Target(
            "stage1-cache",
            "stage-1 epoch with cached image features ÷ without, BRACOL, mini",
            1 / 20,
            needs="bracol",
        ),
        Target(
            "stage1-ranks",
            "growth of the stage-1 step ÷ growth of the ranks, 5 to 62 to 620, names of one length",
            1.0,
        ),
        Target(
            "stage1-memory", "peak memory of the stage-1 step, 6,200 ranks ÷ 1,550 ranks, tiny towers", 2.0
        ),
        Target("stage1-loop", "operators of the stage-1 step, 62 ranks ÷ 5 ranks", 2.0),
        Target("inference", "inference images/s ÷ images/s of the bare image tower, mini", 0.97, "at least"),
        Target(
            "data-jpeg",
            "training step from JPEG files ÷ with images in memory, default workers",
            1.10,
            needs="bracol",
        ),
        Target("import", "import l2rclip_lite − import torch", 0.5, unit="s"),
        Target("first-use", "every public name of l2rclip_lite imported − import torch", 0.5, unit="s"),
        Target("help", "l2rclip --help", 1.5, unit="s"),
        Target("lists-csv", "55,134 rows of a CSV to a ready data set, no image opened", 1.0, unit="s"),
        Target(
            "lists-morph",
            "55,134 rows of the lists of MORPH II to a ready data set, no image opened",
            1.0,
            unit="s",
            needs="datalists",
        ),
        Target("metrics", "all metrics of 55,134 predictions with 1,000 bootstrap samples", 5.0, unit="s"),
        Target("memory", "peak memory of stage 2 ÷ training of the bare image tower, mini", 1.10),
        Target(
            "ordinalclip",
            "training step of OrdinalCLIP's scheme ÷ of stage 2, 62 ranks, mini",
            1.5,
            "at least",
        ),
        Target(
            "decode",
            "JPEG files of 400 by 480 pixels decoded and squashed, one process",
            0,
            "none",
            "images/s",
        ),
        Target("gpu-images", "stage-2 training of ViT-B-16 in bf16, images/s", 0, "none", "images/s", "cuda"),
        Target("gpu-share", "share of the card's bf16 peak, the same training", 0, "none", "share", "cuda"),
    )
}
