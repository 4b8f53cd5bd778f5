"""Every data set from its fixture to a full run directory, by the command line alone."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from l2rclip_lite import cli
from l2rclip_lite.data import load_dataset
from l2rclip_lite.options import NAMES

TINY = ["--towers", "tiny/random", "--epochs1", "1", "--epochs2", "1", "--hidden", "32", "--heads", "2"]
OWN = {  # what a data set needs besides its folder, and the unit of its MAE
    "leaves": (["--size", "60", "--pixels", "64"], "grade"),
    "bracol": ([], "grade"),
    "csv": (["--ranks", "fresh,ripe,overripe"], "grade"),
    "retinamnist": ([], "grade"),
    "morph": (["--protocol", "subject-exclusive", "--fold", "1"], "years"),
    "clap2015": ([], "years"),
    "adience": (["--fold", "4"], "groups"),
    "hci": ([], "decades"),
    "aesthetics": (["--category", "urban", "--protocol", "five-fold"], "grade"),
}
FILES = {"config.json", "history.csv", "metrics.json", "predictions.csv", "model.safetensors"}


def test_the_options_name_exactly_the_data_sets_that_can_be_loaded() -> None:
    """One list for the help, one for the loaders; they agree."""
    with pytest.raises(Exception, match="choose one of") as refused:
        load_dataset("none")
    assert str(refused.value).split("choose one of ")[1].rstrip(".").split(", ") == list(NAMES)
    assert set(OWN) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_fixture_becomes_a_run(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`l2rclip data NAME --make-fixture` and then `l2rclip fit --dataset NAME`, with the right unit."""
    options, unit = OWN[name]
    if name != "leaves":  # which are generated anyway
        assert cli.main(["data", name, "--make-fixture", str(tmp_path / "data")]) == 0
        options = ["--root", str(tmp_path / "data"), *options]
    out = tmp_path / "run"
    assert cli.main(["fit", "--dataset", name, *options, *TINY, "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert f"MAE ({unit})" in said
    assert said.splitlines()[-1].endswith(f"; the run is in {out}")
    assert ("SYNTHETIC FIXTURE" in said) == (name != "leaves")
    assert {path.name for path in out.iterdir()} == FILES
    config: dict[str, Any] = json.loads((out / "config.json").read_text())
    metrics: dict[str, Any] = json.loads((out / "metrics.json").read_text())
    assert config["dataset"]["ranks"]["unit"] == unit
    assert any("FIXTURE" in step for step in config["dataset"]["protocol"]) == (name != "leaves")
    assert ("epsilon_error" in metrics["test"]) == (name == "clap2015")
    assert config["config"]["upside_down"] == (name in ("leaves", "bracol", "retinamnist"))
    with (out / "predictions.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    values = config["dataset"]["ranks"]["values"]
    errors = [abs(values[int(row["predicted"])] - values[int(row["target"])]) for row in rows]
    assert metrics["test"]["mae"] == pytest.approx(sum(errors) / len(errors))


def test_missing_pictures_are_counted_then_left_out_and_recorded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the option nothing trains; with it the run says what it lacks."""
    data = tmp_path / "data"
    assert cli.main(["data", "clap2015", "--make-fixture", str(data)]) == 0
    lost = sorted(path for path in data.rglob("*.jpg"))[0]
    lost.unlink()
    words = ["fit", "--dataset", "clap2015", "--root", str(data), *TINY, "--quiet"]
    capsys.readouterr()
    assert cli.main([*words, "--out", str(tmp_path / "a")]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: clap2015: 1 of ")
    assert lost.name in said
    assert "--allow-missing" in said
    assert cli.main([*words, "--out", str(tmp_path / "b"), "--allow-missing"]) == 0
    caveat = "(SYNTHETIC FIXTURE; 1 listed picture(s) missing)"
    assert f" {caveat}; the run is in" in capsys.readouterr().out, "no figure travels without it"
    assert cli.main([*words[:-1], "--out", str(tmp_path / "b"), "--allow-missing"]) == 0
    assert f"{tmp_path / 'b'} is a finished run: it is loaded" in capsys.readouterr().out
    assert cli.main(["evaluate", str(tmp_path / "b")]) == 0
    assert f"pictures {caveat}, 95 % intervals" in capsys.readouterr().out
    stored = json.loads((tmp_path / "b" / "config.json").read_text())["dataset"]
    assert stored["missing"] == [lost.name]
    assert any(step.startswith("1 listed pictures are missing") for step in stored["protocol"])


def test_protocols_are_recorded_and_read_again_by_evaluate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--few-shot`, `--rebin` and their seed come back when the run's data is read again."""
    data, out = tmp_path / "data", tmp_path / "run"
    assert cli.main(["data", "hci", "--make-fixture", str(data)]) == 0
    words = ["--rebin", "3", "--few-shot", "2", "--protocol-seed", "5", "--quiet", *TINY]
    assert cli.main(["fit", "--dataset", "hci", "--root", str(data), *words, "--out", str(out)]) == 0
    stored = json.loads((out / "config.json").read_text())["dataset"]
    assert stored["counts"]["train"] == [2, 2, 2]
    assert stored["source"]["few_shot"] == 2
    capsys.readouterr()
    assert cli.main(["evaluate", str(out), "--json"]) == 0
    again = json.loads(capsys.readouterr().out)["metrics"]
    assert again["mae"] == pytest.approx(json.loads((out / "metrics.json").read_text())["test"]["mae"])


def test_fold_0_is_given_on_not_taken_for_no_fold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """BRACOL counts its folds from 1; a 0 that vanished would train fold 1."""
    words = [
        "fit",
        "--dataset",
        "bracol",
        "--root",
        str(tmp_path),
        "--fold",
        "0",
        "--out",
        str(tmp_path / "a"),
    ]
    assert cli.main(words) == 2
    assert "fold must be 1, 2, 3, 4 or 5, not 0" in capsys.readouterr().err
