"""The published data sets: official counts exactly, what splits share, and no image opened."""

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
    """Return the folder of the official lists; opening an image fails."""

    def refuse(*_: object, **__: object) -> None:
        pytest.fail("an image was opened")

    monkeypatch.setattr(Image, "open", refuse)
    return official


def published_sizes(data: OrdinalDataset) -> tuple[int, int]:
    """Return the images of the published training part, which is train + val, and of the test."""
    return len(data.train) + len(data.val), len(data.test)


def counts_of(data: OrdinalDataset, *splits: str) -> list[int]:
    """Return the images of each rank, of several splits together."""
    counts = [data.counts(split) for split in splits]
    return np.sum(counts, axis=0).tolist()


@pytest.mark.parametrize(
    ("fold", "median_mae"), [(0, 8.713), (1, 9.106), (2, 9.166), (3, 8.798), (4, 9.093)]
)
def test_morph_a_is_the_published_one(lists: Path, fold: int, median_mae: float) -> None:
    """Counts and labels; the error of the training median is that of the data notes."""
    data = load_dataset("morph", lists=lists, fold=fold)
    assert published_sizes(data) == (4394, 1098)

    values = np.array(data.ranks.values)
    median = values[int(np.median(data.train.targets + data.val.targets))]
    assert median == 35
    error = mean_absolute_error(values[list(data.test.targets)], np.full(1098, median))
    assert error == pytest.approx(median_mae, abs=5e-4)


def test_the_record_of_morph_names_the_setting_and_the_validation(lists: Path) -> None:
    """As the literature calls it, with the seed of what is ours."""
    data = load_dataset("morph", lists=lists, fold=2)
    assert data.protocol == (
        "morph rs-partial, fold 2: the literature's setting A; validation: "
        f"{len(data.val)} of the 4,394 training images within every rank; seed 0",
    )


# What the lists share, of each fold: subjects of the test part, those also in training, their
# images.
# "random" reads the official files settingC and "subject-exclusive" settingD: the figures show
# which is which.
SHARED = {
    "rs-partial": [
        (874, 674, 863), (888, 686, 863), (862, 671, 859), (874, 660, 849), (871, 685, 871),
    ],
    "three-fold": [(7409, 3209, 7145), (7418, 3263, 7301)],
    "random": [
        (7376, 7137, 10587), (7355, 7102, 10558), (7482, 7215, 10579), (7396, 7154, 10586),
        (7402, 7151, 10568),
    ],
    "subject-exclusive": [
        (2863, 82, 171), (2826, 88, 193), (2751, 72, 188), (2724, 62, 152), (2638, 61, 148),
    ],
}  # fmt: skip
# Images that the tests of two folds share, least and most; images of all tests; of all splits.
BETWEEN_FOLDS = {
    "rs-partial": (184, 216, 3827, 5942),  # repeated hold-out, no cross-validation
    "three-fold": (7000, 7000, 21000, 21000),
    "random": (0, 0, 55134, 55134),
    "subject-exclusive": (0, 0, 55134, 55134),
}


@pytest.fixture(scope="module", params=SHARED)
def morph(request: pytest.FixtureRequest, official: Path) -> tuple[str, list[OrdinalDataset]]:
    """Return a protocol of MORPH and its folds."""
    folds = [
        load_dataset("morph", lists=official, protocol=request.param, fold=fold)
        for fold in DATA_SETS["morph"].protocols[request.param].folds
    ]
    return request.param, folds


@pytest.mark.slow
def test_morph_leaks_as_the_data_notes_say(morph: tuple[str, list[OrdinalDataset]]) -> None:
    """All folds of the four protocols; validation is by person where the test is."""
    protocol, folds = morph
    counts = [leakage(data) for data in folds]

    shared = pd.DataFrame(counts)[
        ["test_subjects", "test_shared_subjects", "test_images_of_shared"]
    ]
    assert [*shared.itertuples(index=False, name=None)] == SHARED[protocol]

    for count in counts:
        assert count["test_shared_files"] == 0
        assert count["val_shared_files"] == 0
        assert (count["val_shared_subjects"] == 0) == (protocol == "subject-exclusive")


@pytest.mark.slow
def test_folds_of_morph_overlap_as_the_data_notes_say(
    morph: tuple[str, list[OrdinalDataset]],
) -> None:
    """Only two protocols are cross-validations."""
    protocol, folds = morph
    tests = [set(data.test.paths) for data in folds]
    shared = [len(one & other) for one, other in combinations(tests, 2)]
    tested = set[str]().union(*tests)
    images = set(tested)
    for data in folds:
        images.update(data.train.paths, data.val.paths)

    figures = (min(shared), max(shared), len(tested), len(images))
    assert figures == BETWEEN_FOLDS[protocol]


@pytest.mark.parametrize(
    ("protocol", "letter", "fold"), [("random", "C", 0), ("subject-exclusive", "D", 4)]
)
def test_the_official_letters_are_swapped(
    lists: Path, protocol: str, letter: str, fold: int
) -> None:
    """SettingC is random, settingD by person.

    The whole set lacks two ages and has 260 images above 60.
    """
    data = load_dataset("morph", lists=lists, protocol=protocol, fold=fold)
    text = (lists / "morph" / f"setting{letter}" / f"morph_{letter}_{fold:02d}.txt").read_text()
    assert data.test.paths == tuple(re.findall(r"image/(\S+)", text))
    assert published_sizes(data) == (55134 - len(data.test), {"C": 11027, "D": 11015}[letter])
    ages = counts_of(data, *SPLITS)
    assert [rank + 16 for rank, count in enumerate(ages) if not count] == [72, 73]
    assert sum(ages[45:]) == 260


@pytest.mark.parametrize(
    ("protocol", "sizes", "oldest"), [("test", (3612, 1079), 69), ("val", (2476, 1136), 85)]
)
def test_clap2015_is_the_published_one(
    lists: Path, protocol: str, sizes: tuple[int, int], oldest: int
) -> None:
    """Both protocols: sizes, and the highest age of the test part."""
    data = load_dataset("clap2015", lists=lists, protocol=protocol)
    assert published_sizes(data) == sizes
    assert data.ranks.values[max(data.test.targets)] == oldest


def test_clap2015_has_the_published_votes_and_ages(lists: Path) -> None:
    """Deviations of the votes, and the ages that nobody has, as in the data notes."""
    data = load_dataset("clap2015", lists=lists, protocol="test")
    votes = [*data.train.deviations, *data.val.deviations, *data.test.deviations]
    assert len(votes) == 4691
    assert min(votes) == pytest.approx(0.70, abs=0.005)
    assert max(votes) == pytest.approx(7.16, abs=0.005)
    assert np.mean(votes) == pytest.approx(4.03, abs=0.005)

    counts = counts_of(data, *SPLITS)
    assert [rank + 3 for rank, n in enumerate(counts) if n == 0] == [77, 81, 83, 84]


def test_adience_is_the_published_one(lists: Path) -> None:
    """Five folds of 17,470 images, no user in two splits, majority accuracies of the notes."""
    majorities = []
    for fold, size in enumerate([4377, 3093, 3285, 3039, 3676]):
        data = load_dataset("adience", lists=lists, fold=fold)

        assert published_sizes(data) == (17470 - size, size)
        assert counts_of(data, *SPLITS) == [2488, 2140, 2124, 1642, 5081, 2293, 830, 872]
        assert len(data.val) >= round(0.1 * (17470 - size))

        shared = leakage(data)
        assert shared["test_shared_subjects"] == 0
        assert shared["val_shared_subjects"] == 0

        largest = int(np.argmax(counts_of(data, "train", "val")))
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
    """The official split of each category."""
    data = load_dataset("aesthetics", lists=lists, category=category)
    assert counts_of(data, "train", "val") == train
    assert data.counts("test") == test
    assert round(100 * test[int(np.argmax(train))] / sum(test), 2) == majority


@pytest.mark.parametrize("category", ["animals", "nature", "people", "urban"])
def test_five_folds_of_aesthetics_test_every_image_once(lists: Path, category: str) -> None:
    """They cut the same images as the official split does."""
    official = counts_of(load_dataset("aesthetics", lists=lists, category=category), *SPLITS)

    tested: list[str] = []
    for fold in range(5):
        data = load_dataset(
            "aesthetics", lists=lists, category=category, protocol="five-fold", fold=fold
        )
        assert counts_of(data, *SPLITS) == official
        tested += data.test.paths

    assert len(set(tested)) == len(tested) == sum(official)


@pytest.mark.parametrize("name", LISTED)
def test_the_seed_decides_and_published_tests_stay(lists: Path, name: str) -> None:
    """Another seed moves the validation part, and the test part where it is ours."""
    first, second, other = (load_dataset(name, lists=lists, seed=seed) for seed in (3, 3, 4))
    for split in SPLITS:
        assert first.split(split).paths == second.split(split).paths
    assert first.val.paths != other.val.paths
    assert (first.test.paths == other.test.paths) == (name != "hci")


def test_every_data_set_has_a_card_and_a_loader() -> None:
    """One table, one dictionary, one order."""
    assert list(cards_table().index) == list(DATA_SETS)
    assert list(LOADERS) == list(DATA_SETS)


@pytest.mark.parametrize("name", DATA_SETS)
def test_every_card_answers_the_same_questions(name: str) -> None:
    """Source, licence, citation, terms, leakage."""
    card = DATA_SETS[name].card
    assert card.name == name
    assert all(card.to_dict().values())


@pytest.mark.parametrize("name", DATA_SETS)
def test_cards_of_faces_forbid_to_identify_and_name_the_commit_of_the_lists(name: str) -> None:
    """Of the data sets with published lists, and of no others; portraits have no list."""
    card = DATA_SETS[name].card
    assert ("168fd4b" in card.source) == (name in LISTED)
    assert ("identify" in card.terms) == (name in (*LISTED, "portraits"))


def test_portraits_are_for_methods_only() -> None:
    """As the note of their licence says."""
    terms = DATA_SETS["portraits"].card.terms
    assert "for comparing methods only" in terms
    assert "not to identify anybody, and not to judge anybody's age" in terms


BRACOL = {  # counts of the tests, from the project's data notes
    1: [40, 134, 51, 16, 11],
    2: [35, 133, 52, 20, 12],
    3: [48, 141, 39, 17, 7],
    4: [46, 141, 42, 15, 8],
    5: [40, 135, 60, 9, 8],
}


@pytest.mark.parametrize("fold", BRACOL)
def test_bracol_has_the_folds_of_its_authors(real_bracol: Path, fold: int) -> None:
    """All 1,685 rows as in the labels file that was made from the authors' own code."""
    data = load_dataset("bracol", root=real_bracol, fold=fold)
    labels = pd.read_csv(real_bracol / "labels.csv")
    split_of_row = labels["split" if fold == 1 else f"split_fold{fold}"]

    for split in SPLITS:
        rows = labels[split_of_row == split]
        assert [f"images/{path}" for path in data.split(split).paths] == rows["path"].tolist()
        assert list(data.split(split).targets) == rows["label"].tolist()

    assert data.counts("test") == BRACOL[fold]
    assert data.test[0][0].size == (512, 256)
    assert not data.upright


def test_retinamnist_is_the_published_one(real_retinamnist: Path) -> None:
    """Counts of the data notes, pixels and labels in the file's order."""
    data = load_dataset("retinamnist", root=real_retinamnist)
    assert data.counts("train") == [486, 128, 206, 194, 66]
    assert data.counts("val") == [54, 12, 28, 20, 6]
    assert data.counts("test") == [174, 46, 92, 68, 20]

    last_image, _ = data.val[119]
    with np.load(real_retinamnist / "retinamnist.npz") as archive:
        assert data.test.targets == tuple(archive["test_labels"][:, 0])
        assert np.array_equal(np.array(last_image), archive["val_images"][119])
    assert data.val.paths[119] == "val/0119"
    assert last_image.mode == "RGB"
    assert data.image_size == 112


RESULTS = Path(__file__).parents[2] / "book" / "results"
COUNTS = pd.read_csv(RESULTS / "data_sets.csv", keep_default_na=False)
KEY = ["data", "protocol", "category", "fold"]
FIRST_FOLDS = COUNTS.drop_duplicates(["data", "protocol", "category"]).query("data != 'leaves'")
FOLDER = {"bracol": "bracol_severity"}  # of those that have no lists


@pytest.mark.parametrize(KEY, FIRST_FOLDS[KEY].to_numpy().tolist())
def test_the_books_counts_are_those_of_the_loaders(
    data: str, protocol: str, category: str, fold: str
) -> None:
    """`book/results/data_sets.csv`, the first fold of each protocol, rank by rank."""
    options: dict[str, Any] = {"protocol": protocol, "category": category, "fold": fold}
    options = {key: value for key, value in options.items() if value}
    if fold:
        options["fold"] = int(fold)

    folder = "datalists" if data in LISTED else FOLDER.get(data, data.replace("-", "_"))
    place = real_data.folder_of(folder)
    if place is None:
        pytest.skip(real_data.missing(folder))
    options["lists" if data in LISTED else "root"] = place

    loaded = load_dataset(data, **options)
    rows = COUNTS[(COUNTS[KEY] == [data, protocol, category, fold]).all(axis=1)]
    for split in SPLITS:
        assert rows[split].tolist() == loaded.counts(split)
    assert rows["name"].tolist() == list(loaded.ranks.names)
