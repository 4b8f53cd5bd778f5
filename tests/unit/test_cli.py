"""The command line as a user meets it: exit codes, sentences, answers that agree with the run's own files."""

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from base64 import b64decode
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import fields
from html import escape
from pathlib import Path
from typing import NamedTuple

import pytest
from drawn import CSV_RANKS, make_fixture
from PIL import Image
from run_files import Said, run

import l2rclip_lite
from l2rclip_lite import cli
from l2rclip_lite.config import Config
from l2rclip_lite.data.benchmarks import DATA_SETS
from l2rclip_lite.training import fit as training

TINY = (
    "--towers",
    "tiny/random",
    "--epochs1",
    "1",
    "--epochs2",
    "1",
    "--hidden",
    "32",
    "--batch_size",
    "4",
)
FIT = "fit --dataset leaves --out x"


def fit_words(root: Path, out: Path) -> tuple[str | Path, ...]:
    """The command for the drawn discs, as the help spells it."""
    ranks = ("--ranks", ",".join(CSV_RANKS), "--template", "a photo of a {rank} banana")
    return (
        "fit",
        "--dataset",
        "csv",
        "--root",
        root,
        "--labels",
        "labels.csv",
        *ranks,
        *TINY,
        "--out",
        out,
    )


class Fitted(NamedTuple):
    """A finished run, its images, and what `fit` printed."""

    out: Path
    root: Path
    said: Said


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    """One fit for all tests of this file."""
    folder = tmp_path_factory.mktemp("cli")
    root, out = make_fixture("csv", folder / "photos"), folder / "run"
    said = run(*fit_words(root, out))
    assert said.code == 0, said.err
    return Fitted(out, root, said)


def refused(said: Said, sentence: str) -> None:
    """Exit code 2 and one sentence on stderr that holds these words."""
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1  # so no traceback either
    assert sentence in said.err


def test_fit_tells_what_it_read_what_trains_and_how_well_it_did(fitted: Fitted) -> None:
    """36 images, 12 per rank: 70/15/15 leaves 8 + 2 + 2 of each. The record has what `evaluate` needs, absolute."""
    lines = fitted.said.out.splitlines()
    assert "labels.csv" in lines[0]
    assert "train     24 images; per rank: 8, 8, 8" in lines
    assert any(line.split() == ["towers.logit_scale", "1", "frozen", "frozen"] for line in lines)
    assert {"L2RCLIP", "after stage 1", "median rank"} <= {line.split("  ")[0] for line in lines}
    assert lines[-2].startswith("calibrated on 6 validation images: temperature ")
    assert lines[-1].endswith(f"; the run is in {fitted.out}")
    stored = json.loads((fitted.out / "config.json").read_text())
    assert stored["config"]["batch_size"] == 4
    source = {
        "name": "csv",
        "root": str(fitted.root),
        "labels": "labels.csv",
        "ranks": "fresh,ripe,overripe",
    }
    assert stored["dataset"]["source"] == source | {"template": "a photo of a {rank} banana"}


def test_the_same_command_again_prints_the_same_line_and_nothing_else_when_quiet(
    fitted: Fitted,
) -> None:
    """A finished run is loaded, not trained; another setting is refused, and named."""
    before = (fitted.out / "model.safetensors").stat().st_mtime_ns
    said = run(*fit_words(fitted.root, fitted.out), "--quiet")
    assert said == (0, fitted.said.out.splitlines()[-1] + "\n", "")
    assert (fitted.out / "model.safetensors").stat().st_mtime_ns == before
    refused(run(*fit_words(fitted.root, fitted.out), "--seed", "3", "--quiet"), "another seed")


def test_predict_repeats_predictions_csv(fitted: Fitted) -> None:
    """What `fit` wrote about the test images is what `predict` says about the same files, as JSON and as CSV."""
    with (fitted.out / "predictions.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    paths = [fitted.root / row["path"] for row in rows]
    answers = [json.loads(line) for line in run("predict", fitted.out, *paths).out.splitlines()]
    assert [answer["path"] for answer in answers] == [str(path) for path in paths]
    for row, answer in zip(rows, answers, strict=True):
        for name in ("median", "low", "high"):
            assert answer[name] == int(row[f"{name}_rank"])  # the value of a name is its place
        assert answer["rank"] == int(row["predicted_rank"])
        assert answer["name"] == CSV_RANKS[answer["rank"]]
        assert answer["expected"] == pytest.approx(float(row["expected"]), abs=1e-5)
        assert answer["probabilities"] == pytest.approx(
            [float(row[f"p_{k}"]) for k in range(3)], abs=1e-5
        )
    table = list(csv.DictReader(io.StringIO(run("predict", fitted.out, *paths, "--csv").out)))
    assert [float(row["p_2"]) for row in table] == [
        answer["probabilities"][2] for answer in answers
    ]


def test_numbers_are_told_in_their_unit(fitted: Fitted, tmp_path: Path) -> None:
    """Weeks 12, 20 and 40: the answer is in weeks, and the head says what it was told of them."""
    table = (fitted.root / "labels.csv").read_text()
    for name, week in zip(CSV_RANKS, ("12", "20", "40"), strict=True):
        table = re.sub(rf"\b{name}\b", week, table)
    (tmp_path / "weeks.csv").write_text(table)
    words = ("--root", fitted.root, "--labels", tmp_path / "weeks.csv", "--unit", "weeks", *TINY)
    said = run(
        "fit", "--dataset", "csv", *words, "--image-side", "kernel", "--out", tmp_path / "run"
    )
    assert re.search(r"^test; unit of MAE: weeks$", said.out, flags=re.M), said.err
    assert re.search(
        r"^validation chose: the head trusts sentences [\d.]+, numbers [\d.]+$",
        said.out,
        flags=re.M,
    )
    answer = json.loads(run("predict", tmp_path / "run", fitted.root / "images" / "00.png").out)
    assert {answer["median"], answer["low"], answer["high"]} <= {12, 20, 40}
    assert 12 <= answer["low"] <= answer["expected"] <= answer["high"] <= 40


def test_images_by_pattern_and_by_a_list(fitted: Fitted, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pattern that no shell has filled in, and `find … | l2rclip predict RUN -`; nothing there is refused."""
    files = sorted(map(str, fitted.root.glob("images/2*.png")))
    answers = run("predict", fitted.out, fitted.root / "images" / "2?.png").out.splitlines()
    assert [json.loads(line)["path"] for line in answers] == files
    listed = io.BytesIO("\n".join(files).encode() + b"\n")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(listed))
    assert run("predict", fitted.out, "-").out.splitlines() == answers
    assert len(run("predict", fitted.out, fitted.root / "imag*").out.splitlines()) == 36  # a folder
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO()))
    refused(run("predict", fitted.out, "-"), "predict: no image there")


def test_a_bad_image_does_not_cost_the_good_ones(fitted: Fitted, tmp_path: Path) -> None:
    """Images of a folder in their order; a sentence for each bad one, exit code 2."""
    (tmp_path / "a_torn.png").write_bytes((fitted.root / "images" / "00.png").read_bytes()[:200])
    for name in ("00.png", "31.png"):
        shutil.copy(fitted.root / "images" / name, tmp_path)
    (tmp_path / "notes.txt").write_text("no image")
    said = run("predict", fitted.out, tmp_path, tmp_path / "gone.png")
    assert [json.loads(line)["path"][-6:] for line in said.out.splitlines()] == ["00.png", "31.png"]
    assert said.code == 2
    first, second = said.err.splitlines()
    assert first.startswith("error: ")
    assert f"{tmp_path / 'a_torn.png'} cannot be used" in first
    assert f"{tmp_path / 'gone.png'} does not exist" in second


def test_evaluate_repeats_metrics_json(fitted: Fitted) -> None:
    """The test metrics with their intervals; and the table shows the same figures."""
    stored = json.loads((fitted.out / "metrics.json").read_text())
    where = ("--root", fitted.root)
    found = json.loads(run("evaluate", fitted.out, "--json", *where).out)
    assert found["metrics"] == pytest.approx(stored["test"], abs=1e-5, nan_ok=True)
    val = stored["val"]
    table = run("evaluate", fitted.out, "--split", "val", *where).out.splitlines()
    assert f"{'mae':<24}{val['mae']:.3f} [{val['mae_low']:.3f}, {val['mae_high']:.3f}]" in table


def test_evaluate_scores_a_new_table(fitted: Fitted) -> None:
    """All its rows; of the run's own table the test part; a label that the model does not know is refused by row."""
    where, own = (
        ("evaluate", fitted.out, "--root", fitted.root, "--labels"),
        fitted.root / "labels.csv",
    )
    assert json.loads(run(*where, "labels.csv", "--json").out)["metrics"]["n"] == 6
    text, rows = own.read_text(), own.read_text().splitlines()
    own.write_text("\n".join(rows[:-1]))  # it would show images of training
    refused(
        run(*where, "labels.csv"), "other files, labels, splits or ranks now; pass the old --root"
    )
    own.write_text(text)
    (fitted.root / "new.csv").write_text("\n".join(rows[:-1]))
    found = json.loads(run(*where, "new.csv", "--json").out)["metrics"]
    graded = run("predict", fitted.out, fitted.root / "images").out.splitlines()[:-1]
    right = [json.loads(line)["rank"] == row % 3 for row, line in enumerate(graded)]
    assert (found["n"], found["accuracy"]) == (35, pytest.approx(sum(right) / 35))
    (fitted.root / "new.csv").write_text("path,label\nimages/00.png,fresh\nimages/01.png,rotten\n")
    refused(run(*where, "new.csv"), "new.csv row 3: the label 'rotten' is no rank")
    (fitted.root / "new.csv").write_text("path;label\nimages/00.png;0\nimages/01.png;1\n")
    refused(run(*where, "new.csv"), "row 2 (the first of 2): the label '0' is no name")
    counted = run(*where, "new.csv", "--labels-are", "index", "--json")
    assert json.loads(counted.out)["metrics"]["n"] == 2


@pytest.mark.parametrize("key", ["root", "labels", "lists"])
def test_the_record_of_a_stranger_is_not_followed(key: str, fitted: Fitted, tmp_path: Path) -> None:
    """A run directory from elsewhere may name any file; one that leads out of this folder must be named by the user."""
    secret = tmp_path / "secret.csv"
    secret.write_text("password,hunter2\n")
    shutil.copytree(fitted.out, tmp_path / "run")
    stored = json.loads((tmp_path / "run" / "config.json").read_text())
    for place in (str(secret), "../secret.csv"):
        stored["dataset"]["source"] = {"name": "csv", "root": ".", "ranks": "a,b"} | {key: place}
        (tmp_path / "run" / "config.json").write_text(json.dumps(stored))
        said = run("evaluate", tmp_path / "run")
        refused(
            said, f"lie outside the current folder; if you trust its record, add --{key} {place}"
        )
        assert "hunter2" not in said.err


def test_evaluate_finds_data_that_moved_and_refuses_data_that_changed(
    fitted: Fitted, tmp_path: Path
) -> None:
    """One label corrected after the fit: its figures would be of another data set. A run of Python may have no source."""
    moved = tmp_path / "moved"
    shutil.copytree(fitted.root, moved)
    assert run("evaluate", fitted.out, "--root", moved, "--json").code == 0
    labels = moved / "labels.csv"
    labels.write_text(labels.read_text().replace("00.png,fresh", "00.png,ripe"))
    refused(
        run("evaluate", fitted.out, "--root", moved), "other files, labels, splits or ranks now"
    )
    refused(
        run("evaluate", fitted.out, "--root", tmp_path / "nowhere"), "pass --root if it has moved"
    )
    shutil.copytree(fitted.out, tmp_path / "run")
    stored = json.loads((tmp_path / "run" / "config.json").read_text())
    stored["dataset"]["source"] = None
    (tmp_path / "run" / "config.json").write_text(json.dumps(stored))
    refused(run("evaluate", tmp_path / "run"), "fit it by `l2rclip fit`")


def test_a_report_is_one_page_that_asks_nobody_and_runs_nothing(
    fitted: Fitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four figures in the page itself, the last of the worst images; what a stranger wrote stays text.

    Where the images are not followed, or are no longer those of the run, a sentence says so.
    """
    away, file, evil = tmp_path / "a & b", tmp_path / "page.html", "<img src=x onerror=alert(1)>"
    shutil.copytree(fitted.out, away)
    head = "---\nlibrary_name: hub\n---\n"
    (away / "README.md").write_text(f"{head}</pre><script>alert(1)</script>", encoding="utf-8")
    shutil.copytree(fitted.out, away / "baselines" / "ridge")
    words = ("report", away, "--out", file, "--root", fitted.root)
    assert run(*words) == (0, f"{file}: open it in a browser\n", "")
    text = file.read_text(encoding="utf-8")
    images = re.findall(r'<img alt="" src="data:image/png;base64,([^"]+)">', text)
    assert text.count("<img") == len(images) == 4
    assert all(Image.open(io.BytesIO(b64decode(image))).width > 300 for image in images)
    assert not re.search(r"<script|<a |<link|https?:|url\(|</pre>.*</pre>", text)
    assert all(f">{word}</" in text for word in ("ridge", "after stage 1", "a &amp; b"))
    less = text[text.index("Difference from L2RCLIP") : text.index("<h2>Training")]
    assert less.count("0.000 <small>[0.000, 0.000]</small>") == 5  # its answers, another name
    assert len(re.findall(r'<div class="scroll" tabindex="0"><table', text)) == 3  # on a phone
    assert text.count("<table") == 3
    assert "library_name" not in text
    assert re.search(r"test images they hold \d of 6, and \d\.\d of the 3 ranks on average", text)

    assert "the page shows no image" in run(*words[:2]).err
    text = (away / "report.html").read_text(encoding="utf-8")
    assert (text.count("<img"), "add --root" in text) == (3, True)

    for predictions in away.rglob("predictions.csv"):
        answers = predictions.read_text(encoding="utf-8")
        predictions.write_text(re.sub(r"^images/", evil, answers, flags=re.M), encoding="utf-8")
    assert "is no test image of the data" in run(*words).err
    text = file.read_text(encoding="utf-8")
    assert not re.search(r"<script|<a |<link|https?:|url\(|</pre>.*</pre>", text)
    assert (text.count("<img"), text.count(escape(evil)) >= 6) == (3, True)
    monkeypatch.setattr("l2rclip_lite.commands.report.find_spec", lambda name: None)
    refused(run(*words), "seaborn is not installed")


def test_a_report_is_written_by_whom_an_entry_point_names(
    fitted: Fitted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package imports nothing of the book; without an entry point a sentence says what to do."""
    for file in Path(l2rclip_lite.__file__).parent.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"^\s*(from|import) l2rclip_book", text, flags=re.M), file

    monkeypatch.setattr("l2rclip_lite.commands.report.entry_points", lambda group: ())
    refused(run("report", fitted.out), "report: nothing that is installed writes one")


def test_what_may_be_left_out_and_where_a_table_may_lie(
    fitted: Fitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No name is two quick baselines; a table is looked for under the root, then here; a run asks for all at once."""
    monkeypatch.chdir(tmp_path)
    for name in (
        "run",
        "leaves",
    ):  # the second one goes before the model that ships with the package
        shutil.copytree(fitted.out, name)
    assert (
        json.loads(run("predict", "leaves", fitted.root / "images/00.png").out)["name"] in CSV_RANKS
    )
    assert run("baselines", "run", "--root", fitted.root).code == 0
    assert {path.name for path in Path("run/baselines").iterdir()} == {"ridge", "linear-probe"}
    table = run("compare", "run").out
    again = run("baselines", "run", "cross-entropy-frozen", "--root", fitted.root)  # its other name
    assert (again.code, again.out) == (0, table)
    words = ("predict", "run", fitted.root / "images/00.png", "--method")
    assert run(*words, "cross-entropy-frozen").out == run(*words, "linear-probe").out != ""
    shutil.copy(fitted.root / "labels.csv", "mine.csv")
    where = ("--root", fitted.root, "--labels", "mine.csv", "--ranks", ",".join(CSV_RANKS))
    assert "36 images of mine.csv" in run("data", "csv", *where).out
    stored = json.loads(Path("run/config.json").read_text())
    stored["dataset"]["source"]["labels"] = str(fitted.root / "labels.csv")
    Path("run/config.json").write_text(json.dumps(stored))
    refused(
        run("evaluate", "run"), f"add --root {fitted.root} --labels {fitted.root / 'labels.csv'}"
    )
    monkeypatch.chdir(fitted.root.parent)  # below the current folder an absolute record is followed
    assert run("evaluate", tmp_path / "run", "--json").code == 0


def test_baselines_are_kept_as_models(
    fitted: Fitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They predict what they answered, and are not trained again; the table has each one's score and difference.

    An unknown one is refused before anything is trained. On the same images the difference is paired: of L2RCLIP's
    own answers under another name it is 0, without an interval.
    """
    said = run("baselines", fitted.out, "ridge", "corn", "--root", fitted.root)
    assert said.code == 0, said.err
    assert "corn, to be kept in" in said.err
    with (fitted.out / "baselines" / "corn" / "predictions.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    paths = [fitted.root / row["path"] for row in rows]
    answers = run("predict", fitted.out, *paths, "--method", "corn").out.splitlines()
    for row, answer in zip(rows, map(json.loads, answers), strict=True):
        assert answer["probabilities"] == pytest.approx(
            [float(row[f"p_{k}"]) for k in range(3)], abs=1e-5
        )
    where = ("--root", fitted.root, "--method", "corn", "--json")
    accuracy = sum(row["predicted_rank"] == row["true_rank"] for row in rows) / len(rows)
    assert json.loads(run("evaluate", fitted.out, *where).out)["metrics"][
        "accuracy"
    ] == pytest.approx(accuracy)
    monkeypatch.setattr("l2rclip_lite.baselines.train_baseline", None)
    assert run("baselines", fitted.out, "corn", "ridge").out == said.out
    shutil.copytree(fitted.out, tmp_path / "run")
    shutil.copy(fitted.out / "predictions.csv", tmp_path / "run" / "baselines" / "ridge")
    table = run("compare", tmp_path / "run").out.splitlines()
    assert [line.split()[0] for line in table[2:5]] == ["L2RCLIP", "corn", "ridge"]
    names = [
        name for line in (table[1], table[6]) for name in re.findall(r"\w+(?: \(median\))?", line)
    ]
    assert names == ["RPS", "MAE (median)", "accuracy", "QWK", "ECE"]
    same = [line.split() for line in table[11:] if line.startswith("ridge")]
    assert [cells.count("[0.000,") for cells in same] == [3, 2]  # in the lower half
    assert max(map(len, table)) <= 100
    refused(run("baselines", fitted.out, "svm"), "svm")
    refused(
        run("predict", fitted.out, "a.png", "--method", "sord"), "train it by `l2rclip baselines"
    )


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (f"{FIT} --fold 2", "leaves: fold"),
        (f"{FIT} --ranks a,b", "ranks"),
        (f"{FIT} --alpha 2", "config: alpha=2.0 should be less than or equal to 1"),
        (
            f"{FIT} --context-length 0 --controls.no-rankformer",
            "stage 1 trains nothing; set epochs1=0",
        ),
        (
            "fit --dataset leafs --out x",
            "there is no data set 'leafs'; choose one of leaves, bracol, ",
        ),
        ("predict runs/none a.png", "runs/none: no model.safetensors here"),
        ("export runs/none model.pt", "export: model.pt must end in .onnx"),
        ("data morf", "there is no data set 'morf'; choose one of leaves, bracol, "),
        ("data hci --leakage --download x", "at most one of --leakage, --check, --download"),
        ("data --leakage", "data: name a data set"),
        ("data leaves --download x", "nothing to download"),
        ("data hci --protocol x --leakage", "protocol"),
    ],
)
def test_what_the_user_can_mend_is_one_sentence(
    line: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 2, nothing on stdout, no traceback, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    refused(run(*line.split()), sentence)
    assert list(tmp_path.iterdir()) == []


def test_debug_adds_the_traceback() -> None:
    """The sentence stays the last line."""
    said = run("evaluate", "runs/none", "--debug")
    assert said.code == 2
    assert said.err.startswith("Traceback")
    assert said.err.splitlines()[-1].startswith("error: runs/none: no model")


def test_ctrl_c_says_how_to_go_on(fitted: Fitted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 130, as shells have it."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "fit", interrupted)
    said = run(*fit_words(fitted.root, fitted.out), "--quiet")
    assert (said.code, said.out) == (130, "")
    assert (
        said.err == "interrupted; a fit keeps its complete epochs: give the same command again.\n"
    )


def test_help_teaches_and_does_not_wait_for_torch() -> None:
    """Examples in each command; under `fit` every setting of Config with hyphens and its docstring."""
    for command in cli.COMMANDS:
        said = run(command.__name__, "--help")
        assert said.code == 0
        assert f"Try:\n  l2rclip {command.__name__}" in said.out
    text = run("fit", "--help").out
    assert all(f"--{field.name.replace('_', '-')}" in text for field in fields(Config))
    assert "Images per step" in text
    assert "l2rclip fit --dataset leaves" not in run("--help").out, "one line for each command"
    code = "import sys, l2rclip_lite.cli as c; c.main(['fit', '--help']); sys.exit('torch' in sys.modules)"
    root = Path(l2rclip_lite.__file__).parents[1]
    subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, check=True)


def test_the_data_sets_describe_themselves(fitted: Fitted, tmp_path: Path) -> None:
    """Twelve in the list; a card; counts that are the loader's; leakage of every fold."""
    assert [line.split()[0] for line in run("data").out.splitlines()][-12:] == [*DATA_SETS]
    card = run("data", "morph").out
    assert "never use them" in " ".join(card.lower().split())
    assert "--protocol rs-partial --fold 0 to 4" in " ".join(card.split())
    assert all(len(line) <= 100 for line in card.splitlines())
    assert run("data", "leaves", "--size", "60").out.splitlines()[-1].split() == [
        "all",
        "40",
        "10",
        "10",
    ]
    hci = ("hci", "--lists", make_fixture("hci", tmp_path / "hci") / "datalists")
    own = ("csv", "--root", fitted.root, "--ranks", ",".join(CSV_RANKS), "--folds", "3")
    for words, folds in (((*hci,), "0123456789"), ((*hci, "--fold", "3"), "3"), (own, "123")):
        report = run("data", *words, "--leakage").out.splitlines()
        assert report[1].split() == " ".join(f"fold {fold}" for fold in folds).split()


def test_check_lists_all_that_is_wrong_with_the_images_at_once(tmp_path: Path) -> None:
    """A copy on two sides is told; a cut file, a text, a bomb and a file that is not there are what `fit` refuses."""
    root = make_fixture("csv", tmp_path / "photos")
    header, *rows = (root / "labels.csv").read_text().splitlines()
    rows = [
        f"{row},{('train', 'train', 'train', 'val', 'test')[at % 5]}" for at, row in enumerate(rows)
    ]
    words = ("data", "csv", "--root", root, "--ranks", ",".join(CSV_RANKS), "--check")
    images = root / "images"
    shutil.copy(images / "11.png", images / "14.png")
    (root / "labels.csv").write_text("\n".join([f"{header},split", *rows]))
    said, copied = run(*words), "test images/14.png the same pixels as images/11.png in train"
    lines = [" ".join(line.split()) for line in said.out.splitlines()]
    read = ["36 images, 36 can be read", "size 64 x 64: 36", "mode RGB: 36", "split path fault"]
    assert (said.code, lines[-5:]) == (0, [*read, copied])
    assert f"fresh 7 3 2 {'█' * 30}" in lines
    (images / "00.png").write_bytes((images / "01.png").read_bytes()[:300])
    (images / "02.png").write_text("no image")
    Image.new("1", (9_900, 9_000)).save(images / "03.png")
    (root / "labels.csv").write_text("\n".join([f"{header},split", *rows, "gone.png,ripe,train"]))
    said = run(*words)
    found = [" ".join(line.split()) for line in said.out.splitlines()[-5:]]
    bad = [
        "train images/00.png image file is truncated",
        "train images/02.png cannot identify image file",
    ]
    bad += ["val images/03.png it has more than 89 megapixels", copied, "gone.png does not exist"]
    assert (said.code, found) == (2, bad)


def test_a_reader_that_has_enough_is_no_error(fitted: Fitted) -> None:
    """`l2rclip predict … | head -0`: nothing on stderr, the exit code of SIGPIPE."""
    reader, writer = os.pipe()
    os.close(reader)
    err = io.StringIO()
    with os.fdopen(writer, "w") as closed, redirect_stdout(closed), redirect_stderr(err):
        assert cli.main(["predict", str(fitted.out), str(fitted.root / "images" / "00.png")]) == 141
    assert err.getvalue() == ""


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*DATA_SETS} - {"retinamnist", "csv"}))
def test_fit_on_a_fixture_of_each_data_set(name: str, tmp_path: Path) -> None:
    """From drawn images in the true layout, or painted leaves, to a graded test part; `csv` is the run of this file."""
    out, small = tmp_path / "run", ("--size", "60", "--pixels", "64")
    given = small if name == "leaves" else ("--root", str(make_fixture(name, tmp_path / name)))
    said = run("fit", "--dataset", name, *given, *TINY[:-1], "32", "--out", out, "--quiet")
    assert (said.code, said.err) == (0, "")
    assert json.loads((out / "metrics.json").read_text())["test"]["n"] >= 6
