"""`l2rclip evaluate`: the scores of the run, of a new table, and of data that moved or changed."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from drawn_run import DrawnRun
from run_files import edit, json_lines, refused, run


@pytest.fixture
def photos(drawn_run: DrawnRun, tmp_path: Path) -> Path:
    """A copy of the images and their table, to be changed."""
    return Path(shutil.copytree(drawn_run.root, tmp_path / "photos"))


@pytest.fixture
def copied_run(drawn_run: DrawnRun, tmp_path: Path) -> Path:
    """A copy of the run, to be changed."""
    return Path(shutil.copytree(drawn_run.out, tmp_path / "run"))


def set_source(folder: Path, source: dict[str, Any] | None) -> None:
    """Change what the record of a run says of the place of its data."""
    file = folder / "config.json"
    record = json.loads(file.read_text())
    record["dataset"]["source"] = source
    file.write_text(json.dumps(record))


def metrics_of(*words: str | Path) -> dict[str, float]:
    """Return the metrics that `evaluate --json` prints."""
    return json.loads(run("evaluate", *words, "--json").out)["metrics"]


# --- the run's own data -------------------------------------------------------------------------


def test_evaluate_repeats_metrics_json(drawn_run: DrawnRun) -> None:
    """The test metrics with their intervals."""
    stored = json.loads((drawn_run.out / "metrics.json").read_text())
    metrics = metrics_of(drawn_run.out, "--root", drawn_run.root)
    assert metrics == pytest.approx(stored["test"], abs=1e-5, nan_ok=True)


def test_evaluate_prints_a_line_per_metric(drawn_run: DrawnRun) -> None:
    """Name, value, interval where there is one; of the split that is asked for."""
    words = (drawn_run.out, "--split", "val", "--root", drawn_run.root)
    metrics = metrics_of(*words)
    expected = []
    for name in metrics:
        if name.endswith(("_low", "_high")):
            continue
        line = f"{name:<24}{metrics[name]:.3f}"
        if f"{name}_low" in metrics:
            line += f" [{metrics[f'{name}_low']:.3f}, {metrics[f'{name}_high']:.3f}]"
        expected.append(line)

    lines = run("evaluate", *words).out.split("\n\n")[1].splitlines()
    assert sorted(lines) == sorted(expected)
    stored = json.loads((drawn_run.out / "metrics.json").read_text())["val"]
    assert metrics == pytest.approx(stored, abs=1e-5, nan_ok=True)


def test_of_the_runs_own_table_the_test_part_is_scored(drawn_run: DrawnRun) -> None:
    """Also where `--labels` names it: all its rows would be images of training."""
    metrics = metrics_of(drawn_run.out, "--root", drawn_run.root, "--labels", "labels.csv")
    assert metrics["n"] == 6


def test_the_runs_own_table_with_a_row_less_is_refused(copied_run: Path, photos: Path) -> None:
    """As a new table it would show images of training."""
    source = json.loads((copied_run / "config.json").read_text())["dataset"]["source"]
    set_source(copied_run, source | {"root": str(photos)})
    edit(photos / "labels.csv", lambda lines: lines[:-1])

    outcome = run("evaluate", copied_run, "--root", photos, "--labels", "labels.csv")
    refused(outcome, "other files, labels, splits or ranks now; pass the old --root")


# --- a new table --------------------------------------------------------------------------------


def test_of_a_new_table_every_row_is_scored(drawn_run: DrawnRun, photos: Path) -> None:
    """35 rows, of ranks 0, 1, 2, 0, 1, 2, …; the accuracy is that of what `predict` answers."""
    rows = (photos / "labels.csv").read_text().splitlines()
    (photos / "new.csv").write_text("\n".join(rows[:-1]))

    metrics = metrics_of(drawn_run.out, "--root", photos, "--labels", "new.csv")
    answers = json_lines(run("predict", drawn_run.out, photos / "images").out)[:-1]

    hits = [answer["rank"] == row % 3 for row, answer in enumerate(answers)]
    assert metrics["n"] == 35
    assert metrics["accuracy"] == pytest.approx(sum(hits) / 35)


def test_a_run_without_a_record_has_no_table_of_its_own(
    copied_run: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a file of the current folder is called."""
    set_source(copied_run, None)
    monkeypatch.chdir(photos)
    metrics = metrics_of(copied_run, "--labels", "labels.csv")
    assert metrics["n"] == 36


def test_a_label_that_the_model_does_not_know_is_refused_by_row(
    drawn_run: DrawnRun, photos: Path
) -> None:
    """Row 3 of the file, where the header is row 1."""
    (photos / "new.csv").write_text("path,label\nimages/00.png,fresh\nimages/01.png,rotten\n")
    outcome = run("evaluate", drawn_run.out, "--root", photos, "--labels", "new.csv")
    refused(outcome, "new.csv row 3: the label 'rotten' is no rank")


def test_numbers_are_indices_of_ranks_only_if_the_user_says_so(
    drawn_run: DrawnRun, photos: Path
) -> None:
    """0 and 1 are names of no rank; `--labels-are index` makes them the first two."""
    (photos / "new.csv").write_text("path;label\nimages/00.png;0\nimages/01.png;1\n")
    words = (drawn_run.out, "--root", photos, "--labels", "new.csv")

    refused(run("evaluate", *words), "row 2 (the first of 2): the label '0' is no name")
    assert metrics_of(*words, "--labels-are", "index")["n"] == 2


# --- where the data are -------------------------------------------------------------------------


def test_data_that_moved_are_scored_where_root_says(drawn_run: DrawnRun, photos: Path) -> None:
    """The same metrics as at the old place."""
    moved = metrics_of(drawn_run.out, "--root", photos)
    assert moved == pytest.approx(metrics_of(drawn_run.out, "--root", drawn_run.root), nan_ok=True)


def test_data_that_changed_or_are_gone_are_refused(drawn_run: DrawnRun, photos: Path) -> None:
    """One label corrected after the fit: its figures would be of another data set."""
    edit(
        photos / "labels.csv",
        lambda lines: [x.replace("00.png,fresh", "00.png,ripe") for x in lines],
    )
    changed = run("evaluate", drawn_run.out, "--root", photos)
    refused(changed, "other files, labels, splits or ranks now")

    gone = run("evaluate", drawn_run.out, "--root", photos / "nowhere")
    refused(gone, "pass --root if it has moved")


def test_a_run_without_a_record_of_its_data_is_refused(copied_run: Path) -> None:
    """As Python may have made it."""
    set_source(copied_run, None)
    refused(run("evaluate", copied_run), "fit it by `l2rclip fit`")


def test_data_are_found_where_they_lay(drawn_run: DrawnRun, copied_run: Path) -> None:
    """No option is needed, wherever that is, and for a table of its own, too."""
    assert metrics_of(drawn_run.out)["n"] == 6

    labels = str(drawn_run.root / "labels.csv")
    source = json.loads((copied_run / "config.json").read_text())["dataset"]["source"]
    set_source(copied_run, source | {"labels": labels})
    assert metrics_of(copied_run)["n"] == 6


def test_a_record_that_names_something_else_is_refused(copied_run: Path, tmp_path: Path) -> None:
    """A run directory from elsewhere may name any place: only the data that it had are taken."""
    (tmp_path / "a").mkdir()
    set_source(copied_run, {"name": "csv", "root": str(tmp_path), "ranks": "a,b"})
    refused(run("evaluate", copied_run), "its data cannot be read again")
    set_source(copied_run, {"name": "leaves"})
    refused(run("evaluate", copied_run), "data with other files, labels, splits or ranks now")
