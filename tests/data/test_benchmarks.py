"""The five benchmarks: the published counts exactly, and no picture opened."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import real_data
from PIL import Image

from l2rclip_lite.data import load_dataset
from l2rclip_lite.data.adience import load_adience
from l2rclip_lite.data.aesthetics import load_aesthetics
from l2rclip_lite.data.base import SPLITS, OrdinalDataset
from l2rclip_lite.data.clap2015 import load_clap2015
from l2rclip_lite.data.hci import load_hci
from l2rclip_lite.data.morph import load_morph
from l2rclip_lite.errors import InputError
from l2rclip_lite.metrics import mae

Loader = Callable[..., OrdinalDataset]
KEY = ["data", "protocol", "category", "fold"]


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening a picture fails."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a loader opened a picture")

    monkeypatch.setattr(Image, "open", refuse)


def published(data: OrdinalDataset) -> tuple[int, int]:
    """Pictures of the published training part, which is train + val, and of the test part."""
    return len(data.train) + len(data.val), len(data.test)


def together(data: OrdinalDataset, *splits: str) -> list[int]:
    """Counts per rank of several splits."""
    return [sum(column) for column in zip(*(data.counts(split) for split in splits), strict=True)]


def persons(data: OrdinalDataset, *splits: str) -> set[str]:
    """Who is shown."""
    shown: set[str] = set()
    for split in splits:
        subjects = data.split(split).subjects
        assert subjects is not None
        shown.update(subjects)
    return shown


# --- MORPH II -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fold", "shared", "tested", "median_mae"),
    [(0, 674, 874, 8.713), (1, 686, 888, 9.106), (2, 671, 862, 9.166), (3, 660, 874, 8.798), (4, 685, 871, 9.093)],
)  # fmt: skip
def test_morph_a_is_the_published_one(
    official: Path, no_pictures: None, fold: int, shared: int, tested: int, median_mae: float
) -> None:
    """Counts, persons, labels; the error of the training median stands in the project's data notes."""
    data = load_morph(lists=official, fold=fold)
    assert published(data) == (4394, 1098)
    assert len(data.val) == 439
    assert len(persons(data, "test") & persons(data, "train", "val")) == shared
    assert len(persons(data, "test")) == tested
    median = int(np.median(data.train.targets + data.val.targets))
    assert data.ranks.values[median] == 35
    error = mae(np.array(data.test.targets), np.full(1098, median), data.ranks)
    assert error == pytest.approx(median_mae, abs=5e-4)
    assert data.protocol == (
        f"MORPH II rs-partial (the literature's setting A), fold {fold}; "
        "validation: 439 of the 4,394 training pictures, seed 0",
    )


@pytest.mark.parametrize(("fold", "shared", "tested"), [(1, 3209, 7409), (2, 3263, 7418)])
def test_morph_b_learns_from_one_part_and_tests_on_two(
    official: Path, no_pictures: None, fold: int, shared: int, tested: int
) -> None:
    """B1 learns from S1, the file of fold0."""
    data = load_morph(lists=official, protocol="three-fold", fold=fold)
    assert published(data) == (7000, 14000)
    assert len(persons(data, "test") & persons(data, "train", "val")) == shared
    assert len(persons(data, "test")) == tested
    first = (official / "morph" / "settingB" / f"Setting_B_fold{fold - 1}.txt").read_text()
    assert all(path in first for path in (*data.train.paths, *data.val.paths))


@pytest.mark.parametrize(
    ("protocol", "letter", "fold", "size", "tested", "shared"),
    [
        (
            "random",
            "C",
            0,
            11027,
            range(7355, 7483),
            range(7090, 7243),
        ),  # 96.4 to 96.8 % of the folds' persons
        ("subject-exclusive", "D", 4, 11015, range(2638, 2639), range(61, 62)),
    ],
)
def test_morph_random_and_subject_exclusive(
    official: Path,
    no_pictures: None,
    protocol: str,
    letter: str,
    fold: int,
    size: int,
    tested: range,
    shared: range,
) -> None:
    """The official letters are swapped: settingC is random, settingD keeps nearly all persons apart."""
    data = load_morph(lists=official, protocol=protocol, fold=fold)
    assert published(data) == (55134 - size, size)
    file = official / "morph" / f"setting{letter}" / f"morph_{letter}_{fold:02d}.txt"
    assert data.test.paths == tuple(re.findall(r"image/(\S+)", file.read_text()))
    assert len(persons(data, "test")) in tested
    assert len(persons(data, "test") & persons(data, "train", "val")) in shared
    apart = not persons(data, "train") & persons(data, "val")
    assert apart == (protocol == "subject-exclusive")
    assert len(persons(data, *SPLITS)) == 13617
    ages = together(data, *SPLITS)
    assert [rank + 16 for rank, count in enumerate(ages) if not count] == [72, 73]
    assert sum(ages[45:]) == 260  # above 60


@pytest.mark.parametrize(
    ("letter", "meant"),
    [("A", "rs-partial"), ("b", "three-fold"), ("C", "subject-exclusive"), ("d", "random")],
)
def test_a_letter_is_explained(letter: str, meant: str) -> None:
    """What papers call the setting comes first; for C and D the official files stand second."""
    with pytest.raises(InputError, match=f"the letter '{letter}' is ambiguous.*; protocol='{meant}' is"):
        load_morph(protocol=letter)


# --- CLAP2015, Adience, HCI, aesthetics -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("protocol", "counts", "oldest"), [("test", (3612, 1079), 69), ("val", (2476, 1136), 85)]
)
def test_clap2015_is_the_published_one(
    official: Path, no_pictures: None, protocol: str, counts: tuple[int, int], oldest: int
) -> None:
    """Both protocols; ages and deviations as the project's data notes have them."""
    data = load_clap2015(lists=official, protocol=protocol)
    assert published(data) == counts
    assert data.ranks.values[max(data.test.targets)] == oldest
    if protocol == "test":
        votes = [deviation for split in SPLITS for deviation in data.split(split).deviations or ()]
        assert len(votes) == 4691
        assert [min(votes), max(votes), np.mean(votes)] == pytest.approx([0.70, 7.16, 4.03], abs=0.005)
        empty = [rank + 3 for rank, count in enumerate(together(data, *SPLITS)) if not count]
        assert empty == [77, 81, 83, 84]


def test_adience_is_the_published_one(official: Path, no_pictures: None) -> None:
    """Five folds of 17,470 pictures, no user in two splits, majority accuracies of the data notes."""
    majorities = []
    for fold, size in enumerate([4377, 3093, 3285, 3039, 3676]):
        data = load_adience(lists=official, fold=fold)
        assert published(data) == (17470 - size, size)
        assert together(data, *SPLITS) == [2488, 2140, 2124, 1642, 5081, 2293, 830, 872]
        assert not persons(data, "train") & persons(data, "val")
        assert not persons(data, "train", "val") & persons(data, "test")
        assert len(data.val) >= round(0.1 * (17470 - size))
        largest = int(np.argmax(together(data, "train", "val")))
        majorities.append(round(100 * data.counts("test")[largest] / size, 1))
    assert majorities == [37.6, 20.5, 23.6, 31.9, 28.7]


def test_hci_gives_ten_repeats(official: Path, no_pictures: None) -> None:
    """210, 5 and 50 a decade in each, and never the same draw."""
    tests = set()
    for fold in range(10):
        data = load_hci(lists=official, fold=fold)
        assert [data.counts(split) for split in SPLITS] == [[210] * 5, [5] * 5, [50] * 5]
        assert len({path for split in SPLITS for path in data.split(split).paths}) == 1325
        tests.add(data.test.paths)
    assert len(tests) == 10


@pytest.mark.parametrize(
    ("category", "train", "test", "majority"),
    [
        ("animals", [3, 97, 1140, 1324, 71], [1, 28, 283, 327, 20], 49.62),
        ("nature", [7, 120, 2292, 851, 20], [0, 33, 543, 240, 7], 65.98),
        ("people", [17, 132, 1244, 730, 33], [1, 38, 303, 193, 4], 56.22),
        ("urban", [2, 101, 1613, 782, 73], [0, 29, 382, 220, 12], 59.41),
    ],
)
def test_aesthetics_is_the_published_one(
    official: Path, no_pictures: None, category: str, train: list[int], test: list[int], majority: float
) -> None:
    """The official split, and five disjoint tests that hold every picture."""
    data = load_aesthetics(lists=official, category=category)
    assert together(data, "train", "val") == train
    assert data.counts("test") == test
    assert round(100 * test[int(np.argmax(train))] / sum(test), 2) == majority
    total, tested = sum(train) + sum(test), []
    for fold in range(5):
        cut = load_aesthetics(lists=official, category=category, protocol="five-fold", fold=fold)
        assert together(cut, *SPLITS) == [a + b for a, b in zip(train, test, strict=True)]
        shares = [len(cut.split(split)) / total for split in SPLITS]
        assert shares == pytest.approx([0.75, 0.05, 0.20], abs=0.001)
        tested += cut.test.paths
    assert len(set(tested)) == len(tested) == total


@pytest.mark.parametrize(
    ("load", "options"),
    [
        (load_morph, {}),
        (load_clap2015, {}),
        (load_adience, {"fold": 1}),
        (load_hci, {"fold": 9}),
        (load_aesthetics, {"category": "urban", "protocol": "five-fold", "fold": 3}),
    ],
)
def test_the_seed_decides_and_published_tests_stay(
    official: Path, no_pictures: None, load: Loader, options: dict[str, object]
) -> None:
    """Same seed, same data; another seed moves the validation part, and the test part where it is ours."""
    one, again, other = (load(lists=official, seed=seed, **options) for seed in (3, 3, 4))
    for split in SPLITS:
        assert one.split(split).paths == again.split(split).paths
    assert one.val.paths != other.val.paths
    assert (
        one.protocol[0].replace("seed 3", "seed 4").split("validation")[0]
        == other.protocol[0].split("validation")[0]
    )
    assert (one.test.paths == other.test.paths) == (
        one.name != "hci" and options.get("protocol") != "five-fold"
    )


@pytest.mark.parametrize("load", [load_morph, load_clap2015, load_adience, load_hci, load_aesthetics])
def test_every_card_answers_the_same_questions(official: Path, load: Loader) -> None:
    """Source of pictures and lists, licence, citation, terms, leakage; faces carry a warning."""
    data = load(lists=official)
    assert data.card.name == data.name
    assert all(data.card.to_dict().values())
    assert "168fd4b" in data.card.source
    assert "identify" in data.card.terms
    with pytest.raises(InputError, match=f"{data.name}: pass root="):
        data.train[0]


RESULTS = Path(__file__).parents[2] / "book" / "results"
COUNTED = pd.read_csv(RESULTS / "data_sets.csv", keep_default_na=False)
FIRST = COUNTED.drop_duplicates(["data", "protocol", "category"]).query("data != 'leaves'")
NEEDS = {"bracol": ("root", "bracol_severity"), "retinamnist": ("root", "retinamnist")}


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(key, id="-".join(filter(None, key[:3])))
        for key in FIRST[KEY].itertuples(index=False, name=None)
    ],
)
def test_the_books_counts_are_those_of_the_loaders(key: tuple[str, str, str, str]) -> None:
    """`book/results/data_sets.csv`, the first fold of each protocol and category, rank by rank and split by split."""
    where, folder = NEEDS.get(key[0], ("lists", "datalists"))
    place = real_data.folder_of(folder)
    if place is None:
        pytest.skip(real_data.missing(folder))
    options = {name: value for name, value in zip(KEY[1:], key[1:], strict=True) if value}
    if "fold" in options:
        options["fold"] = int(options["fold"])
    data = load_dataset(key[0], **{where: place}, **options)
    rows = COUNTED[(COUNTED[KEY] == list(key)).all(axis=1)]
    assert {split: rows[split].tolist() for split in SPLITS} == {
        split: data.counts(split) for split in SPLITS
    }
    assert rows["name"].tolist() == list(data.ranks.names)
