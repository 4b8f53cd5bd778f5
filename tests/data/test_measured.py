"""Lesion areas, apples and fetal heads: published counts, folds by group, the owners' layout."""

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import owners_labels
import pandas as pd
import pytest
import real_data
from PIL import Image

from l2rclip_lite.data import OrdinalDataset, load_dataset
from l2rclip_lite.data.base import SPLITS
from l2rclip_lite.data.benchmarks import DATA_SETS
from l2rclip_lite.data.describe import leakage
from l2rclip_lite.errors import InputError

# From the project's data notes; of weeks 11 and 40 one image each joins the ends.
COUNTS = {
    "bracol-area": [105, 44, 72, 65, 48, 40, 29, 26, 11, 12, 10, 5, 6, 7, 9, 2, 2, 1, 1, 0, 5],
    "apples81": [135, 135, 119, 137, 139, 115, 132, 134, 116, 103, 80, 81, 72, 63, 43, 47, 36, 24,
                 27, 21 + 63],
    "hc18": [10 + 1, 116, 46, 34, 19, 9, 25, 120, 277, 101, 28, 17, 15, 16, 8, 10, 13, 11, 19, 24,
             19, 15, 10, 15, 5, 11, 4 + 1],
}  # fmt: skip


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


@pytest.mark.parametrize(("name", "n_groups"), [("apples81", 150), ("hc18", 806)])
def test_folds_keep_groups_whole(root_of: Callable[[str], Path], name: str, n_groups: int) -> None:
    """No tree and no woman is on two sides."""
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
        ("hc18", "an ultrasound image of a fetal head at twelve weeks", "at thirty eight weeks"),
    ],
)
def test_sentences_are_in_the_words_of_the_field(
    root_of: Callable[[str], Path], name: str, lowest: str, highest: str
) -> None:
    """Of the lowest rank, and the end of that of the highest; images are in colour."""
    data = load_dataset(name, root=root_of(name))
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


def test_the_owners_boxes_of_apples_are_counted(
    tmp_path: Path, root_of: Callable[[str], Path]
) -> None:
    """Groups are dealt out as in the published column."""
    table = pd.read_csv(root_of("apples81") / "labels.csv")
    stems = table["file"].str.removesuffix(".jpg").tolist()
    touch_images(tmp_path, stems, ".jpg")

    boxes = tmp_path / "data" / "labels"
    boxes.mkdir()
    for stem, count in zip(stems, table["count"], strict=True):
        (boxes / f"{stem}.txt").write_text("0 0.5 0.5 0.1 0.1\n" * count)

    owners_labels.main(["apples81", str(tmp_path)])
    theirs = load_dataset("apples81", root=tmp_path, fold=2)
    ours = load_dataset("apples81", root=root_of("apples81"), fold=2)
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
        ("hc18", "file,week\n000_HC.jpg,20",
         "hc18: 1 of the 1 listed images .* the first is 000_HC.jpg"),
    ],
)  # fmt: skip
def test_a_bad_row_is_named(tmp_path: Path, name: str, rows: str, sentence: str) -> None:
    """One sentence with file, row and fix: a count, a percent or a week out of range."""
    (tmp_path / "labels.csv").write_text(rows)
    with pytest.raises(InputError, match=sentence):
        load_dataset(name, root=tmp_path)


def test_without_a_table_of_labels_the_command_that_makes_it_is_named(tmp_path: Path) -> None:
    """The owners publish measures, not labels."""
    sentence = "hc18: there is no .*labels.csv; pass root=.*`python tools/owners_labels.py hc18`"
    with pytest.raises(InputError, match=f"{sentence} makes it"):
        load_dataset("hc18", root=tmp_path)
