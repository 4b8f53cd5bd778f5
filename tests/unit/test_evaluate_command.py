"""`l2rclip evaluate`: the scores of the run, of a new table, and of data that moved or changed."""

import json
import shutil
from pathlib import Path

import pytest
from drawn_run import DrawnRun, fit_words
from run_files import Change, cell, edit, json_lines, refused, run

from l2rclip_lite.files import read_json, write_json
from l2rclip_lite.runs import OTHER_DATA


@pytest.fixture
def photos(drawn_run: DrawnRun, tmp_path: Path) -> Path:
    """A copy of the images and their table, to be changed."""
    return Path(shutil.copytree(drawn_run.root, tmp_path / "photos"))


def metrics_of(*words: str | Path) -> dict[str, float]:
    """Return the metrics that `evaluate --json` prints."""
    outcome = run("evaluate", *words, "--json")
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.out)["metrics"]


@pytest.mark.parametrize("split", ["val", "test"])
def test_evaluate_repeats_metrics_json(drawn_run: DrawnRun, photos: Path, split: str) -> None:
    """Where the data lay, without an option, and where --root says that they are now."""
    stored = json.loads((drawn_run.out / "metrics.json").read_text())[split]
    for where in ((), ("--root", photos), ("--root", photos, "--labels", "labels.csv")):
        metrics = metrics_of(drawn_run.out, "--split", split, *where)
        assert metrics == pytest.approx(stored, abs=1e-5, nan_ok=True)


def test_of_a_new_table_every_row_is_scored(drawn_run: DrawnRun, photos: Path) -> None:
    """Copies of all images under other names; the accuracy is that of what `predict` answers."""
    shutil.move(photos / "images", photos / "new")
    table = (photos / "labels.csv").read_text().replace("images/", "new/")
    (photos / "new.csv").write_text(table)

    metrics = metrics_of(drawn_run.out, "--root", photos, "--labels", "new.csv")
    answers = json_lines(run("predict", drawn_run.out, photos / "new").out)

    hits = [answer["rank"] == row % 3 for row, answer in enumerate(answers)]
    assert metrics["n"] == len(hits) == 36
    assert metrics["accuracy"] == pytest.approx(sum(hits) / 36)


def test_the_mean_cost_is_that_of_what_predict_answers(drawn_run: DrawnRun, tmp_path: Path) -> None:
    """To answer anything but "ripe" costs 1, whatever is true: "ripe" costs nothing."""
    costs = tmp_path / "costs.csv"
    costs.write_text(
        "\ufeff;fresh;ripe;overripe\r\nfresh;1;0;1\r\nripe;1;0;1\r\noverripe;1;0;1\r\n"
    )
    image = drawn_run.root / "images" / "00.png"
    (answer,) = json_lines(run("predict", drawn_run.out, image, "--costs", costs).out)
    assert (answer["rank"], answer["name"]) == (1, "ripe")

    numbers = tmp_path / "numbers.csv"  # ranks that are numbers, in digits or in words
    numbers.write_text("true,7,8\nseven,1,0\n8.0,1,0\n")
    words = ("--ranks", "7:8", "--costs", numbers)
    (answer,) = json_lines(run("predict", drawn_run.out, image, *words).out)
    assert (answer["rank"], answer["name"]) == (1, "eight")

    metrics = metrics_of(drawn_run.out, "--costs", costs)
    assert (metrics["cost"], metrics["cost_high"]) == (0, 0)
    assert "\ncost_argmax " in run("evaluate", drawn_run.out, "--costs", costs).out


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda lines: lines[:-1], "costs.csv: 3 rows, not 4; write fresh, ripe, overripe behind"),
        (cell(1, "ripe", "ripen"), "costs.csv row 1: the name 'ripen' is not that of the rank"),
        (
            lambda lines: [lines[0], *lines[:0:-1]],
            "costs.csv row 2 (the first of 2): the name 'ove",
        ),
        (cell(3, "fresh", "-1"), "costs.csv row 3: the price '-1' is no number ≥ 0; correct it"),
        (cell(4, "overripe", "0,1"), "costs.csv row 4: has 5 cells, and the header 4"),
        (cell(2, "ripe", ""), "costs.csv row 2: the price is no number ≥ 0"),
    ],
)
def test_a_bad_price_list_is_refused_by_file_and_row(
    drawn_run: DrawnRun, tmp_path: Path, change: Change, sentence: str
) -> None:
    """Once, before any image is read."""
    costs = tmp_path / "costs.csv"
    costs.write_text("true,fresh,ripe,overripe\nfresh,0,1,2\nripe,1,0,1\noverripe,2,1,0\n")
    edit(costs, change)
    for command in (("evaluate",), ("predict", "a.png", "b.png")):
        name, *images = command
        refused(run(name, drawn_run.out, *images, "--costs", costs), sentence)


def test_a_new_table_with_a_mistake_is_refused_by_row(drawn_run: DrawnRun, photos: Path) -> None:
    """The header is row 1. Numbers are indices only if the user says so."""
    words = (drawn_run.out, "--root", photos, "--labels", "new.csv")
    (photos / "new.csv").write_text("path,label\nimages/00.png,fresh\nimages/01.png,rotten\n")
    refused(run("evaluate", *words), "row 3: the label 'rotten' is no rank")
    (photos / "new.csv").write_text("path,label\nimages/00.png,0\nimages/01.png,1\n")
    refused(run("evaluate", *words), "row 2 (the first of 2): the label '0' is no rank")
    assert metrics_of(*words, "--labels-are", "index")["n"] == 2
    (photos / "new.csv").write_text(
        "path,label,group\nimages/00.png,fresh,\nimages/01.png,ripe,b\n"
    )
    refused(run("evaluate", *words), "row 2: the subject is blank; name who is shown")
    edit(
        photos / "new.csv",
        lambda lines: [lines[0], *(f"{x.rpartition(',')[0]},b" for x in lines[1:])],
    )
    assert "no intervals, as all show one subject" in run("evaluate", *words).out


def test_how_labels_of_a_run_are_written_is_not_how_those_of_other_ranks_are(
    drawn_run: DrawnRun, photos: Path, tmp_path: Path
) -> None:
    """1 is the rank `one` of 1 to 9, also for a run whose labels were indices from 0."""
    folder = shutil.copytree(drawn_run.out, tmp_path / "run")
    record = read_json(folder / "config.json")
    record["dataset"]["source"]["labels_are"] = "index"
    write_json(folder / "config.json", record)
    (photos / "new.csv").write_text("path,label\nimages/00.png,1\nimages/01.png,2\n")

    words = (folder, "--root", photos, "--labels", "new.csv", "--ranks", "1:9")
    assert metrics_of(*words) == metrics_of(*words, "--labels-are", "names")
    assert metrics_of(*words) != metrics_of(*words, "--labels-are", "index")

    record["dataset"]["source"]["rebin"] = 3
    write_json(folder / "config.json", record)
    refused(run("evaluate", *words[:-2]), "the label '1' is no rank")  # it was that of a bin


def test_the_own_table_of_a_run_is_no_new_one(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most of its rows are of training: where it changed, a line says so, whatever its name is."""
    monkeypatch.chdir(tmp_path)
    words = ["photos/labels.csv" if x == "labels.csv" else x for x in fit_words(photos, "run")]
    assert run(*words).code == 0
    edit(photos / "labels.csv", lambda lines: lines[:-1])
    shutil.copy(photos / "labels.csv", photos / "corrected.csv")
    shutil.copytree(photos, "harvest")

    for labels in ("labels.csv", photos / "labels.csv", "corrected.csv"):
        outcome = run("evaluate", "run", "--root", photos, "--labels", labels)
        assert "if these are its own, it was trained on most of them" in outcome.err
    assert (
        "its own" not in run("evaluate", "run", "--root", "harvest", "--labels", "labels.csv").err
    )


def test_data_that_changed_or_are_gone_are_refused(drawn_run: DrawnRun, photos: Path) -> None:
    """One label corrected after the fit: its figures would be of another data set."""
    edit(
        photos / "labels.csv",
        lambda lines: [x.replace("00.png,fresh", "00.png,ripe") for x in lines],
    )
    changed = run("evaluate", drawn_run.out, "--root", photos)
    refused(changed, OTHER_DATA)

    gone = run("evaluate", drawn_run.out, "--root", photos / "nowhere")
    refused(gone, "pass --root if it has moved")


def test_a_record_that_names_something_else_is_refused(drawn_run: DrawnRun, tmp_path: Path) -> None:
    """A run directory from elsewhere may name any place: only the data that it had are taken."""
    folder = shutil.copytree(drawn_run.out, tmp_path / "run")
    (tmp_path / "a").mkdir()
    for source, sentence in (
        ({"name": "csv", "root": str(tmp_path), "ranks": "a,b"}, "its data cannot be read again"),
        ({"name": "leaves"}, OTHER_DATA),
    ):
        record = read_json(folder / "config.json")
        record["dataset"]["source"] = source
        write_json(folder / "config.json", record)
        refused(run("evaluate", folder), sentence)
