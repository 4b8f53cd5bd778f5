"""`fit` on sixty small leaves: what a run directory holds, what is loaded, and what is refused.

A run that is killed at any moment and resumed is tried in `tests/faults`.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from l2rclip_lite.config import Config, Controls
from l2rclip_lite.data import OrdinalDataset
from l2rclip_lite.errors import InputError, TrainingError
from l2rclip_lite.files import read_json
from l2rclip_lite.heads.calibration import temper
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.method.stages import freezing_table
from l2rclip_lite.metrics import mae, rps
from l2rclip_lite.model import L2RCLIP, calibrate
from l2rclip_lite.runs.results import Run, judge, median_rank
from l2rclip_lite.stages import stage1_epochs
from l2rclip_lite.training import fit
from l2rclip_lite.training_data import TrainingData

FILES = {
    "config.json",
    "history.csv",
    "metrics.json",
    "model.safetensors",
    "predictions.csv",
    "README.md",
}
Row = dict[str, float]


@pytest.fixture(scope="module")
def run(leaves: OrdinalDataset, small: Config, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that nobody disturbed."""
    return fit(leaves, small, tmp_path_factory.mktemp("runs") / "whole", quiet=True)


# --- the run directory --------------------------------------------------------------------------


def test_a_run_directory_holds_settings_history_metrics_and_predictions(
    run: Run, leaves: OrdinalDataset, small: Config
) -> None:
    """Six files; leaves lie as they like, so the settings say that images may be upside down."""
    record = read_json(run.out / "config.json")
    metrics = read_json(run.out / "metrics.json")
    table = pd.read_csv(run.out / "predictions.csv")
    written = torch.tensor(table.filter(like="p_").values).float()
    prediction = run.model.predict([image for image, _ in leaves.test])

    assert {path.name for path in run.out.iterdir()} == FILES
    assert Config.from_dict(record["config"]) == replace(small, upside_down=True)
    epochs = [(row["stage"], row["epoch"]) for row in run.history]
    assert epochs == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert metrics == run.metrics
    assert set(metrics["seconds"]) == {"encoding", "stage 1", "stage 2"}
    assert list(table["path"]) == list(leaves.test.paths)
    assert list(table["true_rank"]) == list(leaves.test.targets)
    assert torch.allclose(prediction.probabilities, written, atol=2e-6)
    assert prediction.rank.tolist() == list(table["predicted_rank"])


def test_the_test_part_has_no_influence_on_the_model(
    run: Run, leaves: OrdinalDataset, small: Config, tmp_path: Path
) -> None:
    """Another test part, the same weights."""
    other = fit(replace(leaves, test=leaves.val), small, tmp_path / "other", quiet=True)

    weights = other.model.state_dict()
    for name, value in run.model.state_dict().items():
        assert torch.equal(value, weights[name]), name


def test_without_an_epoch_of_stage_1_the_texts_are_the_plain_sentences(
    leaves: OrdinalDataset, small: Config, tmp_path: Path
) -> None:
    """No noise in front of them, no word shortened by α; also of a model that is loaded again."""
    config = replace(small, epochs1=0, epochs2=1, controls=Controls(centre=False))
    run = fit(leaves, config, tmp_path / "run", quiet=True)

    plain = run.model.towers.encode_text(leaves.ranks.sentences)
    assert torch.allclose(run.model.rank_features, plain, atol=1e-6)
    assert "prompts" not in freezing_table(L2RCLIP.build(leaves.ranks, config))


# --- the rows beside the model ------------------------------------------------------------------


def test_the_median_rank_by_hand(leaves: OrdinalDataset) -> None:
    """Eight training leaves of each of five ranks: the median is rank 2.

    Its probabilities are the frequencies of training, so its RPS is an honest floor.
    """
    scores = median_rank(leaves)
    target = leaves.test.targets
    assert scores["rps"] == pytest.approx(rps(target, [[0.2] * 5] * 10, leaves.ranks))
    for name in ("mae", "mae_median"):
        assert scores[name] == pytest.approx(mae(target, [2] * 10, leaves.ranks))


def test_after_stage_1_has_a_temperature_of_its_own(
    run: Run, leaves: OrdinalDataset, small: Config
) -> None:
    """It stands beside a calibrated model in a table; stage 2 does not see it."""
    model = L2RCLIP.build(leaves.ranks, replace(small, upside_down=True))
    data = TrainingData.load(leaves, model)
    list(stage1_epochs(model, data))

    logits = model.logits(data.features["test"]).detach()
    calibrate(model, data.features["val"], data.targets["val"])
    probabilities = torch.tensor(temper(logits, float(model.temperature)))
    expected = judge(probabilities, leaves.test, leaves.ranks)

    assert run.metrics["test_after_stage1"] == pytest.approx(expected, abs=1e-4)

    untempered = run.model.logits(run.model.encode(leaves.val)).softmax(1)
    last = run.history[-1]["val_rps"]
    assert rps(leaves.val.targets, untempered, leaves.ranks) == pytest.approx(last, abs=1e-4)


# --- a directory that has a run -----------------------------------------------------------------


def test_the_config_of_something_else_is_not_overwritten(
    leaves: OrdinalDataset, small: Config, tmp_path: Path
) -> None:
    """A folder with a config.json alone may be anybody's."""
    file = tmp_path / "config.json"
    file.write_text('{"model_type": "clip"}')
    with pytest.raises(InputError, match=r"config\.json"):
        fit(leaves, small, tmp_path, quiet=True)
    assert file.read_text() == '{"model_type": "clip"}'


# --- on_epoch -----------------------------------------------------------------------------------


def test_each_epoch_is_reported_once_also_when_a_run_goes_on(
    leaves: OrdinalDataset, small: Config, tmp_path: Path
) -> None:
    """An error in the second call stops the run; the same call again reports the other two rows."""
    rows: list[Row] = []

    def stop_after_two(row: Row) -> None:
        rows.append(row)
        if len(rows) == 2:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        fit(leaves, small, tmp_path / "run", quiet=True, on_epoch=stop_after_two)
    resumed = fit(leaves, small, tmp_path / "run", quiet=True, on_epoch=rows.append)
    fit(leaves, small, tmp_path / "run", quiet=True, on_epoch=rows.append)  # a finished run

    assert len(rows) == len(resumed.history) == 4
    for row, stored in zip(rows, resumed.history, strict=True):
        assert row == pytest.approx(stored)


# --- arguments ----------------------------------------------------------------------------------


HAS_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")


@pytest.mark.untyped
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"ranks": Ranks.integers(0, 1, template="{rank}")}, "^fit: leaves has ranks of its own"),
        ({"data": [[], [], []]}, "^fit: data sets of your own need ranks="),
        ({"config": Config(towers="tiny/random", heads=3)}, "^heads: 3 heads do not divide"),
        pytest.param(
            {"config": Config(device="cuda")}, "no 'cuda' device is visible", marks=HAS_GPU
        ),
    ],
)
def test_what_cannot_be_trained_is_refused_before_a_folder_is_made(
    change: dict[str, Any], sentence: str, leaves: OrdinalDataset, small: Config, tmp_path: Path
) -> None:
    """Else the corrected call would be refused as that of another run."""
    arguments: dict[str, Any] = {"data": leaves, "config": small} | change
    with pytest.raises((InputError, TrainingError), match=sentence):
        fit(**arguments, out=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()
