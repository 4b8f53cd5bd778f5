"""`l2rclip predict`: the answers of the run, and names and links that somebody else chose."""

import csv
import io
import shutil
from pathlib import Path

import pytest
from drawn import CSV_RANKS
from drawn_run import DrawnRun
from PIL import Image
from run_files import json_lines, read_rows, refused, run

from l2rclip_lite import L2RCLIP, Config, Ranks
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


def paint(path: Path) -> None:
    """Write a small PNG."""
    Image.new("RGB", (8, 8)).save(path)


# --- the answers --------------------------------------------------------------------------------


def test_predict_repeats_predictions_csv(drawn_run: DrawnRun) -> None:
    """The answers of `fit` about the test images, as JSON and as CSV."""
    rows = read_rows(drawn_run.out / "predictions.csv")
    images = [drawn_run.root / row["path"] for row in rows]

    answers = json_lines(run("predict", drawn_run.out, *images).out)
    printed = run("predict", drawn_run.out, *images, "--csv").out
    table = list(csv.DictReader(io.StringIO(printed)))

    assert [answer["path"] for answer in answers] == [str(image) for image in images]
    for row, answer, line in zip(rows, answers, table, strict=True):
        assert answer["rank"] == int(row["predicted_rank"])
        assert answer["name"] == CSV_RANKS[answer["rank"]] == line["name"]
        # the value of a name is its place
        for name in ("median", "low", "high"):
            assert answer[name] == int(row[f"{name}_rank"])
        assert answer["expected"] == pytest.approx(float(row["expected"]), abs=1e-5)

        written = [float(row[f"p_{k}"]) for k in range(3)]
        assert answer["probabilities"] == pytest.approx(written, abs=1e-5)
        assert answer["probabilities"] == [float(line[f"p_{k}"]) for k in range(3)]


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
    assert f"{tmp_path / 'a_torn.png'} cannot be used" in torn
    assert f"{tmp_path / 'gone.png'} cannot be used (No such file" in gone
    (tmp_path / "empty").mkdir()
    refused(run("predict", drawn_run.out, tmp_path / "empty"), "predict: no image; name images")


# --- hostile names and links --------------------------------------------------------------------


def test_no_cell_of_csv_begins_a_formula(model: Path, here: Path) -> None:
    """Such a path gets ./ in front and still names its file; such a rank gets an apostrophe."""
    names = ["=1+1.png", "@SUM(1).png", "+a.png", "-b.png", "\tc.png", "plain=.png", "x\r=1.png"]
    for name in names:
        paint(here / name)

    outcome = run("predict", model, ".", "--csv")

    rows = list(csv.DictReader(io.StringIO(outcome.out)))
    assert outcome.code == 0
    assert {row["path"] for row in rows} == {
        *(f"./{name}" for name in names[:-2]),
        "plain=.png",
        "x =1.png",
    }
    assert {row["name"][:2] for row in rows} <= {"'=", "'@"}


def test_links_that_lead_out_of_a_folder_are_left_out_and_named(model: Path, here: Path) -> None:
    """A link to an image beside it is followed; in Python the folder is refused."""
    paint(here / "secret.png")
    paint(here / "photos" / "a.png")
    (here / "photos" / "inside.png").symlink_to("a.png")
    (here / "photos" / "out.png").symlink_to(here / "secret.png")
    (here / "photos" / "folder").symlink_to(here)
    (here / "album").symlink_to("photos")

    outcome = run("predict", model, "photos")

    answers = json_lines(outcome.out)
    subjects = [line.split()[1] for line in outcome.err.splitlines()]
    assert outcome.code == 2
    assert [answer["path"] for answer in answers] == ["photos/a.png", "photos/inside.png"]
    assert subjects == ["photos/folder", "photos/out.png"]
    with pytest.raises(InputError, match="photos/folder leads out of photos"):
        L2RCLIP.from_pretrained(model).predict("photos")

    by_link = json_lines(run("predict", model, "album").out)  # the user named it
    assert [answer["path"] for answer in by_link] == ["album/a.png", "album/inside.png"]
