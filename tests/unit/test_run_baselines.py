"""Baselines of a run: paired with it by image, finished after a kill, refused where foreign."""

import json
import re
from pathlib import Path

import pytest
from run_files import Change, cell, edit, refused, run


def without_intervals(table: str) -> list[str]:
    """Return the words of a table but for its intervals, which are of other draws each time."""
    return re.sub(r"\[[^]]+\]", "", table).split()


def test_the_order_of_rows_does_not_count(folder: Path) -> None:
    """The run's rows backwards: the same scores and differences."""
    before = run("compare", folder).out
    assert re.search(r"^ridge .* 0\.\d+$", before, flags=re.M)  # of ECE, which has no interval
    assert "ECE has no interval" in before
    edit(folder / "predictions.csv", lambda lines: [lines[0], *lines[:0:-1]])
    assert without_intervals(run("compare", folder).out) == without_intervals(before)


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("baselines/ridge/predictions.csv", cell(3, "true_rank", "9")),
        ("baselines/ridge/predictions.csv", cell(3, "path", "other.png")),
        ("predictions.csv", lambda lines: lines[:-1]),
    ],
)
def test_other_images_or_labels_are_not_compared(folder: Path, file: str, change: Change) -> None:
    """A difference is of the same images with the same true ranks."""
    edit(folder / file, change)
    refused(run("compare", folder), "baselines/ridge", "images are not those")


def test_a_baseline_of_other_data_is_not_finished(folder: Path) -> None:
    """Each records its data."""
    config = folder / "baselines" / "ridge" / "config.json"
    record = json.loads(config.read_text())
    assert record["dataset"] == json.loads((folder / "config.json").read_text())["dataset"]

    record["dataset"]["fingerprint"] = "0" * 64
    config.write_text(json.dumps(record))
    config.with_name("predictions.csv").unlink()  # it was stopped
    outcome = run("baselines", folder, "ridge")
    assert outcome.code == 2
    assert "ridge: holds a run with other images" in outcome.err


@pytest.mark.parametrize("lost", ["model.safetensors", "predictions.csv"])
def test_a_baseline_that_was_stopped_is_finished_to_the_same_bytes(folder: Path, lost: str) -> None:
    """A table without its row says why, and `baselines` brings the row back."""
    before = run("compare", folder).out
    ridge = folder / "baselines" / "ridge"
    contents = {path.name: path.read_bytes() for path in ridge.iterdir()}
    (ridge / lost).unlink()

    outcome = run("compare", folder)
    assert "ridge" not in outcome.out
    assert "baselines/ridge is not complete and is left out" in outcome.err

    (ridge / "checkpoint").mkdir()
    assert run("baselines", folder, "ridge").out == before
    assert {path.name: path.read_bytes() for path in ridge.iterdir()} == contents
