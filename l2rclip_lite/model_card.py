"""README.md of a run: what goes with a model when it is handed over."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from l2rclip_lite.data.base import SPLITS, OrdinalDataset
from l2rclip_lite.model import L2RCLIP

SCORES = {"rps": "RPS", "mae_median": "MAE (median)", "accuracy": "accuracy", "qwk": "QWK", "ece": "ECE"}
ROWS = {"test": "this model", "test_after_stage1": "after stage 1", "median_rank": "median rank"}


def model_card(model: L2RCLIP, data: OrdinalDataset, metrics: Mapping[str, Any], *, purpose: str = "") -> str:
    """A model card: ranks, data, results beside the median rank, calibration, limits. Source: Mitchell et al. 2019.

    It holds no path and no file name of an image. What begins it is for the Hugging Face hub.

    Args:
        model: A trained model.
        data: What it was trained on.
        metrics: What `metrics.json` of its run holds.
        purpose: What the model is meant for; a gap to fill where it is empty.

    Returns:
        Markdown.
    """
    rows = [f"| {row} | {' | '.join(cell(metrics[key], s) for s in SCORES)} |" for key, row in ROWS.items()]
    ranks, n, temperature = model.ranks, int(metrics["test"]["n"]), float(model.temperature)
    empty = [name for name, count in zip(ranks.names, data.counts("train"), strict=True) if not count]
    lines = [
        "---\nlibrary_name: l2rclip-lite\npipeline_tag: image-classification\ntags: [ordinal-classification]\n---\n",
        f"# Model card: {len(ranks)} ranks, {model.config.towers} towers\n",
        f"**Made for:** {purpose or '(write here for whom, for which images, and what it must not decide)'}\n",
        "**Licence of the weights:** (write here; those of the images and of the towers may bind you)\n",
        f"**Ranks, lowest first** (unit: {ranks.unit}):\n",
        *(f"- {name}: “{text}”" for name, text in zip(ranks.names, ranks.sentences, strict=True)),
        f"\n**Trained on:** {data.card.title}. Licence: {data.card.licence}. Images per rank:\n",
        *(f"- {split} {sum(data.counts(split))} {data.counts(split)}" for split in SPLITS),
        *(f"- {step}" for step in data.protocol),
        f"\n**Test results** ({n} images, 95 % bootstrap intervals; lower MAE, RPS and ECE are better):\n",
        "| | " + " | ".join(SCORES.values()) + " |",
        "|---" * (len(SCORES) + 1) + "|",
        *rows,
        f"\n**Probabilities:** at temperature {temperature:.2f}, fitted on {len(data.val)} validation images.\n",
        f"**Limits:** tested on images from the same source as the training images, and on no others; {n} test images, "
        f"{len(data.missing)} listed images missing; ranks without a training image: {', '.join(empty) or 'none'}.\n",
        "**Use:** `l2rclip predict THIS_FOLDER IMAGE...`, or `L2RCLIP.from_pretrained(THIS_FOLDER).predict(images)`.\n",
        f"**Made with:** torch {version('torch')}, timm {version('timm')}, open_clip {version('open_clip_torch')}.",
    ]
    return "\n".join(lines) + "\n"


def cell(row: Mapping[str, float], score: str, digits: int = 2) -> str:
    """A score with its 95 % interval where there is one.

    Example:
        >>> cell({"mae": 0.52, "mae_low": 0.4, "mae_high": 0.64}, "mae"), cell({"mae": 0.52}, "mae", 3)
        ('0.52 [0.40, 0.64]', '0.520')
    """
    names = (score, f"{score}_low", f"{score}_high")
    value, *ends = (f"{row[name]:.{digits}f}" for name in names if name in row)
    return f"{value} [{', '.join(ends)}]" if ends else value
