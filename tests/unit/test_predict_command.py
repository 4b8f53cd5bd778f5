"""`l2rclip predict`: the answers of the run, and names and links that somebody else chose."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from drawn import CSV_RANKS
from drawn_run import DrawnRun
from PIL import Image
from run_files import json_lines, read_rows, refused, run

from l2rclip_lite import L2RCLIP, Config, Ranks, cli
from l2rclip_lite.errors import InputError


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of random weights, whose ranks are written as formulas."""
    folder = tmp_path_factory.mktemp("model")
    ranks = Ranks(("=1+1", "@SUM(1)"), (0, 1), template="grade {rank}")
    L2RCLIP.build(ranks, Config(towers="tiny/random", heads=2, hidden=32)).save_pretrained(folder)
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, empty but for a folder `photos`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    return tmp_path


def paint(path: Path | bytes) -> None:
    """Write a small PNG."""
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "PNG")
    with open(path, "wb") as file:
        file.write(stream.getvalue())


def pipe(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let standard input hold this content."""
    stream = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8")
    monkeypatch.setattr("sys.stdin", stream)


# --- the answers --------------------------------------------------------------------------------


def test_predict_repeats_predictions_csv(drawn_run: DrawnRun) -> None:
    """The answers of `fit` about the test images; the value of a name is its place."""
    rows = read_rows(drawn_run.out / "predictions.csv")
    images = [drawn_run.root / row["path"] for row in rows]

    answers = json_lines(run("predict", drawn_run.out, *images).out)

    assert [answer["path"] for answer in answers] == [str(image) for image in images]
    for row, answer in zip(rows, answers, strict=True):
        assert answer["rank"] == int(row["predicted_rank"])
        assert answer["name"] == CSV_RANKS[answer["rank"]]
        assert answer["median"] == int(row["median_rank"])
        assert answer["low"] == int(row["low_rank"])
        assert answer["high"] == int(row["high_rank"])
        assert answer["expected"] == pytest.approx(float(row["expected"]), abs=1e-5)

        written = [float(row[f"p_{k}"]) for k in range(3)]
        assert answer["probabilities"] == pytest.approx(written, abs=1e-5)


def test_csv_holds_the_same_answers_as_json(drawn_run: DrawnRun) -> None:
    """One row per image, and a column for each probability."""
    images = drawn_run.root / "images"
    answers = json_lines(run("predict", drawn_run.out, images).out)
    table = csv.DictReader(io.StringIO(run("predict", drawn_run.out, images, "--csv").out))

    expected = [answer["probabilities"][2] for answer in answers]
    assert [float(row["p_2"]) for row in table] == expected


def test_images_are_named_by_a_pattern_or_by_a_list(
    drawn_run: DrawnRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pattern that no shell has filled in, and `find … | l2rclip predict RUN -`."""
    images = sorted(str(image) for image in drawn_run.root.glob("images/2*.png"))

    by_pattern = run("predict", drawn_run.out, drawn_run.root / "images" / "2?.png").out
    pipe("\n".join(images).encode() + b"\n", monkeypatch)
    by_list = run("predict", drawn_run.out, "-").out

    assert [answer["path"] for answer in json_lines(by_pattern)] == images
    assert by_list == by_pattern


def test_a_pattern_may_name_a_folder(drawn_run: DrawnRun) -> None:
    """Then its images are read."""
    assert len(json_lines(run("predict", drawn_run.out, drawn_run.root / "imag*").out)) == 36


def test_an_empty_list_is_refused(drawn_run: DrawnRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a `find` that met nothing."""
    pipe(b"", monkeypatch)
    refused(run("predict", drawn_run.out, "-"), "predict: no image in -")


def test_a_bad_image_does_not_cost_the_good_ones(drawn_run: DrawnRun, tmp_path: Path) -> None:
    """Images of a folder in their order; a sentence for each bad one, exit code 2."""
    images = drawn_run.root / "images"
    (tmp_path / "a_torn.png").write_bytes((images / "00.png").read_bytes()[:200])
    shutil.copy(images / "00.png", tmp_path)
    shutil.copy(images / "31.png", tmp_path)
    (tmp_path / "notes.txt").write_text("no image")

    outcome = run("predict", drawn_run.out, tmp_path, tmp_path / "gone.png")

    answers = json_lines(outcome.out)
    torn, gone = outcome.err.splitlines()
    assert outcome.code == 2
    assert [Path(answer["path"]).name for answer in answers] == ["00.png", "31.png"]
    assert torn.startswith("error: ")
    assert f"{tmp_path / 'a_torn.png'} cannot be used" in torn
    assert f"{tmp_path / 'gone.png'} does not exist" in gone


def test_a_folder_goes_before_a_model_that_ships_under_its_name(
    drawn_run: DrawnRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Called `leaves`, it answers in its own ranks."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(drawn_run.out, "leaves")
    answer = json.loads(run("predict", "leaves", drawn_run.root / "images" / "00.png").out)
    assert answer["name"] in CSV_RANKS


def test_a_reader_that_has_enough_is_no_error(drawn_run: DrawnRun) -> None:
    """`l2rclip predict … | head -0`: nothing on stderr, the exit code of SIGPIPE."""
    words = ["predict", str(drawn_run.out), str(drawn_run.root / "images" / "00.png")]
    reader, writer = os.pipe()
    os.close(reader)
    err = io.StringIO()

    with os.fdopen(writer, "w") as closed, redirect_stdout(closed), redirect_stderr(err):
        code = cli.main(words)

    assert (code, err.getvalue()) == (141, "")


# --- hostile names ------------------------------------------------------------------------------


def test_no_cell_of_csv_begins_a_formula(model: Path, here: Path) -> None:
    """Such a path gets ./ in front and still names its file; such a rank gets an apostrophe."""
    names = ["=1+1.png", "@SUM(1).png", "+a.png", "-b.png", "\tc.png", "plain.png"]
    for name in names:
        paint(here / name)

    outcome = run("predict", model, ".", "--csv")

    rows = list(csv.DictReader(io.StringIO(outcome.out)))
    paths = {row["path"] for row in rows}
    assert outcome.code == 0
    assert paths == {f"./{name}" for name in names[:4]} | {"./\\tc.png", "plain.png"}
    assert {row["name"][:2] for row in rows} <= {"'=", "'@"}
    assert all(Path(path).is_file() for path in paths if "\\" not in path)


def test_names_that_steer_a_terminal_are_escaped_in_csv_and_on_stderr(
    model: Path, here: Path
) -> None:
    """One line each."""
    paint(here / "photos" / "a\x1b[2J\x7f\n.png")
    (here / "photos" / "torn\x1b[2J.png").write_text("no image")

    outcome = run("predict", model, "photos", "--csv")

    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "torn\\x1b[2J.png cannot be used" in outcome.err
    assert outcome.out.splitlines()[1].startswith("photos/a\\x1b[2J\\x7f\\n.png,")


def test_json_keeps_a_name_that_would_steer_a_terminal(model: Path, here: Path) -> None:
    """In the escapes of JSON, so that the terminal sees none of it."""
    name = "photos/a\x1b[2J\x7f\n.png"
    paint(here / name)

    outcome = run("predict", model, name)

    assert outcome.code == 0
    assert json.loads(outcome.out)["path"] == name
    assert outcome.out.isascii()
    assert "\x7f" not in outcome.out


def test_a_list_on_stdin_is_cut_at_line_feeds_alone(
    model: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes that are no UTF-8, U+0085 and U+2028 belong to a name; Windows' lists are read."""
    names = [b"caf\xe9.png", "a\x85b.png".encode(), "a\u2028b.png".encode(), b"end.png"]
    for name in names:
        paint(name)

    pipe(b"\n".join(names) + b"\r\n", monkeypatch)
    outcome = run("predict", model, "-")

    assert (outcome.code, outcome.err) == (0, "")
    assert [os.fsencode(answer["path"]) for answer in json_lines(outcome.out)] == names


def test_a_list_with_nul_characters_is_one_sentence(
    model: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as `find -print0` writes."""
    pipe(b"a.png\0b.png\0", monkeypatch)
    outcome = run("predict", model, "-")
    refused(outcome, "holds a NUL character; write one path a line")


def test_an_empty_word_is_not_the_current_folder(model: Path, here: Path) -> None:
    """What a shell makes of "$photo" where that is not set."""
    paint(here / "a.png")
    sentence = 'error: predict: "" names no image; write . for the current folder.\n'
    assert run("predict", model, "") == (2, "", sentence)


# --- links --------------------------------------------------------------------------------------


def test_links_that_lead_out_of_a_folder_are_left_out_and_named(model: Path, here: Path) -> None:
    """A link to an image beside it is followed; in Python the folder is refused."""
    paint(here / "secret.png")
    paint(here / "photos" / "a.png")
    (here / "photos" / "inside.png").symlink_to("a.png")
    (here / "photos" / "loop.png").symlink_to("loop.png")
    (here / "photos" / "out.png").symlink_to(here / "secret.png")
    (here / "photos" / "folder").symlink_to(here)

    outcome = run("predict", model, "photos")

    answers = json_lines(outcome.out)
    subjects = [line.split()[1] for line in outcome.err.splitlines()]
    assert outcome.code == 2
    assert [answer["path"] for answer in answers] == ["photos/a.png", "photos/inside.png"]
    assert subjects == ["photos/folder", "photos/out.png", "the"]
    with pytest.raises(InputError, match="photos/folder leads out of photos"):
        L2RCLIP.from_pretrained(model).predict("photos")


def test_a_folder_that_is_itself_a_link_is_read(model: Path, here: Path) -> None:
    """The user named it."""
    paint(here / "photos" / "a.png")
    (here / "album").symlink_to("photos")
    outcome = run("predict", model, "album")
    assert (outcome.code, json.loads(outcome.out)["path"]) == (0, "album/a.png")


# --- streams ------------------------------------------------------------------------------------


def test_closed_streams_are_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A service may start a command without standard input, or without standard output."""
    monkeypatch.setattr("sys.stdin", None)
    assert cli.main(["predict", "leaves", "-"]) == 2
    assert "standard input is closed" in capsys.readouterr().err

    monkeypatch.setattr("sys.stdout", None)
    assert cli.main(["--version"]) == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("words", ["data", "--version", "fit --help"])
def test_a_full_disk_behind_standard_output_is_one_sentence(words: str) -> None:
    """Answers that could not be written are not lost in silence."""
    command = f"{sys.executable} -m l2rclip_lite {words} > /dev/full"
    done = subprocess.run(command, shell=True, stderr=subprocess.PIPE, text=True)

    assert "standard output cannot be written (No space left on device)" in done.stderr
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
