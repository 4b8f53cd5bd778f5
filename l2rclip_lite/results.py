"""What a run leaves behind: scores, predictions, history and a model card."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from l2rclip_lite.data.base import SPLITS, OrdinalDataset, Split
from l2rclip_lite.files import write_json, write_text
from l2rclip_lite.metrics import evaluate, mae, medians, rps
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.prediction import Prediction
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.run_directory import RunDirectory

Rows = Float[Tensor, "batch rank"]
SCORES = {
    "rps": "RPS",
    "mae_median": "MAE (median)",
    "accuracy": "accuracy",
    "qwk": "QWK",
    "ece": "ECE",
}
ROWS = {"test": "L2RCLIP", "test_after_stage1": "after stage 1", "median_rank": "median rank"}


@dataclass(frozen=True)
class Run:
    """A finished run.

    Args:
        model: The trained model.
        metrics: `val` and `test` (see `metrics.evaluate`), `test_after_stage1`, `median_rank` (see
            there), and `seconds` of encoding and of each stage, in the process that finished the
            run.
        history: One row per epoch, both stages.
        out: Its directory.
    """

    model: L2RCLIP
    metrics: dict[str, Any]
    history: list[dict[str, float]]
    out: Path


def validation_scores(
    probabilities: Rows, target: Int[Tensor, " batch"], ranks: Ranks
) -> dict[str, float]:
    """What the history says about an epoch: MAE of both answers, accuracy, RPS."""
    predicted, expected = probabilities.argmax(1), probabilities @ ranks.values_tensor()
    return {
        "val_mae": mae(target, predicted, ranks),
        "val_mae_expected": float((expected - ranks.values_tensor()[target]).abs().mean()),
        "val_accuracy": float((predicted == target).float().mean()),
        "val_rps": rps(target, probabilities, ranks),
    }


def judge(
    probabilities: Rows, part: Split, ranks: Ranks, *, intervals: bool = False
) -> dict[str, float]:
    """Return `metrics.evaluate` of a split, with the ε-error where its labels have deviations."""
    about: dict[str, Any] = {"deviations": part.deviations, "groups": part.subjects}
    return evaluate(probabilities, part.targets, ranks, **about, intervals=intervals)


def median_rank(data: OrdinalDataset) -> dict[str, float]:
    """Test metrics of the predictor that knows how frequent each training rank is, and no image.

    Its answer is always the median training rank; its probabilities are the frequencies.
    """
    share = torch.tensor(data.counts("train")).double() / len(data.train)
    median = F.one_hot(torch.from_numpy(medians(share[None].numpy())), len(data.ranks)).double()
    rows = (row.expand(len(data.test), -1) for row in (share, median))
    frequencies, certain = (judge(row, data.test, data.ranks) for row in rows)
    shares = [name for name in certain if name in ("rps", "ece") or name.endswith("_expected")]
    return certain | {name: frequencies[name] for name in shares}


def write_predictions(run: RunDirectory, model: L2RCLIP, part: Split, probabilities: Rows) -> None:
    """Write `predictions.csv`: a row per image, with its true rank and, if known, whom it shows.

    Columns that end in `_rank` are indices, `expected` is in the unit of the ranks.
    """
    prediction = Prediction.of(probabilities, model.ranks, part.paths, float(model.conformal))
    indices = {
        "rank": "predicted_rank",
        "median": "median_rank",
        "low": "low_rank",
        "high": "high_rank",
    }
    table = prediction.to_frame().drop(columns="name").rename(columns=indices)
    table.insert(1, "true_rank", part.targets)
    if part.subjects is not None:
        table.insert(1, "subject", part.subjects)

    # Python's csv quotes a name with a comma, a quote or "\n", but none with "\r" alone
    has_return = any("\r" in str(name) for name in (*part.paths, *(part.subjects or ())))
    quoting: Literal[0, 2] = csv.QUOTE_NONNUMERIC if has_return else csv.QUOTE_MINIMAL
    text = table.to_csv(index=False, float_format="%.6f", quoting=quoting, lineterminator="\n")
    write_text(run.predictions, text)


def write_results(
    run: RunDirectory,
    model: L2RCLIP,
    data: OrdinalDataset,
    history: list[dict[str, float]],
    answers: Mapping[str, Rows],
    seconds: Mapping[str, float],
) -> None:
    """Write everything of a run but its `config.json`.

    `metrics.json` comes last, since with it the run is complete.

    Args:
        run: Where.
        model: Trained.
        data: What it was trained on.
        history: One row per epoch.
        answers: Probabilities of the splits `val` and `test`, and of the test split before stage 2
            as `test_after_stage1`.
        seconds: Of each phase.
    """
    metrics: dict[str, Any] = {
        "val": judge(answers["val"], data.val, data.ranks, intervals=True),
        "test": judge(answers["test"], data.test, data.ranks, intervals=True),
        "test_after_stage1": judge(answers["test_after_stage1"], data.test, data.ranks),
        "median_rank": median_rank(data),
        "seconds": {name: round(each, 1) for name, each in seconds.items()},
    }
    model.save_pretrained(run.folder)
    epochs = pd.DataFrame(history, columns=None if history else ["stage", "epoch"])
    write_text(run.history, epochs.to_csv(index=False, lineterminator="\n"))
    write_predictions(run, model, data.test, answers["test"])
    write_text(run.card, model_card(model, data, metrics))
    write_json(run.metrics, metrics)
    run.clean()


def model_card(
    model: L2RCLIP, data: OrdinalDataset, metrics: Mapping[str, Any], *, purpose: str = ""
) -> str:
    """Return a model card: ranks, data, results, calibration, limits (Mitchell et al. 2019).

    It holds no path and no file name of an image. What begins it is for the Hugging Face hub.

    Args:
        model: A trained model.
        data: What it was trained on.
        metrics: What `metrics.json` of its run holds.
        purpose: What the model is meant for; a gap to fill where it is empty.

    Returns:
        Markdown.
    """
    rows = [
        f"| {row} | {' | '.join(cell(metrics[key], s) for s in SCORES)} |"
        for key, row in ROWS.items()
    ]
    ranks, n, temperature = model.ranks, int(metrics["test"]["n"]), float(model.temperature)
    empty = [
        name for name, count in zip(ranks.names, data.counts("train"), strict=True) if not count
    ]
    lines = [
        "---\nlibrary_name: l2rclip-lite\npipeline_tag: image-classification\ntags: [ordinal-classification]\n---\n",
        f"# Model card: {len(ranks)} ranks, {model.config.towers} towers\n",
        f"**Made for:** {purpose or '(write here for whom, for which images, and what it must not decide)'}\n",
        "**Licence of the weights:** (write here; those of the images and of the towers may bind you)\n",
        f"**Ranks, lowest first** (unit: {ranks.unit}):\n",
        *(f"- {name}: “{text}”" for name, text in zip(ranks.names, ranks.sentences, strict=True)),
        f"\n**Data:** {data.card.title}. Licence: {data.card.licence}. Images per rank:\n",
        *(f"- {split} {sum(data.counts(split))} {data.counts(split)}" for split in SPLITS),
        *(f"- {step}" for step in data.protocol),
        f"\n**Test results** ({n} images, 95 % bootstrap intervals; lower MAE, RPS and ECE are better):\n",
        "| | " + " | ".join(SCORES.values()) + " |",
        "|---" * (len(SCORES) + 1) + "|",
        *rows,
        f"\n**Probabilities:** at temperature {temperature:.2f}, fitted on {len(data.val)} validation images.\n",
        f"**Limits:** tested on images from the same source as the training images, and on no others; {n} test images, "
        f"{len(data.missing)} listed images missing; ranks without a training image: {', '.join(empty) or 'none'}.\n",
        "**Use:** `l2rclip predict THIS_FOLDER IMAGE...`, or `L2RCLIP.from_pretrained(THIS_FOLDER).predict(images)`. "
        "In predictions.csv ranks are counted from 0.\n",
        f"**Made with:** torch {version('torch')}, timm {version('timm')}, open_clip {version('open_clip_torch')}.",
    ]
    return "\n".join(lines) + "\n"


def cell(row: Mapping[str, float], score: str, digits: int = 2) -> str:
    """A score with its 95 % interval where there is one.

    Example:
        >>> (
        ...     cell({"mae": 0.52, "mae_low": 0.4, "mae_high": 0.64}, "mae"),
        ...     cell({"mae": 0.52}, "mae", 3),
        ... )
        ('0.52 [0.40, 0.64]', '0.520')
    """
    names = (score, f"{score}_low", f"{score}_high")
    value, *ends = (f"{row[name]:.{digits}f}" for name in names if name in row)
    return f"{value} [{', '.join(ends)}]" if ends else value
