"""Fixtures: the true formats, names that the lists hold, pictures that can be learned from, nothing real."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
import real_data
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from l2rclip_lite.data import load_dataset
from l2rclip_lite.data.fixtures import LAYOUTS, _order, _pixels, make_fixture
from l2rclip_lite.data.lists import Entry, read_list
from l2rclip_lite.errors import InputError

OFFICIAL = real_data.folder_of("datalists")
needs_official = pytest.mark.skipif(OFFICIAL is None, reason=real_data.missing("datalists"))
ALL = [*LAYOUTS, "retinamnist", "bracol", "csv"]
MORPH_FILE = r"\d{6}_\d\d[MF]\d\d\.JPG"
MORPH_PATH = rb"\.\./\.\./datasets/Morph/image/\d{6}_\d\d[MF]\d\d\.JPG \d\d\n"
LINES = {  # the whole file: the dialects of data.md, section 1
    "morph/settingA/Setting_A_fold0_train.txt": (
        rb"race gender age filename database\r\n(0 [01] \d\d " + MORPH_FILE.encode() + rb" morph\r\n)+"
    ),
    "morph/settingA/Setting_A_fold1_test.txt": (
        rb",race,gender,age,filename,database\r\n(\d+,0,[01],\d\d," + MORPH_FILE.encode() + rb",morph\r\n)+"
    ),
    "morph/settingB/Setting_B_fold2.txt": (
        rb"race gender age filename database\r\n([01] [01] \d\d " + MORPH_FILE.encode() + rb" morph\r\n)+"
    ),
    "morph/settingC/morph_C_03.txt": rb"(" + MORPH_PATH + rb")+",
    "morph/settingD/morph_D_04.txt": rb"(" + MORPH_PATH + rb")+",
    "clap2015/total_2015.csv": (
        rb"filename,age,stdv,database\r\n(image_\d+\.jpg,\d+,\d\.\d{6},(train|val|test)\r\n)+"
    ),
    "adience/simplified_adience_2.txt": (
        rb"(\d{8}@N\d\d/landmark_aligned_face\.\d+\.\d{11}_[0-9a-f]{10}_o\.jpg [0-7]\n)+"
    ),
    "hci/1950s.txt": rb"(\./images/1950s_decade_[0-9a-f]{32}\.jpg 1950s\n)+",
    "crowdbeauty/nature_train.txt": rb"(\d{10}\.png\t[1-5]\.0\n)+\d{10}\.png\t[1-5]\.0",
    "crowdbeauty/nature_test.txt": rb"(\d{10}\.png\t[1-5]\.0\n)+\d{10}\.png\t[1-5]\.0",
    "crowdbeauty/nature_datasets.txt": rb"(\d{10}\.png\t[1-5]\.0\n)+",
}
PROTOCOLS: list[tuple[str, dict[str, object]]] = [
    *(("morph", {"protocol": p, "fold": f}) for p in ("rs-partial", "random", "subject-exclusive") for f in range(5)),
    *(("morph", {"protocol": "three-fold", "fold": f}) for f in (1, 2)),
    *(("clap2015", {"protocol": p}) for p in ("test", "val")),
    *(("adience", {"fold": f}) for f in range(5)),
    *(("hci", {"fold": f}) for f in range(10)),
    *(("aesthetics", {"category": c}) for c in ("animals", "nature", "people", "urban")),
    *(("aesthetics", {"category": "urban", "protocol": "five-fold", "fold": f}) for f in range(5)),
    ("retinamnist", {}),
    *(("bracol", {"fold": f}) for f in range(1, 6)),
    ("csv", {"ranks": "fresh,ripe,overripe"}),
]  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every fixture, without and with the official lists."""
    base = tmp_path_factory.mktemp("fixtures")
    for name in ALL:
        make_fixture(name, base / "made-up" / name)
    jaxtyping.config.update("jaxtyping_disable", True)  # for 150,000 rows; the calls above were checked
    for name in LAYOUTS if OFFICIAL else ():
        make_fixture(name, base / "sampled" / name, lists=OFFICIAL)
    jaxtyping.config.update("jaxtyping_disable", False)
    return base


def origin_of(made: Path, origin: str, name: str) -> Path:
    """The folder of one fixture; skips without the official lists."""
    if not (made / origin / name).is_dir():
        pytest.skip("the official lists are not in ../shared")
    return made / origin / name


def names(root: Path, name: str, file: str) -> list[str]:
    """The pictures of one list of a fixture."""
    layout = LAYOUTS[name]
    return [entry.name for entry in read_list(root / "datalists" / layout.folder / file, keep=layout.keep)]


@pytest.mark.parametrize("file", LINES)
def test_made_up_lists_are_written_as_the_official_ones(made: Path, file: str) -> None:
    """Separator, header, index column, line ends, prefixes, and the last line that does not end."""
    (name,) = [name for name, layout in LAYOUTS.items() if layout.folder == file.split("/")[0]]
    assert re.fullmatch(LINES[file], (made / "made-up" / name / "datalists" / file).read_bytes())


@needs_official
@pytest.mark.parametrize("name", LAYOUTS)
def test_sampled_rows_keep_every_byte(made: Path, name: str) -> None:
    """The header, then lines of the official list in its order, and its last line end or none."""
    layout = LAYOUTS[name]
    for file, count in layout.rows.items():
        small = (made / "sampled" / name / "datalists" / layout.folder / file).read_bytes()
        whole = (OFFICIAL / layout.folder / file).read_bytes()
        lines, official = small.splitlines(keepends=True), iter(whole.splitlines(keepends=True))
        if not whole.endswith(b"\n"):
            assert not small.endswith(b"\n")
            lines[-1] += b"\n"
        assert all(line in official for line in lines)  # consumes: a subsequence
        header = int(b"filename" in whole.splitlines()[0])
        assert lines[:header] == whole.splitlines(keepends=True)[:header]
        assert len(lines) - header == count or not count


@pytest.mark.parametrize("origin", ["made-up", "sampled"])
@pytest.mark.parametrize("name", LAYOUTS)
def test_the_pictures_are_exactly_those_that_the_lists_name(made: Path, name: str, origin: str) -> None:
    """Under 400 of 64 x 64, and beside them only the lists and the note."""
    root, layout = origin_of(made, origin, name), LAYOUTS[name]
    listed = {layout.pictures + "/" + picture for file in layout.rows for picture in names(root, name, file)}
    files = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    lists = {f"datalists/{layout.folder}/{file}" for file in layout.rows}
    assert files == {picture.lstrip("/") for picture in listed} | lists | {"FIXTURE.json"}
    assert len(listed) < 400
    with Image.open(root / min(listed).lstrip("/")) as picture:
        assert picture.size == (64, 64)
    assert json.loads((root / "FIXTURE.json").read_text())["data_set"] == name


@pytest.mark.parametrize("origin", ["made-up", "sampled"])
def test_what_the_official_lists_share_the_fixture_shares(made: Path, origin: str) -> None:
    """A and aesthetics: disjoint parts; B: disjoint parts, persons shared; D: nearly no person in two folds."""
    morph, photos = origin_of(made, origin, "morph"), origin_of(made, origin, "aesthetics")
    for fold in range(5):
        train, test = (
            set(names(morph, "morph", f"settingA/Setting_A_fold{fold}_{part}.txt"))
            for part in ("train", "test")
        )
        assert not train & test
        persons = [{picture.split("_")[0] for picture in part} for part in (train, test)]
        assert persons[0] & persons[1]
    whole = [names(morph, "morph", f"settingD/morph_D_{fold:02d}.txt") for fold in range(5)]
    folds = [{picture.split("_")[0] for picture in part} for part in whole]
    assert sum(map(len, folds)) == len(set[str]().union(*folds))
    parts = [set(names(morph, "morph", f"settingB/Setting_B_fold{part}.txt")) for part in range(3)]
    assert len(set[str]().union(*parts)) == 120
    for category in ("animals", "nature", "people", "urban"):
        train, test, both = (
            set(names(photos, "aesthetics", f"{category}_{part}.txt"))
            for part in ("train", "test", "datasets")
        )
        assert not train & test
        assert train | test == both


@pytest.mark.parametrize(("name", "options"), PROTOCOLS)
def test_every_protocol_and_fold_can_be_loaded(made: Path, name: str, options: dict[str, object]) -> None:
    """Something to learn from, three pictures to choose on, ten to report, and a card that owns up."""
    for origin in ("made-up", "sampled"):
        root = made / origin / name
        if root.is_dir():
            data = load_dataset(name, root=root, **options)
            assert len(data.train) >= 32 or name == "csv"
            assert len(data.val) >= 3
            assert len(data.test) >= (6 if name == "csv" else 9)
            assert len(set(data.train.targets)) >= 3
            assert "SYNTHETIC FIXTURE" in data.card.title
            data.train[0], data.val[0], data.test[0]


@pytest.mark.parametrize("name", ALL)
def test_the_seed_decides_every_byte(made: Path, tmp_path: Path, name: str) -> None:
    """Twice the same; another seed gives other pictures."""

    def contents(root: Path) -> dict[str, bytes]:
        return {
            path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()
        }

    first = contents(made / "made-up" / name)
    assert contents(make_fixture(name, tmp_path / "again")) == first
    other = contents(make_fixture(name, tmp_path / "other", seed=1))
    assert all(other[file] != first[file] for file in first if file in other and file != "labels.csv")


@given(st.floats(0, 1), st.integers(0, 2**32))
def test_a_picture_shows_its_rank_and_nothing_else_for_sure(position: float, seed: int) -> None:
    """The disc is redder the higher the rank, whatever the ground, the place and the noise."""
    low, here = (_pixels(at, np.random.default_rng(seed), (41, 31)) for at in (0.0, position))
    assert (here.shape, here.dtype) == ((31, 41, 3), np.uint8)
    if position > 0.05:
        middle, before = here[15, 20].astype(int), low[15, 20].astype(int)  # the same noise in both
        assert middle[0] > before[0]
        assert middle[2] < before[2]


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 99)), unique=True, min_size=2, max_size=40),
    st.integers(0, 5),
    st.data(),
)
def test_sampling_orders_shared_names_alike(
    shots: list[tuple[int, int]], seed: int, data: st.DataObject
) -> None:
    """Two lists that share pictures are cut to samples that share them; persons stay together."""
    entries = [Entry(f"{who}_{shot}.JPG", float(shot % 7), "", {}) for who, shot in shots]
    some = data.draw(st.lists(st.sampled_from(entries), unique_by=lambda entry: entry.name, min_size=1))
    order = [entries[at].name for at in _order(entries, seed, "person")]
    kept = {entry.name for entry in some}
    assert [some[at].name for at in _order(some, seed, "person")] == [name for name in order if name in kept]
    persons = [name.split("_")[0] for name in order]
    assert len([1 for a, b in pairwise(persons) if a != b]) == len(set(persons)) - 1
    turns = _order(entries, seed, "label")
    assert sorted(turns) == list(range(len(entries)))
    labels = {entry.label for entry in entries}
    assert {
        entries[at].label for at in turns[: len(labels)]
    } == labels  # every label before any a second time


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("leaves", {}, "leaves: nobody needs to own these pictures, they are generated; use --size 60."),
        (
            "cats",
            {},
            "there is no fixture of 'cats'; choose one of morph, clap2015, adience, hci, aesthetics, ",
        ),
        ("bracol", {"lists": "x"}, "bracol: this data set has no official lists; leave the lists out."),
        ("hci", {"seed": -1}, "hci: the seed of a fixture must be 0 or more, not -1."),
        ("hci", {"lists": "nowhere"}, "nowhere"),
    ],
)
def test_refusals_leave_nothing_behind(
    tmp_path: Path, name: str, options: dict[str, object], sentence: str
) -> None:
    """One sentence, and neither the folder nor a half of it."""
    with pytest.raises(InputError) as refused:
        make_fixture(name, tmp_path / "new", **options)  # type: ignore[arg-type]
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_a_bad_list_is_named_by_its_row(tmp_path: Path) -> None:
    """Sampling reads the lists as the loader does; what is broken is said, and nothing is written."""
    for decade in ("1930s", "1940s", "1950s", "1960s", "1970s"):
        (tmp_path / "hci").mkdir(exist_ok=True)
        (tmp_path / "hci" / f"{decade}.txt").write_text(f"./images/a.jpg {decade}\n./images/b.jpg old\n")
    with pytest.raises(InputError, match=r"1930s\.txt row 2"):
        make_fixture("hci", tmp_path / "new", lists=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["hci"]


def test_a_folder_in_use_is_not_touched(tmp_path: Path) -> None:
    """Neither a full folder nor a file; an empty folder is taken."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    for taken in (tmp_path / "full", tmp_path / "full" / "mine.txt"):
        with pytest.raises(
            InputError, match="already holds something; name a folder that does not exist yet"
        ):
            make_fixture("csv", taken)
    assert (tmp_path / "full" / "mine.txt").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    assert (make_fixture("csv", tmp_path / "empty") / "labels.csv").is_file()
