"""Lists of the benchmarks: every dialect is read, every bad row is named, no image is opened."""

from dataclasses import replace
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
MORPH_TRAIN = f"{SETTING_A}/Setting_A_fold0_train.txt"
MORPH_TEST = f"{SETTING_A}/Setting_A_fold0_test.txt"
CLAP2015 = "clap2015/total_2015.csv"
ADIENCE_2 = "adience/simplified_adience_2.txt"
ANIMALS_TRAIN = "crowdbeauty/animals_train.txt"
ANIMALS_TEST = "crowdbeauty/animals_test.txt"

MORPH_TEXT = "race gender age filename database\r\n0 1 31 000001_1M31.JPG morph\r\n"
CLAP_TEXT = (
    "filename,age,stdv,database\r\na.jpg,30,1.5,train\r\nb.jpg,30,1.5,val\r\nc.jpg,30,2,test\r\n"
)
GOOD_LISTS = {
    MORPH_TRAIN: MORPH_TEXT,
    MORPH_TEST: MORPH_TEXT.replace("000001", "000002"),
    CLAP2015: CLAP_TEXT,
    ANIMALS_TRAIN: "1.png\t3.0\n2.png\t3.0\n3.png\t4.0",
    ANIMALS_TEST: "4.png\t3.0\n5.png\t4.0",
}
for fold in range(5):
    adience_rows = f"{fold}@N0/a.jpg {fold}\n{fold}@N1/a.jpg 0\n"
    GOOD_LISTS[f"adience/simplified_adience_{fold}.txt"] = adience_rows
for year in range(1930, 1980, 10):
    hci_rows = f"./images/{year}s_0.jpg {year}s\n./images/{year}s_1.jpg {year}s\n"
    GOOD_LISTS[f"hci/{year}s.txt"] = hci_rows


def write_lists(folder: Path, changed: dict[str, str]) -> Path:
    """Write small lists in the official formats, some of them changed."""
    for name, text in (GOOD_LISTS | changed).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.encode())
    return folder


# --- what is written in a list --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "text", "sentence"),
    [
        (MORPH_TRAIN, MORPH_TEXT.replace("M31", "M30"),
         "row 2: the label is 31, but 30 in the name '000001_1M30.JPG'; correct one"),
        (MORPH_TRAIN, MORPH_TEXT.replace("31", "78"),
         "row 2: the label '78' is no whole number from 16 to 77"),
        (MORPH_TRAIN, MORPH_TEXT.replace("000001_1M31", "me"),
         "row 2: the name 'me.JPG' is not made as image/"),
        (MORPH_TRAIN, MORPH_TEXT.replace("000001", "000002"),
         "test.txt row 2: the image 000002_1M31.JPG is listed in Setting_A_fold0_tr"),
        (MORPH_TRAIN, "x", "Setting_A_fold0_train.txt row 1: the name 'x' is not made as"),
        (CLAP2015, CLAP_TEXT.replace("val", "dev"),
         "row 3: the database 'dev' is none of train, val, test"),
        (CLAP2015, CLAP_TEXT.replace(",2,", ",-1,"),
         "row 4: the stdv '-1' is no number from 0; correct it"),
        (CLAP2015, CLAP_TEXT.replace(",2,", ",inf,"),
         "row 4: the stdv 'inf' is no number from 0; correct it"),
        (CLAP2015, CLAP_TEXT.replace("a.jpg,30", "a.jpg,30.5"),
         "row 2: the label '30.5' is no whole number"),
        (CLAP2015, "filename,age\na.jpg,30\n",
         "write the column 'stdv' once, in .'filename', 'age'."),
        (CLAP2015, CLAP_TEXT.replace("test", "val"), "clap2015: the test split is empty"),
        (CLAP2015, f"{CLAP_TEXT}d.jpg,30,2,test,x\r\n",
         "total_2015.csv row 5: has 5 cells, and the header 4"),
        (ADIENCE_2, "2@N0/a.jpg 8\n",
         "adience_2.txt row 1: the label '8' is no whole number from 0 to 7"),
        (ADIENCE_2, "a.jpg 1\n",
         "adience_2.txt row 1: the name 'a.jpg' is not made as {subject}"),
        (ADIENCE_2, "\n1@N0/a.jpg 1\n",
         "adience_2.txt row 2: .* is listed in simplified_adience_1.txt row 1 already"),
        ("hci/1940s.txt", "a.jpg 1945s\n",
         "1940s.txt row 1: the label '1945s' .* from 1930 to 1970 in steps of 10"),
        (ANIMALS_TRAIN, "1.png\t3.0\n2.png\t4.5",
         "animals_train.txt row 2: the label '4.5' is no whole number from 1 to 5"),
        (ANIMALS_TRAIN, "4.png\t3\n2.png\t4",
         "animals_test.txt row 1: the image 4.png is listed in animals_train.txt row 1"),
        (ANIMALS_TRAIN, "a.png\t3\n\nA.PNG\t4",
         "animals_train.txt row 3: the image A.PNG is listed in animals_train.txt row 1"),
    ],
)  # fmt: skip
def test_every_bad_row_is_named(tmp_path: Path, file: str, text: str, sentence: str) -> None:
    """One sentence with file, row and fix from each list."""
    folder = file.split("/")[0]
    name = "aesthetics" if folder == "crowdbeauty" else folder
    with pytest.raises(InputError, match=sentence) as caught:
        load_dataset(name, lists=write_lists(tmp_path, {file: text}))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("morph", {"protocol": "E"},
         "morph: protocol must be one of rs-partial, three-fold, random, subject-exclusive"),
        ("morph", {"fold": 5}, "morph: fold must be one of 0, 1, 2, 3, 4, not 5"),
        ("morph", {"protocol": "three-fold", "fold": 0},
         "morph: fold must be one of 1, 2, not 0"),
        ("adience", {"fold": True}, "adience: fold: Input should be a valid integer, not True"),
        ("clap2015", {"fold": 0}, "clap2015: fold is nothing to choose here, not 0"),
        ("clap2015", {"seed": -1},
         "clap2015: seed: Input should be greater than or equal to 0, not -1"),
        ("aesthetics", {"category": "animal"},
         "aesthetics: category must be one of animals, nature, people, urban"),
        ("hci", {},
         "hci: there is no .*1930s.txt; pass lists=.*; `l2rclip data --download DIR hci` makes it"),
        ("bracol", {"root": "nowhere"},
         "bracol: there is no nowhere/dataset.csv; pass root=.* DIR bracol` makes it"),
        ("retinamnist", {"root": "x.npz"},
         "x.npz: .*No such file.*; get it by `l2rclip data retinamnist --download"),
    ],
)  # fmt: skip
def test_the_choices_are_listed(name: str, options: dict[str, Any], sentence: str) -> None:
    """Before any file is read."""
    with pytest.raises(InputError, match=sentence):
        load_dataset(name, **options)


def numbered_with_header(lines: list[str], separator: str) -> list[str]:
    """Return the lines below a header, with an index column that has no name."""
    if separator == " ":  # a cell without a name cannot be written with spaces
        return ["filename age", *lines]
    header = f"{separator}filename{separator}age"
    return [header, *(f"{index}{separator}{line}" for index, line in enumerate(lines))]


NAMES = st.text("abcü@._-'", min_size=1, max_size=6).map("{}.jpg".format)
LABELS = st.integers(3, 85)
ROWS = st.dictionaries(NAMES, LABELS, min_size=1, max_size=8)


@given(
    rows=ROWS,
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
    text = (end * (1 + n_blank)).join(lines)
    if header:
        lines = numbered_with_header(lines, separator)
        text = "\ufeff" + (end * (1 + n_blank)).join(lines) + end
    file = tmp_path_factory.mktemp("lists") / "list.txt"
    file.write_bytes(text.encode())

    ages_from_3 = replace(DATA_SETS["clap2015"], columns=("filename", "age"))
    table = read_lists([file], ages_from_3)

    assert table["path"].tolist() == list(rows)
    assert table["target"].tolist() == [label - 3 for label in rows.values()]
    first_row = 2 + n_blank if header else 1
    row_numbers = [first_row + place * (1 + n_blank) for place in range(len(rows))]
    assert table["where"].tolist() == [f"list.txt row {number}" for number in row_numbers]


# --- the images of a list -------------------------------------------------------------------------


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    """Return the folder of good lists."""
    return write_lists(tmp_path / "lists", {})


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """Return the images of Adience, two users a fold: red is the fold, green the user."""
    root = tmp_path / "faces"
    for fold in range(5):
        for user in range(2):
            folder = root / "deep" / f"{fold}@N{user}"
            folder.mkdir(parents=True)
            Image.new("RGB", (4, 4), (fold * 50, user * 50, 0)).save(folder / "a.JPG")
    return root


def test_images_come_from_the_folder_of_their_user(lists: Path, faces: Path) -> None:
    """Every file has the same name, and its suffix is in capitals."""
    data = load_dataset("adience", root=faces, lists=lists, fold=4)
    red, green, _ = data.test[1][0].getpixel((0, 0))
    assert red == pytest.approx(4 * 50, abs=4)
    assert green == pytest.approx(1 * 50, abs=4)


def test_no_image_is_opened_before_it_is_asked_for(
    lists: Path, faces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list of a hundred thousand is loaded in seconds."""
    monkeypatch.setattr(Image, "open", lambda *_: pytest.fail("an image was opened"))
    assert len(load_dataset("adience", root=faces, lists=lists, fold=4).test) == 2


def test_a_broken_image_is_named_by_its_row(lists: Path, faces: Path) -> None:
    """When it is asked for."""
    (faces / "deep" / "4@N0" / "a.JPG").write_text("broken")
    data = load_dataset("adience", root=faces, lists=lists, fold=4)
    sentence = r"simplified_adience_4.txt row 1: the image .*a.JPG cannot be used"
    with pytest.raises(InputError, match=sentence):
        data.test[0]


def test_a_missing_image_is_refused_or_left_out_and_recorded(lists: Path, faces: Path) -> None:
    """The other splits stay as they are."""
    whole = load_dataset("adience", root=faces, lists=lists, fold=4)
    (faces / "deep" / "4@N1" / "a.JPG").unlink()

    sentence = r"adience: 1 of the 10 listed images .* 4@N1/a.jpg \(simpl.*row 2\)"
    with pytest.raises(InputError, match=sentence):
        load_dataset("adience", root=faces, lists=lists, fold=4)

    fewer = load_dataset("adience", root=faces, lists=lists, fold=4, allow_missing=True)
    assert fewer.missing == ("4@N1/a.jpg",)
    assert fewer.test.paths == ("4@N0/a.jpg",)
    assert fewer.train.paths == whole.train.paths
    assert fewer.val.paths == whole.val.paths


def test_lists_without_a_folder_of_images_count_and_show_nothing(lists: Path) -> None:
    """An image that is asked for is the moment to pass `root`."""
    data = load_dataset("adience", lists=lists)
    with pytest.raises(InputError, match="adience: pass root="):
        data.train[0]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a folder of images and links; `secret.png` lies outside of it."""
    root = tmp_path / "root"
    outside = tmp_path / "outside"
    for file in (root / "a/1.png", root / "b/1.PNG", root / "2.png", outside / "secret.png"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()

    (root / "folder").symlink_to(outside)
    (root / "cycle").symlink_to(root)
    (root / "near.png").symlink_to(root / "2.png")
    (root / "gone.png").symlink_to(root / "x")
    (root / "secret.png").symlink_to(outside / "secret.png")
    return root


def test_an_image_is_looked_for_below_the_root(root: Path) -> None:
    """A linked file is one; a missing one has no path; capitals do not matter."""
    files = find_images(root, ["2.png", "near.png", "far.png"])
    assert files == [str(root / "2.png"), str(root / "near.png"), ""]
    assert find_images(root, ["B/1.png"]) == [str(root / "b" / "1.PNG")]
    assert find_images(root / "nowhere", ["1.png"]) == [""]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("1.png", "1.png is in two places"), ("secret.png", "the link leads out of")],
)
def test_an_image_in_two_places_or_outside_the_root_is_refused(
    root: Path, name: str, sentence: str
) -> None:
    """Linked folders are not entered, so the cycle does no harm."""
    with pytest.raises(InputError, match=sentence):
        find_images(root, [name])


# --- splits that are drawn ------------------------------------------------------------------------


@given(count=st.integers(5, 400), seed=st.integers(0, 99))
def test_five_folds_test_every_image_once(count: int, seed: int) -> None:
    """Each keeps a twentieth for validation, and something to learn from."""
    folds = [five_folds(count, fold, seed) for fold in range(5)]
    for splits_of_one_image in zip(*folds, strict=True):
        assert splits_of_one_image.count("test") == 1

    for splits in folds:
        assert splits.count("val") == max(1, round(0.05 * count))
        assert "train" in splits


@given(count=st.integers(5, 400), seed=st.integers(0, 99))
def test_a_decade_is_cut_as_210_to_5_to_50_up_to_rounding(count: int, seed: int) -> None:
    """Every part has an image."""
    splits = stratified([2] * count, [seed], 5 / 265, 50 / 265)
    train, val, test = (splits.count(split) for split in SPLITS)
    assert min(train, val, test) >= 1
    assert abs(test - count * 50 / 265) <= 1
    assert abs(val - count * 5 / 265) <= 1
