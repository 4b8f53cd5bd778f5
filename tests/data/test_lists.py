"""Lists of the benchmarks: every dialect is read, every bad row is named, images are found without being opened."""

from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from l2rclip_lite.data import load_dataset
from l2rclip_lite.data.base import SPLITS
from l2rclip_lite.data.benchmarks import DATA_SETS
from l2rclip_lite.data.official_lists import find_images, read_lists
from l2rclip_lite.data.official_splits import five_folds
from l2rclip_lite.data.splits import stratified
from l2rclip_lite.errors import InputError

SETTING_A = f"morph/setting{'A'}"  # in one word, a spelling checker takes it for a mistake
TRAIN, TOTAL = f"{SETTING_A}/Setting_A_fold0_train.txt", "clap2015/total_2015.csv"
USERS, ANIMALS = "adience/simplified_adience_2.txt", "crowdbeauty/animals_train.txt"
YEARS = range(1930, 1980, 10)
A = "race gender age filename database\r\n0 1 31 000001_1M31.JPG morph\r\n"
CLAP = "filename,age,stdv,database\r\na.jpg,30,1.5,train\r\nb.jpg,30,1.5,val\r\nc.jpg,30,2,test\r\n"
GOOD = {
    TRAIN: A,
    TRAIN.replace("train", "test"): A.replace("000001", "000002"),
    TOTAL: CLAP,
    **{f"adience/simplified_adience_{fold}.txt": f"{fold}@N0/a.jpg {fold}\n{fold}@N1/a.jpg 0\n" for fold in range(5)},
    **{f"hci/{year}s.txt": f"./images/{year}s_0.jpg {year}s\n./images/{year}s_1.jpg {year}s\n" for year in YEARS},
    ANIMALS: "1.png\t3.0\n2.png\t3.0\n3.png\t4.0",
    "crowdbeauty/animals_test.txt": "4.png\t3.0\n5.png\t4.0",
}  # fmt: skip


def write(folder: Path, changed: dict[str, str]) -> Path:
    """Small lists in the official formats."""
    for name, text in {**GOOD, **changed}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.encode())
    return folder


@pytest.mark.parametrize(
    ("file", "text", "sentence"),
    [
        (TRAIN, A.replace("M31", "M30"), "row 2: the label is 31, but 30 in the name '000001_1M30.JPG'; correct one"),
        (TRAIN, A.replace("31", "78"), "row 2: the label '78' is no whole number from 16 to 77"),
        (TRAIN, A.replace("000001_1M31", "me"), "row 2: the name 'me.JPG' is not made as image/"),
        (TRAIN, A.replace("000001", "000002"), "test.txt row 2: the image 000002_1M31.JPG is listed in Setting_A_fold0_tr"),
        (TRAIN, "x", "Setting_A_fold0_train.txt row 1: the name 'x' is not made as"),
        (TOTAL, CLAP.replace("val", "dev"), "row 3: the database 'dev' is none of train, val, test"),
        (TOTAL, CLAP.replace(",2,", ",-1,"), "row 4: the stdv '-1' is no number from 0; correct it"),
        (TOTAL, CLAP.replace(",2,", ",inf,"), "row 4: the stdv 'inf' is no number from 0; correct it"),
        (TOTAL, CLAP.replace("a.jpg,30", "a.jpg,30.5"), "row 2: the label '30.5' is no whole number"),
        (TOTAL, "filename,age\na.jpg,30\n", "write the column 'stdv' and 'database' once, in .'filename', 'age'."),
        (TOTAL, CLAP.replace("test", "val"), "clap2015: the test split is empty"),
        (TOTAL, CLAP + "d.jpg,30,2,test,x\r\n", "total_2015.csv: .*Expected 4 fields in line 5, saw 5"),
        (USERS, "2@N0/a.jpg 8\n", "adience_2.txt row 1: the label '8' is no whole number from 0 to 7"),
        (USERS, "a.jpg 1\n", "adience_2.txt row 1: the name 'a.jpg' is not made as {subject}"),
        (USERS, "\n1@N0/a.jpg 1\n", "adience_2.txt row 2: .* is listed in simplified_adience_1.txt row 1 already"),
        ("hci/1940s.txt", "a.jpg 1945s\n", "1940s.txt row 1: the label '1945s' .* from 1930 to 1970 in steps of 10"),
        (ANIMALS, "1.png\t3.0\n2.png\t4.5", "animals_train.txt row 2: the label '4.5' is no whole number from 1 to 5"),
        (ANIMALS, "4.png\t3\n2.png\t4", "animals_test.txt row 1: the image 4.png is listed in animals_train.txt row 1"),
        (ANIMALS, "a.png\t3\n\nA.PNG\t4", "animals_train.txt row 3: the image A.PNG is listed in animals_train.txt row 1"),
    ],
)  # fmt: skip
def test_every_bad_row_is_named(tmp_path: Path, file: str, text: str, sentence: str) -> None:
    """One sentence with file, row and fix from each list."""
    name = {"crowdbeauty": "aesthetics"}.get(file.split("/")[0], file.split("/")[0])
    with pytest.raises(InputError, match=sentence) as caught:
        load_dataset(name, lists=write(tmp_path, {file: text}))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("morph", {"protocol": "E"}, "morph: protocol must be one of rs-partial, three-fold, random, subject-exclusive"),
        ("morph", {"fold": 5}, "morph: fold must be one of 0, 1, 2, 3, 4, not 5"),
        ("morph", {"protocol": "three-fold", "fold": 0}, "morph: fold must be one of 1, 2, not 0"),
        ("adience", {"fold": True}, "adience: fold: Input should be a valid integer, not True"),
        ("clap2015", {"fold": 0}, "clap2015: fold is nothing to choose here, not 0"),
        ("clap2015", {"seed": -1}, "clap2015: seed: Input should be greater than or equal to 0, not -1"),
        ("aesthetics", {"category": "animal"}, "aesthetics: category must be one of animals, nature, people, urban"),
        ("hci", {}, "hci: there is no .*1930s.txt; pass lists=.*; `l2rclip data --download DIR hci` makes it"),
        ("bracol", {"root": "nowhere"}, "bracol: there is no nowhere/dataset.csv; pass root=.* DIR bracol` makes it"),
        ("retinamnist", {"root": "x.npz"}, "x.npz: .*No such file.*; get it by `l2rclip data retinamnist --download"),
    ],
)  # fmt: skip
def test_the_choices_are_listed(name: str, options: dict[str, Any], sentence: str) -> None:
    """Before any file is read."""
    with pytest.raises(InputError, match=sentence):
        load_dataset(name, **options)


NAMES = st.text("abcü@._-'", min_size=1, max_size=6).map(lambda name: f"{name}.jpg")
ROWS = st.lists(
    st.tuples(NAMES, st.integers(3, 85)), min_size=1, max_size=8, unique_by=lambda row: row[0]
)
ENDS, PREFIXES = ["\n", "\r\n", "\r"], ["", "../../", "./images/", "C:\\data\\"]
HOW = st.tuples(*map(st.sampled_from, ("\t, ", ENDS, range(3), PREFIXES, (True, False))))


@given(ROWS, HOW)
def test_what_was_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, rows: Any, how: Any
) -> None:
    """Every dialect gives the same names, labels and row numbers."""
    separator, end, blank, prefix, header = how
    lines = [separator.join([f"{prefix}{name}", str(label)]) for name, label in rows]
    if header:  # with an index column that has no name
        index = (
            [str(place) for place in range(len(lines))] if separator != " " else [""] * len(lines)
        )
        lines = [
            f"{separator}filename{separator}age",
            *map(separator.join, zip(index, lines, strict=True)),
        ]
        lines = lines if separator != " " else [line.removeprefix(" ") for line in lines]
    file = tmp_path_factory.mktemp("lists") / "list.txt"
    file.write_bytes(("\ufeff" * header + (end * (1 + blank)).join(lines) + end * header).encode())
    facts = DATA_SETS["aesthetics"]
    table = read_lists(
        [file], type(facts)(facts.card, "", {}, DATA_SETS["clap2015"].ranks, first=3)
    )
    assert table["path"].tolist() == [name for name, _ in rows]
    assert table["target"].tolist() == [label - 3 for _, label in rows]
    lines_before = [(n + header) * (1 + blank) for n in range(len(rows))]
    assert table["where"].tolist() == [f"list.txt row {1 + before}" for before in lines_before]


def test_images_come_from_the_folder_of_their_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Same file name, another user, other case; none is opened before it is asked for; what is missing is recorded."""
    lists, root = write(tmp_path / "lists", {}), tmp_path / "faces"
    for fold, number in product(
        range(5), range(2)
    ):  # red is the fold, green the number of the user
        folder = root / "deep" / f"{fold}@N{number}"
        folder.mkdir(parents=True)
        Image.new("RGB", (4, 4), (fold * 50, number * 50, 0)).save(folder / "a.JPG")
    with monkeypatch.context() as patch:
        patch.setattr(Image, "open", lambda *_: pytest.fail("an image was opened"))
        data = load_dataset("adience", root=root, lists=lists, fold=4)
    red, green, _ = data.test[1][0].getpixel((0, 0))
    assert (red, green) == (pytest.approx(200, abs=4), pytest.approx(50, abs=4))
    (root / "deep" / "4@N0" / "a.JPG").write_text("broken")
    with pytest.raises(
        InputError, match=r"simplified_adience_4.txt row 1: the image .*a.JPG cannot be used"
    ):
        data.test[0]
    (root / "deep" / "4@N1" / "a.JPG").unlink()
    with pytest.raises(
        InputError, match=r"adience: 1 of the 10 listed images .* 4@N1/a.jpg \(simpl.*row 2\)"
    ):
        load_dataset("adience", root=root, lists=lists, fold=4)
    fewer = load_dataset("adience", root=root, lists=lists, fold=4, allow_missing=True)
    assert (fewer.missing, fewer.test.paths) == (("4@N1/a.jpg",), ("4@N0/a.jpg",))
    assert (fewer.train.paths, fewer.val.paths) == (data.train.paths, data.val.paths)
    with pytest.raises(InputError, match="adience: pass root="):
        load_dataset("adience", lists=lists).train[0]


def test_images_are_found_once_and_inside(tmp_path: Path) -> None:
    """Two places are ambiguous, linked folders are not entered, a linked file must stay inside."""
    root, out = tmp_path / "root", tmp_path / "out"
    for path in (root / "a" / "1.png", root / "b" / "1.PNG", root / "2.png", out / "secret.png"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    links = {"folder": out, "cycle": root, "near.png": root / "2.png", "gone.png": root / "x"}
    links["secret.png"] = out / "secret.png"
    for link, target in links.items():
        (root / link).symlink_to(target)
    found = find_images(root, ["2.png", "near.png", "far.png"])
    assert found == [str(root / "2.png"), str(root / "near.png"), ""]
    assert find_images(root, ["B/1.png"]) == [str(root / "b" / "1.PNG")]
    for name, sentence in (
        ("1.png", "1.png is in two places"),
        ("secret.png", "the link leads out of"),
    ):
        with pytest.raises(InputError, match=sentence):
            find_images(root, [name])
    assert find_images(tmp_path / "nowhere", ["1.png"]) == [""]


@given(count=st.integers(5, 400), seed=st.integers(0, 99))
def test_draws_have_their_shares(count: int, seed: int) -> None:
    """Five folds test everything once; a decade is cut as 210:5:50 up to rounding, and every part has an image."""
    cuts = [five_folds(count, fold, seed) for fold in range(5)]
    assert [parts.count("test") for parts in zip(*cuts, strict=True)] == [1] * count
    assert all(cut.count("val") == max(1, round(0.05 * count)) and "train" in cut for cut in cuts)
    train, val, test = (
        stratified([2] * count, [seed], 5 / 265, 50 / 265).count(split) for split in SPLITS
    )
    assert min(train, val, test) >= 1
    assert abs(test - count * 50 / 265) <= 1
    assert abs(val - count * 5 / 265) <= 1
