"""Files of a run that were cut off or edited are refused by file and row."""

import json
import re
from pathlib import Path

import pytest
import torch
from PIL import Image
from run_files import Change, cell, edit, refused, renamed, run

from l2rclip_lite.data import OrdinalDataset
from l2rclip_lite.data.base import Split
from l2rclip_lite.errors import InputError
from l2rclip_lite.method.model import L2RCLIP
from l2rclip_lite.runs.results import write_predictions
from l2rclip_lite.runs.run_directory import RunDirectory
from l2rclip_lite.runs.run_schema import read_history, read_metrics, read_predictions


def in_turn(*changes: Change) -> Change:
    """Make one change after the other."""

    def change(lines: list[str]) -> list[str]:
        for each in changes:
            lines = each(lines)
        return lines

    return change


PREDICTIONS: dict[str, tuple[Change, str]] = {
    "empty": (lambda lines: [], "is empty"),
    "header only": (lambda lines: lines[:1], "has no row"),
    "cut within a row": (lambda lines: [*lines[:4], lines[4][:30]], "row 5: .* cells in place of"),
    "a cell too many": (lambda lines: [*lines[:3], lines[3] + ",1", *lines[4:]], "row 4: .* cells"),
    "a column lost": (renamed("median_rank", "median"), "its columns are not path, true_rank"),
    "a column twice": (renamed("p_1", "p_0"), "two columns have the same name"),
    "columns in reverse": (renamed("p_0,p_1,p_2", "p_2,p_1,p_0"), "its columns are not"),
    "semicolons": (lambda lines: [x.replace(",", ";") for x in lines], "its columns are not"),
    "a quote left open": (lambda lines: [lines[0], '"' + lines[1]], "cannot be read"),
    "an image twice": (
        lambda lines: [*lines[:3], lines[1], *lines[4:]],
        "row 4: the image .*twice",
    ),
    "a rank that is not": (cell(3, "true_rank", "5"), "row 3: true_rank is '5', not a rank from 0"),
    "a rank below": (cell(3, "true_rank", "-1"), "row 3: true_rank is '-1'"),
    "half a rank": (cell(3, "true_rank", "1.5"), "row 3: true_rank is '1.5'"),
    "no rank": (cell(2, "low_rank", ""), "row 2: low_rank is ''"),
    "another median": (
        in_turn(cell(3, "median_rank", "4"), cell(3, "high_rank", "4")),
        "row 3: median_rank 4 is not that of its row",
    ),
    "a signed rank": (cell(4, "high_rank", "-0"), "row 4: high_rank is '-0'"),
    "an interval reversed": (
        in_turn(cell(4, "low_rank", "4"), cell(4, "high_rank", "0")),
        "row 4: low_rank 4 is above high_rank",
    ),
    "not a number": (cell(2, "p_3", "x"), "row 2: p_3 is 'x', not a number"),
    "NaN": (cell(2, "p_3", "nan"), "row 2: p_3 is 'nan'"),
    "infinite": (cell(6, "expected", "1e999"), "row 6: expected is '1e999'"),
    "negative": (cell(5, "p_0", "-0.5"), "row 5: its probabilities sum to"),
    "not 1": (cell(5, "p_0", "2"), "row 5: its probabilities sum to"),
    "another expectation": (cell(5, "expected", "9"), "row 5: expected 9.0 is not that of its row"),
}


@pytest.mark.parametrize("damage", PREDICTIONS)
def test_damaged_predictions_are_refused_by_row(
    damage: str, folder: Path, leaves: OrdinalDataset
) -> None:
    """Whatever no run has written; each names the file, and the row where there is one."""
    change, sentence = PREDICTIONS[damage]
    file = folder / "predictions.csv"
    edit(file, change)
    whole = f"^{re.escape(str(file))}.*{sentence}.*restore the file"
    with pytest.raises(InputError, match=whole):
        read_predictions(file, leaves.ranks)


def test_an_answer_that_is_not_the_most_probable_is_refused(
    folder: Path, leaves: OrdinalDataset
) -> None:
    """Probabilities in reverse under the right names."""
    file = folder / "predictions.csv"

    def reverse(lines: list[str]) -> list[str]:
        reversed_rows = [lines[0]]
        for line in lines[1:]:
            cells = line.split(",")
            reversed_rows.append(",".join(cells[:-5] + cells[:-6:-1]))
        return reversed_rows

    edit(file, reverse)
    with pytest.raises(InputError, match=r"row \d+: .* is not (the most probable|that of its row)"):
        read_predictions(file, leaves.ranks)


HISTORY: dict[str, tuple[Change, str]] = {
    "empty": (lambda lines: [], "is empty"),
    "no stage": (renamed("stage", "phase"), "the column stage is missing"),
    "cut": (lambda lines: [*lines[:2], lines[2][:12]], "row 3: .* cells in place of"),
    "a word": (cell(3, "val_rps", "x"), "row 3: val_rps: should be a valid number"),
    "NaN": (cell(2, "val_mae", "nan"), "row 2: val_mae: should be a finite number"),
    "no score": (cell(2, "val_rps", ""), "row 2: val_rps"),
    "stage 9": (cell(2, "stage", "9"), "row 2: stage: should be less than or equal to 2"),
    "half an epoch": (cell(2, "epoch", "1.5"), "row 2: epoch: should be a valid integer"),
    "an epoch lost": (lambda lines: [lines[0], *lines[2:]], "row 2: .* is out of order"),
    "sorted": (lambda lines: [lines[0], *reversed(lines[1:])], "is out of order"),
}


@pytest.mark.parametrize("damage", HISTORY)
def test_a_damaged_history_is_refused_by_row(damage: str, folder: Path) -> None:
    """The same, of the file that the curves are drawn from."""
    change, sentence = HISTORY[damage]
    edit(folder / "history.csv", change)
    with pytest.raises(InputError, match=f"history.csv.*{sentence}"):
        read_history(folder / "history.csv")


@pytest.mark.parametrize(
    ("lines", "problem"),
    [(1, "0 epochs of stage 1"), (2, "1 epochs of stage 1"), (3, "0 epochs of stage 2")],
)
def test_a_history_that_was_cut_at_the_end_of_a_row(folder: Path, lines: int, problem: str) -> None:
    """Curves that end early look like a run that ended early."""
    edit(folder / "history.csv", lambda whole: whole[:lines])
    refused(run("report", folder), f"history.csv: {problem}, but the run had")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'"text"',
        b'{"test": ',
        b"\xff\xfe\x00",
        b'{"test": {"n": 1}}',
        b'{"val": 1, "test": 2, "test_after_stage1": [], "median_rank": null, "seconds": {}}',
        b"[" * 20_000,
    ],
)
def test_damaged_metrics_are_refused(folder: Path, content: bytes) -> None:
    """No JSON, or none of a run."""
    (folder / "metrics.json").write_bytes(content)
    with pytest.raises(InputError, match=r"metrics\.json: .+; "):
        read_metrics(folder / "metrics.json")


def test_answers_that_their_owner_changed_are_compared_as_they_are(folder: Path) -> None:
    """Those of the run like those of a baseline: neither is checked against its scores."""
    for place in (folder, folder / "baselines" / "ridge"):
        edit(place / "predictions.csv", cell(2, "true_rank", "0"))
        edit(place / "predictions.csv", cell(3, "true_rank", "0"))
    assert run("compare", folder).code == 0


@pytest.mark.parametrize("value", ["high", None, [0.5], True])
def test_a_score_is_a_number(folder: Path, value: object) -> None:
    """One that a table shows, or any other."""
    for name in ("rps", "kendall"):
        metrics = json.loads((folder / "metrics.json").read_text())
        metrics["median_rank"][name] = value
        (folder / "copy.json").write_text(json.dumps(metrics))
        with pytest.raises(InputError, match=rf"median_rank\.{name}: should be a valid number"):
            read_metrics(folder / "copy.json")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"dataset": {"name": "leaves"}}, "dataset.fingerprint: field required"),
        ({"dataset": None}, "config.json: dataset: "),
        ({"config": {}}, "config.controls: field required"),
    ],
)
def test_a_record_without_what_every_run_records(
    folder: Path, change: dict[str, object], sentence: str
) -> None:
    """Whatever reads the data again says so, and so does `compare` of a baseline's record."""
    record = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(record | change))
    refused(run("evaluate", folder), "config.json", sentence)
    refused(run("compare", folder), "config.json", sentence)


def test_a_recorded_place_that_is_no_path(folder: Path) -> None:
    """A NUL, a number, a loop of links."""
    record = json.loads((folder / "config.json").read_text())
    loop = folder.parent / "loop"
    loop.symlink_to(loop)
    for place in ("a\0b", 5, str(loop)):
        record["dataset"]["source"] = {"name": "csv", "root": place}
        (folder / "config.json").write_text(json.dumps(record))
        refused(run("evaluate", folder), "its data cannot be read again", "pass --root")


def test_a_model_card_in_another_encoding_is_shown(folder: Path) -> None:
    """Saved as Latin-1 by an editor: a mark for each letter that is no UTF-8."""
    (folder / "README.md").write_bytes("Für Blätter".encode("latin-1"))
    assert RunDirectory(folder).read_card() == "F\ufffdr Bl\ufffdtter"


NAMES = ("a\rb.png", "a\nb.png", "a\r\nb.png", 'a"b,c.png', "a\x85b.png", "a\u2028b.png", " =1+1 ")


@pytest.mark.parametrize("name", NAMES)
def test_names_survive_in_predictions_csv(
    name: str, pristine_run: Path, leaves: OrdinalDataset, tmp_path: Path
) -> None:
    """Line ends, quotes, commas in names of images and subjects; NA and 007 are names."""
    model = L2RCLIP.from_pretrained(pristine_run)
    image = Image.new("RGB", (8, 8))
    part = Split([name, "NA"], [0, 1], [image, image], subjects=[f"of {name}", "007"])

    write_predictions(RunDirectory(tmp_path), model, part, torch.full((2, 5), 0.2))

    table = RunDirectory(tmp_path).read_predictions(leaves.ranks)
    assert table["path"].tolist() == [name, "NA"]
    assert table["subject"].tolist() == [f"of {name}", "007"]
