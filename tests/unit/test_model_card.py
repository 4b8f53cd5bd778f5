"""The card says what the run says, and nothing about the machine it was trained on."""

import json
from pathlib import Path

import pytest

from l2rclip_lite.calibration_file import Calibration, fingerprint_of, write_calibration
from l2rclip_lite.config import Config
from l2rclip_lite.data import OrdinalDataset
from l2rclip_lite.errors import InputError
from l2rclip_lite.model import MODEL_FILE
from l2rclip_lite.model_card import model_card
from l2rclip_lite.training import fit


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, leaves: OrdinalDataset, small: Config) -> Path:
    """A finished run with a baseline."""
    folder = tmp_path_factory.mktemp("card") / "run"
    fit(leaves, small, folder, baselines=["linear-probe"], quiet=True)
    return folder


def test_the_card_repeats_the_metrics(run: Path) -> None:
    """Every score with its interval, one row a baseline, the counts, a sentence a rank, no path."""
    card, metrics = model_card(run, purpose="grading leaves"), json.loads((run / "metrics.json").read_text())
    test = metrics["test"]
    assert f"{test['mae']:.2f} [{test['mae_low']:.2f}, {test['mae_high']:.2f}]" in card
    assert f"| linear-probe | {metrics['baselines']['linear-probe']['accuracy']:.2f} [" in card
    assert f"| median-rank | {metrics['baselines']['median-rank']['accuracy']:.2f} |" in card
    assert "**Made for:** grading leaves" in card
    assert "- very low: “a photo of a leaf with very low damage”" in card
    assert "train 40 [8, 8, 8, 8, 8]" in card
    assert "Only 10 test pictures" in card
    assert "not calibrated" in card
    assert str(run.parent) not in card


def test_the_card_names_the_temperature(run: Path) -> None:
    """With its interval and its pictures."""
    own = fingerprint_of(run / MODEL_FILE)
    file = write_calibration(run, Calibration(1.75, "val", 10, 1.25, 2.5, 1.5, 1.4, own))
    said = "temperature 1.75 (95 % interval 1.25 to 2.50), fitted on 10 validation pictures"
    assert said in model_card(run)
    file.unlink()


def test_a_missing_rank_is_a_limit(run: Path, tmp_path: Path) -> None:
    """Counts of 0 in training, and pictures that were missing."""
    for name in ("config.json", "metrics.json", MODEL_FILE):
        (tmp_path / name).write_bytes((run / name).read_bytes())
    stored = json.loads((tmp_path / "config.json").read_text())
    stored["dataset"]["counts"]["train"][2] = 0
    stored["dataset"]["missing"] = ["a.jpg"]
    (tmp_path / "config.json").write_text(json.dumps(stored))
    assert "Ranks without a training picture: low." in model_card(tmp_path)
    assert "1 listed pictures were missing." in model_card(tmp_path)


def test_an_unfinished_run_has_no_card(run: Path, tmp_path: Path) -> None:
    """Only `config.json` is there."""
    (tmp_path / "config.json").write_bytes((run / "config.json").read_bytes())
    with pytest.raises(InputError, match="the run is not finished"):
        model_card(tmp_path)
