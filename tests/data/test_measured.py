"""Lesion areas, apples and fetal heads: published counts, folds by group, the owners' layout, and what is refused."""

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

COUNTS = {  # from the project's data notes; of weeks 11 and 40 one image each joins the ends
    "bracol-area": [105, 44, 72, 65, 48, 40, 29, 26, 11, 12, 10, 5, 6, 7, 9, 2, 2, 1, 1, 0, 5],
    "apples81": [135, 135, 119, 137, 139, 115, 132, 134, 116, 103, 80, 81, 72, 63, 43, 47, 36, 24, 27, 21 + 63],
    "hc18": [10 + 1, 116, 46, 34, 19, 9, 25, 120, 277, 101, 28, 17, 15, 16, 8, 10, 13, 11, 19, 24, 19, 15, 10, 15,
             5, 11, 4 + 1],
}  # fmt: skip
GROUPS = {"bracol-area": None, "apples81": 150, "hc18": 806}
ENDS = {
    "bracol-area": (
        "a photo of a coffee leaf with zero percent damage",
        "leaf with twenty percent damage",
    ),
    "apples81": ("a photo of one apple on a tree", "a photo of twenty apples on a tree"),
    "hc18": ("an ultrasound image of a fetal head at twelve weeks", "at thirty eight weeks"),
}


def real(name: str) -> Path:
    """The real data, or a skip."""
    folder = real_data.folder_of(name.replace("-", "_"))
    return folder if folder else pytest.skip(real_data.missing(name))


def cells(data: OrdinalDataset) -> list[list[tuple[str, int]]]:
    """Names without suffix and ranks of the three splits."""
    return [
        [(path.split(".")[0], rank) for path, rank in zip(part.paths, part.targets, strict=True)]
        for part in (data.train, data.val, data.test)
    ]


@pytest.mark.parametrize("name", COUNTS)
def test_counts_are_published_and_folds_keep_groups_whole(name: str) -> None:
    """Every image is tested once and validates once; nobody is on two sides; another seed deals anew."""
    tested, validated, groups = list[str](), list[str](), set[str]()
    for fold in DATA_SETS[name].protocols[""].folds:
        data = load_dataset(name, root=real(name), fold=fold)
        assert [sum(column) for column in zip(*map(data.counts, SPLITS), strict=True)] == COUNTS[
            name
        ]
        tested += data.test.paths
        validated += data.val.paths
        groups |= set(data.test.subjects or ())
        if name == "bracol-area":
            assert [len(data.split(split)) for split in SPLITS] == [300, 100, 100]
            # stratified: a rank ends within two fives at most, and may lose or gain 0.8 in each
            assert np.abs(np.array(data.counts("test")) - np.array(COUNTS[name]) / 5).max() <= 1.61
        else:
            assert {n for key, n in leakage(data).items() if "shared" in key} == {0}
    assert sorted(tested) == sorted(validated) == sorted(set(tested))
    assert len(groups) == (GROUPS[name] or 0)
    sentences = data.ranks.sentences
    assert (sentences[0], sentences[-1].endswith(ENDS[name][1])) == (ENDS[name][0], True)
    assert data.train[0][0].mode == "RGB"
    other = load_dataset(name, root=real(name), fold=fold, seed=1)
    assert other.test.paths != data.test.paths
    assert not set(other.test.subjects or ()) & set(other.train.subjects or ())


@pytest.mark.parametrize("name", ["apples81", "hc18"])
def test_the_owners_layout_gives_the_same_splits(tmp_path: Path, name: str) -> None:
    """Boxes are counted, weeks follow from millimetres, and groups are dealt out as in the published column."""
    table = pd.read_csv(real(name) / "labels.csv")
    names = table["file"].str.removesuffix(".jpg")
    for folder in ("labels", "images"):
        (tmp_path / "data" / folder).mkdir(parents=True)
    if name == "apples81":
        for stem, count in zip(names, table["count"], strict=True):
            (tmp_path / "data" / "labels" / f"{stem}.txt").write_text("0 0.5 0.5 0.1 0.1\n" * count)
    else:
        header = "filename,pixel size(mm),head circumference (mm)"
        rows = (
            names + ".png," + table["pixel_mm"].astype(str) + "," + table["hc_mm"].astype(str)
        ).tolist()
        (tmp_path / "training_set_pixel_size_and_HC.csv").write_text("\n".join([header, *rows]))
    for stem in names:
        (tmp_path / "data" / "images" / f"{stem}{'.jpg' if name == 'apples81' else '.png'}").touch()
    owners_labels.main([name, str(tmp_path)])
    owners, ours = (
        load_dataset(name, root=tmp_path, fold=2),
        load_dataset(name, root=real(name), fold=2),
    )
    assert list(map(sorted, cells(owners))) == list(map(sorted, cells(ours)))


def test_a_mask_is_measured_by_hand(tmp_path: Path) -> None:
    """3 red and 12 green pixels are 20 %; of real masks, the smaller copies agree with the percent at full size."""
    masks, images = tmp_path / "annotations" / "val", tmp_path / "images" / "val"
    masks.mkdir(parents=True)
    images.mkdir(parents=True)
    for number in range(10):
        pixels = np.zeros((20, 3), np.uint8)
        pixels[:number], pixels[number:15] = (255, 0, 0), (0, 176, 0)
        Image.fromarray(pixels.reshape(5, 4, 3)).save(masks / f"{number}_mask.png")
        (images / f"{number}.jpg").touch()
    assert owners_labels.measure(masks / "3_mask.png") == 20
    owners_labels.main(["bracol-area", str(tmp_path)])
    found = dict(
        cell for part in cells(load_dataset("bracol-area", root=tmp_path)) for cell in part
    )
    assert [found[str(number)] for number in range(10)] == [0, 7, 13, *[20] * 7]
    Image.new("RGB", (4, 4)).save(masks / "3_mask.png")
    with pytest.raises(
        InputError, match=r"3_mask.png: the mask shows no leaf, neither red nor green; replace it"
    ):
        owners_labels.main(["bracol-area", str(tmp_path)])
    table = pd.read_csv(real("bracol-area") / "labels.csv").head(40)
    small = [
        owners_labels.measure(real("bracol-area") / "masks" / f"{file[:-4]}.png")
        for file in table["file"]
    ]
    assert np.abs(small - table["lesion_percent"]).max() < 0.3


@pytest.mark.parametrize(
    ("name", "rows", "sentence"),
    [
        ("bracol-area", "file,lesion_percent\n1.jpg,101", "labels.csv row 2: the label '101' is no number from 0 to 100"),
        ("apples81", "file,count\nDSC_1_a_1.jpg,0", "labels.csv row 2: the label '0' is no number from 1 to 1000"),
        ("apples81", "file,count\na.jpg,1", "labels.csv row 2: the name 'a.jpg' is not made as images/DSC_"),
        ("hc18", "file,week\n000_HC.jpg,41", "labels.csv row 2: the label '41' is no number from 11 to 40; correct it"),
        ("hc18", "file,week\n000_HC.jpg,20", "hc18: 1 of the 1 listed images .* the first is 000_HC.jpg"),
        ("hc18", None, "hc18: there is no .*labels.csv; pass root=.*`python tools/owners_labels.py hc18` makes it"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_said(
    tmp_path: Path, name: str, rows: str | None, sentence: str
) -> None:
    """One sentence with file, row and fix: no table of labels, a count or week out of range."""
    if rows:
        (tmp_path / "labels.csv").write_text(rows)
    with pytest.raises(InputError, match=sentence):
        load_dataset(name, root=tmp_path)


def test_a_file_of_boxes_has_five_cells_a_row(tmp_path: Path) -> None:
    """A cut row is named, and blank lines are no boxes."""
    file = tmp_path / "a.txt"
    file.write_text("0 0.5 0.5 0.1 0.1\n\n0 0.5 0.5")
    with pytest.raises(InputError, match=r"a.txt row 2: a box is a class and four numbers"):
        owners_labels.measure(file)
    with pytest.raises(
        InputError, match=r"hc18: there is no training_set_.*csv below .*; name the owners' folder"
    ):
        owners_labels.main(["hc18", str(tmp_path)])
