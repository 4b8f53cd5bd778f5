"""A run directory of somebody else, cut off, edited or hostile: one sentence, and nothing outside is touched."""

import io
import json
import os
import re
import shutil
import stat
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from filelock import FileLock
from PIL import Image

from l2rclip_lite import cli
from l2rclip_lite.config import Config
from l2rclip_lite.data import OrdinalDataset
from l2rclip_lite.data.base import Split
from l2rclip_lite.errors import InputError
from l2rclip_lite.files import LOCK, sweep_leftovers, write_atomically, write_text
from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.results import write_predictions
from l2rclip_lite.run_directory import RunDirectory
from l2rclip_lite.run_schema import read_history, read_metrics, read_predictions
from l2rclip_lite.training.fit import fit

needs_posix = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes and links")


class Said(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str


def run(*words: str | Path) -> Said:
    """Drive the command line in this process."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = cli.main([str(word) for word in words])
    return Said(code, out.getvalue(), err.getvalue())


def refused(said: Said, *parts: str) -> None:
    """One sentence on stderr with these words, and exit code 2."""
    assert (said.code, said.err.count("\n")) == (2, 1), said.err
    assert all(part in said.err for part in parts), said.err


@pytest.fixture(scope="module")
def pristine(
    leaves: OrdinalDataset, small: Config, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A run with a baseline; tests copy it."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    config = replace(small, epochs1=2, image_side="kernel")
    source = {"name": "leaves", "size": 60, "pixels": 64}
    fit(leaves, config, folder, source=source, quiet=True)
    assert run("baselines", folder, "ridge").code == 0
    return folder


@pytest.fixture
def folder(pristine: Path, tmp_path: Path) -> Path:
    """A copy of the run."""
    return Path(shutil.copytree(pristine, tmp_path / "run"))


def edit(file: Path, change: Callable[[list[str]], list[str]]) -> None:
    """Change the lines of a file."""
    lines = file.read_text(encoding="utf-8").splitlines()
    file.write_text("\n".join(change(lines)) + "\n", encoding="utf-8")


# --- nothing outside the run ------------------------------------------------------------------------


@needs_posix
@pytest.mark.parametrize("linked", ["baselines", "baselines/ridge", "baselines/ridge/checkpoint"])
def test_baselines_touch_nothing_behind_a_link(folder: Path, tmp_path: Path, linked: str) -> None:
    """Checked before anything is deleted or written, wherever on the way the link is."""
    victim = tmp_path / "victim"
    names = ("checkpoint/stage3.safetensors", "model.safetensors", "ridge/model.safetensors")
    for name in names:
        (victim / name).parent.mkdir(parents=True, exist_ok=True)
        (victim / name).write_text("precious")

    (folder / "baselines" / "ridge" / "predictions.csv").unlink()  # it is to be trained
    shutil.rmtree(folder / linked, ignore_errors=True)
    (folder / linked).symlink_to(victim)

    refused(run("baselines", folder, "ridge"), f"{folder / linked}: is a link")
    assert all((victim / name).read_text() == "precious" for name in names)
    assert not (victim / "predictions.csv").exists()


@needs_posix
@pytest.mark.parametrize("name", ["config.json", ".l2r-lock", "model.safetensors", "README.md"])
def test_fit_does_not_write_through_a_link(
    folder: Path, tmp_path: Path, name: str, leaves: OrdinalDataset, small: Config
) -> None:
    """The lock, too: whoever takes it empties the file it names."""
    (tmp_path / "victim").write_text("precious")
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(tmp_path / "victim")
    with pytest.raises(InputError, match=f"{name}: is a link, which a run may not hold"):
        fit(leaves, replace(small, image_side="kernel"), folder, quiet=True)
    assert (tmp_path / "victim").read_text() == "precious"


@needs_posix
@pytest.mark.parametrize("kind", ["pipe", "link", "loop", "folder"])
@pytest.mark.parametrize("name", ["predictions.csv", "history.csv", "README.md", "config.json"])
def test_a_file_of_a_run_is_a_file(folder: Path, tmp_path: Path, name: str, kind: str) -> None:
    """A pipe would be waited for, for ever."""
    file = folder / name
    file.replace(tmp_path / "moved")
    make = {
        "pipe": os.mkfifo,
        "link": lambda path: path.symlink_to(tmp_path / "moved"),
        "loop": lambda path: path.symlink_to(path),
        "folder": Path.mkdir,
    }
    make[kind](file)
    kind = "link" if kind == "loop" else kind
    refused(run("report", folder, "--out", tmp_path / "page.html"), f"{name}: is a {kind}")
    assert not (tmp_path / "page.html").exists()


@needs_posix
def test_models_are_not_read_through_links(folder: Path, tmp_path: Path) -> None:
    """`predict` and `evaluate`, of the run and of a baseline; a method is a name, not a way."""
    (folder / "model.safetensors").replace(tmp_path / "model.safetensors")
    (folder / "model.safetensors").symlink_to(tmp_path / "model.safetensors")
    refused(run("predict", folder, "a.png"), "model.safetensors: is a link")
    (folder / "baselines" / "ridge").replace(tmp_path / "ridge")
    (folder / "baselines" / "ridge").symlink_to(tmp_path / "ridge")
    refused(run("evaluate", folder, "--method", "ridge"), "ridge: is a link")
    refused(run("predict", folder, "a.png", "--method", "../../ridge"), "is no baseline")


@needs_posix
@pytest.mark.parametrize("kind", ["device", "pipe", "folder", "link"])
def test_a_report_replaces_nothing_but_a_file(folder: Path, tmp_path: Path, kind: str) -> None:
    """As root, a rename would put a page in the place of /dev/full."""
    target = tmp_path / "page.html"
    match kind:
        case "device":
            try:  # /dev/full itself is not put at risk
                os.mknod(target, stat.S_IFCHR | 0o600, os.makedev(1, 7))
            except PermissionError:  # without the right to make one nobody can replace it either
                target = Path("/dev/full")
        case "pipe":
            os.mkfifo(target)
        case "folder":
            target.mkdir()
        case "link":
            target.symlink_to(tmp_path / "elsewhere")
    before = target.lstat()
    refused(run("report", folder, "--out", target), f"{target}: is a {kind}")
    assert target.lstat().st_ino == before.st_ino

    with pytest.raises(InputError, match=f"is a {kind}, which no file may replace"):
        write_text(target, "text")


# --- what a kill leaves behind ----------------------------------------------------------------------


def test_what_a_kill_leaves_is_swept_and_a_live_writer_is_not(tmp_path: Path) -> None:
    """Beside any file that is written; other names, links and files that are not ours stay."""
    hour_ago = time.time() - 3600
    dead, live, young = (tmp_path / f".l2r-{name}" for name in ("dead", "live", "young"))
    for folder in (dead, live, young, tmp_path / ".l2rather", tmp_path / "l2r-mine"):
        folder.mkdir()
        (folder / LOCK).touch()
        (folder / "half").write_text("half a file")
        if folder is not young:
            os.utime(folder, (hour_ago, hour_ago))
    (tmp_path / ".l2r-linked").symlink_to(tmp_path / "l2r-mine")

    with FileLock(live / LOCK):
        os.utime(live, (hour_ago, hour_ago))
        write_text(tmp_path / "export.onnx", "whole")
    left = {path.name for path in tmp_path.iterdir()}
    others = {".l2rather", "l2r-mine", ".l2r-linked"}
    assert left == others | {"export.onnx", ".l2r-live", ".l2r-young"}
    assert (tmp_path / "l2r-mine" / "half").exists()

    sweep_leftovers(tmp_path, young=0)
    assert {path.name for path in tmp_path.iterdir()} == others | {"export.onnx"}


def test_a_writer_holds_its_folder(tmp_path: Path) -> None:
    """While it writes, however long, somebody else's sweep leaves it alone."""

    def write(path: Path) -> None:
        path.write_text("whole")
        sweep_leftovers(tmp_path, young=0)

    write_atomically(tmp_path / "file", write)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


# --- what is read is validated ----------------------------------------------------------------------


def cell(row: int, column: str, value: str) -> Callable[[list[str]], list[str]]:
    """Put a value in a cell; row 1 is the header."""

    def change(lines: list[str]) -> list[str]:
        place = lines[0].split(",").index(column)
        cells = lines[row - 1].split(",")
        cells[place] = value
        return [*lines[: row - 1], ",".join(cells), *lines[row:]]

    return change


def renamed(old: str, new: str) -> Callable[[list[str]], list[str]]:
    """Rename a column."""
    return lambda lines: [lines[0].replace(old, new), *lines[1:]]


PREDICTIONS: dict[str, tuple[Callable[[list[str]], list[str]], str]] = {
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
    "an interval reversed": (cell(4, "high_rank", "-0"), "row 4: high_rank is '-0'"),
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
    with pytest.raises(InputError, match=f"^{re.escape(str(file))}.*{sentence}.*restore the file"):
        read_predictions(file, leaves.ranks)


def test_an_answer_that_is_not_the_most_probable_is_refused(
    folder: Path, leaves: OrdinalDataset
) -> None:
    """Probabilities in reverse under the right names."""
    file = folder / "predictions.csv"

    def reverse(lines: list[str]) -> list[str]:
        rows = [line.split(",") for line in lines[1:]]
        return [lines[0], *(",".join(row[:-5] + row[:-6:-1]) for row in rows)]

    edit(file, reverse)
    with pytest.raises(InputError, match=r"row \d+: .* is not (the most probable|that of its row)"):
        read_predictions(file, leaves.ranks)


HISTORY: dict[str, tuple[Callable[[list[str]], list[str]], str]] = {
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
        refused(run("evaluate", folder), "its record of --root is no path", "pass --root")


def test_a_model_card_in_another_encoding_is_shown(folder: Path) -> None:
    """Saved as Latin-1 by an editor: a mark for each letter that is no UTF-8."""
    (folder / "README.md").write_bytes("Für Blätter".encode("latin-1"))
    assert RunDirectory(folder).read_card() == "F\ufffdr Bl\ufffdtter"


NAMES = ("a\rb.png", "a\nb.png", "a\r\nb.png", 'a"b,c.png', "a\x85b.png", "a\u2028b.png", " =1+1 ")


@pytest.mark.parametrize("name", NAMES)
def test_names_survive_in_predictions_csv(
    name: str, pristine: Path, leaves: OrdinalDataset, tmp_path: Path
) -> None:
    """Line ends, quotes and commas in names of images and of whom they show; NA and 007 are names."""
    model = L2RCLIP.from_pretrained(pristine)
    image = Image.new("RGB", (8, 8))
    part = Split([name, "NA"], [0, 1], [image, image], subjects=[f"of {name}", "007"])
    write_predictions(RunDirectory(tmp_path), model, part, torch.full((2, 5), 0.2))
    table = RunDirectory(tmp_path).read_predictions(leaves.ranks)
    assert table["path"].tolist() == [name, "NA"]
    assert table["subject"].tolist() == [f"of {name}", "007"]


# --- images are known by their names ----------------------------------------------------------------


def test_the_order_of_rows_does_not_count(folder: Path) -> None:
    """Sorted by hand, one file backwards: the same scores and the same differences."""
    before = run("compare", folder).out
    assert re.search(r"^ridge ", before, flags=re.M)
    for file in folder.rglob("predictions.csv"):
        edit(file, lambda lines: [lines[0], *sorted(lines[1:])])
    edit(folder / "predictions.csv", lambda lines: [lines[0], *reversed(lines[1:])])
    after = run("compare", folder).out
    points = [re.sub(r"\[[^]]+\]", "", text).split() for text in (before, after)]
    assert points[0] == points[1]  # intervals are of other draws

    shutil.copy(folder / "predictions.csv", folder / "baselines" / "ridge")  # its own answers
    edit(folder / "predictions.csv", lambda lines: [lines[0], *sorted(lines[1:])])
    lines = run("compare", folder).out.splitlines()
    differences = [line for line in lines if line.startswith("ridge")][2:]
    assert [line.count("[0.000, 0.000]") for line in differences] == [3, 2]  # paired by name


def test_a_report_shows_the_images_of_its_rows(
    folder: Path, tmp_path: Path, leaves: OrdinalDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a table that was sorted by hand, each picture stands above its own row."""
    plots = pytest.importorskip("l2rclip_book.plots")
    shown, gallery = [], plots.gallery

    def record(split: Split, *rest: object) -> object:
        shown.append(split)
        return gallery(split, *rest)

    monkeypatch.setattr(plots, "gallery", record)
    edit(folder / "predictions.csv", lambda lines: [lines[0], *sorted(lines[1:], reverse=True)])
    assert run("report", folder, "--out", tmp_path / "page.html").code == 0

    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    table = page[page.index("<h2>Worst images") :]
    assert re.findall(r"<td>(leaves/[^<]*)</td>", table) == list(shown[0].paths)
    pixels = {path: leaves.test[k][0].tobytes() for k, path in enumerate(leaves.test.paths)}
    for index, path in enumerate(shown[0].paths):
        assert shown[0][index][0].tobytes() == pixels[path]


@pytest.mark.parametrize(
    ("file", "change", "sentence"),
    [
        (
            "baselines/ridge/predictions.csv",
            cell(3, "true_rank", "{other}"),
            "row 3: the true rank",
        ),
        ("baselines/ridge/predictions.csv", lambda lines: lines[:-1], "images are not those"),
        ("baselines/ridge/predictions.csv", cell(3, "path", "other.png"), "images are not those"),
        ("predictions.csv", lambda lines: lines[:-1], "9 rows, but the run has 10 test images"),
    ],
)
def test_other_images_or_labels_are_not_compared(
    folder: Path, file: str, change: Callable[[list[str]], list[str]], sentence: str
) -> None:
    """A difference is of the same images with the same true ranks."""
    true_rank = (folder / "predictions.csv").read_text().splitlines()[2].split(",")[1]
    other = "0" if true_rank != "0" else "1"
    edit(folder / file, lambda lines: [x.replace("{other}", other) for x in change(lines)])
    refused(run("compare", folder), file, sentence)


def test_a_baseline_of_other_data_is_refused(folder: Path) -> None:
    """Each records its data; one of an earlier release has no record, and is taken."""
    config = folder / "baselines" / "ridge" / "config.json"
    record = json.loads(config.read_text())
    assert record["dataset"] == json.loads((folder / "config.json").read_text())["dataset"]

    record["dataset"]["fingerprint"] = "0" * 64
    config.write_text(json.dumps(record))
    for command in ("compare", "baselines"):
        refused(run(command, folder), "ridge: was trained on other data", "train it again")
    refused(run("evaluate", folder, "--method", "ridge"), "ridge: was trained on other data")
    config.unlink()
    assert run("compare", folder).code == 0


def test_a_baseline_that_was_stopped_goes_on_with_its_own_data_only(folder: Path) -> None:
    """Without its last file it is trained again to the same bytes, but not after the record changed."""
    ridge = folder / "baselines" / "ridge"
    before = {path.name: path.read_bytes() for path in ridge.iterdir()}
    (ridge / "checkpoint").mkdir()  # killed after its last file: it is finished but for this
    assert run("baselines", folder, "ridge").code == 0
    assert {path.name: path.read_bytes() for path in ridge.iterdir()} == before

    for name in ("predictions.csv", "model.safetensors"):
        (ridge / name).unlink()
    assert run("baselines", folder, "ridge").code == 0
    assert {path.name: path.read_bytes() for path in ridge.iterdir()} == before

    (ridge / "predictions.csv").unlink()
    record = json.loads((ridge / "config.json").read_text())
    record["dataset"]["fingerprint"] = "0" * 64
    (ridge / "config.json").write_text(json.dumps(record))
    refused(run("baselines", folder, "ridge"), "ridge: was trained on other data")


def test_a_folder_that_is_no_baseline_never_stands_for_the_run(folder: Path) -> None:
    """Called as the run's own row, or anything else: it is named and left out."""
    before = run("compare", folder).out
    shutil.copytree(folder / "baselines" / "ridge", folder / "baselines" / "L2RCLIP")
    (folder / "baselines" / ".DS_Store").touch()
    said = run("compare", folder)
    assert (said.code, said.out) == (0, before)
    assert re.fullmatch(
        r"warning: .*/baselines/L2RCLIP is no baseline and is left out; .*\n", said.err
    )
