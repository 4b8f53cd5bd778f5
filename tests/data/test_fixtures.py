"""Drawn stand-ins: every loader, protocol and fold runs on them, they can be learned from, and they own up."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from l2rclip_lite.data import load_dataset
from l2rclip_lite.data.base import SPLITS
from l2rclip_lite.data.benchmarks import DATA_SETS
from l2rclip_lite.data.fixtures import CSV_RANKS, make_fixture
from l2rclip_lite.errors import InputError

ALL = [name for name in DATA_SETS if name != "leaves"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every fixture."""
    base = tmp_path_factory.mktemp("fixtures")
    for name in ALL:
        make_fixture(name, base / name)
    return base


def choices(name: str) -> list[dict[str, Any]]:
    """Every protocol, category and fold of a data set."""
    facts = DATA_SETS[name]
    found: list[dict[str, Any]] = []
    for protocol, cut in facts.protocols.items():
        for category, fold in product(facts.categories or (None,), cut.folds or (None,)):
            chosen = {"protocol": protocol or None, "category": category, "fold": fold}
            found.append({key: value for key, value in chosen.items() if value is not None})
    return [{"ranks": CSV_RANKS}] if name == "csv" else found


@pytest.mark.parametrize("name", ALL)
def test_every_protocol_and_fold_can_be_loaded(made: Path, name: str) -> None:
    """Something to learn from, some to choose on and to report, nothing missing, and a card that owns up."""
    for options in choices(name):
        data = load_dataset(name, root=made / name, **options)
        train, val, test = (data.split(split) for split in SPLITS)
        assert (len(train) >= 21, len(val) >= 3, len(test) >= 6) == (True, True, True), options
        assert len(set(train.targets)) >= 3
        assert not {*train.paths, *val.paths} & set(test.paths)
        assert data.caveat == "SYNTHETIC FIXTURE"
        assert "SYNTHETIC FIXTURE" in data.card.title
        assert all(len(part[0][0].getbands()) == 3 for part in (train, val, test))
    files = [path for path in (made / name).rglob("*") if path.suffix.lower() in (".jpg", ".png")]
    assert len(files) < 400
    assert json.loads((made / name / "FIXTURE.json").read_text())["data_set"] == name


@pytest.mark.parametrize("folder", ["", "morph", "morph/image"])
def test_a_fixture_is_recognised_from_above_and_below(made: Path, folder: str) -> None:
    """Naming its folder of images, or the folder it lies in, does not make the images real."""
    data = load_dataset(
        "morph", root=made / folder, lists=made / "morph" / "datalists", protocol="subject-exclusive"
    )
    assert data.caveat == "SYNTHETIC FIXTURE"
    assert not {*(data.train.subjects or ())} & {*(data.val.subjects or ())}


@pytest.mark.parametrize("name", ["hci", "retinamnist", "csv"])
def test_the_seed_decides_every_byte(made: Path, tmp_path: Path, name: str) -> None:
    """Twice the same; another seed gives other images."""

    def contents(root: Path) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in root.rglob("*") if path.is_file()}

    first = contents(made / name)
    assert contents(make_fixture(name, tmp_path / "again")) == first
    other = contents(make_fixture(name, tmp_path / "other", seed=1))
    assert all(
        other[file] != first[file] for file in first if file.endswith((".jpg", ".png", ".npz", ".json"))
    )


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("leaves", "there is no fixture of .leaves.; choose one of bracol, csv"),
        ("cats", "there is no fixture of 'cats'; choose one of bracol, csv, retinamnist, bracol-area, "),
        ("hci", "already holds something; name a folder that does not exist yet"),
    ],
)
def test_refusals_leave_nothing_behind(tmp_path: Path, name: str, sentence: str) -> None:
    """One sentence, and neither the folder nor a half of it; an empty folder is taken."""
    folder = tmp_path / "folder"
    folder.mkdir()
    if name == "hci":
        (folder / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match=sentence):
        make_fixture(name, folder)
    assert [path.name for path in tmp_path.rglob("*")] == ["folder", *["mine.txt"] * (name == "hci")]
    assert (make_fixture("csv", tmp_path / "empty") / "labels.csv").is_file()
