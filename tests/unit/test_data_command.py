"""`l2rclip data`: list, cards, counts, leakage, and a check of every image."""

import shutil
from pathlib import Path

import pytest
from drawn import make_fixture
from drawn_run import RANKS, DrawnRun
from PIL import Image
from run_files import Outcome, run

from l2rclip_lite.data.benchmarks import DATA_SETS

CUT = "train images/00.png image file is truncated"
NO_IMAGE = "train images/02.png cannot identify image file"
TOO_LARGE = "val images/03.png it has more than 89 megapixels"
COPIED = "test images/14.png the same pixels as images/11.png in train"


def words_of(text: str) -> str:
    """Return a text with single spaces, whatever its columns and line ends."""
    return " ".join(text.split())


def words_of_lines(outcome: Outcome) -> list[str]:
    """Return the lines that a command printed, with single spaces."""
    return [words_of(line) for line in outcome.out.splitlines()]


def test_the_list_names_every_data_set() -> None:
    """Twelve, in the order of their table."""
    lines = run("data").out.splitlines()
    assert [line.split()[0] for line in lines[-len(DATA_SETS) :]] == [*DATA_SETS]


def test_a_card_fits_the_terminal_and_tells_the_options() -> None:
    """Of MORPH: what it must not be used for, and its protocols."""
    card = run("data", "morph").out
    assert "never use them" in words_of(card.lower())
    assert "--protocol rs-partial --fold 0 to 4" in words_of(card)
    assert max(len(line) for line in card.splitlines()) <= 100


def test_counts_are_those_of_the_loader() -> None:
    """Of sixty leaves 40 train, 10 validate and 10 test."""
    assert words_of_lines(run("data", "leaves", "--size", "60"))[-1] == "all 40 10 10"


def test_a_table_is_looked_for_under_the_root_and_then_here(
    drawn_run: DrawnRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of one's own beside images that belong to somebody else."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(drawn_run.root / "labels.csv", "mine.csv")
    words = ("csv", "--root", drawn_run.root, "--labels", "mine.csv", "--ranks", RANKS)
    assert "36 images of mine.csv" in run("data", *words).out


@pytest.mark.parametrize(
    ("fold", "folds"), [((), "0123456789"), (("--fold", "3"), "3")], ids=["all", "one"]
)
def test_leakage_is_counted_for_every_fold(
    fold: tuple[str, ...], folds: str, tmp_path: Path
) -> None:
    """HCI has ten; one can be asked for."""
    lists = make_fixture("hci", tmp_path / "hci") / "datalists"
    lines = words_of_lines(run("data", "hci", "--lists", lists, *fold, "--leakage"))
    assert lines[1] == " ".join(f"fold {number}" for number in folds)


def test_leakage_is_counted_for_folds_that_are_drawn(drawn_run: DrawnRun) -> None:
    """Three of one's own table."""
    words = ("csv", "--root", drawn_run.root, "--ranks", RANKS, "--folds", "3")
    assert words_of_lines(run("data", *words, "--leakage"))[1] == "fold 1 fold 2 fold 3"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Drawn discs with a column of splits, where an image of training is also one of the test."""
    root = make_fixture("csv", tmp_path / "photos")
    shutil.copy(root / "images" / "11.png", root / "images" / "14.png")

    header, *rows = (root / "labels.csv").read_text().splitlines()
    splits = ("train", "train", "train", "val", "test")
    lines = [f"{header},split"]
    for number, row in enumerate(rows):
        lines.append(f"{row},{splits[number % 5]}")
    (root / "labels.csv").write_text("\n".join(lines))
    return root


def test_check_names_copies_in_two_splits(photos: Path) -> None:
    """That is no error; beside it stand sizes, modes and a bar for each rank."""
    outcome = run("data", "csv", "--root", photos, "--ranks", RANKS, "--check")

    lines = words_of_lines(outcome)
    assert outcome.code == 0
    assert f"fresh 7 3 2 {'█' * 30}" in lines
    assert lines[-5:] == [
        "36 images, 36 can be read",
        "size 64 x 64: 36",
        "mode RGB: 36",
        "split path fault",
        COPIED,
    ]


def test_check_names_every_image_that_fit_would_refuse(photos: Path) -> None:
    """A file that was cut, a text, a bomb, and one that does not exist: all at once."""
    images = photos / "images"
    (images / "00.png").write_bytes((images / "01.png").read_bytes()[:300])
    (images / "02.png").write_text("no image")
    Image.new("1", (9_900, 9_000)).save(images / "03.png")
    with (photos / "labels.csv").open("a") as table:
        table.write("\ngone.png,ripe,train")

    outcome = run("data", "csv", "--root", photos, "--ranks", RANKS, "--check")

    faults = [CUT, NO_IMAGE, TOO_LARGE, COPIED, "gone.png does not exist"]
    assert outcome.code == 2
    assert words_of_lines(outcome)[-5:] == faults
