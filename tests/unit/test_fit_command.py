"""`l2rclip fit`: what it prints and records, and what the same command does a second time."""

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from drawn import CSV_RANKS, make_fixture
from drawn_run import BATCH, TINY, DrawnRun, fit_words
from run_files import refused, run


def test_fit_prints_what_it_read_what_trains_and_the_scores(drawn_run: DrawnRun) -> None:
    """36 images, 12 per rank: 70/15/15 leaves 8 + 2 + 2 of each."""
    for line in (
        r"train     24 images; per rank: 8, 8, 8$",
        r"towers\.logit_scale +1 +frozen +frozen",
        r"L2RCLIP  .*\nafter stage 1  .*\nmedian rank  ",
        r"calibrated on 6 validation images: temperature .*, intervals of all ranks, for want of",
        rf"test RPS .*; the run is in {drawn_run.out}\n\Z",
    ):
        assert re.search(f"^{line}", drawn_run.fit.out, flags=re.M), line


def test_the_same_command_loads_a_finished_run(drawn_run: DrawnRun) -> None:
    """With `--quiet` it prints the last line alone; with another setting it is refused."""
    model = drawn_run.out / "model.safetensors"
    before = model.stat().st_mtime_ns
    words = (*fit_words(drawn_run.root, drawn_run.out), "--quiet", "--threads", "1")

    assert run(*words) == (0, drawn_run.fit.out.splitlines()[-1] + "\n", "")
    refused(run(*words, "--seed", "3"), "another seed")
    assert model.stat().st_mtime_ns == before


def test_ranks_in_weeks_are_answered_in_weeks(drawn_run: DrawnRun, tmp_path: Path) -> None:
    """Weeks 12, 20 and 40; a kernel head also prints the weights of sentences and numbers."""
    table = pd.read_csv(drawn_run.root / "labels.csv")
    table["label"] = table["label"].map(dict(zip(CSV_RANKS, (12, 20, 40), strict=True)))
    table.to_csv(tmp_path / "weeks.csv", index=False)

    data = ("--dataset", "csv", "--root", drawn_run.root, "--labels", tmp_path / "weeks.csv")
    model = ("--unit", "weeks", "--image-side", "kernel", *TINY, *BATCH)
    fitted = run("fit", *data, *model, "--out", tmp_path / "run")
    predicted = run("predict", tmp_path / "run", drawn_run.root / "images" / "00.png")

    assert "test; unit of MAE: weeks" in fitted.out
    assert re.search(r"validation: weight of sentences [\d.]+, of numbers [\d.]+", fitted.out)
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


@pytest.mark.slow
@pytest.mark.parametrize("name", ["morph", "clap2015"])
def test_fit_runs_on_each_data_set(name: str, tmp_path: Path) -> None:
    """From drawn images in the true layout to a graded test part.

    Other tests run `csv` and `leaves`.
    """
    data = ("--dataset", name, "--root", make_fixture(name, tmp_path / name))
    words = (*data, *TINY, "--batch_size", "32", "--out", tmp_path / "run")
    outcome = run("fit", *words, "--quiet")

    assert (outcome.code, outcome.err) == (0, "")
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["test"]["n"] >= 6
