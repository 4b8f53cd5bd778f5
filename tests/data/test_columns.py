"""Columns and cells of one's own table: read in any capitals, once, as text, and not converted."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from l2rclip_lite.data import load_dataset
from l2rclip_lite.errors import InputError

PATHS = [f"{row}.png" for row in range(12)]
LABELS = [row % 2 for row in range(12)]
GROUPS = [*"aabbccddeeff"]
SPLIT = ["train"] * 6 + ["val"] * 2 + ["test"] * 4


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Return a folder of twelve empty images."""
    for name in PATHS:
        (tmp_path / name).touch()
    return tmp_path


def test_a_column_name_in_capitals_is_read_and_recorded(images: Path) -> None:
    """`Group` and ` SPLIT ` count: no random split follows, and the record names both."""
    table = pd.DataFrame({"path": PATHS, "label": LABELS, "Group": GROUPS, " SPLIT ": SPLIT})

    data = load_dataset("csv", root=images, labels=table)

    assert data.train.paths == tuple(PATHS[:6])
    assert data.test.subjects == tuple("eeff")
    assert data.protocol[:2] == (
        "the column 'Group' is read as group",
        "the column 'SPLIT' is read as split",
    )
    assert "split by the table" in data.protocol


def write_with_a_second_column(file: Path, role: str, name: str, second: str) -> None:
    """Write a table whose column for `role` is called `name`, and once more `second`."""
    columns = {"path": PATHS, "label": LABELS, "group": GROUPS, "split": SPLIT}
    header = [name if column == role else column for column in columns] + [second]
    rows = zip(*columns.values(), columns[role], strict=True)
    lines = [",".join(header), *(",".join(map(str, cells)) for cells in rows)]
    file.write_text("\n".join(lines))


@pytest.mark.parametrize("role", ["path", "label", "group", "split"])
@pytest.mark.parametrize("respell", [str, str.upper, " {} ".format])
def test_a_column_that_is_there_twice_is_refused(
    images: Path, role: str, respell: Callable[[str], str]
) -> None:
    """In the same letters, in capitals, with spaces around it."""
    write_with_a_second_column(images / "labels.csv", role, role, respell(role))
    with pytest.raises(InputError, match=f"labels.csv: write the column '{role}' once, in"):
        load_dataset("csv", root=images)


@pytest.mark.parametrize("role", ["path", "label", "group", "split"])
@pytest.mark.parametrize("respell", [str, str.upper, " {} ".format])
def test_a_column_of_ones_own_name_that_is_there_twice_is_refused(
    images: Path, role: str, respell: Callable[[str], str]
) -> None:
    """`label_column="my label"` asks for one such column."""
    name = f"my {role}"
    write_with_a_second_column(images / "labels.csv", role, name, respell(name))
    with pytest.raises(InputError, match=f"labels.csv: write the column '{name}' once, in"):
        load_dataset("csv", root=images, **{f"{role}_column": name})


@pytest.mark.parametrize(
    ("one", "two"),
    [("1", "1.0"), ("1", "01"), ("7.5", "+7.50"), ("Ren\u00e9", "Rene\u0301")],
)
def test_two_spellings_of_a_group_are_refused(images: Path, one: str, two: str) -> None:
    """A patient with two spellings would be learned from and tested on."""
    groups = [*"abcdefghij", one, two]
    table = pd.DataFrame({"path": PATHS, "label": LABELS, "group": groups})
    with pytest.raises(InputError) as caught:
        load_dataset("csv", root=images, labels=table)
    sentence = f"DataFrame row 11: the group {two!a} is written {one!a} in DataFrame row 10"
    assert sentence in str(caught.value)


def test_groups_that_look_like_one_large_number_stay_apart(images: Path) -> None:
    """`1E3` is no spelling of `1000`, and forty-one digits are compared to the last."""
    digits = "1234567890" * 4
    groups = [*"abcdefgh", "1E3", "1000", f"{digits}1", f"{digits}2"]
    table = pd.DataFrame({"path": PATHS, "label": LABELS, "group": groups})
    data = load_dataset("csv", root=images, labels=table)
    assert "by group (12 of them)" in " ".join(data.protocol)


@pytest.mark.parametrize(("separator", "name"), [(",", "size; cm"), (";", "size, cm")])
def test_a_name_in_quotes_holds_no_separator(images: Path, separator: str, name: str) -> None:
    """A table is cut at what stands between its names."""
    table = pd.DataFrame({"path": PATHS, "label": LABELS, name: range(12)})
    table.to_csv(images / "labels.csv", index=False, sep=separator, quoting=csv.QUOTE_ALL)
    assert load_dataset("csv", root=images).counts("test") == [1, 1]


def test_a_column_called_path_1_is_no_second_path(images: Path) -> None:
    """Pandas would call a second column `path` by that name."""
    table = pd.DataFrame({"path": PATHS, "label": LABELS, "path.1": range(12)})
    table.to_csv(images / "labels.csv", index=False)
    assert load_dataset("csv", root=images).counts("test") == [1, 1]


@pytest.mark.parametrize("split", ["Train", "TRAIN", "validation", "valid", "x"])
def test_another_word_for_a_split_is_refused(images: Path, split: str) -> None:
    """Three words are splits; spaces around them do not matter."""
    splits = [split, " train ", *SPLIT[2:]]
    table = pd.DataFrame({"path": PATHS, "label": LABELS, "split": splits})
    with pytest.raises(InputError, match=f"row 0: the split '{split}' is none of train, val, test"):
        load_dataset("csv", root=images, labels=table)


def test_a_path_in_utf_8_bytes_is_text_and_other_bytes_may_lie_beside_it(images: Path) -> None:
    """A thumbnail in a column that is not used is left alone."""
    paths = [path.encode() for path in PATHS]
    table = pd.DataFrame({"path": paths, "label": LABELS, "thumbnail": [b"\xff\xd8"] * 12})
    data = load_dataset("csv", root=images, labels=table)
    assert data.train.paths[0] in PATHS


def test_a_label_in_bytes_that_are_no_text_is_refused(images: Path) -> None:
    """Bytes matter where they are used."""
    table = pd.DataFrame({"path": PATHS, "label": [b"\xff\xd8"] * 12})
    with pytest.raises(InputError, match="DataFrame row 0: the label is bytes that are not UTF-8"):
        load_dataset("csv", root=images, labels=table)


@pytest.mark.parametrize("label", [np.array([1]), [1], {"grade": 1}])
def test_a_cell_is_one_word_or_number(images: Path, label: Any) -> None:
    """Labels as arrays, as MedMNIST has them, are named by row and type."""
    table = pd.DataFrame({"path": PATHS, "label": [label] * 12})
    kind = type(label).__name__
    with pytest.raises(InputError, match=f"row 0: the label is of type {kind}, .*write one word"):
        load_dataset("csv", root=images, labels=table)


@pytest.mark.parametrize("character", ["\r", "\n", "\x00", "\x1b", "\u2028", "\x85", "\udce9"])
def test_a_path_has_no_control_character(images: Path, character: str) -> None:
    """It would break the lines of predictions.csv, or the terminal."""
    table = pd.DataFrame({"path": [f"a{character}b.png", *PATHS[1:]], "label": LABELS})
    with pytest.raises(InputError, match=r"row 0: the path .* has a control character; rename"):
        load_dataset("csv", root=images, labels=table)


@pytest.mark.parametrize("name", ["ring.csv", f"{'x' * 5000}.csv"], ids=["a ring", "too long"])
def test_a_table_that_cannot_be_a_file_is_refused_in_a_sentence(tmp_path: Path, name: str) -> None:
    """A link to itself, and a name that is too long for the file system."""
    (tmp_path / "ring.csv").symlink_to("ring.csv")
    with pytest.raises(InputError, match="there is no such file"):
        load_dataset("csv", root=tmp_path, labels=name)
