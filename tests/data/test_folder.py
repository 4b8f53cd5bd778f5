"""Your own images: what spreadsheets write is read, every bad row is named, no path leaves the folder."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from l2rclip_lite.data import OrdinalDataset, load_dataset
from l2rclip_lite.data.base import SPLITS
from l2rclip_lite.data.folder import files_inside
from l2rclip_lite.errors import InputError

RANKS = "fresh, ripe, over ripe"


def write(root: Path, text: str, images: int = 12) -> None:
    """Images 0.png to 11.png, each of its own red, links, and the labels file."""
    for number in range(images):
        Image.new("RGB", (8, 8), (number * 20, 0, 0)).save(root / f"{number}.png")
    for link, target in {"loop.png": "loop.png", "out.png": root.parent, "twin.png": "0.png"}.items():
        (root / link).symlink_to(target)
    (root / "labels.csv").write_bytes(text.encode())


def load(folder: Path, **options: object) -> OrdinalDataset:
    """The folder with the ranks of this file."""
    return load_dataset("csv", **{"root": folder, "ranks": RANKS, "template": "a {rank} banana", **options})


def test_a_file_as_excel_writes_it(tmp_path: Path) -> None:
    """Byte-order mark, Windows line ends, spaces, quotes, a blank line, names and indices, subjects."""
    rows = ["0.png, fresh,train,a", '"1.png","over ripe",train,a', "2.png,1,train,b"]
    rows += ["", "3.png,2,val,c", "4.png,0,test,d"]
    write(tmp_path, "\ufeff" + "\r\n".join(["path,label , split,subject", *rows]))
    data = load(tmp_path)
    assert data.train.paths == ("0.png", "1.png", "2.png")
    assert data.train.targets == (0, 2, 1)
    assert data.train.subjects == ("a", "a", "b")
    assert data.val[0][0].getpixel((0, 0)) == (60, 0, 0)
    assert data.ranks.sentences[2] == "a over ripe banana"
    assert (data.upright, data.protocol) == (True, ("split by the labels file",))


def test_without_a_split_column_every_rank_is_in_every_split(tmp_path: Path) -> None:
    """Four images of each rank are cut 2, 1, 1 by the seed."""
    write(tmp_path, "path,label\n" + "".join(f"{number}.png,{number % 3}\n" for number in range(12)))
    data = load(tmp_path, ranks=("fresh", "ripe", "over ripe"))
    assert [data.counts(split) for split in SPLITS] == [[2] * 3, [1] * 3, [1] * 3]
    assert load(tmp_path).test.paths == data.test.paths != load(tmp_path, seed=1).test.paths


def test_a_number_is_a_name_where_names_are_numbers(tmp_path: Path) -> None:
    """Ranks 1, 2, 3 and labels 0 to 3: 0 is no rank, instead of the same one as 1."""
    text = "path,label,split\n0.png,1,train\n1.png,2,train\n2.png,3,train\n3.png,1,val\n4.png,3,test\n"
    write(tmp_path, text)
    assert load(tmp_path, ranks="1,2,3").train.targets == (0, 1, 2)
    (tmp_path / "labels.csv").write_text(text + "5.png,0,train\n")
    with pytest.raises(InputError, match=r"row 7: the label '0' is no rank; write one of 1, 2, 3\.$"):
        load(tmp_path, ranks="1,2,3")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("0.png,rotten,train", "row 2: the label 'rotten' is no rank; write one of fresh.*index from 0 to 2"),
        ("\n0.png,3,train", "labels.csv row 3: the label '3' is no rank"),
        (f"0.png,{'9' * 5000},train", "labels.csv row 2: the label '9+ is no rank"),
        ("0.png,0,valid", "labels.csv row 2: the split 'valid' is none of train, val, test"),
        ("0.png,0", "labels.csv row 2: the split '' is none of train, val, test"),
        ("0.png,0,train\n1.png,0,train,x", "labels.csv: .*Expected 3 fields in line 3, saw 4"),
        ("0.png,0,train,x\n1.png,0,train,x", "labels.csv: its first row has too many cells"),
        (
            "0.png,0,val\n1.png,0,val\n1.png,0,test",
            "row 4: the image 1.png is listed in labels.csv row 3 alr",
        ),
        ("99.png,0,train\n1.png,0,test", r"csv: 1 of the 2 listed images .*99.png \(labels.csv row 2\)"),
        ("loop.png,0,train", "the first is loop.png .labels.csv row 2."),
        ("out.png,0,train", "labels.csv row 2: the path 'out.png' leads out of the folder"),
        ("../0.png,0,train", "labels.csv row 2: the path '../0.png' leads out of the folder"),
        ("0.png,0,train\ntwin.png,0,test", "row 3: the image twin.png is listed in labels.csv row 2 already"),
        ("0.png,0,train\n./0.png,0,test", "row 3: the image ./0.png is listed in labels.csv row 2 already"),
        ('"0.png,0,train', "labels.csv: .*EOF inside string.*check quotes"),
        ("", "there is no row below the header"),
        ("0.png,0,train\n1.png,1,val\n2.png,2,test", r"no training image has rank 1 \('ripe'\)"),
    ],
)
def test_every_bad_row_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    """One sentence with file, row and fix for each way to be wrong."""
    write(tmp_path, f"path,label,split\n{text}\n")
    with pytest.raises(InputError, match=sentence) as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    """No ranks, no root, no file, no such data set, a wrong option, another header, not UTF-8."""
    for options, sentence in (
        ({"ranks": None}, "pass root=.*, and ranks="),
        ({}, r"labels.csv: there is no such file; give one with the columns path, label"),
        ({"seed": "0"}, "csv: seed: Input should be a valid integer, not '0'"),
        ({"root": 3}, "csv: root: .* not 3"),
        ({"fold": 3}, "csv: fold: Unexpected keyword argument, not 3"),
    ):
        with pytest.raises(InputError, match=sentence):
            load(tmp_path, **options)
    with pytest.raises(InputError, match=r"no data set 'leafs'; did you mean leaves\?"):
        load_dataset("leafs")
    with pytest.raises(InputError, match="no data set 'x'; choose one of leaves, bracol, csv"):
        load_dataset("x")
    for text, sentence in (
        (b"path;label\n0.png;0\n", "write the column 'path' once, in .'path;label'."),
        (b"path,label,path\n0.png,0,1.png\n", "write the column 'path' once"),
        ("path,label\nblé.png,0\n".encode("latin-1"), "can't decode byte.*UTF-8"),
        (b"", "No columns to parse"),
    ):
        (tmp_path / "labels.csv").write_bytes(text)
        with pytest.raises(InputError, match=sentence):
            load(tmp_path)


def test_missing_images_can_be_left_out(tmp_path: Path) -> None:
    """Two of eleven images are not there: the data set goes on without them and says so."""
    rows = [f"{number}.png,{number % 3},{SPLITS[number // 3]}" for number in range(9)]
    write(tmp_path, "path,label,split\n" + "\n".join([*rows, "98.png,0,train", "99.png,1,val"]))
    with pytest.raises(InputError, match=r"2 of the 11 listed images .*--allow-missing"):
        load(tmp_path)
    data = load(tmp_path, allow_missing=True)
    assert (data.missing, data.caveat) == (("98.png", "99.png"), "2 listed image(s) missing")
    assert [len(data.split(split)) for split in SPLITS] == [3, 3, 3]
    assert "2 listed images are missing and left out: 1 of train, 1 of val, 0 of test" in data.protocol


@pytest.mark.untyped
def test_a_long_file_is_read_at_once(tmp_path: Path, seconds: float) -> None:
    """11,027 rows in sub-folders, a fifth of MORPH: a fifth of a second, without type checks."""
    for folder in range(50):
        (tmp_path / str(folder)).mkdir()
    paths = [f"{number % 50}/{number}.png" for number in range(11_027)]
    for path in paths:
        (tmp_path / path).touch()
    rows = (f"{path},{number % 3},{SPLITS[number % 3]}" for number, path in enumerate(paths))
    (tmp_path / "labels.csv").write_text("path,label,split\n" + "\n".join(rows))
    took = []
    for _ in range(2):
        start = time.process_time()
        load(tmp_path, allow_empty_ranks=True)
        took.append(time.process_time() - start)
    assert min(took) < 0.2 * seconds


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a sub-folder, a link within, links that lead out, and one that leads to itself."""
    top = tmp_path_factory.mktemp("linked")
    root = top / "root"
    (root / "a").mkdir(parents=True)
    (root / "a" / "b").touch()
    (top / "secret").touch()
    links = {"in": "a", "out": "..", "file": "../secret", "loop": "loop", "deep": "a/../../secret"}
    for name, target in links.items():
        (root / name).symlink_to(target)
    return root


PARTS = ["a", "b", "..", ".", "", "in", "out", "file", "loop", "deep", "C:", "\\", "secret", "ü", "\0", "~"]


@given(st.lists(st.lists(st.sampled_from(PARTS), max_size=5).map("/".join), min_size=1, max_size=4))
def test_no_path_ever_leaves_the_root(linked: Path, paths: list[str]) -> None:
    """Whatever is put together from dots, drives, slashes and links: refused, or a file below the root."""
    table = pd.DataFrame({"path": paths, "where": [f"row {row}" for row in range(len(paths))]})
    with contextlib.suppress(InputError):
        for file in files_inside(linked, table):
            assert not file or os.path.realpath(file).startswith(f"{os.path.realpath(linked)}{os.sep}")
            assert not file or os.path.isfile(file)
