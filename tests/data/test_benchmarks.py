"""The published data sets: counts and leakage of all of them, cards, folds of the real files.

`book/results/data_sets.csv` and `.json` are what `l2rclip data` counts and its `--leakage` finds,
of every split. What papers and data notes say is compared with these tables, and where data is
here, the tables with the loaders.
"""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image
from real_data import real_folder

from l2rclip_lite.data import load_dataset
from l2rclip_lite.data.base import SPLITS
from l2rclip_lite.data.benchmarks import DATA_SETS, cards_table
from l2rclip_lite.data.check import leakage

RESULTS = Path(__file__).parents[2] / "book" / "results"
KEY = ["data", "protocol", "category", "fold"]
COUNTS = pd.read_csv(RESULTS / "data_sets.csv", keep_default_na=False, dtype={"fold": str})
LEAKAGE = pd.DataFrame(json.loads((RESULTS / "data_sets.json").read_text())["leakage"])
LISTED = [name for name, facts in DATA_SETS.items() if facts.lists]
FOLDER = {"bracol": "bracol_severity"} | dict.fromkeys(LISTED, "datalists")

# What papers and data notes count, of each rank or of all; a blank cell stands for each choice. Of
# hc18 one image each joins the ends, of fruits more than 20 join the last rank.
PUBLISHED = pd.read_csv(Path(__file__).with_name("published_counts.csv"), dtype=str).fillna("")
# Trees, blocks of photographs, persons, examinations; leaves have no groups.
N_GROUPS = {
    "bracol-area": 0, "apples81": 150, "cherries81": 21, "pears": 59, "portraits": 506, "hc18": 806,
}  # fmt: skip
# Subjects of the test part that are also in training. The official letters are swapped: "random"
# reads the files settingC, which papers call D, and "subject-exclusive" settingD.
SHARED = {
    "rs-partial": [674, 686, 671, 660, 685],
    "three-fold": [3209, 3263],
    "random": [7137, 7102, 7215, 7154, 7151],
    "subject-exclusive": [82, 88, 72, 62, 61],
}


def rows_of(name: str, protocol: str) -> list[pd.DataFrame]:
    """Return the counts of each fold or category of a protocol."""
    table = COUNTS[(COUNTS["data"] == name) & (COUNTS["protocol"] == protocol)]
    return [rows for _, rows in table.groupby(["category", "fold"], sort=False)]


@pytest.mark.parametrize(
    ("data", "protocol", "category", "fold", "splits", "images"), PUBLISHED.to_numpy().tolist()
)
def test_counts_are_the_published_ones(
    data: str, protocol: str, category: str, fold: str, splits: str, images: str
) -> None:
    """In every fold or category that the row means."""
    expected = [int(number) for number in images.split()]
    n_matching = 0
    for rows in rows_of(data, protocol):
        if category in ("", rows["category"].iloc[0]) and fold in ("", rows["fold"].iloc[0]):
            counts = rows[splits.split()].sum(axis=1)
            assert expected in ([counts.sum()], counts.tolist())
            n_matching += 1
    assert n_matching > 0


def test_leakage_is_that_of_the_cards() -> None:
    """No file is on two sides; whoever is validated by person is not in training."""
    morph = LEAKAGE[LEAKAGE["data"] == "morph"].groupby("protocol")["test_shared_subjects"]
    assert {protocol: rows.tolist() for protocol, rows in morph} == SHARED
    assert all("settingC" in file for file in DATA_SETS["morph"].protocols["random"].files)

    assert (LEAKAGE[["test_shared_files", "val_shared_files"]] == 0).all(axis=None)
    by_person = LEAKAGE["protocol"].eq("subject-exclusive") | LEAKAGE["data"].eq("adience")
    assert by_person.sum() == 10
    assert (LEAKAGE[by_person]["val_shared_subjects"] == 0).all()


def real(name: str) -> dict[str, Any]:
    """Return where the data lies as an argument of `load_dataset`, or skip the test."""
    folder = FOLDER.get(name, name.replace("-", "_"))
    return {"lists" if name in LISTED else "root": real_folder(folder)}


FIRST_FOLDS = COUNTS.drop_duplicates(KEY[:3]).query("data != 'leaves'")[KEY].astype(str)


@pytest.mark.parametrize(KEY, FIRST_FOLDS.to_numpy().tolist())
def test_the_tables_are_those_of_the_loaders(
    data: str, protocol: str, category: str, fold: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first fold of each protocol, rank by rank, and what it shares; no image is opened."""
    chosen = dict(zip(KEY, (data, protocol, category, fold), strict=True))
    options: dict[str, Any] = {key: value for key, value in chosen.items() if value} | real(data)
    name = options.pop("data")
    if fold:
        options["fold"] = int(fold)

    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("an image was opened"))
    loaded = load_dataset(name, **options)

    rows = COUNTS[(COUNTS[KEY].astype(str) == [*chosen.values()]).all(axis=1)]
    for split in SPLITS:
        assert rows[split].tolist() == loaded.counts(split)
    shared = LEAKAGE[KEY].astype(object).where(LEAKAGE[KEY].notna(), "")
    (row,) = LEAKAGE[(shared.map(in_words) == [*chosen.values()]).all(axis=1)].to_dict("records")
    for key, count in leakage(loaded).items():
        assert count == row[key] or (count is None and pd.isna(row[key]))


def in_words(cell: object) -> str:
    """Return a cell as text; pandas makes floats of folds where some are unknown."""
    return str(int(cell)) if isinstance(cell, float) else str(cell)


@pytest.mark.parametrize("name", N_GROUPS)
def test_folds_test_each_image_once_and_keep_groups_whole(name: str) -> None:
    """Over the folds every image is tested and validated once; another seed deals anew."""
    place = real(name)
    folds = DATA_SETS[name].protocols[""].folds
    labels = pd.read_csv(place["root"] / "labels.csv")
    tested: list[str] = []
    validated: list[str] = []
    groups = set[str]()
    for fold in folds:
        data = load_dataset(name, fold=fold, **place)
        tested += data.test.paths
        validated += data.val.paths
        groups.update(data.test.subjects or ())
        assert {count for key, count in leakage(data).items() if "shared" in key} <= {0, None}
        if "fold" in labels:
            assert list(data.test.paths) == labels["file"][labels["fold"] == fold].tolist()
            assert list(data.val.paths) == labels["file"][labels["fold"] == (fold + 1) % 5].tolist()

    assert sorted(tested) == sorted(set(tested)) == sorted(validated)
    assert len(groups) == N_GROUPS[name]


def test_coffee_leaves_are_bracols() -> None:
    """Each has its grade and its part of the first fold."""
    coffee = load_dataset("coffee")
    bracol = load_dataset("bracol", **real("bracol"), fold=1)
    for name in SPLITS:
        small = coffee.split(name)
        whole = bracol.split(name)
        places = [whole.paths.index(path.removeprefix("images/")) for path in small.paths]
        assert small.targets == tuple(whole.targets[place] for place in places)


@pytest.mark.parametrize("fold", DATA_SETS["bracol"].protocols[""].folds)
def test_bracol_has_the_folds_of_its_authors(fold: int) -> None:
    """All 1,685 rows as in the labels file that was made from the authors' own code."""
    root = real_folder("bracol_severity")
    data = load_dataset("bracol", root=root, fold=fold)
    labels = pd.read_csv(root / "labels.csv")
    split_of_row = labels["split" if fold == 1 else f"split_fold{fold}"]

    for split in SPLITS:
        rows = labels[split_of_row == split]
        assert [f"images/{path}" for path in data.split(split).paths] == rows["path"].tolist()
        assert list(data.split(split).targets) == rows["label"].tolist()
    assert data.test[0][0].size == (512, 256)


@pytest.mark.parametrize("name", DATA_SETS)
def test_every_card_answers_the_same_questions(name: str) -> None:
    """Those of faces forbid to identify; the official lists have a commit."""
    card = DATA_SETS[name].card
    assert card.name == name
    assert all(card.to_dict().values())
    assert ("168fd4b" in card.source) == (name in LISTED)
    assert ("identify" in card.terms) == (name in (*LISTED, "portraits"))
    assert ("for comparing methods only" in card.terms) == (name == "portraits")
    assert list(cards_table().index) == list(DATA_SETS)
