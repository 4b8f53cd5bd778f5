"""Lesion areas, fruits, heads, portraits: published counts, folds by group, the owners' layout."""

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import owners_labels
import pandas as pd
import pytest
import real_data
from drawn import make_fixture
from PIL import Image

from l2rclip_lite.data import OrdinalDataset, load_dataset
from l2rclip_lite.data.base import SPLITS
from l2rclip_lite.data.benchmarks import DATA_SETS
from l2rclip_lite.data.describe import leakage
from l2rclip_lite.errors import InputError

# From the project's data notes; of weeks 11 and 40 one image each joins the ends, more than 20
# fruits join the last rank.
COUNTS = {
    "bracol-area": [105, 44, 72, 65, 48, 40, 29, 26, 11, 12, 10, 5, 6, 7, 9, 2, 2, 1, 1, 0, 5],
    "apples81": [135, 135, 119, 137, 139, 115, 132, 134, 116, 103, 80, 81, 72, 63, 43, 47, 36, 24,
                 27, 21 + 63],
    "cherries81": [303, 337, 302, 254, 204, 144, 128, 108, 76, 65, 42, 37, 31, 26, 27, 14, 18, 10,
                   6, 10 + 66],
    "pears": [33, 42, 46, 32, 37, 39, 50, 35, 22, 28, 35, 28, 20, 23, 22, 28, 20, 18, 9, 12 + 119],
    "portraits": [21, 24, 35, 30, 42, 42, 39, 40, 45, 38, 40, 42, 21, 25, 12, 7, 5],
    "hc18": [10 + 1, 116, 46, 34, 19, 9, 25, 120, 277, 101, 28, 17, 15, 16, 8, 10, 13, 11, 19, 24,
             19, 15, 10, 15, 5, 11, 4 + 1],
}  # fmt: skip
# Trees, blocks of photographs, persons, examinations.
N_GROUPS = {"apples81": 150, "cherries81": 21, "pears": 59, "portraits": 506, "hc18": 806}
BOOK = pd.read_csv(Path(__file__).parents[2] / "book" / "results" / "data_sets.csv")


@pytest.mark.parametrize("name", COUNTS)
def test_the_counts_in_the_book_are_the_published_ones(name: str) -> None:
    """Without the files: every fold, all splits together."""
    rows = BOOK[BOOK["data"] == name]
    assert sorted(rows["fold"].unique()) == list(DATA_SETS[name].protocols[""].folds)
    for _, fold in rows.groupby("fold"):
        assert fold[list(SPLITS)].sum(axis=1).tolist() == COUNTS[name]


@pytest.fixture(scope="module")
def root_of() -> Callable[[str], Path]:
    """Return what gives the folder of a data set, or skips the test with the reason."""

    def root(name: str) -> Path:
        folder = real_data.folder_of(name.replace("-", "_"))
        return folder or pytest.skip(real_data.missing(name))

    return root


@pytest.fixture(scope="module", params=COUNTS)
def measured(
    request: pytest.FixtureRequest, root_of: Callable[[str], Path]
) -> tuple[str, list[OrdinalDataset]]:
    """Return the name of a data set and its folds."""
    name = request.param
    folds = DATA_SETS[name].protocols[""].folds
    return name, [load_dataset(name, root=root_of(name), fold=fold) for fold in folds]


def test_counts_are_the_published_ones(measured: tuple[str, list[OrdinalDataset]]) -> None:
    """In every fold, all splits together."""
    name, folds = measured
    for data in folds:
        counts = np.sum([data.counts(split) for split in SPLITS], axis=0)
        assert counts.tolist() == COUNTS[name]


def test_every_image_is_tested_once_and_validates_once(
    measured: tuple[str, list[OrdinalDataset]],
) -> None:
    """Over the folds."""
    _, folds = measured
    tested: list[str] = []
    validated: list[str] = []
    for data in folds:
        tested += data.test.paths
        validated += data.val.paths
    assert sorted(tested) == sorted(set(tested))
    assert sorted(validated) == sorted(tested)


@pytest.mark.parametrize("name", N_GROUPS)
def test_folds_are_those_of_the_column(root_of: Callable[[str], Path], name: str) -> None:
    """Test is the fold, validation the next one, in the order of the table."""
    table = pd.read_csv(root_of(name) / "labels.csv")
    for fold in range(5):
        data = load_dataset(name, root=root_of(name), fold=fold)
        assert list(data.test.paths) == table["file"][table["fold"] == fold].tolist()
        assert list(data.val.paths) == table["file"][table["fold"] == (fold + 1) % 5].tolist()


@pytest.mark.parametrize(("name", "n_groups"), N_GROUPS.items())
def test_folds_keep_groups_whole(root_of: Callable[[str], Path], name: str, n_groups: int) -> None:
    """No tree, no block of photographs, no person and no examination is on two sides."""
    groups: set[str] = set()
    for fold in DATA_SETS[name].protocols[""].folds:
        data = load_dataset(name, root=root_of(name), fold=fold)
        groups.update(data.test.subjects)
        shared = {count for key, count in leakage(data).items() if "shared" in key}
        assert shared == {0}
    assert len(groups) == n_groups


@pytest.mark.parametrize("fold", DATA_SETS["bracol-area"].protocols[""].folds)
def test_folds_of_lesion_areas_are_stratified(root_of: Callable[[str], Path], fold: int) -> None:
    """A rank ends within two fives at most, and may lose or gain 0.8 in each."""
    data = load_dataset("bracol-area", root=root_of("bracol-area"), fold=fold)
    assert [len(data.split(split)) for split in SPLITS] == [300, 100, 100]
    assert data.test.subjects is None
    fifth = np.array(COUNTS["bracol-area"]) / 5
    assert np.abs(np.array(data.counts("test")) - fifth).max() <= 1.61


@pytest.mark.parametrize("name", COUNTS)
def test_another_seed_deals_anew_and_keeps_groups_whole(
    root_of: Callable[[str], Path], name: str
) -> None:
    """The last fold of seed 0 and of seed 1."""
    fold = DATA_SETS[name].protocols[""].folds[-1]
    one = load_dataset(name, root=root_of(name), fold=fold)
    other = load_dataset(name, root=root_of(name), fold=fold, seed=1)
    assert other.test.paths != one.test.paths
    assert not set(other.test.subjects or ()) & set(other.train.subjects or ())


@pytest.mark.parametrize(
    ("name", "lowest", "highest"),
    [
        (
            "bracol-area",
            "a photo of a coffee leaf with zero percent damage",
            "leaf with twenty percent damage",
        ),
        ("apples81", "a photo of one apple on a tree", "a photo of twenty apples on a tree"),
        (
            "cherries81",
            "a photo of one cherry on a branch",
            "a photo of twenty cherries on a branch",
        ),
        ("pears", "a photo of one pear on a tree", "a photo of twenty pears on a tree"),
        ("portraits", "a photo of a person aged under thirty seven", "aged over eighty one"),
        ("hc18", "an ultrasound image of a fetal head at twelve weeks", "at thirty eight weeks"),
    ],
)
def test_sentences_are_in_the_words_of_the_field(
    root_of: Callable[[str], Path], name: str, lowest: str, highest: str
) -> None:
    """Of the lowest rank, and the end of that of the highest; images are in colour."""
    data = load_dataset(name, root=root_of(name))
    assert data.upright == (name != "bracol-area")
    assert data.ranks.sentences[0] == lowest
    assert data.ranks.sentences[-1].endswith(highest)
    assert data.train[0][0].mode == "RGB"


# --- what the owners publish ----------------------------------------------------------------------


def stems_and_ranks(data: OrdinalDataset) -> list[list[tuple[str, int]]]:
    """Return names without suffix and ranks of the three splits, sorted."""
    splits = []
    for part in (data.train, data.val, data.test):
        stems = [path.split(".")[0] for path in part.paths]
        splits.append(sorted(zip(stems, part.targets, strict=True)))
    return splits


def touch_images(root: Path, stems: list[str], suffix: str) -> None:
    """Make empty images."""
    folder = root / "data" / "images"
    folder.mkdir(parents=True)
    for stem in stems:
        (folder / f"{stem}{suffix}").touch()


@pytest.mark.parametrize("name", ["apples81", "cherries81", "pears"])
def test_the_owners_boxes_of_fruits_are_counted(
    tmp_path: Path, root_of: Callable[[str], Path], name: str
) -> None:
    """Groups are dealt out as in the published column; an image without a box is left out."""
    table = pd.read_csv(root_of(name) / "labels.csv")
    stems = table["file"].str.removesuffix(".jpg").tolist()
    touch_images(tmp_path, stems, ".jpg")

    boxes = tmp_path / "data" / "labels"
    boxes.mkdir()
    for stem, count in zip(stems, table["count"], strict=True):
        (boxes / f"{stem}.txt").write_text("0 0.5 0.5 0.1 0.1\n" * count)
    (boxes / "empty.txt").touch()

    owners_labels.main([name, str(tmp_path)])
    theirs = load_dataset(name, root=tmp_path, fold=2)
    ours = load_dataset(name, root=root_of(name), fold=2)
    assert stems_and_ranks(theirs) == stems_and_ranks(ours)


def test_the_owners_circumferences_of_heads_become_weeks(
    tmp_path: Path, root_of: Callable[[str], Path]
) -> None:
    """They are in millimetres; groups are dealt out as in the published column."""
    table = pd.read_csv(root_of("hc18") / "labels.csv")
    stems = table["file"].str.removesuffix(".jpg").tolist()
    touch_images(tmp_path, stems, ".png")

    lines = ["filename,pixel size(mm),head circumference (mm)"]
    for stem, pixel, circumference in zip(stems, table["pixel_mm"], table["hc_mm"], strict=True):
        lines.append(f"{stem}.png,{pixel},{circumference}")
    (tmp_path / "training_set_pixel_size_and_HC.csv").write_text("\n".join(lines))

    owners_labels.main(["hc18", str(tmp_path)])
    theirs = load_dataset("hc18", root=tmp_path, fold=2)
    ours = load_dataset("hc18", root=root_of("hc18"), fold=2)
    assert stems_and_ranks(theirs) == stems_and_ranks(ours)


@pytest.fixture
def leaves(tmp_path: Path) -> Path:
    """Return ten masks of fifteen leaf pixels, number n with n red ones, and empty images."""
    masks = tmp_path / "annotations" / "val"
    images = tmp_path / "images" / "val"
    masks.mkdir(parents=True)
    images.mkdir(parents=True)
    for number in range(10):
        pixels = np.zeros((20, 3), np.uint8)
        pixels[:number] = (255, 0, 0)
        pixels[number:15] = (0, 176, 0)
        Image.fromarray(pixels.reshape(5, 4, 3)).save(masks / f"{number}_mask.png")
        (images / f"{number}.jpg").touch()
    return tmp_path


def test_a_mask_is_measured_in_percent_of_the_leaf(leaves: Path) -> None:
    """3 red and 12 green pixels are 20 %; more joins the last rank."""
    assert owners_labels.measure(leaves / "annotations" / "val" / "3_mask.png") == 20

    owners_labels.main(["bracol-area", str(leaves)])
    data = load_dataset("bracol-area", root=leaves)
    ranks = dict(itertools.chain(*stems_and_ranks(data)))
    assert [ranks[str(number)] for number in range(10)] == [0, 7, 13, *[20] * 7]


def test_a_mask_without_a_leaf_is_refused(leaves: Path) -> None:
    """A black image has neither red nor green."""
    Image.new("RGB", (4, 4)).save(leaves / "annotations" / "val" / "3_mask.png")
    sentence = r"3_mask.png: the mask shows no leaf, neither red nor green; replace it"
    with pytest.raises(InputError, match=sentence):
        owners_labels.main(["bracol-area", str(leaves)])


def test_the_smaller_copies_of_real_masks_agree_with_the_published_percent(
    root_of: Callable[[str], Path],
) -> None:
    """Which was measured at full size."""
    root = root_of("bracol-area")
    table = pd.read_csv(root / "labels.csv").head(40)
    stems = table["file"].str.removesuffix(".jpg")
    percent = [owners_labels.measure(root / "masks" / f"{stem}.png") for stem in stems]
    assert np.abs(percent - table["lesion_percent"]).max() < 0.3


def test_a_file_of_boxes_has_five_cells_a_row(tmp_path: Path) -> None:
    """A cut row is named, and blank lines are no boxes."""
    file = tmp_path / "a.txt"
    file.write_text("0 0.5 0.5 0.1 0.1\n\n0 0.5 0.5")
    with pytest.raises(InputError, match=r"a.txt row 2: a box is a class and four numbers"):
        owners_labels.measure(file)


def test_a_folder_without_the_owners_file_is_refused(tmp_path: Path) -> None:
    """The sentence names the file."""
    sentence = r"hc18: there is no training_set_.*csv below .*; name the owners' folder"
    with pytest.raises(InputError, match=sentence):
        owners_labels.main(["hc18", str(tmp_path)])


@pytest.mark.parametrize(
    ("name", "rows", "sentence"),
    [
        ("bracol-area", "file,lesion_percent\n1.jpg,101",
         "labels.csv row 2: the label '101' is no number from 0 to 100"),
        ("apples81", "file,count\nDSC_1_a_1.jpg,0",
         "labels.csv row 2: the label '0' is no number from 1 to 1000"),
        ("apples81", "file,count\na.jpg,1",
         "labels.csv row 2: the name 'a.jpg' is not made as images/DSC_"),
        ("hc18", "file,week\n000_HC.jpg,41",
         "labels.csv row 2: the label '41' is no number from 11 to 40; correct it"),
        ("pears", "file,count,fold\nDSC_1_a_1.jpg,1,5",
         "labels.csv row 2: the fold '5' is none of 0, 1, 2, 3, 4; correct it"),
        ("cherries81", "file,count,fold\nIMGP8_1.jpg,1,0\nIMGP15_1.jpg,1,0\nIMGP9_1.jpg,1,3",
         "labels.csv row 4: '1' is in fold 3, and in fold 0 further up; give all its images one"),
        ("portraits", "file,age,person\np000.jpg,63,0",
         r"labels.csv: write the column 'fold' once, in \['file', 'age', 'person'\]"),
        ("portraits", "file,age,person,fold\np000.jpg,86,0,0",
         "labels.csv row 2: the label '86' is no number from 25 to 85"),
        ("portraits", "file,age,person,fold\np000.jpg,63,,0",
         "labels.csv row 2: the group is blank; name who is shown"),
        ("portraits", "file,age,person,fold\np000.jpg,63,0,0",
         "portraits: 1 of the 1 listed images .* the first is p000.jpg"),
        ("hc18", "file,week\n000_HC.jpg,20",
         "hc18: 1 of the 1 listed images .* the first is 000_HC.jpg"),
    ],
)  # fmt: skip
def test_a_bad_row_is_named(tmp_path: Path, name: str, rows: str, sentence: str) -> None:
    """One sentence with file, row and fix: a count, a percent or a week out of range."""
    (tmp_path / "labels.csv").write_text(rows)
    with pytest.raises(InputError, match=sentence):
        load_dataset(name, root=tmp_path)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("hc18", "`python tools/owners_labels.py hc18` makes it"),
        ("portraits", "`l2rclip data portraits` says what it is"),
    ],
)
def test_without_a_table_of_labels_the_command_that_helps_is_named(
    tmp_path: Path, name: str, hint: str
) -> None:
    """The owners publish measures, not labels; of the portraits nobody publishes a table."""
    with pytest.raises(InputError, match=f"{name}: there is no .*labels.csv; pass root=.*{hint}"):
        load_dataset(name, root=tmp_path)


def test_ages_of_three_years_share_a_rank(tmp_path: Path) -> None:
    """From 34; younger and older ones join the ends."""
    make_fixture("portraits", tmp_path)
    names = [f"p{number:03}.jpg" for number in range(6)]
    ages = [25, 36, 37, 39, 84, 85]
    rows = [f"{name},{age},{age},0" for name, age in zip(names, ages, strict=True)]
    rows += ["p006.jpg,50,1,1", "p007.jpg,50,2,2"]
    (tmp_path / "labels.csv").write_text("\n".join(["file,age,person,fold", *rows]))

    data = load_dataset("portraits", root=tmp_path)
    assert data.test.targets == (0, 0, 1, 1, 16, 16)
    assert [data.ranks.values[rank] for rank in data.test.targets] == [35, 35, 38, 38, 83, 83]


def test_a_circumference_that_is_no_number_is_refused(tmp_path: Path) -> None:
    """By file and row."""
    lines = ["filename,pixel size(mm),head circumference (mm)", "000_HC.png,0.1,x"]
    (tmp_path / "training_set_pixel_size_and_HC.csv").write_text("\n".join(lines))
    with pytest.raises(InputError, match=r"HC.csv row 2: head circumference \(mm\) 'x' is no"):
        owners_labels.main(["hc18", str(tmp_path)])
