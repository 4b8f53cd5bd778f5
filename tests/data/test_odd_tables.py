"""Tables that are nearly right: spaces in names, commas in numbers, ranks that are no list."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from l2rclip_lite.data import OrdinalDataset, load_dataset
from l2rclip_lite.data.base import SPLITS
from l2rclip_lite.data.own_images.load import load_csv
from l2rclip_lite.data.protocols import few_shot
from l2rclip_lite.errors import InputError


def write(root: Path, table: str, images: int = 12) -> None:
    """Write labels.csv, and images that are empty."""
    for number in range(images):
        (root / f"{number}.png").touch()
    (root / "labels.csv").write_text(table)


def load(root: Path, **options: Any) -> OrdinalDataset:
    """Load the folder with three named ranks, or other options."""
    return load_dataset("csv", **{"root": root, "ranks": "fresh, ripe, over ripe"} | options)


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
        ({"labels_are": "Index"},
         r"^labels_are: Input should be 'names', 'index' or 'position', not 'Index'\.$"),
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
        ('"ripe, soft"',
         "row 14: the label 'ripe, soft' has a comma; .*, and a name without a comma"),
        ("1e400", "row 14: the label '1e400' is no finite number; correct it"),
    ],
)  # fmt: skip
def test_labels_that_are_nearly_numbers(tmp_path: Path, label: str, sentence: str) -> None:
    """They are called what they are, and no rank is proposed that a comma would cut in two."""
    rows = [f"{row}.png,{row % 3}" for row in range(12)]
    write(tmp_path, "\n".join(["path,label", *rows, f"x.png,{label}"]))
    with pytest.raises(InputError, match=sentence):
        load(tmp_path, ranks=None)


def test_one_group_fills_no_three_splits(tmp_path: Path) -> None:
    """That the validation split is empty would say nothing of why."""
    rows = [f"{row}.png,{row % 3},tree" for row in range(12)]
    write(tmp_path, "\n".join(["path,label,group", *rows]))
    with pytest.raises(InputError, match=r"1 group of images leave none for val and test; name"):
        load(tmp_path, ranks=None)


def test_a_table_that_leads_nowhere_is_not_passed_over(tmp_path: Path) -> None:
    """The names of the folders would become the labels."""
    for rank in ("fresh", "ripe", "over ripe"):
        (tmp_path / rank).mkdir()
        for number in range(6):
            (tmp_path / rank / f"{number}.png").touch()
    assert len(load(tmp_path).ranks) == 3

    (tmp_path / "labels.csv").symlink_to("gone.csv")
    with pytest.raises(InputError, match=r"labels\.csv"):
        load(tmp_path)


def test_a_table_that_is_written_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last row may be cut off."""
    write(tmp_path, "path,label\n0.png,fresh\n1.png,ripe\n")
    read = pd.read_csv

    def read_beside_a_writer(file: Path, **options: Any) -> pd.DataFrame:
        table = read(file, **options)
        with file.open("a") as stream:
            stream.write("2.png,ov")
        return table

    monkeypatch.setattr(pd, "read_csv", read_beside_a_writer)
    with pytest.raises(InputError, match=r"labels.csv: was changed while it was read; run again"):
        load(tmp_path)


def test_files_behind_links_and_names_in_two_ways_are_one_image(tmp_path: Path) -> None:
    """A folder is listed once; what its list does not say is looked up."""
    (tmp_path / "a").mkdir()
    write(tmp_path, "path,label\n0.png,fresh\na/../0.png,ripe\n")
    with pytest.raises(InputError, match=r"row 3: the image a/../0.png is listed in .* row 2"):
        load(tmp_path)

    (tmp_path / "a" / "link.png").symlink_to(tmp_path / "0.png")
    write(tmp_path, "path,label\n0.png,fresh\na/link.png,ripe\n")
    with pytest.raises(InputError, match=r"row 3: the image a/link.png is listed in .* row 2"):
        load(tmp_path)

    write(tmp_path, "path,label\n0.png,fresh\na,ripe\nnone.png,ripe\n")
    with pytest.raises(InputError, match=r"2 of the 3 listed images are not under"):
        load(tmp_path)


def test_labels_beside_the_folder(tmp_path: Path) -> None:
    """Two images of each rank, in a folder of their own: one trains, the others are shared out."""
    photos = tmp_path / "photos"
    photos.mkdir()
    rows = [
        f"{number}.png,{name}" for number, name in enumerate(["fresh", "ripe", "over ripe"] * 2)
    ]
    write(photos, "")
    (tmp_path / "labels.csv").write_text("path,label\n" + "\n".join(rows) + "\n")

    data = load(photos, labels="../labels.csv")
    assert [len(data.split(split)) for split in SPLITS] == [3, 1, 2]
