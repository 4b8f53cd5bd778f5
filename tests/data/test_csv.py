"""Your own pictures: what spreadsheets write is read, every bad row is named."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from l2rclip_lite.data import OrdinalDataset, load_dataset
from l2rclip_lite.data.base import SPLITS
from l2rclip_lite.errors import InputError

RANKS = "fresh, ripe, over ripe"


def write(root: Path, text: str, pictures: int = 12) -> None:
    """Pictures 0.png to 11.png, each of its own red, and the labels file."""
    for number in range(pictures):
        Image.new("RGB", (8, 8), (number * 20, 0, 0)).save(root / f"{number}.png")
    for link, target in {"loop.png": "loop.png", "out.png": root.parent, "twin.png": "0.png"}.items():
        (root / link).symlink_to(target)
    (root / "labels.csv").write_bytes(text.encode())


def load(root: Path, **options: object) -> OrdinalDataset:
    """The folder with the ranks of this file."""
    return load_dataset("csv", **{"root": root, "ranks": RANKS, "template": "a {rank} banana", **options})


def test_a_file_as_excel_writes_it(tmp_path: Path) -> None:
    """Byte-order mark, Windows line ends, spaces, quotes, a blank line, names and indices."""
    rows = [
        "0.png, fresh,train",
        '"1.png","over ripe",train',
        "2.png,1,train",
        "",
        "3.png,2,val",
        "4.png,0,test",
    ]
    write(tmp_path, "\ufeff" + "\r\n".join(["path,label , split", *rows]))
    data = load(tmp_path)
    assert data.train.paths == ("0.png", "1.png", "2.png")
    assert data.train.targets == (0, 2, 1)
    assert data.val[0][0].getpixel((0, 0)) == (60, 0, 0)
    assert data.ranks.sentences[2] == "a over ripe banana"


def test_without_a_split_column_every_rank_is_in_every_split(tmp_path: Path) -> None:
    """Four images a rank are cut 2, 1, 1 by the seed."""
    write(tmp_path, "path,label\n" + "".join(f"{number}.png,{number % 3}\n" for number in range(12)))
    data = load(tmp_path, ranks=("fresh", "ripe", "over ripe"))
    assert [data.counts(split) for split in ("train", "val", "test")] == [[2] * 3, [1] * 3, [1] * 3]
    assert load(tmp_path).test.paths == data.test.paths != load(tmp_path, seed=1).test.paths


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "path,label,split\n0.png,rotten,train\n",
            "labels.csv row 2: the label 'rotten' is no rank; write one of fresh",
        ),
        ("path,label,split\n\n0.png,3,train\n", "labels.csv row 3: the label '3' is no rank"),
        (
            "path,label,split\n0.png,0,valid\n",
            "labels.csv row 2: the split 'valid' is none of train, val, test",
        ),
        ("path,label,split\n0.png,0\n", "labels.csv row 2: 2 cells, but the header has 3"),
        (
            "path,label,split\n99.png,0,train\n98.png,0,val\n1.png,0,test\n",
            r"csv: 2 of the 3 listed pictures are not under .*, the first is 99.png \(labels.csv row 2\)",
        ),
        (
            f"path,label,split\n{'9' * 5000}.png,0,train\n",
            "row 2.*none of the train split is there; name another",
        ),
        (f"path,label,split\n0.png,{'9' * 5000},train\n", "labels.csv row 2: the label '9+' is no rank"),
        ("path,label,split\nloop.png,0,train\n", "the first is loop.png .labels.csv row 2."),
        (
            "path,label,split\nout.png,0,train\n",
            "labels.csv row 2: the path 'out.png' leaves the data folder",
        ),
        (
            "path,label,split\n0.png,0,train\ntwin.png,0,test\n",
            "row 3: the image twin.png stands in .* row 2",
        ),
        (
            "path,label,split\n0.png,0,train\n./0.png,0,test\n",
            "row 3: the image ./0.png stands in labels.csv row 2",
        ),
        (
            "path,label,split\n../0.png,0,train\n",
            "labels.csv row 2: the path '../0.png' leaves the data folder",
        ),
        ("path,label\n0.png,0\n1.png,0\n2.png,0\n3.png,1\n", "rank 'ripe' has 1 image.*three at least"),
        ("path;label\n0.png;0\n", "the header 'path;label' needs the column 'path' once; .* commas"),
        ("path,label\n", "there is no row below the header"),
        ('path,label\n"0.png,0\n', "labels.csv row 2: .*check the quotes"),
        (
            "path,label,split\n0.png,0,train\n1.png,1,val\n2.png,2,test\n",
            r"no training image has rank 1 \('ripe'\)",
        ),
    ],
)
def test_every_bad_row_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    """One sentence with file, row and fix for each way to be wrong."""
    write(tmp_path, text)
    with pytest.raises(InputError, match=sentence):
        load(tmp_path)


def test_missing_pictures_can_be_left_out(tmp_path: Path) -> None:
    """Two of nine pictures are not there: the data set goes on without them and says so."""
    rows = [f"{number}.png,{number % 3},{('train', 'val', 'test')[number // 3]}" for number in range(9)]
    write(tmp_path, "path,label,split\n" + "\n".join([*rows, "98.png,0,train", "99.png,1,val"]))
    with pytest.raises(InputError, match=r"2 of the 11 listed pictures .*--allow-missing"):
        load(tmp_path)
    data = load(tmp_path, allow_missing=True)
    assert data.missing == ("98.png", "99.png")
    assert [len(data.split(split)) for split in ("train", "val", "test")] == [3, 3, 3]
    assert "2 listed pictures are missing and left out: 1 of train, 1 of val, 0 of test" in data.protocol


def test_a_long_file_is_read_at_once(tmp_path: Path, seconds: float) -> None:
    """100,000 rows in sub-folders, none of them there: 2 s of processor time, without the type checks of pytest.

    The best of three, because other processes slow this one down, too.
    """
    rows = (f"{number % 50}/{number}.png,{number % 3},{SPLITS[number % 3]}" for number in range(10**5))
    write(tmp_path, "path,label,split\n" + "\n".join(rows), pictures=0)
    code = """if True:
        import sys, time
        from l2rclip_lite.data.csv import load_csv
        from l2rclip_lite.errors import InputError
        took = []
        for _ in range(3):
            start = time.process_time()
            try:
                load_csv(sys.argv[1], ranks="fresh,ripe,over ripe")
            except InputError as error:
                sentence = error
            took.append(time.process_time() - start)
        print(min(took), sentence)
    """
    plain = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    said = subprocess.run(
        [sys.executable, "-c", code, tmp_path], env=plain, capture_output=True, text=True, check=True
    )
    took, _, sentence = said.stdout.partition(" ")
    assert sentence.startswith("csv: 100,000 of the 100,000 listed pictures are not under")
    assert float(took) < 2 * seconds


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    """No ranks, no root, no file, no such data set, not UTF-8."""
    with pytest.raises(InputError, match="name the ranks, lowest first"):
        load(tmp_path, ranks=None)
    with pytest.raises(InputError, match="pass root="):
        load_dataset("csv", ranks=RANKS)
    with pytest.raises(InputError, match=r"labels.csv: there is no such file"):
        load(tmp_path)
    with pytest.raises(InputError, match=r"no data set 'leafs'; did you mean leaves\?"):
        load_dataset("leafs")
    with pytest.raises(InputError, match="no data set 'x'; choose one of leaves, bracol, csv"):
        load_dataset("x")
    (tmp_path / "labels.csv").write_bytes("path,label\nblé.png,0\n".encode("latin-1"))
    with pytest.raises(InputError, match="not UTF-8; save it as 'CSV UTF-8'"):
        load(tmp_path)


def test_the_cycle_collector_is_on_again(tmp_path: Path) -> None:
    """It rests while rows are read, and only then: also after a file that was refused."""
    assert gc.isenabled()
    with pytest.raises(InputError):
        load_dataset("csv", root=tmp_path, ranks=("low", "high"))
    assert gc.isenabled()
