"""What a run leaves behind: scores, predictions, history and a model card."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from l2rclip_lite.data.base import OrdinalDataset, Split
from l2rclip_lite.errors import InputError
from l2rclip_lite.metrics import evaluate, mae, medians, rps
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.model_card import model_card
from l2rclip_lite.prediction import Prediction
from l2rclip_lite.ranks import Ranks
from l2rclip_lite.runs import RunDirectory, write_json, write_text

Rows = Float[Tensor, "batch rank"]
History = list[dict[str, float]]


@dataclass(frozen=True)
class Run:
    """A finished run.

    Args:
        model: The trained model.
        metrics: `val` and `test` (see `metrics.evaluate`), `test_after_stage1`, `median_rank` (see there), and `seconds`
            of encoding and of each stage, in the process that finished the run.
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
    about: dict[str, Any] = {"deviations": part.deviations, "groups": part.subjects}
    return evaluate(probabilities, target, data.ranks, **about, intervals=intervals)


def median_rank(data: OrdinalDataset) -> dict[str, float]:
    """Test metrics of the predictor that knows how frequent each training rank is, and no image.

    Its answer is always the median training rank; its probabilities are the frequencies.
    """
    share = torch.tensor(data.counts("train")).double() / len(data.train)
    median = F.one_hot(torch.from_numpy(medians(share[None].numpy())), len(data.ranks)).double()
    frequencies, certain = (judge(row.expand(len(data.test), -1), data, "test") for row in (share, median))
    shares = [name for name in certain if name in ("rps", "ece") or name.endswith("_expected")]
    return certain | {name: frequencies[name] for name in shares}


def write_predictions(run: RunDirectory, model: L2RCLIP, part: Split, probabilities: Rows) -> None:
    """Write `predictions.csv`: a row per image, with its true rank and, if known, whom it shows."""
    found = Prediction.of(probabilities, model.ranks, part.paths, float(model.conformal)).to_frame()
    found = found.drop(columns="name").rename(columns={"rank": "predicted"})
    found.insert(1, "target", part.targets)
    if part.subjects is not None:
        found.insert(1, "subject", part.subjects)
    write_text(run.predictions, found.to_csv(index=False, float_format="%.6f"))


def write_results(
    run: RunDirectory,
    model: L2RCLIP,
    data: OrdinalDataset,
    history: History,
    answers: Mapping[str, Rows],
    seconds: Mapping[str, float],
) -> None:
    """Write everything of a run but its `config.json`; `metrics.json` last, since with it the run is complete.

    Args:
        run: Where.
        model: Trained.
        data: What it was trained on.
        history: One row per epoch.
        answers: Probabilities of the splits `val` and `test`, and of the test split before stage 2 as
            `test_after_stage1`.
        seconds: Of each phase.
    """
    metrics: dict[str, Any] = {
        "val": judge(answers["val"], data, "val", intervals=True),
        "test": judge(answers["test"], data, "test", intervals=True),
        "test_after_stage1": judge(answers["test_after_stage1"], data, "test"),
        "median_rank": median_rank(data),
        "seconds": {name: round(each, 1) for name, each in seconds.items()},
    }
    model.save_pretrained(run.folder)
    epochs = pd.DataFrame(history, columns=None if history else ["stage", "epoch"])
    write_text(run.history, epochs.to_csv(index=False))
    write_predictions(run, model, data.test, answers["test"])
    write_text(run.folder / "README.md", model_card(model, data, metrics))
    write_json(run.metrics, metrics)
    run.clean()


def read_table(file: Path, needed: Sequence[str] = ()) -> pd.DataFrame:
    """A table of a run.

    Args:
        file: A CSV file.
        needed: Columns that it must have.

    Raises:
        InputError: None there, or one that is damaged.
    """
    try:
        table = pd.read_csv(file)
        table[[*needed]]  # raises where one lacks
        return table
    except (OSError, ValueError, KeyError) as error:
        problem = f"cannot be read ({error})"
        raise InputError(f"{file}: {problem}; put back a copy, or fit to a new --out.") from error
