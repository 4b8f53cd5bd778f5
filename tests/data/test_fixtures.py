"""Drawn stand-ins: every loader, protocol and fold runs on them, and they can be learned from."""

import hashlib
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from drawn import CSV_RANKS, make_fixture

from l2rclip_lite.data import load_dataset
from l2rclip_lite.data.base import SPLITS
from l2rclip_lite.data.benchmarks import DATA_SETS

DRAWN = [name for name in DATA_SETS if name not in ("leaves", "retinamnist")]


@pytest.mark.parametrize("name", DRAWN)
def test_every_protocol_and_fold_can_be_loaded(tmp_path: Path, name: str) -> None:
    """Something to learn from, some to choose on and to report, and nothing missing."""
    make_fixture(name, tmp_path)
    facts = DATA_SETS[name]
    for protocol, cut in facts.protocols.items():
        for category, fold in product(facts.categories or (None,), cut.folds or (None,)):
            chosen = {"protocol": protocol or None, "category": category, "fold": fold}
            options = {key: value for key, value in chosen.items() if value is not None}
            data = load_dataset(
                name, root=tmp_path, **options, **{"ranks": CSV_RANKS} if name == "csv" else {}
            )
            train, val, test = (data.split(split) for split in SPLITS)
            assert (len(train) >= 16, len(val) >= 3, len(test) >= 6) == (True, True, True), options
            assert len(set(train.targets)) >= 3
            assert not {*train.paths, *val.paths} & set(test.paths)
            assert (data.missing, data.caveat) == ((), "")
            assert all(len(part[0][0].getbands()) == 3 for part in (train, val, test))


def test_the_arrays_of_retinamnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six arrays make three splits; a file with another digest is not opened, an array of objects stays a pickle."""
    file = tmp_path / "retinamnist.npz"
    arrays = {
        f"{split}_images": np.full((5, 28, 28, 3), at, np.uint8) for at, split in enumerate(SPLITS)
    }
    arrays |= {f"{split}_labels": np.arange(5, dtype=np.uint8)[:, None] for split in SPLITS}
    for damage, sentence in ((None, None), ({"train_labels": np.array([{}], object)}, "pickle")):
        np.savez(file, **arrays | (damage or {}))  # type: ignore[arg-type]
        with pytest.raises(
            ValueError, match=r"retinamnist.npz: it is not the published file .*--download DIR"
        ):
            load_dataset("retinamnist", root=tmp_path)
        facts = replace(
            DATA_SETS["retinamnist"], sha256=hashlib.sha256(file.read_bytes()).hexdigest()
        )
        monkeypatch.setitem(DATA_SETS, "retinamnist", facts)
        if sentence is None:
            data = load_dataset("retinamnist", root=tmp_path)
            assert [data.split(split)[4][0].getpixel((0, 0))[0] for split in SPLITS] == [0, 1, 2]
            assert (data.val.targets, data.image_size) == ((0, 1, 2, 3, 4), 112)
        else:
            with pytest.raises(ValueError, match=sentence):
                load_dataset("retinamnist", root=file)
