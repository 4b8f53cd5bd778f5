"""Your own images: what spreadsheets write is read in one way only, every bad row is named, no path leaves the folder."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from l2rclip_lite.data import OrdinalDataset, load_dataset
from l2rclip_lite.data.base import SPLITS
from l2rclip_lite.data.describe import leakage
from l2rclip_lite.data.own_images.load import load_csv
from l2rclip_lite.data.protocols import few_shot
from l2rclip_lite.data.splits import deal, stratified
from l2rclip_lite.errors import InputError

RANKS = "fresh, ripe, over ripe"


def write(root: Path, text: str, images: int = 12) -> None:
    """Images 0.png to 11.png, each of its own red, links, and the labels file."""
    for number in range(images):
        Image.new("RGB", (8, 8), (number * 20, 0, 0)).save(root / f"{number}.png")
    for link, target in {
        "loop.png": "loop.png",
        "out.png": root.parent,
        "twin.png": "0.png",
    }.items():
        (root / link).symlink_to(target)
    (root / "labels.csv").write_bytes(text.encode())


def load(folder: Path, **options: object) -> OrdinalDataset:
    """The folder with the ranks of this file."""
    return load_dataset(
        "csv", **{"root": folder, "ranks": RANKS, "template": "a {rank} banana", **options}
    )


@pytest.mark.parametrize("separator", ",;\t")
def test_a_file_as_excel_writes_it(tmp_path: Path, separator: str) -> None:
    """Byte-order mark, Windows line ends, spaces, quotes, a blank line, any of three separators, columns by other names."""
    rows = ["0.png, fresh,train,a", '"1.png","over ripe",train,a', "2.png,ripe,train,b"]
    rows += ["", "3.png,over ripe,val,c", "4.png,fresh,test,d"]
    text = "\ufeff" + "\r\n".join(["path,label , split,group", *rows])
    write(tmp_path, text.replace(",", separator))
    data = load(tmp_path)
    assert data.train.paths == ("0.png", "1.png", "2.png")
    assert data.train.targets == (0, 2, 1)
    assert data.train.subjects == ("a", "a", "b")
    assert data.val[0][0].getpixel((0, 0)) == (60, 0, 0)
    assert data.ranks.sentences[2] == "a over ripe banana"
    assert (data.upright, data.protocol) == (True, ("split by the table",))
    header = "file,grade,part,patient"
    (tmp_path / "labels.csv").write_text(text.replace("path,label , split,group", header))
    own = dict(zip(("path", "label", "split", "group"), header.split(","), strict=True))
    renamed = load(tmp_path, **{f"{name}_column": column for name, column in own.items()})
    assert (renamed.train.paths, renamed.val.subjects) == (data.train.paths, ("c",))


WORDS = ("bad", "poor", "good")
FOUND = "ranks: the {} numbers found as labels, {}"


@pytest.mark.parametrize(
    ("labels", "options", "meant"),
    [
        # numbers are values, however they are written
        (("1", "2", "3"), {"ranks": "1,2,3"}, (("one", "two", "three"), (1, 2, 3), [0, 1, 2])),
        (("03", "1.0", "+2"), {"ranks": "1:3"}, (("one", "two", "three"), (1, 2, 3), [2, 0, 1])),
        ((9, 8, 7), {"ranks": [7, 8.0, "9"]}, (("seven", "eight", "nine"), (7, 8, 9), [2, 1, 0])),
        (("0", "1", "2"), {"ranks": "1:3", "labels_are": "index"}, (("one", "two", "three"), (1, 2, 3), [0, 1, 2])),
        # or found in the table, in their order
        (("10", "9", "-1"), {}, (("minus one", "nine", "ten"), (-1, 9, 10), [2, 1, 0])),
        ((2, 1.5, 2.0), {}, (("1.5", "two"), (1.5, 2), [1, 0, 1])),
        # names are matched as they are, and counted only when that is said
        (("poor", "bad", "good"), {"ranks": WORDS}, (WORDS, (0, 1, 2), [1, 0, 2])),
        (("0", "2", "01"), {"ranks": WORDS, "labels_are": "index"}, (WORDS, (0, 1, 2), [0, 2, 1])),
        ((1, 3, 2.0), {"ranks": WORDS, "labels_are": "position"}, (WORDS, (0, 1, 2), [0, 2, 1])),
        (("1", "0", "2+"), {"ranks": "0,1,2+"}, (("0", "1", "2+"), (0, 1, 2), [1, 0, 2])),
        # or refused, with what decides
        ((1, 2, 0), {"ranks": "1,2,3"}, "row 2 .*the label '0' is none of the numbers 1 to 3.*--labels-are names, index"),
        (tuple(range(10)), {"ranks": "1:10"}, "row 0: the label '0' is none of the numbers 1 to 10"),
        ((1, 2, 3), {"ranks": WORDS}, r"row 0 .the first of 9.: .*'1' is no name.*index .0 is bad. or position .1 is bad"),
        ((0, 3, 1), {"ranks": WORDS, "labels_are": "index"}, "row 1 .*the label '3' is none of the numbers 0 to 2"),
        (("1", "1.5"), {"ranks": WORDS, "labels_are": "position"}, "row 1 .*the label '1.5' is none of the numbers 1 to 3"),
        (("poor", "1"), {"ranks": WORDS}, r"row 1 .*the label '1' is no name, but may count the ranks"),
        (("ripe", "fresh"), {}, "row 0 .*'ripe' is a word; write all in their order, lowest first: --ranks 'fresh,ripe'"),
        ((1, "low", 2), {}, "row 1 .*the label 'low' is a word; .*: --ranks '1,2,low'"),
        ((1, None, 2), {}, "row 1 .*the label is blank; fill it in"),
        ((0.11, 0.12, 0.13, 0.14, 0.15, 0.16), {}, "csv: 6 different labels are too many; round them, or pass ranks"),
        ((3, 2, 1), {"ranks": "3,2,1"}, "values must increase, but 3 is followed by 2"),
        ((0, 1, 3), {"labels_are": "index"}, "--labels-are index or position counts the ranks; give them by --ranks"),
        ((1, 2, 3), {"ranks": "9:0"}, "^ranks: 9:0 runs downwards; write 0:9.$"),
        ((1, 2, 3), {"ranks": "0:9999999"}, "^ranks: 10,000,000 ranks are more than 10,000; join"),
        ((1, 2, 3), {"ranks": " "}, "^ranks: the text is empty; write all ranks, lowest first"),
        ((1, 2, 1e300), {}, r"^ranks: 1e\+300 has no words here; name such ranks yourself.$"),
        ((1, 2, 3), {"template": ""}, "^ranks: the template '' holds {rank} 0 times, not once"),
        (("bad", "good"), {"ranks": "bad,good", "template": ""}, "the template '' holds {rank} 0 times"),
        # a column is one thing, and an accent is one letter, however it was typed
        ((1, 2, 3), {"group_column": "label"}, "'label' cannot be both label and group; name another by group_column="),
        ((1, 2, 3), {"group_column": "Path"}, "'Path' cannot be both path and group"),
        ((1, 2, 3), {"label_column": "where"}, "a column called where is not read; rename it"),
        (("m\u00fcde", "fit"), {"ranks": "mu\u0308de,fit"}, (("mu\u0308de", "fit"), (0, 1), [0, 1])),
        (("mu\u0308de", "fit"), {"ranks": "m\u00fcde,fit"}, (("m\u00fcde", "fit"), (0, 1), [0, 1])),
        (("a", "b"), {"ranks": "a,b,\u00e9,e\u0301"}, "the name .'\u00e9'. appears more than once"),
    ],
)  # fmt: skip
def test_a_label_means_one_thing(
    tmp_path: Path, labels: Any, options: dict[str, Any], meant: Any
) -> None:
    """Names, values and indices are told apart by rule; what could be two of them is refused."""
    write(tmp_path, "")
    copies = 1 if len(labels) > 3 else 3
    numbers = range(copies * len(labels))
    frame = pd.DataFrame({"path": [f"{n}.png" for n in numbers], "label": list(labels) * copies})
    frame["split"] = [SPLITS[n // len(labels)] if copies == 3 else "train" for n in numbers]
    if isinstance(meant, str):
        with pytest.raises(InputError, match=meant) as caught:
            load_dataset("csv", root=tmp_path, labels=frame, **options)
        assert "\n" not in str(caught.value)
        return
    data = load_dataset("csv", root=tmp_path, labels=frame, **options)
    assert (data.ranks.names, data.ranks.values, list(data.train.targets)) == meant
    assert data.protocol[0].startswith("ranks: the") == ("ranks" not in options)
    kind = "grade" if set(data.ranks.values) - {0.0, 1.0, 2.0} else "object"
    assert kind in data.ranks.sentences[0]


def test_a_folder_for_each_rank(tmp_path: Path) -> None:
    """Numbers in their order, words in the order given; also below train, val and test; other files are counted."""
    write(tmp_path, "")
    (tmp_path / "labels.csv").unlink()
    for number in range(12):
        folder = tmp_path / "plain" / f"{number % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"{number}.png").rename(folder / f"{number}.PNG")
    (tmp_path / "plain" / "2" / "phone.heic").touch()
    data = load_dataset("csv", root=tmp_path / "plain")
    assert (data.ranks.values, data.train.paths[0], data.train.targets[0]) == (
        (0, 1, 2),
        "0/3.PNG",
        0,
    )
    assert "12 images of a folder per rank, 1 other files left out" in data.summary()
    for split in SPLITS:
        (tmp_path / "cut" / split).mkdir(parents=True)
        (tmp_path / "plain" / str(SPLITS.index(split))).rename(tmp_path / "cut" / split / "fresh")
    (tmp_path / "cut" / "test" / "ripe").mkdir()
    (tmp_path / "cut" / "test" / "beside.png").touch()
    data = load_dataset(
        "csv", root=tmp_path / "cut", ranks=("fresh", "ripe"), allow_empty_ranks=True
    )
    assert data.protocol[:2] == (
        "1 folders without an image: test/ripe",
        "1 images beside the folders of the ranks are left out, the first is test/beside.png",
    )
    assert data.test.paths[0] == "test/fresh/11.PNG"
    assert [len(data.split(split)) for split in SPLITS] == [4, 4, 4]
    neither = r"has neither labels.csv, .* nor a folder of images per rank; pass --labels"
    with pytest.raises(InputError, match=neither):
        load_dataset("csv", root=tmp_path)


def test_what_is_no_image_of_a_rank_is_counted(tmp_path: Path) -> None:
    """An empty folder, images in a folder of a folder, and images beside the folders: none goes silently."""
    for number in range(12):
        for name in ("low", "high"):
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / f"{number}.png").touch()
    for name in ("middle", "high/2020", "odd/.hidden"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("high/2020/a.png", "high/2020/b.png", "beside.png", "odd/.hidden/c.png"):
        (tmp_path / name).touch()

    data = load_dataset("csv", root=tmp_path, ranks="low,high")
    assert data.protocol[:3] == (
        "2 folders without an image: middle, odd",
        "2 images deeper than in the folder of a rank are left out, the first is high/2020/a.png",
        "1 images beside the folders of the ranks are left out, the first is beside.png",
    )


def drawn(folder: Path, groups: int = 0, splits: str = "", **options: Any) -> OrdinalDataset:
    """A hundred images of five ranks that do not exist; groups of one size share ranks."""
    number = np.arange(100)
    table = pd.DataFrame({"path": [f"{n}.png" for n in number], "label": number % 5})
    if groups:
        table["patient"] = [f"p{n % groups}" for n in number]
        options |= {"group_column": "patient"}
    if splits:
        table["split"] = [splits.split()[n % len(splits.split())] for n in number]
    for path in table["path"]:
        (folder / path).touch()
    return load_dataset("csv", root=folder, labels=table, **options)


@pytest.mark.parametrize(
    ("options", "sizes", "said"),
    [
        ({}, [70, 15, 15], "split 70/15/15 within every rank, seed 0"),
        ({"val_share": 0.25, "seed": 3}, [60, 25, 15], "split 60/25/15 within every rank, seed 3"),
        ({"splits": "train train test train"}, [65, 10, 25],
         "split by the table; validation: 10 of the 75 training images within every rank, seed 0"),
        ({"folds": 4, "fold": 2}, [65, 10, 25], "fold 2 of 4 within every rank, seed 0; validation: 10 of the 75"),
        ({"folds": 4, "splits": "train val test"}, [65, 10, 25], "seed 0, not the splits of the table; validation"),
        ({"groups": 33}, [70, 15, 15], "split 70/15/15 by group (33 of them) and rank, seed 0"),
        # of three groups of a rank one, as of three images
        ({"groups": 20, "splits": "train train test train"}, [50, 25, 25],
         "validation: 25 of the 75 training images by group and rank, seed 0"),
        ({"groups": 33, "folds": 5}, [68, 12, 20], "fold 1 of 5 by group (33 of them) and rank, seed 0"),
        ({"groups": 7, "splits": "train val test"}, [34, 33, 33], "7 groups are in more than one split: --leakage"),
    ],
)  # fmt: skip
def test_what_the_table_leaves_open_is_drawn_and_said(
    tmp_path: Path, options: dict[str, Any], sizes: list[int], said: str
) -> None:
    """Each rank, of twenty images, in each split; nobody in two; the same again by the same seed."""
    data = drawn(tmp_path, **options)
    assert [len(data.split(split)) for split in SPLITS] == pytest.approx(
        sizes, abs=4 * ("groups" in options)
    )
    assert said in "; ".join(data.protocol)
    assert all(min(data.counts(split)) > 0 for split in SPLITS)
    if "groups" in options and "are in more" not in said:
        assert {n for key, n in leakage(data).items() if "shared" in key} == {0}
    assert drawn(tmp_path, **options).test.paths == data.test.paths
    if "splits" not in options or "folds" in options:
        assert drawn(tmp_path, **options | {"seed": 9}).test.paths != data.test.paths


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6)), min_size=1, max_size=60),
    st.integers(0, 9),
)
def test_folds_hold_everything_once_and_groups_stay_whole(
    rows: list[tuple[int, int]], seed: int
) -> None:
    """Whatever the groups; training keeps every rank, and of equal groups the parts differ by one."""
    ranks, groups = [rank for rank, _ in rows], [f"g{who}" for _, who in rows]
    parts = deal(groups, ranks, [0.25] * 4, [seed])
    assert len({*zip(groups, parts.tolist(), strict=True)}) == len(set(groups))
    cut = stratified(ranks, [seed], groups=groups)
    assert {rank for rank, part in zip(ranks, cut, strict=True) if part == "train"} == set(ranks)
    equal = np.bincount(deal(np.arange(40), [0] * 40, [0.7, 0.15, 0.15], [seed]), minlength=3)
    assert np.abs(equal - [28, 6, 6]).max() <= 1


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("0.png,rotten,train", "row 2: the label 'rotten' is no rank; write one of fresh, ripe, over ripe"),
        (f"0.png,{'9' * 5000},train", "labels.csv row 2: the label '9+ is no rank"),
        ("0.png,ripe,valid\n1.png,ripe,x", "row 2 .the first of 2.: the split 'valid' is none of train, val, test"),
        ("0.png,ripe,train\n1.png,ripe,train,x", "labels.csv: .*Expected 3 fields in line 3, saw 4"),
        ("0.png,ripe,train,x\n1.png,ripe,train,x", "labels.csv: its first row has too many cells"),
        ("0.png,ripe,val\n1.png,ripe,val\n1.png,ripe,test", "row 4: the image 1.png is listed in labels.csv row 3 alr"),
        ("99.png,ripe,train\n1.png,ripe,test", r"csv: 1 of the 2 listed images .*99.png \(labels.csv row 2\)"),
        ("out.png,ripe,train", "row 2: the path 'out.png' leads out of the folder .*by a link; copy the image itself"),
        ("0.png,ripe,train\ntwin.png,ripe,test", "row 3: the image twin.png is listed in labels.csv row 2 already"),
        ('"0.png,ripe,train', "labels.csv: .*EOF inside string.*check quotes"),
        (",ripe,train\n0.png,ripe,test", "labels.csv row 2: the path is blank; fill it in, or remove the row"),
        ("", "there is no row below the header"),
        ("0.png,fresh,train\n1.png,ripe,val\n2.png,over ripe,test", r"no training image has rank 1 \('ripe'\)"),
    ],
)  # fmt: skip
def test_every_bad_row_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    """One sentence with file, row and fix for each way to be wrong."""
    write(tmp_path, f"path,label,split\n{text}\n")
    with pytest.raises(InputError, match=sentence) as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"root": None}, r"csv: pass root=.* \(--root DIR\), the folder of the images, not None"),
        ({"root": "gone"}, "csv: pass root=.*, not 'gone'"),
        ({"labels": "gone.csv"}, r"gone.csv: there is no such file; give one with the columns path, label"),
        ({"labels": "0.png"}, "0.png: is no table of labels; name a .csv, .tsv, .txt, .parquet file in "),
        ({"labels": "../labels.csv"}, "labels.csv: is no table of labels; .* or one elsewhere by its path"),
        ({"labels": "link.csv"}, "link.csv: is no table of labels"),
        ({"label_column": "grade"}, "write the column 'grade' once, in .'path', 'label', 'group'., or name yours: --path"),
        ({"group_column": "patient"}, "write the column 'patient' once"),
        ({}, "labels.csv row 3: the group is blank"),
        ({"folds": 5, "fold": 6}, "csv: there is no fold 6; they count from 1"),
        ({"fold": 1}, "csv: there is no fold 1"),
        ({"val_share": 0.6}, "csv: val_share: Input should be less than or equal to 0.5, not 0.6"),
        ({"seed": "0"}, "csv: seed: Input should be a valid integer, not '0'"),
        ({"labels_are": "value"}, "csv: labels_are: Input should be 'names', 'index' or 'position', not 'value'"),
        ({"subject_disjoin": True}, r"csv: subject_disjoin: there is no such option; did you mean subject_disjoint\?$"),
        ({"rank": "a,b,c"}, r"csv: rank: there is no such option; did you mean ranks\?$"),
        ({"pixels": 64}, r"csv: pixels: there is no such option; choose one of root, labels, .*, protocol_seed\.$"),
        ({"ranks": 3}, "csv: ranks: give a list, lowest first, or a text such as 'fresh,ripe' or '0:9', not 3"),
    ],
)  # fmt: skip
def test_what_is_missing_or_elsewhere_is_said(
    tmp_path: Path, options: dict[str, Any], sentence: str
) -> None:
    """No root, no file, another kind of file, a file outside, another header, an option that is none."""
    root = tmp_path / "root"
    root.mkdir()
    write(root, "path,label,group\n0.png,ripe,a\n1.png,fresh,\n")
    (tmp_path / "labels.csv").write_text("path,label\nsecret,1\n")
    (root / "link.csv").symlink_to("../labels.csv")
    with pytest.raises(InputError, match=sentence):
        load(root, **options)


def test_files_that_are_no_table(tmp_path: Path) -> None:
    """A column twice, not UTF-8, nothing, Parquet without its library; and data sets that do not exist."""
    for name, sentence in (
        ("leavs", r"'leavs'; choose one of .*; did you mean leaves\?$"),
        ("xyz", r"'xyz'; choose one of .*csv.*[.]$"),
    ):
        with pytest.raises(InputError, match=sentence):
            load_dataset(name)

    for text, sentence in (
        (b"path,label,path\n0.png,0,1.png\n", "write the column 'path' once"),
        ("path,label\nblé.png,0\n".encode("latin-1"), "can't decode byte.*UTF-8"),
        (
            b"",
            "labels.csv: is empty or begins with a blank line; begin with the columns path, label",
        ),
        (b"\xef\xbb\xbf", "labels.csv: is empty"),
        (b"\r\n\r\npath,label\r\n0.png,0\r\n", "labels.csv: is empty or begins with a blank line"),
    ):
        (tmp_path / "labels.csv").write_bytes(text)
        with pytest.raises(InputError, match=sentence):
            load(tmp_path)
    with pytest.raises(InputError, match="no data set 'x'; choose one of leaves, bracol, csv"):
        load_dataset("x")


def test_parquet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read by pandas; without its engine, one sentence with the cure."""
    write(tmp_path, "")
    table = pd.DataFrame({"path": [f"{n}.png" for n in range(9)], "label": [0.0, 1.0, 2.0] * 3})
    (tmp_path / "labels.parquet").touch()
    monkeypatch.setattr(
        "pandas.read_parquet", lambda file: table if file.suffix == ".parquet" else None
    )
    assert load_dataset("csv", root=tmp_path, labels="labels.parquet").counts("train") == [1, 1, 1]
    monkeypatch.undo()
    if find_spec("pyarrow") is None:
        with pytest.raises(
            InputError, match=r"labels.parquet: Parquet needs pyarrow; pip install pyarrow, or"
        ):
            load_dataset("csv", root=tmp_path, labels="labels.parquet")


def test_missing_images_can_be_left_out(tmp_path: Path) -> None:
    """Two of eleven images are not there: the data set goes on without them and says so."""
    rows = [f"{number}.png,{number % 3},{SPLITS[number // 3]}" for number in range(9)]
    write(tmp_path, "path,label,split\n" + "\n".join([*rows, "98.png,0,train", "99.png,1,val"]))
    with pytest.raises(InputError, match=r"2 of the 11 listed images .*--allow-missing"):
        load(tmp_path, ranks=None)
    data = load(tmp_path, ranks=None, allow_missing=True)
    assert (data.missing, data.caveat) == (("98.png", "99.png"), "2 listed image(s) missing")
    assert [len(data.split(split)) for split in SPLITS] == [3, 3, 3]
    assert (
        "2 listed images are missing and left out: 1 of train, 1 of val, 0 of test" in data.protocol
    )


@pytest.mark.parametrize("cell", ['" 3.png"', " 3.png", "3.png ", "3.png"])
@pytest.mark.parametrize("name", [" 3.png", "3.png "])
def test_a_path_that_may_mean_two_files(tmp_path: Path, cell: str, name: str) -> None:
    """Cells lose the spaces around them, so the label could go to the other image."""
    write(tmp_path, f"path,label,split\n0.png,fresh,train\n{cell},ripe,test\n")
    Image.new("RGB", (8, 8), "blue").save(tmp_path / name, format="PNG")
    with pytest.raises(
        InputError, match=r"row 3: the path '3.png' may also mean a file with spaces"
    ):
        load(tmp_path)


def test_spaces_in_names_of_a_folder_per_rank(tmp_path: Path) -> None:
    """Nothing is stripped there, so both files are themselves."""
    for rank in ("fresh", "ripe", "over ripe"):
        (tmp_path / rank).mkdir()
        for number in range(6):
            for name in (f"{number}.png", f" {number}.png"):
                (tmp_path / rank / name).touch()
    data = load(tmp_path)
    assert sum(len(data.split(split)) for split in SPLITS) == 36


@pytest.mark.untyped
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"labels_are": "Index"}, r"^labels_are: Input should be 'names', 'index' or 'position', not 'Index'\.$"),
        ({"folds": 1}, r"^folds: Input should be greater than or equal to 2, not 1\.$"),
        ({"val_share": 0.0}, r"^val_share: Input should be greater than 0, not 0\.0\.$"),
        ({"seed": -1}, r"^seed: Input should be greater than or equal to 0, not -1\.$"),
        ({"ranks": {"a", "b"}}, "^ranks: give a list, lowest first"),
        ({"rank": "a,b"}, r"^rank: there is no such option; did you mean ranks\?$"),
    ],
)  # fmt: skip
def test_loaders_that_are_called_themselves(options: dict[str, Any], sentence: str) -> None:
    """They raise what their docstrings promise, in one sentence; so do the protocols."""
    with pytest.raises(InputError, match=sentence):
        load_csv(**options)
    with pytest.raises(InputError, match=r"^few_shot: Input should be greater than or equal to 1"):
        few_shot(load_dataset("leaves", size=60), 0)


@pytest.mark.parametrize(
    "ranks", [np.array(["0", "1", "2"]), np.arange(3), pd.Series([0, 1, 2]), range(3)]
)
def test_ranks_in_an_array_a_series_or_a_range(tmp_path: Path, ranks: Any) -> None:
    """They are as good as a list."""
    rows = [f"{row}.png,{row % 3}" for row in range(12)]
    write(tmp_path, "\n".join(["path,label", *rows]))
    assert load(tmp_path, ranks=ranks).ranks.values == (0, 1, 2)


def test_no_listed_image_is_there(tmp_path: Path) -> None:
    """What was passed already is no advice."""
    write(tmp_path, "path,label\na.png,ripe\nb.png,fresh\n", images=0)
    with pytest.raises(InputError, match=r"2 of the 2 .*; correct it, or name another --root\.$"):
        load(tmp_path, allow_missing=True)


@pytest.mark.parametrize(
    ("label", "sentence"),
    [
        ('"1,0"', "row 14: the label '1,0' has a comma; write a number with a decimal point"),
        ('"ripe, soft"', "row 14: the label 'ripe, soft' has a comma; .*, and a name without a comma"),
        ("1e400", "row 14: the label '1e400' is no finite number; correct it"),
    ],
)  # fmt: skip
def test_labels_that_are_nearly_numbers(tmp_path: Path, label: str, sentence: str) -> None:
    """They are called what they are, and no rank is proposed that a comma would cut in two."""
    rows = [f"{row}.png,{row % 3}" for row in range(12)]
    write(tmp_path, "\n".join(["path,label", *rows, f"x.png,{label}"]))
    with pytest.raises(InputError, match=sentence):
        load(tmp_path, ranks=None)
