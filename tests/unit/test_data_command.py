"""`l2rclip data`: list, cards, counts, leakage, and a check of every image."""

import shutil
from pathlib import Path

import pandas as pd
from drawn import make_fixture
from drawn_run import RANKS, DrawnRun
from PIL import Image
from run_files import Outcome, run

from l2rclip_lite.data import load_dataset
from l2rclip_lite.data.benchmarks import DATA_SETS


def words_of_lines(outcome: Outcome) -> list[str]:
    """Return the lines that a command printed, with single spaces."""
    return [" ".join(line.split()) for line in outcome.out.splitlines()]


def test_list_and_cards_name_every_data_set() -> None:
    """In the order of their table; of MORPH what it must not be used for, and its options."""
    lines = run("data").out.splitlines()
    assert [line.split()[0] for line in lines[-len(DATA_SETS) :]] == [*DATA_SETS]

    outcome = run("data", "morph")
    text = " ".join(words_of_lines(outcome))
    assert "Never use them" in text
    assert "--protocol rs-partial --fold 0 to 4" in text
    assert max(map(len, outcome.out.splitlines())) <= 100
    assert words_of_lines(run("data", "leaves", "--size", "60"))[-1] == "all 40 10 10"


def test_leakage_is_counted_for_every_fold(drawn_run: DrawnRun, tmp_path: Path) -> None:
    """HCI has ten, one can be asked for; and three are drawn of one's own table."""
    lists = make_fixture("hci", tmp_path / "hci") / "datalists"
    own = ("csv", "--root", drawn_run.root, "--ranks", RANKS, "--folds", "3")
    hci = ("hci", "--lists", lists)
    for words, folds in ((hci, range(10)), ((*hci, "--fold", "3"), [3]), (own, range(1, 4))):
        lines = words_of_lines(run("data", *words, "--leakage"))
        assert lines[1] == " ".join(f"fold {number}" for number in folds)


def test_check_names_every_image_that_fit_would_refuse(tmp_path: Path) -> None:
    """A file that was cut, a text, a bomb, one that is not there, copies in two splits: at once."""
    root = make_fixture("csv", tmp_path / "photos")
    images = root / "images"
    shutil.copy(images / "11.png", images / "14.png")
    table = pd.read_csv(root / "labels.csv")
    table["split"] = [("train", "train", "train", "val", "test")[row % 5] for row in table.index]
    table.to_csv(root / "labels.csv", index=False)

    (images / "00.png").write_bytes((images / "01.png").read_bytes()[:300])
    (images / "02.png").write_text("no image")
    Image.new("1", (9_900, 9_000)).save(images / "03.png")
    with (root / "labels.csv").open("a") as table:
        table.write("\ngone.png,ripe,train")

    outcome = run("data", "csv", "--root", root, "--ranks", RANKS, "--check")
    lines = words_of_lines(outcome)
    assert outcome.code == 2
    assert {"fresh 7 3 2", "36 images, 33 can be read"} <= {*lines}
    assert lines[-5:] == [
        "train images/00.png image file is truncated",
        "train images/02.png cannot identify image file",
        "val images/03.png it has more than 89 megapixels",
        "test images/14.png the same pixels as images/11.png in train",
        "gone.png does not exist",
    ]


def test_a_copy_saved_again_is_named_and_another_leaf_is_not(tmp_path: Path) -> None:
    """As a JPEG, and at half size; pictures of one colour are not compared."""
    first, second = (load_dataset("leaves", size=60).train[place][0] for place in range(2))
    other = load_dataset("leaves", size=60, seed=1).train[0][0]
    images = {
        "train_0.png": first,
        "train_1.png": second,
        "train_2.png": Image.new("RGB", (32, 32), "red"),
        "val_0.png": other,
        "val_1.jpg": first,
        "test_0.png": second.resize((64, 64)),
        "test_1.png": Image.new("RGB", (32, 32), "blue"),
    }
    lines = ["path,label,split"]
    for place, (name, image) in enumerate(images.items()):
        image.save(tmp_path / name, quality=60)
        lines.append(f"{name},{place % 2},{name.split('_')[0]}")
    (tmp_path / "labels.csv").write_text("\n".join(lines))

    outcome = run("data", "csv", "--root", tmp_path, "--few-shot", "2", "--check")
    assert outcome.code == 0
    assert words_of_lines(outcome)[-4:] == [
        "2 images to look at: nearly a copy, which is no fault",
        "split path warning",
        "val val_1.jpg nearly the same image as train_0.png in train",
        "test test_0.png nearly the same image as train_1.png in train",
    ]


def test_what_cannot_be_checked_is_named() -> None:
    """Images that are no files, and a folder that nobody named."""
    for name in ("leaves", "csv"):
        assert f"{name}: there is no folder of images to check" in run("data", name, "--check").err
