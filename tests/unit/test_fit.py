"""`fit` on sixty small leaves: what a run directory holds, what is loaded, and what is refused.

A run that is killed at any moment and resumed is tried in `tests/faults`.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from l2rclip_lite.config import Config, Controls
from l2rclip_lite.data import OrdinalDataset
from l2rclip_lite.errors import InputError, TrainingError
from l2rclip_lite.files import read_json, write_json
from l2rclip_lite.freezing import freezing_table
from l2rclip_lite.heads.calibration import calibrate, temper
from l2rclip_lite.method.model import L2RCLIP
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.runs.results import Run, judge, median_rank
from l2rclip_lite.runs.run_directory import RunDirectory
from l2rclip_lite.training import fit as training
from l2rclip_lite.training.features import TrainingData
from l2rclip_lite.training.fit import fit
from l2rclip_lite.training.stages import train_stage1

FILES = {
    "config.json",
    "history.csv",
    "metrics.json",
    "model.safetensors",
    "predictions.csv",
    "README.md",
}
OTHER_RANKS = Ranks(("low", "high"), (0, 1), "{rank} damage")
Row = dict[str, float]


@pytest.fixture(scope="module")
def run(leaves: OrdinalDataset, small: Config, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that nobody disturbed."""
    return fit(leaves, small, tmp_path_factory.mktemp("runs") / "whole", quiet=True)


def of_our_own(leaves: OrdinalDataset) -> list[list[tuple[object, int]]]:
    """Return the three splits as lists of (image, rank index)."""
    return [list(leaves.train), list(leaves.val), list(leaves.test)]


# --- the run directory --------------------------------------------------------------------------


def test_a_run_directory_has_six_files(run: Run) -> None:
    """And nothing unfinished."""
    assert {path.name for path in run.out.iterdir()} == FILES


def test_the_files_hold_settings_history_and_metrics(run: Run, small: Config) -> None:
    """Leaves lie as they like, so the settings say that images may be turned upside down."""
    record = json.loads((run.out / "config.json").read_text(encoding="utf-8"))
    metrics = json.loads((run.out / "metrics.json").read_text(encoding="utf-8"))
    epochs = [(row["stage"], row["epoch"]) for row in run.history]

    assert Config.from_dict(record["config"]) == replace(small, upside_down=True)
    assert epochs == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert metrics == run.metrics
    assert set(metrics["seconds"]) == {"encoding", "stage 1", "stage 2"}


def test_the_predictions_are_those_of_the_model(run: Run, leaves: OrdinalDataset) -> None:
    """One row per test image, in their order."""
    table = pd.read_csv(run.out / "predictions.csv")
    written = torch.tensor(table.filter(like="p_").values).float()
    prediction = run.model.predict([image for image, _ in leaves.test])

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

    run.model.save_pretrained(tmp_path)
    assert torch.equal(L2RCLIP.from_pretrained(tmp_path).rank_features, run.model.rank_features)


# --- the rows beside the model ------------------------------------------------------------------


def test_the_median_rank_by_hand(leaves: OrdinalDataset) -> None:
    """Eight training leaves of each of five ranks: the median is rank 2, two of ten have it.

    Its probabilities are the frequencies of training, so its RPS is an honest floor.
    """
    scores = median_rank(leaves)

    cumulative = np.cumsum([0.2] * 5)
    squares = []
    for target in leaves.test.targets:
        reached = np.arange(5) >= target
        squares.append(((cumulative - reached) ** 2).sum())
    errors = np.abs(np.array(leaves.test.targets) - 2)

    assert scores["rps"] == pytest.approx(float(np.mean(squares)))
    assert scores["mae"] == pytest.approx(errors.mean())
    assert scores["mae_median"] == scores["mae"]
    assert scores["accuracy"] == pytest.approx((errors == 0).mean())


def test_after_stage_1_has_a_temperature_of_its_own(
    run: Run, leaves: OrdinalDataset, small: Config
) -> None:
    """It stands beside a calibrated model in a table; stage 2 does not see it."""
    model = L2RCLIP.build(leaves.ranks, replace(small, upside_down=True))
    data = TrainingData.load(leaves, model)
    train_stage1(model, data)

    logits = model.logits(data.features["test"]).detach()
    calibrate(model, data.features["val"], data.targets["val"])
    probabilities = torch.tensor(temper(logits, float(model.temperature)))
    expected = judge(probabilities, leaves.test, leaves.ranks)

    assert run.metrics["test_after_stage1"] == pytest.approx(expected, abs=1e-4)


# --- a directory that has a run -----------------------------------------------------------------


def test_a_finished_run_is_loaded(
    run: Run, leaves: OrdinalDataset, small: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is trained again; where it is computed may differ."""
    monkeypatch.setattr(training, "train_stage1", None)
    loaded = fit(leaves, replace(small, threads=1), run.out, quiet=True)
    assert loaded.metrics == run.metrics
    assert loaded.history == run.history


def test_a_finished_run_with_other_settings_or_data_is_refused(
    run: Run, leaves: OrdinalDataset, small: Config
) -> None:
    """Each setting that differs is named."""
    other = replace(small, seed=1, controls=Controls(order="blind"))
    settings = r"holds a run with another controls\.order, seed; repeat its settings, or choose"
    with pytest.raises(InputError, match=settings):
        fit(leaves, other, run.out, quiet=True)

    fewer = replace(leaves, train=leaves.train[1:])
    with pytest.raises(InputError, match="holds a run with other files, labels"):
        fit(fewer, small, run.out, quiet=True)


def test_a_folder_of_something_else_is_refused(
    leaves: OrdinalDataset, small: Config, tmp_path: Path
) -> None:
    """And left as it is."""
    (tmp_path / "thesis.txt").write_text("mine")
    (tmp_path / ".ssh.bak").mkdir()

    with pytest.raises(InputError, match="is not a run directory"):
        fit(leaves, small, tmp_path, quiet=True)
    assert {path.name for path in tmp_path.iterdir()} == {"thesis.txt", ".ssh.bak"}


def test_a_run_of_an_earlier_release_is_loaded(
    leaves: OrdinalDataset, small: Config, tmp_path: Path
) -> None:
    """Its record holds the values of the preset as settings, and none of the newer ones."""
    run = fit(leaves, small, tmp_path / "run", quiet=True)
    record = read_json(run.out / "config.json")
    assert record["used"]["lambda_rps"] == 1
    assert record["config"]["lambda_rps"] is None

    settings = record.pop("used")
    del settings["batch_size1"]
    del settings["controls"]["clip"]
    write_json(run.out / "config.json", record | {"config": settings})

    assert fit(leaves, small, run.out, quiet=True).metrics == run.metrics
    other = replace(small, preset="paper", controls=Controls(clip=False))
    changed = r"another controls\.clip, lambda_push, lambda_rps, lambda_tight, preset;"
    with pytest.raises(InputError, match=changed):
        fit(leaves, other, run.out, quiet=True)


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
    run = fit(leaves, small, tmp_path / "run", quiet=True, on_epoch=rows.append)
    fit(leaves, small, tmp_path / "run", quiet=True, on_epoch=rows.append)  # a finished run

    assert len(rows) == len(run.history) == 4
    for row, stored in zip(rows, run.history, strict=True):
        assert row == pytest.approx(stored)


def test_a_kernel_head_is_reported_as_one_epoch_of_stage_2(
    leaves: OrdinalDataset, small: Config, tmp_path: Path
) -> None:
    """After the epochs of stage 1."""
    rows: list[Row] = []
    config = replace(small, epochs1=1, image_side="kernel")
    fit(leaves, config, tmp_path / "run", quiet=True, on_epoch=rows.append)
    assert [(row["stage"], row["epoch"]) for row in rows] == [(1, 1), (2, 1)]


# --- arguments ----------------------------------------------------------------------------------


def test_three_datasets_of_ones_own_give_the_same_numbers(
    run: Run, leaves: OrdinalDataset, small: Config, tmp_path: Path
) -> None:
    """Map-style datasets of (image, rank index), with ranks."""
    config = replace(small, upside_down=True)
    own = fit(of_our_own(leaves), config, tmp_path, ranks=leaves.ranks, quiet=True)
    assert own.metrics | {"seconds": 0} == run.metrics | {"seconds": 0}


def test_three_datasets_without_ranks_are_refused(
    leaves: OrdinalDataset, small: Config, tmp_path: Path
) -> None:
    """Their indices have no names."""
    with pytest.raises(InputError, match="need ranks="):
        fit(of_our_own(leaves), small, tmp_path / "run", quiet=True)


def test_ranks_beside_data_that_have_their_own_are_refused(
    leaves: OrdinalDataset, small: Config, tmp_path: Path
) -> None:
    """They were ignored once."""
    out = tmp_path / "run"
    with pytest.raises(
        InputError, match=r"^fit: leaves has ranks of its own, .*leave ranks out\.$"
    ):
        fit(leaves, small, out, ranks=OTHER_RANKS, quiet=True)
    assert not out.exists()


@pytest.mark.untyped
def test_a_dict_of_settings_is_refused(leaves: OrdinalDataset, tmp_path: Path) -> None:
    """Before a run directory is made."""
    out = tmp_path / "run"
    with pytest.raises(InputError, match=r"^fit: config is of type dict; give a Config"):
        fit(leaves, {"epochs1": 1}, out, quiet=True)
    assert not out.exists()


def test_a_source_is_recorded_with_its_paths_as_text(
    leaves: OrdinalDataset, small: Config, tmp_path: Path
) -> None:
    """A table of pandas is no record of where the data are."""
    config = replace(small, epochs1=0, epochs2=0)
    source = {"name": "csv", "root": tmp_path / "photos"}
    fit(leaves, config, tmp_path / "run", source=source, quiet=True)
    record = read_json(tmp_path / "run" / "config.json")
    assert record["dataset"]["source"] == {"name": "csv", "root": str(tmp_path / "photos")}

    source["labels"] = pd.DataFrame()
    with pytest.raises(InputError, match=r"^source: labels is of the type DataFrame, which is no"):
        fit(leaves, config, tmp_path / "other", source=source, quiet=True)


@pytest.mark.parametrize(
    ("cache", "sentence"),
    [
        ("c" * 300, "^cache: 'c+ cannot be a folder .File name too long.; name another"),
        (__file__, "^cache: .*cannot be a folder .Not a directory."),
    ],
    ids=["too long", "a file"],
)
def test_a_cache_that_cannot_be_a_folder_is_refused(
    cache: str, sentence: str, leaves: OrdinalDataset, small: Config, tmp_path: Path
) -> None:
    """Before a run directory is made."""
    out = tmp_path / "run"
    with pytest.raises(InputError, match=sentence):
        fit(leaves, small, out, cache=cache, quiet=True)
    assert not out.exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_gpu_that_is_not_there_is_refused(
    leaves: OrdinalDataset, small: Config, tmp_path: Path
) -> None:
    """No slow surprise on the CPU."""
    with pytest.raises(TrainingError, match="no 'cuda' device is visible here"):
        fit(leaves, replace(small, device="cuda"), tmp_path / "run", quiet=True)


def test_a_run_that_was_refused_leaves_its_folder_free(
    leaves: OrdinalDataset, small: Config, tmp_path: Path
) -> None:
    """The corrected call may use it."""
    with pytest.raises(InputError, match="heads"):
        fit(leaves, replace(small, heads=3), tmp_path, quiet=True)
    fit(leaves, replace(small, image_side="kernel"), tmp_path, quiet=True)
    assert RunDirectory(tmp_path).read_record().config["heads"] == 2


def test_the_config_of_something_else_is_not_overwritten(
    leaves: OrdinalDataset, small: Config, tmp_path: Path
) -> None:
    """A folder with a config.json alone may be anybody's."""
    (tmp_path / "config.json").write_text('{"model_type": "clip"}')
    with pytest.raises(InputError, match=r"config\.json"):
        fit(leaves, small, tmp_path, quiet=True)
    assert (tmp_path / "config.json").read_text() == '{"model_type": "clip"}'


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        (
            {"image_size": 8},
            "^image_size: 8 x 8 pixels are too few for the image tower; give a larger",
        ),
        ({"heads": 7}, "^heads: 7 heads do not divide"),
    ],
)
def test_settings_that_make_no_model_leave_nothing_behind(
    leaves: OrdinalDataset, small: Config, tmp_path: Path, setting: dict[str, Any], sentence: str
) -> None:
    """Else the corrected settings would be refused as those of another run."""
    with pytest.raises(InputError, match=sentence):
        fit(leaves, replace(small, **setting), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()
