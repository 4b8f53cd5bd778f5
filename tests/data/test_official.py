"""Official lists: every dialect is read, bad rows are named, images are looked for, all folds load.

What is drawn in the layout of a data set stands in for it.
"""

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from drawn import make_fixture
from hypothesis import given
from hypothesis import strategies as st

from l2rclip_lite.data import load_dataset
from l2rclip_lite.data.base import SPLITS
from l2rclip_lite.data.benchmarks import DATA_SETS
from l2rclip_lite.data.official import find_images, five_folds, parts_of, read_lists
from l2rclip_lite.errors import InputError
from l2rclip_lite.files import sha256_of

DRAWN = [name for name in DATA_SETS if name not in ("leaves", "coffee", "retinamnist", "csv")]
SETTING_A = f"morph/setting{'A'}"  # in one word, a spelling checker takes it for a mistake
MORPH_TRAIN = f"{SETTING_A}/Setting_A_fold0_train.txt"
MORPH_TEST = f"{SETTING_A}/Setting_A_fold0_test.txt"
MORPH = "race gender age filename database\r\n0 1 31 000001_1M31.JPG morph\r\n"
CLAP = "filename,age,stdv,database\na.jpg,30,1.5,train\nb.jpg,30,1.5,val\nc.jpg,30,2,test\n"
GOOD_LISTS = {
    MORPH_TRAIN: MORPH,
    MORPH_TEST: MORPH.replace("000001", "000002"),
    "clap2015/total_2015.csv": CLAP,
}
for number in range(5):
    rows = f"{number}@N0/a.jpg {number}\n{number}@N1/a.jpg 0\n"
    GOOD_LISTS[f"adience/simplified_adience_{number}.txt"] = rows
    decade = 1930 + 10 * number
    GOOD_LISTS[f"hci/{decade}s.txt"] = f"./images/{decade}s_0.jpg {decade}s\n"


@pytest.mark.parametrize(
    ("file", "text", "sentence"),
    [
        (MORPH_TRAIN, MORPH.replace("31", "78"), "row 2: the label '78' is none of this data set"),
        (MORPH_TRAIN, MORPH.replace("000001_1M31", "me"), "row 2: the path 'me.JPG' is not made"),
        (MORPH_TRAIN, MORPH.replace("000001", "000002"),
         "test.txt row 2: the path '000002_1M31.JPG' is listed in Setting_A_fold0_train.txt row 2"),
        ("clap2015/total_2015.csv", CLAP.replace("val", "dev"), "row 3: the database 'dev' is"),
        ("clap2015/total_2015.csv", CLAP.replace("a.jpg,30", "a.jpg,30.5"), r"'30.5' .* \(3 to 85"),
        ("clap2015/total_2015.csv", CLAP.replace("test", "val"), "the test split is empty"),
        ("clap2015/total_2015.csv", CLAP.replace("30,1.5,tr", "30,,tr"), "the stdv is no num"),
        ("adience/simplified_adience_2.txt", "1@N0/a.JPG 1\n", "row 1: .* is listed in simp.*_1"),
        ("hci/1940s.txt", "a.jpg 1945s\n", r"1940s.txt row 1: the label '1945s' .* \(1930 to 1970"),
        ("bracol-area/labels.csv", "file,lesion_percent\n1.jpg,101", r"'101' .* \(0 to 100\)"),
        ("pears/labels.csv", "file,count,fold\nDSC_1_a_1.jpg,1,5", "the fold '5' is none of 0, 1"),
        ("hc18/labels.csv", "file,week\n000_HC.jpg,20", "1 of the 1 listed images .* 000_HC.jpg"),
    ],
)  # fmt: skip
def test_every_bad_row_is_named(tmp_path: Path, file: str, text: str, sentence: str) -> None:
    """One sentence with file, row and fix from each list."""
    for name, content in (GOOD_LISTS | {file: text}).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content.encode())

    name = file.split("/")[0]
    place = {"lists": tmp_path} if DATA_SETS[name].lists else {"root": tmp_path / name}
    with pytest.raises(InputError, match=sentence) as caught:
        load_dataset(name, **place)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("morph", {"protocol": "three-fold", "fold": 0}, "morph: fold must be one of 1, 2, not 0"),
        ("clap2015", {"fold": 0}, "clap2015: fold must be one of none, not 0"),
        ("aesthetics", {"category": "animal"}, "category must be one of animals, nature, people"),
        ("hci", {}, "hci: there is no 1930s.txt; pass lists=.* hci --download .* makes it"),
        ("bracol", {"root": "x"}, "there is no x/dataset.csv; pass root=.* --download .* makes it"),
        ("hc18", {"root": "x"}, r"x/labels.csv; pass root=.*`python tools/owners_labels.py hc18"),
    ],
)
def test_the_choices_are_listed(name: str, options: dict[str, Any], sentence: str) -> None:
    """Before any file is read; of files that are not there, the way to them."""
    with pytest.raises(InputError, match=sentence):
        load_dataset(name, **options)


NAMES = st.text("abcü@._-'", min_size=1, max_size=6).map("{}.jpg".format)


@given(
    rows=st.dictionaries(NAMES, st.integers(3, 85), min_size=1, max_size=8),
    separator=st.sampled_from("\t, "),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    n_blank=st.integers(0, 2),
    prefix=st.sampled_from(["", "../../", "./images/", "C:\\data\\"]),
    header=st.booleans(),
)
def test_every_dialect_gives_the_same_names_labels_and_row_numbers(
    tmp_path_factory: pytest.TempPathFactory,
    rows: dict[str, int],
    separator: str,
    end: str,
    n_blank: int,
    prefix: str,
    header: bool,
) -> None:
    """Separators, line ends, blank lines, folders before a name, a header after a BOM."""
    lines = [f"{prefix}{name}{separator}{label}" for name, label in rows.items()]
    if header:
        lines.insert(0, f"\ufefffilename{separator}age")
    file = tmp_path_factory.mktemp("lists") / "list.txt"
    file.write_bytes((end * (1 + n_blank)).join(lines).encode())

    table = read_lists([file], replace(DATA_SETS["clap2015"], columns=("filename", "age")))

    assert table["path"].tolist() == list(rows)
    assert table["target"].tolist() == [label - 3 for label in rows.values()]
    row_numbers = [1 + place * (1 + n_blank) for place in range(header, len(lines))]
    assert table["where"].tolist() == [f"list.txt row {number}" for number in row_numbers]


def test_ages_of_three_years_share_a_rank(tmp_path: Path) -> None:
    """From 34; younger and older ones join the ends."""
    ages = [25, 36, 37, 39, 84, 85]
    rows = [f"p{number:03}.jpg,{age},{age},0" for number, age in enumerate(ages)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,age,person,fold", *rows]))
    table = read_lists([tmp_path / "labels.csv"], DATA_SETS["portraits"])
    assert table["target"].tolist() == [0, 0, 1, 1, 16, 16]


@pytest.mark.parametrize(
    ("name", "protocol", "fold", "parts"),
    [
        ("portraits", "", 1, ["train", "test", "val", "train", "train"]),
        ("portraits", "", 4, ["val", "train", "train", "train", "test"]),
        ("morph", "three-fold", 2, ["test", "train", "test", "test", "test"]),
        ("morph", "random", 2, ["train", "train", "test", "train", "train"]),
        ("clap2015", "test", 0, ["train", "train", "test", "test", "test"]),
        ("clap2015", "val", 0, ["train", "test", "", "", ""]),
    ],
)
def test_parts_follow_from_lists_and_columns(
    name: str, protocol: str, fold: int, parts: list[str]
) -> None:
    """Row i is of list i and fold i; validation is the fold after that of the test."""
    database = ["train", "val", "test", "test", "test"]
    table = pd.DataFrame({"list": range(5), "fold": [*"01234"], "database": database})
    table["where"] = "row"
    published = DATA_SETS[name].protocols[protocol]
    assert parts_of(table, published, protocol, fold, seed=0) == parts


@pytest.mark.parametrize("name", DRAWN)
def test_every_protocol_and_fold_can_be_loaded(tmp_path: Path, name: str) -> None:
    """Of each category, with enough to learn from, to choose on and to report, and none missing.

    The seed decides, and published tests stay.
    """
    make_fixture(name, tmp_path)
    facts = DATA_SETS[name]
    for protocol, cut in facts.protocols.items():
        for category, fold in product(facts.categories or (None,), cut.folds or (None,)):
            choices = {"protocol": protocol or None, "category": category, "fold": fold}
            options = {key: value for key, value in choices.items() if value is not None}
            data = load_dataset(name, root=tmp_path, **options)
            assert len(data.train) >= 16
            assert len(data.val) >= 3
            assert len(data.test) >= 6
            assert len(set(data.train.targets)) >= 3
            assert not {*data.train.paths, *data.val.paths} & set(data.test.paths)
            assert (data.missing, data.caveat) == ((), "")
            assert {part[0][0].mode for part in (data.train, data.val, data.test)} == {"RGB"}
            assert data.upright == facts.upright

        same, other = (load_dataset(name, root=tmp_path, seed=seed, **options) for seed in (0, 1))
        for split in SPLITS:
            assert same.split(split).paths == data.split(split).paths
        assert other.val.paths != data.val.paths or cut.cut == "authors"
        is_drawn = cut.cut in ("decades", "five", "fifths")
        assert (other.test.paths != data.test.paths) == is_drawn


def test_the_record_names_the_setting_and_the_validation(tmp_path: Path) -> None:
    """As the literature calls it, with the seed of what is ours."""
    make_fixture("morph", tmp_path)
    data = load_dataset("morph", root=tmp_path, fold=2, seed=3)
    (sentence,) = data.protocol
    assert sentence.startswith("morph rs-partial, fold 2: the literature's setting A; validation: ")
    assert sentence.endswith(" training images; seed 3")


def test_without_a_folder_of_images_nothing_is_missing_and_none_can_be_seen(tmp_path: Path) -> None:
    """The lists alone make the splits."""
    make_fixture("adience", tmp_path)
    counted = load_dataset("adience", lists=tmp_path / "datalists")
    assert len(counted.train) > 0
    with pytest.raises(InputError, match="adience: pass root="):
        counted.train[0]


def test_an_image_is_looked_for_below_the_root(tmp_path: Path) -> None:
    """Capitals do not matter, linked folders are not entered, and no link may lead out."""
    root = tmp_path / "root"
    for file in (root / "a/1.png", root / "b/1.PNG", root / "2.png", tmp_path / "secret.png"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    (root / "cycle").symlink_to(root)
    (root / "near.png").symlink_to(root / "2.png")

    files = find_images(root, ["2.png", "near.png", "far.png"])
    assert files == [str(root / "2.png"), str(root / "near.png"), ""]
    assert find_images(root, ["B/1.png"]) == [str(root / "b" / "1.PNG")]
    with pytest.raises(InputError, match="is in two places"):
        find_images(root, ["1.png"])
    (root / "secret.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(InputError, match="leads out of"):
        find_images(root, ["2.png"])


@given(count=st.integers(5, 400), seed=st.integers(0, 99))
def test_five_folds_test_every_image_once(count: int, seed: int) -> None:
    """Validation is a twentieth."""
    folds = [five_folds(count, fold, seed) for fold in range(5)]
    for splits_of_one_image in zip(*folds, strict=True):
        assert splits_of_one_image.count("test") == 1
    for splits in folds:
        assert splits.count("val") == max(1, round(0.05 * count))
        assert "train" in splits


def test_arrays_make_three_splits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a file with the digest of RetinaMNIST; the grey of an image is the place of its split."""
    file = tmp_path / "retinamnist.npz"
    arrays: dict[str, np.ndarray] = {}
    for grey, split in enumerate(SPLITS):
        arrays[f"{split}_images"] = np.full((5, 28, 28, 3), grey, np.uint8)
        arrays[f"{split}_labels"] = np.arange(5, dtype=np.uint8)[:, None]
    np.savez(file, **arrays)  # type: ignore[arg-type]
    facts = replace(DATA_SETS["retinamnist"], sha256=sha256_of(file))
    monkeypatch.setitem(DATA_SETS, "retinamnist", facts)

    data = load_dataset("retinamnist", root=tmp_path)
    assert [data.split(split)[4][0].getpixel((0, 0))[0] for split in SPLITS] == [0, 1, 2]
    assert data.val.targets == (0, 1, 2, 3, 4)
    assert data.image_size == 112  # four times its own
