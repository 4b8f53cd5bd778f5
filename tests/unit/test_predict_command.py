"""`l2rclip predict` on names and links that a stranger chose."""

import csv
import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from PIL import Image

from l2rclip_lite import L2RCLIP, Config, Ranks, cli
from l2rclip_lite.errors import InputError

Outcome = tuple[int, str, str]


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


def predict(*words: str | Path) -> Outcome:
    """Return exit code, stdout and stderr."""
    out, err = io.StringIO(newline=""), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = cli.main(["predict", *map(str, words)])
    return code, out.getvalue(), err.getvalue()


def test_no_cell_of_csv_begins_a_formula(model: Path, here: Path) -> None:
    """Such a path gets ./ in front, and so still names its file; such a name of a rank an apostrophe."""
    names = ["=1+1.png", "@SUM(1).png", "+a.png", "-b.png", "\tc.png", "plain.png"]
    for name in names:
        paint(here / name)
    code, out, _ = predict(model, ".", "--csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 0
    paths = {row["path"] for row in rows}
    assert paths == {f"./{name}" for name in names[:4]} | {"./\\tc.png", "plain.png"}
    assert {row["name"][:2] for row in rows} <= {"'=", "'@"}
    assert all(Path(row["path"]).is_file() for row in rows if "\\" not in row["path"])


def test_names_that_steer_a_terminal_are_escaped_and_json_keeps_them(
    model: Path, here: Path
) -> None:
    """In CSV and on stderr as escapes, one line each; JSON gives the name itself."""
    name = "a\x1b[2J\x7f\n.png"
    paint(here / "photos" / name)
    (here / "photos" / "torn\x1b[2J.png").write_text("no image")
    code, out, err = predict(model, "photos", "--csv")
    assert (code, err.count("\n")) == (2, 1)
    assert "torn\\x1b[2J.png cannot be used" in err
    assert out.splitlines()[1].startswith("photos/a\\x1b[2J\\x7f\\n.png,")
    code, out, _ = predict(model, f"photos/{name}")
    assert code == 0
    assert json.loads(out)["path"] == f"photos/{name}"
    assert out.isascii()
    assert "\x7f" not in out


def test_a_list_on_stdin_is_cut_at_line_feeds_alone(
    model: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes that are not UTF-8, U+0085 and U+2028 are parts of a name; a list from Windows is read, too."""
    names = [b"caf\xe9.png", "a\x85b.png".encode(), "a\u2028b.png".encode(), b"end.png"]
    for name in names:
        paint(name)
    text = b"\n".join(names) + b"\r\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text), encoding="utf-8"))
    code, out, err = predict(model, "-")
    assert (code, err) == (0, "")
    assert [os.fsencode(json.loads(line)["path"]) for line in out.splitlines()] == names


def test_a_list_with_nul_characters_is_one_sentence(
    model: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as `find -print0` writes."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a.png\0b.png\0")))
    code, out, err = predict(model, "-")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "holds a NUL character; write one path a line" in err


def test_an_empty_word_is_not_the_current_folder(model: Path, here: Path) -> None:
    """What a shell makes of "$photo" where that is not set."""
    paint(here / "a.png")
    sentence = 'error: predict: "" names no image; write . for the current folder.\n'
    assert predict(model, "") == (2, "", sentence)


def test_links_that_lead_out_of_a_folder_are_left_out_and_named(model: Path, here: Path) -> None:
    """A link to an image beside it is followed; in Python the folder is refused."""
    paint(here / "secret.png")
    paint(here / "photos" / "a.png")
    (here / "photos" / "inside.png").symlink_to("a.png")
    (here / "photos" / "loop.png").symlink_to("loop.png")
    (here / "photos" / "out.png").symlink_to(here / "secret.png")
    (here / "photos" / "folder").symlink_to(here)
    code, out, err = predict(model, "photos")
    assert code == 2
    paths = [json.loads(line)["path"] for line in out.splitlines()]
    assert paths == ["photos/a.png", "photos/inside.png"]
    assert [line.split()[1] for line in err.splitlines()] == [
        "photos/folder",
        "photos/out.png",
        "the",
    ]
    with pytest.raises(InputError, match="photos/folder leads out of photos"):
        L2RCLIP.from_pretrained(model).predict("photos")


def test_a_folder_that_is_itself_a_link_is_read(model: Path, here: Path) -> None:
    """The user named it."""
    paint(here / "photos" / "a.png")
    (here / "album").symlink_to("photos")
    code, out, _ = predict(model, "album")
    assert (code, json.loads(out)["path"]) == (0, "album/a.png")


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
def test_a_full_disk_behind_standard_output_is_one_sentence() -> None:
    """Answers that could not be written are not lost in silence."""
    done = subprocess.run(
        f"{sys.executable} -m l2rclip_lite data > /dev/full",
        shell=True,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert "standard output cannot be written (No space left on device)" in done.stderr
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
