"""Your own images: what spreadsheets write is read, every bad row is named, no path leaves."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from l2rclip_lite.data import OrdinalDataset, load_dataset
from l2rclip_lite.data.base import SPLITS
from l2rclip_lite.errors import InputError

RANKS = "fresh, ripe, over ripe"
TEMPLATE = "a {rank} banana"


@pytest.fixture
def images(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of images 0.png to 11.png, each of its own red, and of links."""
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "image.png"
    Image.new("RGB", (8, 8)).save(elsewhere)

    for number in range(12):
        Image.new("RGB", (8, 8), (number * 20, 0, 0)).save(tmp_path / f"{number}.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "out.png").symlink_to(elsewhere)
    (tmp_path / "twin.png").symlink_to("0.png")
    return tmp_path


# --- the labels file ------------------------------------------------------------------------------

EXCEL_HEADER = "path,label , split,group"
EXCEL_ROWS = (
    "0.png, fresh,train,a",
    '"1.png","over ripe",train,a',
    "2.png,ripe,train,b",
    "",
    "3.png,over ripe,val,c",
    "4.png,fresh,test,d",
)


def write_as_excel(file: Path, header: str, separator: str) -> None:
    """Write the rows with a byte-order mark, Windows line ends, spaces, quotes, a blank line."""
    text = "\ufeff" + "\r\n".join([header, *EXCEL_ROWS])
    file.write_bytes(text.replace(",", separator).encode())


@pytest.mark.parametrize("order", ["le", "be"])
def test_a_file_as_excel_writes_unicode_text_is_named(images: Path, order: str) -> None:
    """It is UTF-16, in which no comma would be found."""
    text = "\ufeffpath,label\n0.png,1\n"
    (images / "labels.csv").write_bytes(text.encode(f"utf-16-{order}"))
    with pytest.raises(InputError, match=r"labels\.csv: is UTF-16; save it as CSV in UTF-8\.$"):
        load_dataset("csv", root=images)


@pytest.mark.parametrize("separator", ",;\t")
def test_a_file_as_excel_writes_it_is_read(images: Path, separator: str) -> None:
    """With any of three separators."""
    write_as_excel(images / "labels.csv", EXCEL_HEADER, separator)
    data = load_dataset("csv", root=images, ranks=RANKS, template=TEMPLATE)

    assert data.train.paths == ("0.png", "1.png", "2.png")
    assert data.train.targets == (0, 2, 1)
    assert data.train.subjects == ("a", "a", "b")
    assert data.val[0][0].getpixel((0, 0)) == (60, 0, 0)
    assert data.ranks.sentences[2] == "a over ripe banana"
    assert data.upright
    assert data.protocol == ("split by the table",)


def test_columns_may_have_names_of_ones_own(images: Path) -> None:
    """Each of the four is passed by an option."""
    write_as_excel(images / "labels.csv", "file,grade,part,patient", separator=",")
    data = load_dataset(
        "csv",
        root=images,
        ranks=RANKS,
        path_column="file",
        label_column="grade",
        split_column="part",
        group_column="patient",
    )
    assert data.train.paths == ("0.png", "1.png", "2.png")
    assert data.train.targets == (0, 2, 1)
    assert data.val.subjects == ("c",)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("0.png,rotten,train",
         "row 2: the label 'rotten' is no rank; write one of fresh, ripe, over ripe"),
        (f"0.png,{'9' * 5000},train", "labels.csv row 2: the label '9+ is no rank"),
        ("0.png,ripe,valid\n1.png,ripe,x",
         "row 2 .the first of 2.: the split 'valid' is none of train, val, test"),
        ("0.png,ripe,train\n1.png,ripe,train,x",
         "labels.csv: .*Expected 3 fields in line 3, saw 4"),
        ("0.png,ripe,train,x\n1.png,ripe,train,x",
         "labels.csv: its first row has too many cells"),
        ("0.png,ripe,val\n1.png,ripe,val\n1.png,ripe,test",
         "row 4: the image 1.png is listed in labels.csv row 3 alr"),
        ("99.png,ripe,train\n1.png,ripe,test",
         r"csv: 1 of the 2 listed images .*99.png \(labels.csv row 2\)"),
        ("out.png,ripe,train",
         "row 2: the path 'out.png' leads out of the folder .*by a link; copy the image itself"),
        ("0.png,ripe,train\ntwin.png,ripe,test",
         "row 3: the image twin.png is listed in labels.csv row 2 already"),
        ('"0.png,ripe,train', "labels.csv: .*EOF inside string.*check quotes"),
        (",ripe,train\n0.png,ripe,test",
         "labels.csv row 2: the path is blank; fill it in, or remove the row"),
        ("", "there is no row below the header"),
        ("0.png,fresh,train\n1.png,ripe,val\n2.png,over ripe,test",
         r"no training image has rank 1 \('ripe'\)"),
    ],
)  # fmt: skip
def test_every_bad_row_is_named(images: Path, text: str, sentence: str) -> None:
    """One sentence with file, row and fix for each way to be wrong."""
    (images / "labels.csv").write_text(f"path,label,split\n{text}\n")
    with pytest.raises(InputError, match=sentence) as caught:
        load_dataset("csv", root=images, ranks=RANKS)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"path,label,path\n0.png,0,1.png\n", "write the column 'path' once"),
        ("path,label\nblé.png,0\n".encode("latin-1"), "can't decode byte.*UTF-8"),
        (
            b"",
            "labels.csv: is empty or begins with a blank line; begin with the columns",
        ),
        (b"\xef\xbb\xbf", "labels.csv: is empty"),
        (b"\r\n\r\npath,label\r\n0.png,0\r\n", "labels.csv: is empty or begins with a blank line"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, content: bytes, sentence: str) -> None:
    """A column twice, another encoding than UTF-8, nothing at all."""
    (tmp_path / "labels.csv").write_bytes(content)
    with pytest.raises(InputError, match=sentence):
        load_dataset("csv", root=tmp_path, ranks=RANKS)


def test_a_parquet_file_is_read_by_pandas(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the name of the file; its engine is stood in for, since it may not be installed."""
    paths = [f"{number}.png" for number in range(9)]
    table = pd.DataFrame({"path": paths, "label": [0.0, 1.0, 2.0] * 3})
    (images / "labels.parquet").touch()

    def read_parquet(file: Path) -> pd.DataFrame:
        assert file == images / "labels.parquet"
        return table

    monkeypatch.setattr(pd, "read_parquet", read_parquet)
    data = load_dataset("csv", root=images, labels="labels.parquet")
    assert data.counts("train") == [1, 1, 1]


@pytest.mark.skipif(find_spec("pyarrow") is not None, reason="pyarrow is installed")
def test_parquet_without_its_engine_is_one_sentence_with_the_cure(tmp_path: Path) -> None:
    """Pandas would raise an ImportError of many lines."""
    (tmp_path / "labels.parquet").touch()
    sentence = "labels.parquet: Parquet needs pyarrow; pip install pyarrow, or"
    with pytest.raises(InputError, match=sentence):
        load_dataset("csv", root=tmp_path, labels="labels.parquet")


# --- a folder for each rank -----------------------------------------------------------------------


def touch_all(root: Path, names: list[str]) -> None:
    """Make empty files, and the folders that they lie in."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_folders_whose_names_are_numbers_are_ranks_in_their_order(tmp_path: Path) -> None:
    """Capitals in a suffix do not matter; other files are counted."""
    touch_all(tmp_path, [f"{number % 3}/{number}.PNG" for number in range(12)])
    touch_all(tmp_path, ["2/phone.heic"])

    data = load_dataset("csv", root=tmp_path)

    assert data.ranks.values == (0, 1, 2)
    assert data.train.paths[0] == "0/3.PNG"
    assert data.train.targets[0] == 0
    assert "12 images of a folder per rank, 1 other files left out" in data.summary()


def test_folders_of_ranks_may_lie_below_train_val_and_test(tmp_path: Path) -> None:
    """Words in the order of `ranks`; an empty folder and an image beside the folders are named."""
    touch_all(tmp_path, [f"{SPLITS[n % 3]}/fresh/{n}.PNG" for n in range(12)])
    touch_all(tmp_path, ["test/beside.png"])
    (tmp_path / "test" / "ripe").mkdir()

    data = load_dataset("csv", root=tmp_path, ranks=("fresh", "ripe"), allow_empty_ranks=True)

    assert data.protocol[:2] == (
        "1 folders without an image: test/ripe",
        "1 images beside the folders of the ranks are left out, the first is test/beside.png",
    )
    assert data.test.paths[0] == "test/fresh/11.PNG"
    assert [len(data.split(split)) for split in SPLITS] == [4, 4, 4]


def test_a_folder_without_labels_and_without_ranks_is_refused(images: Path) -> None:
    """The sentence names both ways."""
    neither = r"has neither labels.csv, .* nor a folder of images per rank; pass --labels"
    with pytest.raises(InputError, match=neither):
        load_dataset("csv", root=images)


def test_what_is_no_image_of_a_rank_is_counted(tmp_path: Path) -> None:
    """An empty folder, images too deep, and images beside the folders: none goes silently."""
    touch_all(tmp_path, [f"low/{number}.png" for number in range(12)])
    touch_all(tmp_path, [f"high/{number}.png" for number in range(12)])
    touch_all(tmp_path, ["high/2020/a.png", "high/2020/b.png", "beside.png", "odd/.hidden/c.png"])
    (tmp_path / "middle").mkdir()

    data = load_dataset("csv", root=tmp_path, ranks="low,high")
    assert data.protocol[:3] == (
        "2 folders without an image: middle, odd",
        "2 images deeper than in the folder of a rank are left out, the first is high/2020/a.png",
        "1 images beside the folders of the ranks are left out, the first is beside.png",
    )


# --- what is missing or elsewhere -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"root": None}, r"csv: pass root=.* \(--root DIR\), the folder of the images, not None"),
        ({"root": "gone"}, "csv: pass root=.*, not 'gone'"),
        ({"labels": "gone.csv"},
         r"gone.csv: there is no such file; give one with the columns path, label"),
        ({"labels": "0.png"},
         "0.png: is no table of labels; name a .csv, .tsv, .txt, .parquet file in "),
        ({"labels": "link.csv"},
         "link.csv: is no table of labels; .* or one elsewhere by its path"),
        ({"label_column": "grade"},
         "write the column 'grade' once, in .'path', 'label', 'group'., or name yours: --path"),
        ({"group_column": "patient"}, "write the column 'patient' once"),
        ({}, "labels.csv row 3: the group is blank"),
        ({"folds": 5, "fold": 6}, "csv: there is no fold 6; they count from 1"),
        ({"fold": 1}, "csv: there is no fold 1"),
        ({"val_share": 0.6},
         "csv: val_share: Input should be less than or equal to 0.5, not 0.6"),
        ({"seed": "0"}, "csv: seed: Input should be a valid integer, not '0'"),
        ({"labels_are": "value"},
         "csv: labels_are: Input should be 'names', 'index' or 'position', not 'value'"),
        ({"subject_disjoin": True},
         r"csv: subject_disjoin: there is no such option; did you mean subject_disjoint\?$"),
    ],
)  # fmt: skip
def test_what_is_missing_elsewhere_or_misspelt_is_named(
    tmp_path: Path, options: dict[str, Any], sentence: str
) -> None:
    """No root, no file, another kind of file, a link out, another header, no such option."""
    root = tmp_path / "root"
    touch_all(root, ["0.png", "1.png"])
    (root / "labels.csv").write_text("path,label,group\n0.png,ripe,a\n1.png,fresh,\n")
    (tmp_path / "labels.csv").write_text("path,label\nsecret,1\n")
    (root / "link.csv").symlink_to("../labels.csv")

    with pytest.raises(InputError, match=sentence):
        load_dataset("csv", **{"root": root, "ranks": RANKS} | options)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("leavs", r"'leavs'; choose one of .*; did you mean leaves\?$"),
        ("xyz", r"'xyz'; choose one of .*csv.*[.]$"),
        ("x", "no data set 'x'; choose one of leaves, bracol, csv"),
    ],
)
def test_a_name_of_no_data_set_is_answered_by_the_names_there_are(name: str, sentence: str) -> None:
    """The nearest is suggested, if one is near."""
    with pytest.raises(InputError, match=sentence):
        load_dataset(name)


def load_with_two_missing(root: Path, *, allow_missing: bool) -> OrdinalDataset:
    """Load a table of eleven images of which two do not exist."""
    rows = [f"{number}.png,{number % 3},{SPLITS[number // 3]}" for number in range(9)]
    rows += ["98.png,0,train", "99.png,1,val"]
    (root / "labels.csv").write_text("\n".join(["path,label,split", *rows]))
    return load_dataset("csv", root=root, allow_missing=allow_missing)


def test_missing_images_are_refused(images: Path) -> None:
    """The sentence counts them and names the option."""
    with pytest.raises(InputError, match=r"2 of the 11 listed images .*--allow-missing"):
        load_with_two_missing(images, allow_missing=False)


def test_missing_images_can_be_left_out(images: Path) -> None:
    """The data set goes on without them and says so."""
    data = load_with_two_missing(images, allow_missing=True)
    assert data.missing == ("98.png", "99.png")
    assert data.caveat == "2 listed images missing"
    assert [len(data.split(split)) for split in SPLITS] == [3, 3, 3]
    sentence = "2 listed images are missing and left out: 1 of train, 1 of val, 0 of test"
    assert sentence in data.protocol
