"""The published data sets: official counts exactly, what training and test share, and no image opened."""

import re
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import real_data
from PIL import Image
from sklearn.metrics import mean_absolute_error

from l2rclip_lite.data import LOADERS, load_dataset
from l2rclip_lite.data.base import SPLITS, OrdinalDataset
from l2rclip_lite.data.benchmarks import DATA_SETS, cards_table
from l2rclip_lite.data.describe import leakage

LISTED = [name for name, facts in DATA_SETS.items() if facts.lists]


@pytest.fixture
def lists(official: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The official lists, and opening an image fails."""
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("an image was opened"))
    return official


def published(data: OrdinalDataset) -> tuple[int, int]:
    """Images of the published training part, which is train + val, and of the test part."""
    return len(data.train) + len(data.val), len(data.test)


def together(data: OrdinalDataset, *splits: str) -> list[int]:
    """Counts per rank of several splits."""
    return [sum(column) for column in zip(*(data.counts(split) for split in splits), strict=True)]


@pytest.mark.parametrize(("fold", "median_mae"), [*enumerate([8.713, 9.106, 9.166, 8.798, 9.093])])
def test_morph_a_is_the_published_one(lists: Path, fold: int, median_mae: float) -> None:
    """Counts, labels, record; the error of the training median is that of the project's data notes."""
    data = load_dataset("morph", lists=lists, fold=fold)
    assert published(data) == (4394, 1098)
    values = np.array(data.ranks.values)
    median = values[int(np.median(data.train.targets + data.val.targets))]
    assert median == 35
    error = mean_absolute_error(values[list(data.test.targets)], np.full(1098, median))
    assert error == pytest.approx(median_mae, abs=5e-4)
    assert data.protocol == (
        f"morph rs-partial, fold {fold}: the literature's setting A; validation: "
        f"{len(data.val)} of the 4,394 training images within every rank; seed 0",
    )


# What the lists share: (subjects of the test part, those also in training, their images) of each fold. "random" reads
# the official files settingC and "subject-exclusive" settingD: the figures show which is which.
MORPH = {
    "rs-partial": [(874, 674, 863), (888, 686, 863), (862, 671, 859), (874, 660, 849), (871, 685, 871)],
    "three-fold": [(7409, 3209, 7145), (7418, 3263, 7301)],
    "random": [(7376, 7137, 10587), (7355, 7102, 10558), (7482, 7215, 10579), (7396, 7154, 10586), (7402, 7151, 10568)],
    "subject-exclusive": [(2863, 82, 171), (2826, 88, 193), (2751, 72, 188), (2724, 62, 152), (2638, 61, 148)],
}  # fmt: skip
BETWEEN = {  # images that the test parts of two folds share, least and most; of all test parts together; of all parts
    "rs-partial": (184, 216, 3827, 5942),  # repeated hold-out, no cross-validation
    "three-fold": (7000, 7000, 21000, 21000),
    "random": (0, 0, 55134, 55134),
    "subject-exclusive": (0, 0, 55134, 55134),
}


@pytest.mark.slow
@pytest.mark.parametrize("protocol", MORPH)
def test_morph_leaks_as_the_data_notes_say(lists: Path, protocol: str) -> None:
    """All folds of the four protocols: subjects, pairs of folds, the union, and what that means."""
    folds = DATA_SETS["morph"].protocols[protocol].folds
    loaded = {
        fold: load_dataset("morph", lists=lists, protocol=protocol, fold=fold) for fold in folds
    }
    counts = [leakage(data) for data in loaded.values()]
    names = ("test_subjects", "test_shared_subjects", "test_images_of_shared")
    assert [tuple(count[name] for name in names) for count in counts] == MORPH[protocol]
    assert all(count["test_shared_files"] == count["val_shared_files"] == 0 for count in counts)
    assert all(
        (count["val_shared_subjects"] == 0) == (protocol == "subject-exclusive") for count in counts
    )
    tests = [set(data.test.paths) for data in loaded.values()]
    images = {
        path for data in loaded.values() for part in SPLITS for path in data.split(part).paths
    }
    shared = {len(one & other) for one, other in combinations(tests, 2)}
    assert (min(shared), max(shared), len(set().union(*tests)), len(images)) == BETWEEN[protocol]


@pytest.mark.parametrize(
    ("protocol", "letter", "fold"), [("random", "C", 0), ("subject-exclusive", "D", 4)]
)
def test_the_official_letters_are_swapped(
    lists: Path, protocol: str, letter: str, fold: int
) -> None:
    """SettingC is random, settingD by person; the whole set lacks two ages and has 260 images above 60."""
    data = load_dataset("morph", lists=lists, protocol=protocol, fold=fold)
    text = (lists / "morph" / f"setting{letter}" / f"morph_{letter}_{fold:02d}.txt").read_text()
    assert data.test.paths == tuple(re.findall(r"image/(\S+)", text))
    assert published(data) == (55134 - len(data.test), {"C": 11027, "D": 11015}[letter])
    ages = together(data, *SPLITS)
    assert [rank + 16 for rank, count in enumerate(ages) if not count] == [72, 73]
    assert sum(ages[45:]) == 260


CLAP = {"test": ((3612, 1079), 69), "val": ((2476, 1136), 85)}


@pytest.mark.parametrize("protocol", CLAP)
def test_clap2015_is_the_published_one(lists: Path, protocol: str) -> None:
    """Both protocols; ages and deviations as the project's data notes have them."""
    data = load_dataset("clap2015", lists=lists, protocol=protocol)
    assert (published(data), data.ranks.values[max(data.test.targets)]) == CLAP[protocol]
    if protocol == "test":
        votes = [deviation for split in SPLITS for deviation in data.split(split).deviations or ()]
        assert len(votes) == 4691
        assert [min(votes), max(votes), np.mean(votes)] == pytest.approx(
            [0.70, 7.16, 4.03], abs=0.005
        )
        assert [rank + 3 for rank, n in enumerate(together(data, *SPLITS)) if not n] == [
            77,
            81,
            83,
            84,
        ]


def test_adience_is_the_published_one(lists: Path) -> None:
    """Five folds of 17,470 images, no user in two splits, majority accuracies of the data notes."""
    majorities = []
    for fold, size in enumerate([4377, 3093, 3285, 3039, 3676]):
        data = load_dataset("adience", lists=lists, fold=fold)
        assert published(data) == (17470 - size, size)
        assert together(data, *SPLITS) == [2488, 2140, 2124, 1642, 5081, 2293, 830, 872]
        shared = leakage(data)
        assert (shared["test_shared_subjects"], shared["val_shared_subjects"]) == (0, 0)
        assert len(data.val) >= round(0.1 * (17470 - size))
        largest = int(np.argmax(together(data, "train", "val")))
        majorities.append(round(100 * data.counts("test")[largest] / size, 1))
    assert majorities == [37.6, 20.5, 23.6, 31.9, 28.7]


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
    lists: Path, category: str, train: list[int], test: list[int], majority: float
) -> None:
    """The official split, and five disjoint tests that hold every image."""
    data = load_dataset("aesthetics", lists=lists, category=category)
    assert together(data, "train", "val") == train
    assert data.counts("test") == test
    assert round(100 * test[int(np.argmax(train))] / sum(test), 2) == majority
    tested: list[str] = []
    for fold in range(5):
        cut = load_dataset(
            "aesthetics", lists=lists, category=category, protocol="five-fold", fold=fold
        )
        assert together(cut, *SPLITS) == [a + b for a, b in zip(train, test, strict=True)]
        tested += cut.test.paths
    assert len(set(tested)) == len(tested) == sum(train) + sum(test)


@pytest.mark.parametrize("name", LISTED)
def test_the_seed_decides_and_published_tests_stay(lists: Path, name: str) -> None:
    """Same seed, same data; another seed moves the validation part, and the test part where it is ours."""
    one, again, other = (load_dataset(name, lists=lists, seed=seed) for seed in (3, 3, 4))
    assert all(one.split(split).paths == again.split(split).paths for split in SPLITS)
    assert one.val.paths != other.val.paths
    assert (one.test.paths == other.test.paths) == (name != "hci")


def test_every_card_answers_the_same_questions() -> None:
    """Source, licence, citation, terms, leakage; the lists' commit; people may not be identified."""
    assert list(cards_table().index) == list(DATA_SETS) == list(LOADERS)
    for name, facts in DATA_SETS.items():
        assert facts.card.name == name
        assert all(facts.card.to_dict().values())
        assert (
            ("168fd4b" in facts.card.source) == ("identify" in facts.card.terms) == (name in LISTED)
        )


BRACOL = {  # counts of the tests, from the project's data notes
    1: [40, 134, 51, 16, 11],
    2: [35, 133, 52, 20, 12],
    3: [48, 141, 39, 17, 7],
    4: [46, 141, 42, 15, 8],
    5: [40, 135, 60, 9, 8],
}


@pytest.mark.parametrize("fold", BRACOL)
def test_the_authors_folds_of_bracol(real_bracol: Path, fold: int) -> None:
    """All 1,685 rows as in the labels file that was made from the authors' own code."""
    data = load_dataset("bracol", root=real_bracol, fold=fold)
    labels = pd.read_csv(real_bracol / "labels.csv")
    column = labels["split" if fold == 1 else f"split_fold{fold}"]
    for split in SPLITS:
        assert [f"images/{path}" for path in data.split(split).paths] == labels["path"][
            column == split
        ].tolist()
        assert list(data.split(split).targets) == labels["label"][column == split].tolist()
    assert data.counts("test") == BRACOL[fold]
    assert (data.test[0][0].size, data.upright) == ((512, 256), False)


def test_the_published_retinamnist(real_retinamnist: Path) -> None:
    """Counts of the data notes, pixels and labels in the file's order."""
    data = load_dataset("retinamnist", root=real_retinamnist)
    counts = [[486, 128, 206, 194, 66], [54, 12, 28, 20, 6], [174, 46, 92, 68, 20]]
    assert [data.counts(split) for split in SPLITS] == counts
    with np.load(real_retinamnist / "retinamnist.npz") as archive:
        assert data.test.targets == tuple(archive["test_labels"][:, 0])
        assert np.array_equal(np.array(data.val[119][0]), archive["val_images"][119])
    assert (data.val.paths[119], data.val[119][0].mode, data.image_size) == ("val/0119", "RGB", 112)


COUNTED = pd.read_csv(
    Path(__file__).parents[2] / "book" / "results" / "data_sets.csv", keep_default_na=False
)
KEY = ["data", "protocol", "category", "fold"]
FIRST = (
    COUNTED.drop_duplicates(KEY[:3])
    .query("data != 'leaves'")[KEY]
    .itertuples(index=False, name=None)
)


@pytest.mark.parametrize(
    "key", [pytest.param(key, id="-".join(filter(None, key[:3]))) for key in FIRST]
)
def test_the_books_counts_are_those_of_the_loaders(key: tuple[str, str, str, str]) -> None:
    """`book/results/data_sets.csv`, the first fold of each protocol and category, rank by rank and split by split."""
    measured = {
        name: ("root", name.replace("-", "_")) for name in ("bracol-area", "apples81", "hc18")
    }
    needs = {
        "bracol": ("root", "bracol_severity"),
        "retinamnist": ("root", "retinamnist"),
    } | measured
    where, folder = needs.get(key[0], ("lists", "datalists"))
    place = real_data.folder_of(folder)
    if place is None:
        pytest.skip(real_data.missing(folder))
    options: dict[str, Any] = {
        name: value for name, value in zip(KEY[1:3], key[1:3], strict=True) if value
    }
    options |= {"fold": int(key[3])} if key[3] else {}
    data = load_dataset(key[0], **{where: place}, **options)
    rows = COUNTED[(COUNTED[KEY] == list(key)).all(axis=1)]
    assert [rows[split].tolist() for split in SPLITS] == [data.counts(split) for split in SPLITS]
    assert rows["name"].tolist() == list(data.ranks.names)
