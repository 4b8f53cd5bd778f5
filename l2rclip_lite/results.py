"""What a run leaves behind: scores, predictions, history and a model card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from l2rclip_lite.data.base import OrdinalDataset
from l2rclip_lite.errors import InputError
from l2rclip_lite.metrics import evaluate, mae, rps
from l2rclip_lite.model import L2RCLIP, Prediction
from l2rclip_lite.model_card import model_card
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.runs import RunDirectory, write_json, write_text

Rows = Float[Tensor, "batch rank"]
History = list[dict[str, float]]


@dataclass(frozen=True)
class Run:
    """A finished run.

    Args:
        model: The trained model.
        metrics: `val` and `test` (see `metrics.evaluate`), `test_after_stage1`, and `median_rank`, the test metrics of
            always answering the median training rank.
        history: One row per epoch, both stages.
        out: Its directory.
    """

    model: L2RCLIP
    metrics: dict[str, Any]
    history: History
    out: Path


def validation_scores(probabilities: Rows, target: Int[Tensor, " batch"], ranks: Ranks) -> dict[str, float]:
    """What the history says about an epoch: MAE of both answers, accuracy, RPS."""
    predicted, expected = probabilities.argmax(1), probabilities @ ranks.values_tensor()
    return {
        "val_mae": mae(target, predicted, ranks),
        "val_mae_expected": float((expected - ranks.values_tensor()[target]).abs().mean()),
        "val_accuracy": float((predicted == target).float().mean()),
        "val_rps": rps(target, probabilities, ranks),
    }


def judge(
    probabilities: Rows, data: OrdinalDataset, split: str, *, intervals: bool = False
) -> dict[str, float]:
    """`metrics.evaluate` on a split of a data set, with the ε-error where its labels have deviations."""
    part = data.split(split)
    target = torch.tensor(part.targets)
    return evaluate(probabilities, target, data.ranks, deviations=part.deviations, intervals=intervals)


def median_rank(data: OrdinalDataset) -> dict[str, float]:
    """Test metrics of the predictor that always answers the median training rank."""
    median = int(torch.tensor(data.train.targets).median())
    certain = F.one_hot(torch.full((len(data.test),), median), len(data.ranks)).double()
    return judge(certain, data, "test")


def write_results(
    run: RunDirectory, model: L2RCLIP, data: OrdinalDataset, history: History, answers: Mapping[str, Rows]
) -> None:
    """Write everything of a run but its `config.json`; `metrics.json` last, since with it the run is complete.

    Args:
        run: Where.
        model: Trained.
        data: What it was trained on.
        history: One row per epoch.
        answers: Probabilities of the splits `val` and `test`, and of the test split before stage 2 as
            `test_after_stage1`.
    """
    judged = ((part, judge(answers[part], data, part, intervals=True)) for part in ("val", "test"))
    metrics: dict[str, Any] = dict(judged)
    metrics["test_after_stage1"] = judge(answers["test_after_stage1"], data, "test")
    metrics["median_rank"] = median_rank(data)
    model.save_pretrained(run.folder)
    epochs = pd.DataFrame(history, columns=None if history else ["stage", "epoch"])
    write_text(run.history, epochs.to_csv(index=False))
    found = Prediction.of(answers["test"], data.ranks)
    table = pd.DataFrame({"path": data.test.paths, "target": data.test.targets})
    table["predicted"], table["median"] = found.rank.numpy(), found.median.numpy()
    table["expected"] = found.expected.numpy()
    columns = pd.DataFrame(found.probabilities.numpy()).add_prefix("p_")
    write_text(run.predictions, table.join(columns).to_csv(index=False, float_format="%.6f"))
    write_text(run.folder / "README.md", model_card(model, data, metrics))
    write_json(run.metrics, metrics)
    run.clean()


def read_history(run: RunDirectory) -> History:
    """The rows of `history.csv`.

    Raises:
        InputError: None there, or one that is damaged.
    """
    try:
        rows: Any = pd.read_csv(run.history).to_dict(orient="records")
        return list(rows)
    except (OSError, ValueError) as error:
        problem = f"cannot be read ({error})"
        raise InputError(f"{run.history}: {problem}; put back a copy, or fit to a new --out.") from error
