"""What goes with a model when it is handed over: one page of Markdown, written from its run directory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from l2rclip_lite.calibration_file import Calibration, read_calibration
from l2rclip_lite.config import Config
from l2rclip_lite.data.base import SPLITS
from l2rclip_lite.errors import InputError
from l2rclip_lite.model import MODEL_FILE
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.rundir import read_config, read_metrics

SCORES = {"accuracy": "accuracy", "mae": "MAE", "qwk": "QWK", "rps": "RPS", "ece": "ECE"}
FEW = 100  # test pictures below which the card says so


def model_card(run: str | Path, *, purpose: str = "") -> str:
    """A model card: ranks, data, results beside the baselines, calibration, limits. Source: Mitchell et al. 2019.

    It holds no path and no file name of a picture.

    Args:
        run: A finished run directory.
        purpose: What the model is meant for; a gap to fill where it is empty.

    Returns:
        Markdown.

    Raises:
        InputError: No finished run there.
    """
    folder = Path(run)
    stored, metrics = read_config(folder), read_metrics(folder)
    if metrics is None:
        raise InputError(f"{folder}: the run is not finished; give its `l2rclip fit` command again first.")
    data, ranks = stored["dataset"], Ranks.from_dict(stored["dataset"]["ranks"])
    parts = [
        f"# Model card: {len(ranks)} ranks, {Config.from_dict(stored['config']).towers} towers",
        f"**Made for:** {purpose or '(write here for whom, for which pictures, and what it must not decide)'}",
        f"**Ranks, lowest first** (unit: {ranks.unit}):\n"
        + "\n".join(f"- {name}: “{line}”" for name, line in zip(ranks.names, ranks.sentences, strict=True)),
        f"**Trained on:** {_data(data)}",
        f"**Test results** (95 % bootstrap interval over {metrics['test']['n']:.0f} pictures; "
        f"lower MAE, RPS and ECE are better):\n\n{_table(metrics)}",
        f"**Sureness:** {_sureness(read_calibration(folder / MODEL_FILE))}",
        "**Limits:** " + " ".join(_limits(data, metrics)),
        "**Made with:** "
        + ", ".join(f"{name} {number}" for name, number in stored["versions"].items())
        + ".",
    ]
    return "\n\n".join(parts) + "\n"


def _data(data: Mapping[str, Any]) -> str:
    """How many pictures of each rank, and whose."""
    counts = "; ".join(f"{part} {sum(data['counts'][part])} {data['counts'][part]}" for part in SPLITS)
    steps = "".join(f" {step[:1].upper()}{step[1:]}." for step in data["protocol"])
    return f"{data['card']['title']}, pictures a rank: {counts}. Licence: {data['card']['licence']}.{steps}"


def _table(metrics: Mapping[str, Any]) -> str:
    """The scores of the model, and below them those it must be held against."""
    lines = ["| | " + " | ".join(SCORES.values()) + " |", "|---" * (len(SCORES) + 1) + "|"]
    for name, found in {"this model, as trained": metrics["test"], **metrics["baselines"]}.items():
        lines.append(f"| {name} | " + " | ".join(_cell(found, score) for score in SCORES) + " |")
    return "\n".join(lines)


def _cell(found: Mapping[str, float], score: str) -> str:
    """0.52 [0.40, 0.64], or without the interval where it was not computed."""
    if f"{score}_low" not in found:
        return f"{found[score]:.2f}"
    return f"{found[score]:.2f} [{found[f'{score}_low']:.2f}, {found[f'{score}_high']:.2f}]"


def _sureness(found: Calibration | None) -> str:
    """Whether its probabilities may be read as such."""
    if found is None:
        return "not calibrated; do not read its probabilities as chances (`l2rclip calibrate`)."
    return (
        f"temperature {found.temperature:.2f} (95 % interval {found.low:.2f} to {found.high:.2f}), fitted on "
        f"{found.pictures} validation pictures."
    )


def _limits(data: Mapping[str, Any], metrics: Mapping[str, Any]) -> list[str]:
    """What follows from the numbers alone."""
    said = ["Judged on pictures that came from where the training pictures came from, and on no others."]
    if metrics["test"]["n"] < FEW:
        said.append(f"Only {metrics['test']['n']:.0f} test pictures: mind the intervals.")
    empty = [data["ranks"]["names"][k] for k, count in enumerate(data["counts"]["train"]) if not count]
    if empty:
        said.append(f"Ranks without a training picture: {', '.join(empty)}.")
    if data["missing"]:
        said.append(f"{len(data['missing'])} listed pictures were missing.")
    return said
