"""README.md of a run: what goes with a model when it is handed over."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from l2rclip_lite.data.base import SPLITS, OrdinalDataset
from l2rclip_lite.model import L2RCLIP

SCORES = {"accuracy": "accuracy", "mae": "MAE", "qwk": "QWK", "rps": "RPS", "ece": "ECE"}
FEW = 100  # test images below which the card says so


def model_card(model: L2RCLIP, data: OrdinalDataset, metrics: Mapping[str, Any], *, purpose: str = "") -> str:
    """A model card: ranks, data, results beside the median rank, calibration, limits. Source: Mitchell et al. 2019.

    It holds no path and no file name of an image.

    Args:
        model: A trained model.
        data: What it was trained on.
        metrics: What `metrics.json` of its run holds.
        purpose: What the model is meant for; a gap to fill where it is empty.

    Returns:
        Markdown.
    """
    ranks, test, temperature = model.ranks, metrics["test"], float(model.temperature)
    table = ["| | " + " | ".join(SCORES.values()) + " |", "|---" * (len(SCORES) + 1) + "|"]
    for name, key in (
        ("this model", "test"),
        ("after stage 1", "test_after_stage1"),
        ("median rank", "median_rank"),
    ):
        table.append(f"| {name} | " + " | ".join(_cell(metrics[key], score) for score in SCORES) + " |")
    counts = {split: data.counts(split) for split in SPLITS}
    steps = "".join(f" {step[:1].upper()}{step[1:]}." for step in data.protocol)
    limits = ["Tested on images from the same source as the training images, and on no others."]
    if test["n"] < FEW:
        limits.append(f"Only {test['n']:.0f} test images: mind the intervals.")
    if empty := [name for name, count in zip(ranks.names, counts["train"], strict=True) if not count]:
        limits.append(f"Ranks without a training image: {', '.join(empty)}.")
    if data.missing:
        limits.append(f"{len(data.missing)} listed images were missing.")
    calibrated = f"calibrated: logits are divided by a temperature of {temperature:.2f}, fitted on the validation images."
    raw = "not calibrated: do not read them as chances before `l2rclip calibrate`."
    parts = [
        f"# Model card: {len(ranks)} ranks, {model.config.towers} towers",
        f"**Made for:** {purpose or '(write here for whom, for which images, and what it must not decide)'}",
        f"**Ranks, lowest first** (unit: {ranks.unit}):\n"
        + "\n".join(f"- {name}: “{line}”" for name, line in zip(ranks.names, ranks.sentences, strict=True)),
        f"**Trained on:** {data.card.title}, images per rank: "
        + "; ".join(f"{split} {sum(each)} {each}" for split, each in counts.items())
        + f". Licence: {data.card.licence}.{steps}",
        f"**Test results** (95 % bootstrap interval over {test['n']:.0f} images; lower MAE, RPS and ECE are better):\n\n"
        + "\n".join(table),
        f"**Probabilities:** {raw if temperature == 1 else calibrated}",
        f"**Limits:** {' '.join(limits)}",
        "**Use:** `l2rclip predict THIS_FOLDER IMAGE...`, or `L2RCLIP.from_pretrained(THIS_FOLDER).predict(images)`.",
        f"**Made with:** torch {version('torch')}, timm {version('timm')}, open_clip {version('open_clip_torch')}.",
    ]
    return "\n\n".join(parts) + "\n"


def _cell(row: Mapping[str, float], score: str) -> str:
    """0.52 [0.40, 0.64], or without the interval where it was not computed."""
    interval = f" [{row[f'{score}_low']:.2f}, {row[f'{score}_high']:.2f}]" if f"{score}_low" in row else ""
    return f"{row[score]:.2f}{interval}"
