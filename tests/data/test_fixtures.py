"""Drawn stand-ins: every loader, protocol and fold runs on them, and they can be learned from."""

import hashlib
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from drawn import CSV_RANKS, make_fixture

from l2rclip_lite.data import load_dataset
from l2rclip_lite.data.base import SPLITS, OrdinalDataset
from l2rclip_lite.data.benchmarks import DATA_SETS

DRAWN = [name for name in DATA_SETS if name not in ("leaves", "retinamnist", "csv")]


def check_splits(data: OrdinalDataset) -> None:
    """Assert that there is enough to learn from, to choose on and to report, and none missing."""
    assert len(data.train) >= 16
    assert len(data.val) >= 3
    assert len(data.test) >= 6
    assert len(set(data.train.targets)) >= 3
    assert not {*data.train.paths, *data.val.paths} & set(data.test.paths)
    assert data.missing == ()
    assert data.caveat == ""
    for split in (data.train, data.val, data.test):
        assert split[0][0].mode == "RGB"


@pytest.mark.parametrize("name", DRAWN)
def test_every_protocol_and_fold_can_be_loaded(tmp_path: Path, name: str) -> None:
    """Of each category, too."""
    make_fixture(name, tmp_path)
    facts = DATA_SETS[name]
    for protocol, cut in facts.protocols.items():
        for category, fold in product(facts.categories or (None,), cut.folds or (None,)):
            choices = {"protocol": protocol or None, "category": category, "fold": fold}
            options = {key: value for key, value in choices.items() if value is not None}
            check_splits(load_dataset(name, root=tmp_path, **options))


def test_a_drawn_table_of_ones_own_can_be_loaded(tmp_path: Path) -> None:
    """Twelve images of each of three ranks."""
    make_fixture("csv", tmp_path)
    check_splits(load_dataset("csv", root=tmp_path, ranks=CSV_RANKS))


def write_arrays(file: Path, labels: np.ndarray) -> None:
    """Write an archive as RetinaMNIST is one; the grey of an image is the place of its split."""
    arrays: dict[str, np.ndarray] = {}
    for grey, split in enumerate(SPLITS):
        arrays[f"{split}_images"] = np.full((5, 28, 28, 3), grey, np.uint8)
        arrays[f"{split}_labels"] = labels
    np.savez(file, **arrays)  # type: ignore[arg-type]


def take_for_the_published_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the digest of RetinaMNIST be that of this file."""
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    facts = replace(DATA_SETS["retinamnist"], sha256=digest)
    monkeypatch.setitem(DATA_SETS, "retinamnist", facts)


LABELS = np.arange(5, dtype=np.uint8)[:, None]


def test_six_arrays_make_three_splits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order of the file, at four times the size."""
    write_arrays(tmp_path / "retinamnist.npz", LABELS)
    take_for_the_published_file(tmp_path / "retinamnist.npz", monkeypatch)

    data = load_dataset("retinamnist", root=tmp_path)
    assert [data.split(split)[4][0].getpixel((0, 0))[0] for split in SPLITS] == [0, 1, 2]
    assert data.val.targets == (0, 1, 2, 3, 4)
    assert data.image_size == 112


def test_arrays_with_another_digest_are_not_opened(tmp_path: Path) -> None:
    """The sentence says how to fetch the published ones."""
    write_arrays(tmp_path / "retinamnist.npz", LABELS)
    sentence = r"retinamnist.npz: it is not the published file .*--download DIR"
    with pytest.raises(ValueError, match=sentence):
        load_dataset("retinamnist", root=tmp_path)


def test_an_array_of_objects_stays_a_pickle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would run what its author wrote."""
    write_arrays(tmp_path / "retinamnist.npz", np.array([{}], object))
    take_for_the_published_file(tmp_path / "retinamnist.npz", monkeypatch)
    with pytest.raises(ValueError, match="pickle"):
        load_dataset("retinamnist", root=tmp_path / "retinamnist.npz")
