"""`l2rclip fit`: what it prints and records, and what the same command does a second time."""

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from drawn import CSV_RANKS, make_fixture
from drawn_run import BATCH, RANKS, TEMPLATE, TINY, DrawnRun, fit_words
from run_files import refused, run

from l2rclip_lite import training
from l2rclip_lite.commands import fit as command
from l2rclip_lite.data.benchmarks import DATA_SETS
from l2rclip_lite.runs.results import ROWS, SCORES


def test_fit_prints_what_it_read_what_trains_and_the_scores(drawn_run: DrawnRun) -> None:
    """36 images, 12 per rank: 70/15/15 leaves 8 + 2 + 2 of each; nine make intervals of 90 %."""
    lines = drawn_run.fit.out.splitlines()
    first_cells = {line.split("  ")[0] for line in lines}

    assert "labels.csv" in lines[0]
    assert "train     24 images; per rank: 8, 8, 8" in lines
    assert ["towers.logit_scale", "1", "frozen", "frozen"] in [line.split() for line in lines]
    assert {"L2RCLIP", "after stage 1", "median rank"} <= first_cells
    assert lines[-2].startswith("calibrated on 6 validation images: temperature ")
    assert lines[-2].endswith(", intervals of all ranks, for want of images")
    assert lines[-1].endswith(f"; the run is in {drawn_run.out}")


@pytest.mark.parametrize(("n_images", "intervals"), [(8, "of all ranks"), (9, "90 %")])
def test_nine_validation_images_are_enough_for_intervals(
    n_images: int, intervals: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Level 1, all ranks, has two causes: too few images, or answers that were sure and wrong."""
    model = SimpleNamespace(temperature=1.0, conformal=1.0)
    scores = dict.fromkeys(SCORES, 0.5)
    run = SimpleNamespace(model=model, history=[], metrics={row: scores for row in ROWS})
    data = SimpleNamespace(val=range(n_images), ranks=SimpleNamespace(unit="grade"))
    command._print_scores(run, data)
    assert intervals in capsys.readouterr().out


def test_the_record_of_a_run_has_what_evaluate_needs(drawn_run: DrawnRun) -> None:
    """Settings, and where the data are, as an absolute path."""
    record = json.loads((drawn_run.out / "config.json").read_text())

    assert record["config"]["batch_size"] == 4
    assert record["dataset"]["source"] == {
        "name": "csv",
        "root": str(drawn_run.root),
        "labels": "labels.csv",
        "ranks": RANKS,
        "template": TEMPLATE,
    }


def test_the_same_command_loads_a_finished_run(drawn_run: DrawnRun) -> None:
    """With `--quiet` it prints the last line alone; nothing is trained or written."""
    model = drawn_run.out / "model.safetensors"
    before = model.stat().st_mtime_ns

    outcome = run(*fit_words(drawn_run.root, drawn_run.out), "--quiet")

    assert outcome == (0, drawn_run.fit.out.splitlines()[-1] + "\n", "")
    assert model.stat().st_mtime_ns == before


def test_a_finished_run_with_another_setting_is_refused(drawn_run: DrawnRun) -> None:
    """The sentence names the setting."""
    words = fit_words(drawn_run.root, drawn_run.out)
    refused(run(*words, "--seed", "3", "--quiet"), "another seed")


def test_ranks_in_weeks_are_answered_in_weeks(drawn_run: DrawnRun, tmp_path: Path) -> None:
    """Weeks 12, 20 and 40; a kernel head also prints the weights of sentences and numbers."""
    table = (drawn_run.root / "labels.csv").read_text()
    for name, week in zip(CSV_RANKS, ("12", "20", "40"), strict=True):
        table = re.sub(rf"\b{name}\b", week, table)
    (tmp_path / "weeks.csv").write_text(table)

    data = ("--dataset", "csv", "--root", drawn_run.root, "--labels", tmp_path / "weeks.csv")
    model = ("--unit", "weeks", "--image-side", "kernel", *TINY, *BATCH)
    fitted = run("fit", *data, *model, "--out", tmp_path / "run")
    predicted = run("predict", tmp_path / "run", drawn_run.root / "images" / "00.png")

    assert fitted.code == 0, fitted.err
    lines = fitted.out.splitlines()
    choice = r"kernel chosen by validation: weight of sentences [\d.]+, of numbers [\d.]+"
    assert "test; unit of MAE: weeks" in lines
    assert any(re.fullmatch(choice, line) for line in lines)

    answer = json.loads(predicted.out)
    assert {answer["median"], answer["low"], answer["high"]} <= {12, 20, 40}
    assert 12 <= answer["low"] <= answer["expected"] <= answer["high"] <= 40


def test_a_fit_says_what_it_kept_and_when_looking_at_images_did_not_help(
    drawn_run: DrawnRun, tmp_path: Path
) -> None:
    """A table calls a linear probe by its name, here and in `compare`; a line says who won."""
    out = shutil.copytree(drawn_run.out, tmp_path / "run")
    metrics = json.loads((out / "metrics.json").read_text())
    metrics["median_rank"]["rps"] = 0.0
    metrics["comparison"] = {"kept": "linear probe", "rps": {"linear probe": 0.1}}
    (out / "metrics.json").write_text(json.dumps(metrics))

    lines = run(*fit_words(drawn_run.root, out)).out.splitlines()
    assert "not better, by RPS, than the answer that looks at no image (median rank)" in lines
    assert any(line.startswith("linear probe ") for line in lines)
    assert "L2RCLIP" not in "".join(lines)
    assert run("compare", out).out.splitlines()[2].startswith("linear probe ")


def test_ctrl_c_says_how_to_go_on(drawn_run: DrawnRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 130, as shells have it."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "fit", interrupted)
    outcome = run(*fit_words(drawn_run.root, drawn_run.out), "--quiet")

    sentence = "interrupted; a fit keeps its complete epochs: give the same command again.\n"
    assert outcome == (130, "", sentence)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*DATA_SETS} - {"retinamnist", "csv"}))
def test_fit_runs_on_each_data_set(name: str, tmp_path: Path) -> None:
    """From drawn images in the true layout, or painted leaves, to a graded test part.

    `csv` is the run of the other tests.
    """
    data: tuple[str, ...] = ("--size", "60", "--pixels", "64")
    if name != "leaves":
        data = ("--root", str(make_fixture(name, tmp_path / name)))

    words = ("--dataset", name, *data, *TINY, "--batch_size", "32", "--out", tmp_path / "run")
    outcome = run("fit", *words, "--quiet")

    assert (outcome.code, outcome.err) == (0, "")
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["test"]["n"] >= 6
