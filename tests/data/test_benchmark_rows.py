"""The five benchmarks: every bad row and option is named; rules that hold for any list."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from l2rclip_lite.data.adience import load_adience
from l2rclip_lite.data.aesthetics import five_folds, load_aesthetics
from l2rclip_lite.data.base import SPLITS, OrdinalDataset
from l2rclip_lite.data.benchmarks import carve, rank_index
from l2rclip_lite.data.clap2015 import load_clap2015
from l2rclip_lite.data.hci import drawn, load_hci
from l2rclip_lite.data.listed import Item
from l2rclip_lite.data.lists import Entry
from l2rclip_lite.data.morph import load_morph
from l2rclip_lite.errors import InputError

Loader = Callable[..., OrdinalDataset]
SETTING_A = f"morph/setting{'A'}"  # in one word, a spelling checker takes it for a mistake
TRAIN, TOTAL = f"{SETTING_A}/Setting_A_fold0_train.txt", "clap2015/total_2015.csv"
USERS, ANIMALS = "adience/simplified_adience_2.txt", "crowdbeauty/animals_train.txt"
A = "race gender age filename database\r\n0 1 31 000001_1M31.JPG morph\r\n"
GOOD = {
    TRAIN: A,
    TRAIN.replace("train", "test"): A.replace("000001", "000002"),
    "clap2015/total_2015.csv": "filename,age,stdv,database\r\na.jpg,30,1.5,train\r\nb.jpg,30,1.5,val\r\nc.jpg,30,2,test\r\n",
    **{f"adience/simplified_adience_{fold}.txt": f"{fold}@N0/a.jpg {fold}\n{fold}@N1/a.jpg 0\n" for fold in range(5)},
    **{
        f"hci/{decade}s.txt": "".join(f"./images/{decade}s_{number}.jpg {decade}s\n" for number in range(3))
        for decade in range(1930, 1980, 10)
    },
    "crowdbeauty/animals_train.txt": "1.png\t3.0\n2.png\t3.0\n3.png\t4.0",
    "crowdbeauty/animals_test.txt": "4.png\t3.0\n5.png\t4.0",
    "crowdbeauty/animals_datasets.txt": "1.png\t3.0\n2.png\t3.0\n3.png\t4.0\n4.png\t3.0\n5.png\t4.0",
}  # fmt: skip


def write(folder: Path, changed: dict[str, str]) -> Path:
    """Small lists in the official formats."""
    for name, text in {**GOOD, **changed}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.encode())
    return folder


@pytest.mark.parametrize(
    ("load", "file", "text", "sentence"),
    [
        (load_morph, TRAIN, A.replace("M31", "M30"), "row 2: the age is 31, but 30 in the name '000001_1M30.JPG'; corr"),
        (load_morph, TRAIN, A.replace("31", "78"), "row 2: the age 78 is no whole number from 16 to 77; correct it"),
        (load_morph, TRAIN, A.replace("31", "15"), "row 2: the age 15 is no whole number from 16 to 77; correct it"),
        (load_morph, TRAIN, A.replace("000001_1M31", "me"), "row 2: the name 'me.JPG' is not made as 123456_01M25.JPG"),
        (load_morph, TRAIN, A.replace("000001", "000002"), "Setting_A_fold0_test.txt row 2: the picture 000002_1M31.JPG "
         "stands in Setting_A_fold0_train.txt row 2 already; remove"),
        (load_morph, TRAIN, "x", "Setting_A_fold0_train.txt row 1: "),
        (load_clap2015, TOTAL, GOOD[TOTAL].replace("val", "dev"), "row 3: the database 'dev' is none of train, val, test"),
        (load_clap2015, TOTAL, GOOD[TOTAL].replace(",2,", ",?,"), "row 4: the stdv '\\?' is no number from 0; correct it"),
        (load_clap2015, TOTAL, GOOD[TOTAL].replace(",2,", ",-1,"), "row 4: the stdv '-1' is no number from 0; correct it"),
        (load_clap2015, TOTAL, GOOD[TOTAL].replace("a.jpg,30", "a.jpg,30.5"), "row 2: the age 30.5 is no whole number"),
        (load_clap2015, TOTAL, "filename,age\na.jpg,30\n", "row 2: there is no column 'database'; give .* the header"),
        (load_clap2015, TOTAL, GOOD[TOTAL].replace("test", "val"), "total_2015.csv: no row is of the database 'test'"),
        (load_adience, USERS, "2@N0/a.jpg 8\n", "adience_2.txt row 1: the group 8 is no whole number from 0 to 7"),
        (load_adience, USERS, "a.jpg 1\n", "adience_2.txt row 1: the path 'a.jpg' does not end in 2 components"),
        (load_adience, USERS, "\n1@N0/a.jpg 1\n", "adience_2.txt row 2: .* stands in simplified_adience_1.txt row 1"),
        (load_hci, "hci/1940s.txt", "a.jpg 1930s\nb.jpg 1940s\nc.jpg 1940s\n", "1940s.txt row 1: the label 1930 is not"),
        (load_hci, "hci/1940s.txt", "b.jpg 1940s\nc.jpg 1940s\n", "1940s.txt: 2 rows cannot be cut in three; list"),
        (load_aesthetics, ANIMALS, "1.png\t3.0\n2.png\t4.5", "animals_train.txt row 2: the grade 4.5 is no whole number"),
        (load_aesthetics, ANIMALS, "1.png\t0\n2.png\t4", "animals_train.txt row 1: the grade 0 is no whole number from 1"),
        (load_aesthetics, ANIMALS, "4.png\t3\n2.png\t4", "animals_test.txt row 1: the picture 4.png stands in animals_tr"),
    ],
)  # fmt: skip
def test_every_bad_row_is_named(tmp_path: Path, load: Loader, file: str, text: str, sentence: str) -> None:
    """One sentence with file, row and fix, from each loader; without the change the list is fine or too small."""
    with pytest.raises(InputError, match=sentence) as caught:
        load(lists=write(tmp_path, {file: text}))
    assert "\n" not in str(caught.value)


def test_five_folds_need_five_pictures(tmp_path: Path) -> None:
    """A fold without a picture would test on nothing."""
    lists = write(tmp_path, {"crowdbeauty/animals_datasets.txt": "1.png\t3\n2.png\t3\n3.png\t4\n4.png\t3"})
    with pytest.raises(
        InputError, match=r"animals_datasets.txt: 4 rows cannot be cut in five folds; list more"
    ):
        load_aesthetics(lists=lists, protocol="five-fold")


@pytest.mark.untyped
@pytest.mark.parametrize(
    ("load", "options", "sentence"),
    [
        (load_morph, {"protocol": "E"}, "morph: protocol must be one of rs-partial, three-fold, random, subject-excl"),
        (load_morph, {"protocol": None}, "morph: protocol must be one of .*, not None"),
        (load_morph, {"fold": 5}, "morph: the fold of 'rs-partial' must be one of 0, 1, 2, 3, 4, not 5"),
        (load_morph, {"protocol": "three-fold", "fold": 0}, "morph: the fold of 'three-fold' must be one of 1, 2, not 0"),
        (load_morph, {"fold": 1.0}, "morph: the fold of 'rs-partial' must be .*, not 1.0"),
        (load_adience, {"fold": "0"}, "adience: fold must be one of 0, 1, 2, 3, 4, not '0'"),
        (load_adience, {"fold": True}, "adience: fold must be one of 0, 1, 2, 3, 4, not True"),
        (load_hci, {"fold": -1}, "hci: fold must be one of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, not -1"),
        (load_clap2015, {"protocol": "train"}, "clap2015: protocol must be one of test, val, not 'train'"),
        (load_clap2015, {"seed": 0.5}, "clap2015: the seed 0.5 is no whole number from 0"),
        (load_aesthetics, {"category": "animal"}, "aesthetics: category must be one of animals, nature, people, urban"),
        (load_aesthetics, {"fold": 1}, "aesthetics: the fold of 'official' must be one of 0, not 1"),
        (load_aesthetics, {"protocol": "5-fold"}, "aesthetics: protocol must be one of official, five-fold, not"),
    ],
)  # fmt: skip
def test_the_choices_are_listed(load: Loader, options: dict[str, object], sentence: str) -> None:
    """Before any file is looked for."""
    with pytest.raises(InputError, match=sentence):
        load(**options)


def test_pictures_come_from_the_folder_of_their_user(tmp_path: Path) -> None:
    """Adience: same file name, another user; what is missing is named, or left out and recorded."""
    lists = write(tmp_path / "lists", {})
    faces = tmp_path / "faces"
    for fold in range(5):
        for number in range(2):
            (faces / "deep" / f"{fold}@N{number}").mkdir(parents=True)
            Image.new("RGB", (4, 4), (fold * 50, number * 50, 0)).save(
                faces / "deep" / f"{fold}@N{number}" / "a.jpg"
            )
    data = load_adience(faces, lists, fold=4)
    assert data.test.paths == ("4@N0/a.jpg", "4@N1/a.jpg")
    assert data.test.subjects == ("4@N0", "4@N1")
    assert data.test.targets == (4, 0)
    red, green, _ = np.asarray(data.test[1][0])[0, 0].astype(int)
    assert (red, green) == (pytest.approx(200, abs=4), pytest.approx(50, abs=4))

    (faces / "deep" / "4@N1" / "a.jpg").unlink()
    with pytest.raises(InputError, match=r"adience: 1 of the 10 listed pictures .* 4@N1/a.jpg"):
        load_adience(faces, lists, fold=4)
    fewer = load_adience(faces, lists, fold=4, allow_missing=True)
    assert fewer.missing == ("4@N1/a.jpg",)
    assert fewer.test.paths == ("4@N0/a.jpg",)
    assert (fewer.train.paths, fewer.val.paths) == (data.train.paths, data.val.paths)


@given(named=st.integers(0, 120), said=st.integers(0, 120))
def test_morph_takes_a_row_only_if_name_and_label_agree(
    tmp_path_factory: pytest.TempPathFactory, named: int, said: int
) -> None:
    """And only ages of the 62 ranks."""
    row = f"0 1 {said} 000003_1M{named}.JPG morph\r\n"
    lists = write(tmp_path_factory.mktemp("lists"), {TRAIN: A + row + row.replace("000003", "000004")})
    if said == named and 16 <= said <= 77:
        data = load_morph(lists=lists)
        assert {*data.train.targets, *data.val.targets} == {31 - 16, said - 16}
    else:
        with pytest.raises(InputError, match=r"Setting_A_fold0_train.txt row 3: the age"):
            load_morph(lists=lists)


@given(label=st.one_of(st.integers(-5, 95), st.floats(-5, 95)))
def test_a_label_is_a_rank_or_refused(label: float) -> None:
    """No label is rounded or clipped into the ranks."""
    entry = Entry("a.jpg", float(label), "total_2015.csv row 2", {})
    if label in range(3, 86):
        assert rank_index(entry, 3, 85, "age") == label - 3
    else:
        with pytest.raises(InputError, match=r"total_2015.csv row 2: the age .* from 3 to 85"):
            rank_index(entry, 3, 85, "age")


@given(owners=st.lists(st.integers(0, 8), min_size=20, max_size=60), seed=st.integers(0, 99))
def test_validation_by_user_takes_whole_users(owners: list[int], seed: int) -> None:
    """Nobody on both sides, nobody lost, a tenth at least."""
    items = [Item(f"{n}.jpg", n % 8, "", str(owner)) for n, owner in enumerate([*owners, 9, 10])]
    parts, _ = carve(items, [], seed, by_subject=True)
    train, val = ({item.subject for item in parts[part]} for part in ("train", "val"))
    assert not train & val
    assert sorted([*parts["train"], *parts["val"]]) == sorted(items)
    assert len(parts["val"]) >= min(round(0.1 * len(items)), len(items) - 1) or len(train) == 1


@given(count=st.integers(3, 400), seed=st.integers(0, 99))
def test_a_decade_is_cut_in_proportion(count: int, seed: int) -> None:
    """Each part has a picture; shares are those of 210, 5 and 50 up to rounding."""
    train, val, test = (drawn(count, [seed]).count(split) for split in SPLITS)
    assert min(train, val, test) >= 1
    assert train + val + test == count
    assert abs(test - count * 50 / 265) <= 1
    assert abs(val - count * 5 / 265) <= 1


@given(count=st.integers(5, 400), seed=st.integers(0, 99))
def test_five_folds_test_everything_once(count: int, seed: int) -> None:
    """The tests are disjoint, of nearly the same size, and hold every picture."""
    cuts = np.array([five_folds(count, fold, [seed]) for fold in range(5)])
    assert ((cuts == "test").sum(axis=0) == 1).all()
    assert np.ptp((cuts == "test").sum(axis=1)) <= 1
    assert ((cuts == "val").sum(axis=1) == max(1, round(0.05 * count))).all()
    assert ((cuts == "train").sum(axis=1) >= 1).all()
