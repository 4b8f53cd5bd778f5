"""Splits that one's own table leaves open are drawn, by rank and by group, and recorded."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2rclip_lite.data import load_dataset
from l2rclip_lite.data.base import SPLITS, OrdinalDataset
from l2rclip_lite.data.check import leakage
from l2rclip_lite.data.splits import deal, stratified
from l2rclip_lite.errors import InputError


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Return a folder of a hundred empty images."""
    for number in range(100):
        (tmp_path / f"{number}.png").touch()
    return tmp_path


def table_of(n_patients: int = 0, splits: tuple[str, ...] = ()) -> pd.DataFrame:
    """Return a hundred rows of five ranks in which patients and splits, if any, take turns."""
    number = np.arange(100)
    table = pd.DataFrame({"path": [f"{n}.png" for n in number], "label": number % 5})
    if n_patients:
        table["group"] = [f"p{n % n_patients}" for n in number]
    if splits:
        table["split"] = [splits[n % len(splits)] for n in number]
    return table


def sizes(data: OrdinalDataset) -> list[int]:
    """Return the images of the three splits."""
    return [len(data.split(split)) for split in SPLITS]


THREE_TRAIN_ONE_TEST = ("train", "train", "test", "train")
ONE_EACH = ("train", "val", "test")


@pytest.mark.parametrize(
    ("n_patients", "splits", "options", "expected", "sentence"),
    [
        (0, (), {}, [70, 15, 15], "split 70/15/15 within every rank, seed 0"),
        (0, (), {"val_share": 0.25, "seed": 3}, [60, 25, 15],
         "split 60/25/15 within every rank, seed 3"),
        (0, THREE_TRAIN_ONE_TEST, {}, [65, 10, 25],
         "split by the table; validation: 10 of the 75 training images, seed 0"),
        (0, (), {"folds": 4, "fold": 2}, [65, 10, 25],
         "fold 2 of 4 within every rank, seed 0; validation: 10 of the 75"),
        (0, ONE_EACH, {"folds": 4}, [65, 10, 25],
         "fold 1 of 4 within every rank, seed 0; validation"),
        (33, (), {}, [70, 15, 15], "split 70/15/15 by group (33 of them) and rank, seed 0"),
        # of three groups of a rank one, as of three images
        (20, THREE_TRAIN_ONE_TEST, {}, [50, 25, 25],
         "validation: 25 of the 75 training images, seed 0"),
        (33, (), {"folds": 5}, [68, 12, 20],
         "fold 1 of 5 by group (33 of them) and rank, seed 0"),
    ],
)  # fmt: skip
def test_drawn_splits_have_their_shares_of_every_rank_and_keep_groups_whole(
    images: Path,
    n_patients: int,
    splits: tuple[str, ...],
    options: dict[str, Any],
    expected: list[int],
    sentence: str,
) -> None:
    """Each rank has twenty images; groups miss the share by one or so. The record says how."""
    table = table_of(n_patients, splits)
    data = load_dataset("csv", root=images, labels=table, **options)

    assert sizes(data) == pytest.approx(expected, abs=4 if n_patients else 0)
    assert sentence in "; ".join(data.protocol)
    assert all(min(data.counts(split)) > 0 for split in SPLITS)
    assert {count for name, count in leakage(data).items() if "shared" in name} <= {0, None}


def test_splits_of_the_table_stay_and_groups_that_they_cut_are_counted(images: Path) -> None:
    """The table's own splits win over its groups and over the seed."""
    table = table_of(n_patients=7, splits=ONE_EACH)
    data = load_dataset("csv", root=images, labels=table)
    assert sizes(data) == [34, 33, 33]
    assert "7 groups in more than one split: --leakage" in "; ".join(data.protocol)
    assert load_dataset("csv", root=images, labels=table, seed=9).test.paths == data.test.paths


@pytest.mark.parametrize(("n_patients", "folds"), [(0, None), (33, 4)])
def test_the_seed_decides_what_is_drawn(images: Path, n_patients: int, folds: int | None) -> None:
    """Same seed, same test images; another seed, others; with folds and groups, too."""
    table = table_of(n_patients)
    first, second, other = (
        load_dataset("csv", root=images, labels=table, folds=folds, seed=seed) for seed in (0, 0, 9)
    )
    assert first.test.paths == second.test.paths
    assert first.test.paths != other.test.paths


RANKS_AND_GROUPS = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 6)), min_size=1, max_size=60
)


@given(rows=RANKS_AND_GROUPS, seed=st.integers(0, 9))
def test_no_group_is_cut_and_training_keeps_every_rank(
    rows: list[tuple[int, int]], seed: int
) -> None:
    """Whatever the groups."""
    ranks = [rank for rank, _ in rows]
    groups = [f"g{group}" for _, group in rows]
    parts = deal(groups, ranks, [0.25] * 4, [seed])
    assert len({*zip(groups, parts.tolist(), strict=True)}) == len(set(groups))

    splits = stratified(ranks, [seed], groups=groups)
    trained = {rank for rank, split in zip(ranks, splits, strict=True) if split == "train"}
    assert trained == set(ranks)


def test_more_folds_than_a_rank_has_images_are_refused(images: Path) -> None:
    """Each rank has twenty images."""
    with pytest.raises(InputError, match=r"^csv: 100 folds .*; draw at most 20 \(--folds\)\.$"):
        load_dataset("csv", root=images, labels=table_of(), folds=100, fold=100)
