"""Your own images: what spreadsheets write is read, every bad row is named, no path leaves."""

import csv
import errno
import os
import tracemalloc
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from l2rclip_lite.data import load_dataset, read_image
from l2rclip_lite.data.base import SPLITS
from l2rclip_lite.data.table import read_columns
from l2rclip_lite.errors import InputError

RANKS = "fresh, ripe, over ripe"


def touch_all(root: Path, *names: str) -> None:
    """Make empty files, and the folders that they lie in."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Return a folder of images 0.png to 11.png, each of its own red, and of links."""
    root = tmp_path / "images"
    root.mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "secret.png")
    for number in range(12):
        Image.new("RGB", (8, 8), (number * 20, 0, 0)).save(root / f"{number}.png")
    for link, target in {
        "loop.png": "loop.png",
        "out.png": "../secret.png",
        "twin.png": "0.png",
    }.items():
        (root / link).symlink_to(target)
    return root


# --- a table --------------------------------------------------------------------------------------

COLUMNS: dict[str, list[Any]] = {
    "path": [f"{row}.png" for row in range(12)],
    "label": [0, 1] * 6,
    "group": [*"aabbccddeeff"],
    "split": ["train"] * 6 + ["val"] * 2 + ["test"] * 4,
}
EXCEL_ROWS = (
    "0.png, fresh,train,a",
    '"1.png","over ripe",train,a',
    "2.png,ripe,train,b",
    "",
    ",,,",
    "3.png,over ripe,val,c",
    "4.png,fresh,test,d",
)


@pytest.mark.parametrize(
    ("separator", "names"),
    [
        (",", "path,label , split,group"),
        (";", "file,grade,part,patient"),
        ("\t", "path,label , split,group"),
    ],
)
def test_a_file_as_excel_writes_it_is_read(images: Path, separator: str, names: str) -> None:
    """A byte-order mark, Windows line ends, spaces, quotes, blank lines, columns of any name."""
    text = "\ufeff" + "\r\n".join([names, *EXCEL_ROWS])
    (images / "labels.csv").write_bytes(text.replace(",", separator).encode())
    options: Any = {}
    if "file" in names:
        roles = ("path_column", "label_column", "split_column", "group_column")
        options = dict(zip(roles, names.split(","), strict=True))

    data = load_dataset("csv", root=images, ranks=RANKS, template="a {rank} banana", **options)

    assert data.train.paths == ("0.png", "1.png", "2.png")
    assert data.train.targets == (0, 2, 1)
    assert data.train.subjects == ("a", "a", "b")
    assert data.val[0][0].getpixel((0, 0)) == (60, 0, 0)
    assert data.ranks.sentences[2] == "a over ripe banana"
    assert data.upright
    assert data.protocol == ("split by the table",)


@pytest.mark.parametrize("role", COLUMNS)
def test_a_column_in_other_letters_is_read_but_not_twice(images: Path, role: str) -> None:
    """` SPLIT ` counts: no random split follows."""
    other = f" {role.upper()} "
    table = pd.DataFrame(COLUMNS)
    data = load_dataset("csv", root=images, labels=table.rename(columns={role: other}))
    assert data.train.paths == tuple(COLUMNS["path"][:6])
    assert data.test.subjects == tuple("eeff")

    table.insert(0, other, table[role])
    table.to_csv(images / "labels.csv", index=False)
    with pytest.raises(InputError, match=f"labels.csv: write the column '{role}' once, in"):
        load_dataset("csv", root=images)


@pytest.mark.parametrize(
    ("separator", "name"), [(",", "size; cm"), (";", "size, cm"), (",", "path.1")]
)
def test_a_name_in_quotes_holds_no_separator(images: Path, separator: str, name: str) -> None:
    """A table is cut at what stands between its names; pandas calls a second `path` `path.1`."""
    table = pd.DataFrame(COLUMNS).assign(**{name: range(12)})
    table.to_csv(images / "labels.csv", index=False, sep=separator, quoting=csv.QUOTE_ALL)
    assert load_dataset("csv", root=images).counts("test") == [2, 2]


def test_of_very_many_columns_few_are_kept(tmp_path: Path) -> None:
    """A table of a million columns took gigabytes and minutes."""
    file = tmp_path / "wide.csv"
    file.write_text(f"{'x,' * 50_000}Label,path\n{'7,' * 50_000}3,a.png\n")
    tracemalloc.start()
    table = read_columns(file, ["path", "label"], ["group"])
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert table.to_numpy().tolist() == [["a.png", "3", "wide.csv row 2"]]
    assert most < 2e7


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "0.png,rotten,train",
            "row 2: the label 'rotten' is no rank; write one of fresh",
        ),
        (f"0.png,{'9' * 5000},train", "labels.csv row 2: the label '9+ is no rank"),
        (
            "0.png,ripe,valid\n1.png,ripe,x",
            "row 2 .the first of 2.: the split 'valid' is none of train, val, test",
        ),
        ("0.png,ripe,train\n1.png,ripe,train,x", "labels.csv row 3: has 4 cells, and the header 3"),
        (
            "0.png,ripe,val\n1.png,ripe,val\n1.png,ripe,test",
            "row 4: the path '1.png' is listed in labels.csv row 3 already; remove one",
        ),
        (
            "0.png,ripe,train\ntwin.png,ripe,test",
            "row 3: the path 'twin.png' is listed in labels.csv row 2 already",
        ),
        (
            "99.png,ripe,train\nloop.png,ripe,train\n1.png,ripe,test",
            r"csv: 2 of the 3 listed images .*99.png \(labels.csv row 2\).*--allow-missing",
        ),
        (
            "out.png,ripe,train",
            "row 2: the path 'out.png' leads out of the folder .*by a link; copy the image itself",
        ),
        (
            '"0.png,ripe,train',
            r"labels.csv: cannot be read \(unexpected end of data\); give a CSV file in UTF-8 with",
        ),
        (",ripe,train\n0.png,ripe,test", "labels.csv row 2: the path names no file; fill"),
        ("a\0.png,ripe,train", r"labels.csv row 2: the path 'a\\x00.png' names no file"),
        ("", "there is no row below the header"),
        (
            "0.png,fresh,train\n1.png,ripe,val\n2.png,over ripe,test",
            r"no training image has rank 1 \('ripe'\)",
        ),
    ],
)
def test_every_bad_row_is_named(images: Path, text: str, sentence: str) -> None:
    """One sentence with file, row and fix for each way to be wrong."""
    (images / "a").mkdir()
    (images / "labels.csv").write_text(f"path,label,split\n{text}\n")
    with pytest.raises(InputError, match=sentence) as caught:
        load_dataset("csv", root=images, ranks=RANKS)
    assert "\n" not in str(caught.value)


def test_a_parquet_file_is_read_by_pandas(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the name of the file; its engine is stood in for, since it may not be installed."""
    (images / "labels.parquet").touch()
    monkeypatch.setattr(pd, "read_parquet", lambda file: pd.DataFrame(COLUMNS))
    assert load_dataset("csv", root=images, labels="labels.parquet").counts("train") == [3, 3]


# --- a folder for each rank -----------------------------------------------------------------------


def test_folders_whose_names_are_numbers_are_ranks_in_their_order(tmp_path: Path) -> None:
    """Capitals in a suffix do not matter; an image of no rank is counted."""
    touch_all(tmp_path, *(f"{number % 3}/{number}.PNG" for number in range(12)))
    touch_all(tmp_path, "2/phone.heic", "2/2020/deep.png", "beside.png", "odd/.hidden/c.png")

    data = load_dataset("csv", root=tmp_path)

    assert data.ranks.values == (0, 1, 2)
    assert data.train.paths[0] == "0/3.PNG"
    assert data.train.targets[0] == 0
    assert "12 images of a folder per rank, 2 other images left out" in data.summary()


def test_folders_of_ranks_may_lie_below_train_val_and_test(tmp_path: Path) -> None:
    """Words in the order of `ranks`; spaces in a name are its own."""
    touch_all(tmp_path, *(f"{SPLITS[n % 3]}/fresh/{n}.PNG" for n in range(12)))
    touch_all(tmp_path, "test/fresh/ 11.PNG")
    data = load_dataset("csv", root=tmp_path, ranks=("fresh", "ripe"), allow_empty_ranks=True)
    assert data.test.paths[:2] == ("test/fresh/ 11.PNG", "test/fresh/11.PNG")
    assert [len(data.split(split)) for split in SPLITS] == [4, 4, 5]


# --- what is missing or elsewhere -----------------------------------------------------------------


@pytest.mark.untyped
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"root": "gone"}, "pass root=.*, not 'gone'"),
        (
            {"labels": "gone.csv"},
            r"gone.csv: cannot be read \(No such file or directory\); give a CSV file in UTF-8",
        ),
        ({"labels": "holes"}, r"holes: cannot be read \(it has more than 2 GB\)"),
        ({"labels": "folder"}, r"folder: cannot be read \(it is no file\)"),  # nor would a pipe be
        ({"labels": "0.png"}, "0.png: .* can't decode byte .*; give a CSV file in UTF-8"),
        ({"label_column": "grade"}, "write the column 'grade' once, in .*, or name yours: --path"),
        ({"group_column": "patient"}, "write the column 'patient' once"),
        (
            {
                "labels": pd.DataFrame(COLUMNS).drop(columns="group"),
                "path_column": "group",
                "group_column": "path",
            },
            "write the column 'group' once",
        ),
        ({"folds": 5, "fold": 6}, "there is no fold 6; they count from 1"),
        ({"fold": 1}, "there is no fold 1"),
        ({"labels_are": "value"}, "labels_are: .* 'names', 'index' or 'position', not 'value'"),
        ({"rank": "a,b"}, "csv: rank: there is no such option"),
    ],
)
def test_what_is_missing_elsewhere_or_misspelt_is_named(
    images: Path, options: dict[str, Any], sentence: str
) -> None:
    """In one sentence."""
    (images / "folder").mkdir()
    (images / "holes").touch()
    os.truncate(images / "holes", 2**31)
    options = {"root": images, "labels": pd.DataFrame(COLUMNS), "ranks": "0,1"} | options
    with pytest.raises(InputError, match=sentence):
        load_dataset("csv", **options)


def test_missing_images_are_left_out_with_a_sentence(images: Path) -> None:
    """The sentence counts them and names the option; the data set goes on without them."""
    table = pd.DataFrame(COLUMNS).replace({"0.png": "98.png", "6.png": "99.png"})
    data = load_dataset("csv", root=images, labels=table, allow_missing=True)
    assert data.missing == ("98.png", "99.png")
    assert data.caveat == "2 listed images missing"
    assert [len(data.split(split)) for split in SPLITS] == [5, 1, 4]
    sentence = "2 listed images are missing and left out: 1 of train, 1 of val, 0 of test"
    assert sentence in data.protocol

    for image in images.glob("*.png"):
        image.unlink()
    with pytest.raises(InputError, match=r"has neither labels\.csv, .* nor a folder of images per"):
        load_dataset("csv", root=images)


def test_a_folder_that_may_not_be_read_is_named_and_its_images_are_not_left_out(
    images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder per rank, in a table of which some images may be missing, and one image."""

    def forbid(path: object = ".") -> object:
        raise PermissionError(errno.EACCES, "Permission denied")

    sentence = r"cannot be read \(Permission denied\); check the permissions"
    monkeypatch.setattr(os, "scandir", forbid)
    for labels in (None, pd.DataFrame(COLUMNS)):
        with pytest.raises(InputError, match=sentence):
            load_dataset("csv", root=images, labels=labels, allow_missing=labels is not None)

    with monkeypatch.context() as patched:
        patched.setattr(os, "stat", forbid)
        with pytest.raises(InputError, match=sentence):
            read_image("0.png")
