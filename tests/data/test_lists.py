"""Split lists: every dialect of the official files is read, every bad row is named."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2rclip_lite.data.lists import read_list
from l2rclip_lite.errors import InputError

OFFICIAL = [  # file, components that name a picture, rows, first name and label
    ("morph/settingA/Setting_A_fold0_train.txt", 1, 4394, "231783_01F31.JPG", 31),
    ("morph/settingA/Setting_A_fold1_test.txt", 1, 1098, "307471_06F29.JPG", 29),
    ("morph/settingB/Setting_B_fold0.txt", 1, 7000, "122148_04M45.JPG", 45),
    ("morph/settingC/morph_C_04.txt", 1, 11026, "145860_04M37.JPG", 37),
    ("morph/settingD/morph_D_02.txt", 1, 11012, "319002_00M16.JPG", 16),
    ("clap2015/total_2015.csv", 1, 4691, "image_4797.jpg", 21),
    (
        "adience/simplified_adience_0.txt",
        2,
        4377,
        "30601258@N03/landmark_aligned_face.1.10399646885_67c7d20df9_o.jpg",
        4,
    ),
    ("crowdbeauty/animals_test.txt", 1, 659, "7121457541.png", 3),
    ("hci/1930s.txt", 1, 265, "1930s_decade_b166b34306e5fb3b1e966cfc0c3b9057.jpg", 1930),
]


@pytest.mark.parametrize(("file", "keep", "rows", "name", "label"), OFFICIAL)
def test_the_official_dialects(
    official: Path, file: str, keep: int, rows: int, name: str, label: float
) -> None:
    """Space, comma and tab; header, index column and none; CRLF and LF; counts of the data notes."""
    entries = read_list(official / file, keep=keep)
    assert (len(entries), entries[0].name, entries[0].label) == (rows, name, label)
    first = 2 if entries[0].cells else 1
    assert entries[-1].where == f"{Path(file).name} row {rows + first - 1}"


def write(folder: Path, text: str | bytes) -> Path:
    """The list of this test."""
    file = folder / "list.txt"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


def test_a_header_names_the_columns_and_the_rest_is_kept(tmp_path: Path) -> None:
    """An index column without a name, quotes, spaces, other columns, other names for the two that matter."""
    text = ',race,years,file\r\n\r\n7,0,"4.0","x, y/a, b.jpg"\r\n8,1, .5e1,c.jpg'
    entries = read_list(write(tmp_path, "\ufeff" + text), name="file", label="years")
    assert [(entry.name, entry.label, entry.where) for entry in entries] == [
        ("a, b.jpg", 4.0, "list.txt row 3"),
        ("c.jpg", 5.0, "list.txt row 4"),
    ]
    assert entries[0].cells == {"race": "0", "years": "4.0", "file": "x, y/a, b.jpg"}
    one = read_list(write(tmp_path, " age filename\n0  21 a.jpg \n"))  # the index column of a space list
    assert one[0].cells == {"age": "21", "filename": "a.jpg"}


@pytest.mark.parametrize(
    ("path", "keep", "name"),
    [
        ("../../data/a.jpg", 1, "a.jpg"),
        ("/srv/anna/a.jpg", 2, "anna/a.jpg"),
        ("C:\\data\\anna\\a.jpg", 2, "anna/a.jpg"),
        ("./images/ü,b.jpg", 1, "ü,b.jpg"),
        ("../anna/../ben/a.jpg", 2, "ben/a.jpg"),
    ],
)
def test_a_prefix_is_cut_away(tmp_path: Path, path: str, keep: int, name: str) -> None:
    """Only the last components count."""
    assert read_list(write(tmp_path, f"{path} 3\n"), keep=keep)[0].name == name


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a.jpg 3\nb.jpg\n", r"list.txt row 2: 1 cell\(s\), but a list without a header has two"),
        ("a.jpg 3\n\nb.jpg 3 4\n", r"list.txt row 3: 3 cell\(s\)"),
        ("age,filename\n3,a.jpg,1\n", "list.txt row 2: 3 cells, but the header has 2; put quotes"),
        ("age,filename\n3\n", "list.txt row 2: 1 cells, but the header has 2"),
        ("age,filename,age\n3,a.jpg,3\n", "list.txt row 1: the header has the column 'age' twice"),
        ("age,filename\r\n", "list.txt: there is no row below the header"),
        (" \n\n", "list.txt: the list is empty"),
        ("file,age\na.jpg,3\n", "row 1: the label 'age' is no finite number; .* columns filename and age"),
        ("a.jpg nan\n", "row 1: the label 'nan' is no finite number"),
        ("a.jpg 1e999\n", "row 1: the label '1e999' is no finite number"),
        ("a.jpg 1_0\n", "row 1: the label '1_0' is no finite number"),
        ("a.jpg 30s\n", "row 1: the label '30s' is no finite number"),
        ("age,filename\n3,\n", "row 2: the path '' does not end in a file name"),
        ("a/.. 3\n", r"row 1: the path 'a/..' does not end in a file name; correct it"),
        ("a/ 3\n", "row 1: the path 'a/' does not end in a file name"),
        ("a\0.jpg 3\n", "row 1: the path .* does not end in a file name"),
        ("x/a.jpg 3\nb.jpg 4\r\ny/a.jpg 5\n", "row 3: a.jpg stands in list.txt row 1 already; remove one"),
        ('a.jpg,3\n"b.jpg,4\n', "row 2: unexpected end of data; check the quotes"),
        (b"a.jpg 3\n\xff.jpg 4\n", "row 2: the text is not UTF-8; save the file as UTF-8"),
        ("a.jpg 3\n".encode("utf-16"), "row 1: the text is not UTF-8"),
    ],
)
def test_every_bad_row_is_named(tmp_path: Path, text: str | bytes, sentence: str) -> None:
    """One sentence with file, row and fix for each way to be wrong."""
    with pytest.raises(InputError, match=sentence) as caught:
        read_list(write(tmp_path, text))
    assert str(caught.value).count("\n") == 0


@pytest.mark.parametrize(
    ("path", "wrong"), [("a.jpg", "a.jpg"), ("/a.jpg", "/a.jpg"), ("../a.jpg", "../a.jpg")]
)
def test_a_folder_that_counts_must_be_there(tmp_path: Path, path: str, wrong: str) -> None:
    """Two components are asked for and the first is missing, empty or "..".

    The same name in two folders is two pictures.
    """
    with pytest.raises(InputError, match=f"the path '{wrong}' does not end in 2 components, folder and file"):
        read_list(write(tmp_path, f"{path} 3\n"), keep=2)
    assert len(read_list(write(tmp_path, "anna/a.jpg 3\nben/a.jpg 3"), keep=2)) == 2
    with pytest.raises(InputError, match=r"nowhere.txt: there is no such file"):
        read_list(tmp_path / "nowhere.txt")
    with pytest.raises(ValueError, match="keep must be 1 or more"):
        read_list(tmp_path / "list.txt", keep=0)


def test_two_spaces_are_one_separator_and_two_letters_of_a_name(tmp_path: Path) -> None:
    """Columns may be lined up with spaces; where commas separate, a name keeps its own."""
    assert read_list(write(tmp_path, "a.jpg   3\n"))[0].name == "a.jpg"
    assert read_list(write(tmp_path, "a  b.jpg,3\n"))[0].name == "a  b.jpg"


NAMES = st.text("abcü@._-'", min_size=1, max_size=6).map(lambda text: f"{text}.jpg")
LABELS = st.one_of(st.integers(0, 100), st.floats(-1e6, 1e6), st.integers(193, 197).map(lambda n: f"{n}0s"))


@given(
    rows=st.lists(st.tuples(NAMES, LABELS), min_size=1, max_size=8, unique_by=lambda row: row[0]),
    separator=st.sampled_from("\t, "),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    blank=st.integers(0, 2),
    prefix=st.sampled_from(["", "../../", "./images/", "/srv/data/", "C:\\data\\"]),
    mark=st.sampled_from(["", "\ufeff"]),
    header=st.booleans(),
    closed=st.booleans(),
)
def test_what_was_written_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, int | float | str]],
    separator: str,
    end: str,
    blank: int,
    prefix: str,
    mark: str,
    header: bool,
    closed: bool,
) -> None:
    """Every dialect gives the same names, labels and row numbers."""
    lines = [separator.join([f"{prefix}{name}", str(label)]) for name, label in rows]
    if header:
        lines = [separator.join(["filename", "age", "database"]), *[f"{line}{separator}x" for line in lines]]
    text = mark + (end * (1 + blank)).join(lines) + end * closed
    entries = read_list(write(tmp_path_factory.mktemp("lists"), text))
    assert [entry.name for entry in entries] == [name for name, _ in rows]
    assert [entry.label for entry in entries] == [float(str(label).rstrip("s")) for _, label in rows]
    assert [entry.where for entry in entries] == [
        f"list.txt row {1 + (index + header) * (1 + blank)}" for index in range(len(rows))
    ]


@pytest.mark.untyped
@pytest.mark.parametrize("header", ["", "n,filename,age\n"])
def test_a_hundred_thousand_rows_take_two_seconds_at_most(
    tmp_path: Path, header: str, seconds: float
) -> None:
    """The time a user sees, who runs without type checks."""
    rows = "".join(f"{n},{n}.jpg,{n % 60}\n" if header else f"../../{n}.jpg {n % 60}\n" for n in range(10**5))
    file = write(tmp_path, header + rows)
    begin = time.process_time()
    assert len(read_list(file)) == 10**5
    assert time.process_time() - begin < 2 * seconds
