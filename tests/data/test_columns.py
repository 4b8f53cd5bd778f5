"""Columns and cells of one's own table: found in any capitals, once, as text; nothing else is converted."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from l2rclip_lite.data import OrdinalDataset, load_dataset
from l2rclip_lite.errors import InputError


def load(root: Path, table: pd.DataFrame | None = None, **options: Any) -> OrdinalDataset:
    """Twelve empty images of two ranks; the table is `labels.csv` if none is passed."""
    for number in range(12):
        (root / f"{number}.png").touch()
    return load_dataset("csv", root=root, labels=table, **options)


def frame(**columns: Any) -> pd.DataFrame:
    """One row an image; these columns come on top, or in place of those."""
    rows = range(12)
    usual = {"path": [f"{row}.png" for row in rows], "label": [row % 2 for row in rows]}
    return pd.DataFrame({**usual, **columns})


SPLIT = ["train"] * 6 + ["val"] * 2 + ["test"] * 4
GROUP = [*"aabbccddeeff"]


def test_capitals_in_a_column_name_are_read_and_said(tmp_path: Path) -> None:
    """`Group` and ` SPLIT ` count: no random split follows, and the record names both."""
    data = load(tmp_path, frame(**{"Group": GROUP, " SPLIT ": SPLIT}))
    assert data.train.paths == tuple(f"{row}.png" for row in range(6))
    assert data.test.subjects == tuple("eeff")
    assert data.protocol[:2] == (
        "the column 'Group' is read as group",
        "the column 'SPLIT' is read as split",
    )
    assert "split by the table" in data.protocol


@pytest.mark.parametrize("role", ["path", "label", "group", "split"])
@pytest.mark.parametrize("again", ["{}", "{}.upper()", " {} "])
def test_a_column_that_is_there_twice_is_refused(tmp_path: Path, role: str, again: str) -> None:
    """In the same letters or others; also under a name that the user chose."""
    second = role.upper() if "upper" in again else again.format(role)
    for name, options in ((role, {}), (f"my {role}", {f"{role}_column": f"my {role}"})):
        other = second.replace(role, name).replace(role.upper(), name.upper())
        header = ["path", "label", "group", "split"]
        header[header.index(role)] = name
        lines = [",".join([*header, other])]
        for row in range(12):
            cells = [f"{row}.png", str(row % 2), GROUP[row], SPLIT[row]]
            lines.append(",".join([*cells, cells[["path", "label", "group", "split"].index(role)]]))
        (tmp_path / "labels.csv").write_text("\n".join(lines))
        with pytest.raises(InputError, match=f"labels.csv: write the column '{name}' once, in"):
            load(tmp_path, **options)


@pytest.mark.parametrize(
    ("one", "two"),
    [("1", "1.0"), ("1", "01"), ("7.5", "+7.50"), ("Ren\u00e9", "Rene\u0301")],
)
def test_a_group_is_written_in_one_way(tmp_path: Path, one: str, two: str) -> None:
    """A patient with two spellings would be learned from and tested on."""
    table = frame(group=[*"abcdefghij", one, two])
    with pytest.raises(InputError) as caught:
        load(tmp_path, table)
    assert f"DataFrame row 11: the group {two!a} is written {one!a} in DataFrame row 10" in str(
        caught.value
    )

    long = "1234567890" * 4
    data = load(tmp_path, frame(group=[*"abcdefgh", "1E3", "1000", f"{long}1", f"{long}2"]))
    assert "by group (12 of them)" in " ".join(data.protocol)


def test_a_column_called_path_1_is_no_second_path(tmp_path: Path) -> None:
    """Pandas would call a second column `path` by that name."""
    frame(**{"path.1": range(12)}).to_csv(tmp_path / "labels.csv", index=False)
    assert load(tmp_path).counts("test") == [1, 1]


@pytest.mark.parametrize("split", ["Train", "TRAIN", "validation", "valid", "x"])
def test_another_word_for_a_split_is_refused(tmp_path: Path, split: str) -> None:
    """Three words are splits; spaces around them do not matter."""
    with pytest.raises(InputError, match=f"row 0: the split '{split}' is none of train, val, test"):
        load(tmp_path, frame(split=[split, " train ", *SPLIT[2:]]))


def test_bytes_that_are_no_text_matter_only_where_they_are_used(tmp_path: Path) -> None:
    """A thumbnail in an unused column is left alone; a path in UTF-8 bytes is text."""
    thumbnails = [b"\xff\xd8"] * 12
    paths = [f"{row}.png".encode() for row in range(12)]
    assert load(tmp_path, frame(thumbnail=thumbnails, path=paths)).train.paths[0].endswith(".png")
    with pytest.raises(InputError, match="DataFrame row 0: the label is bytes that are not UTF-8"):
        load(tmp_path, frame(label=thumbnails))


@pytest.mark.parametrize("label", [np.array([1]), [1], {"grade": 1}])
def test_a_cell_is_one_word_or_number(tmp_path: Path, label: Any) -> None:
    """Labels as arrays, as MedMNIST has them, are named by row and type."""
    kind = type(label).__name__
    with pytest.raises(InputError, match=f"row 0: the label is of type {kind}, .*write one word"):
        load(tmp_path, frame(label=[label] * 12))


@pytest.mark.parametrize("character", ["\r", "\n", "\x00", "\x1b", "\u2028", "\x85", "\udce9"])
def test_a_path_has_no_control_character(tmp_path: Path, character: str) -> None:
    """It would break the lines of predictions.csv, or the terminal."""
    paths = [f"a{character}b.png", *frame()["path"][1:]]
    with pytest.raises(InputError, match=r"row 0: the path .* has a control character; rename"):
        load(tmp_path, frame(path=paths))


def test_a_table_that_links_to_itself_is_no_file(tmp_path: Path) -> None:
    """One sentence, and so for a name that is too long for the file system."""
    (tmp_path / "ring.csv").symlink_to("ring.csv")
    for labels in ("ring.csv", f"{'x' * 5000}.csv"):
        with pytest.raises(InputError, match="there is no such file"):
            load_dataset("csv", root=tmp_path, labels=labels)
