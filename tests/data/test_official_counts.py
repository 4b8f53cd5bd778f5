"""The committed counts of the official lists: totals, swapped letters, leakage.

`book/results/data_sets.csv` and `.json` are what `tools/count_ranks.py` counted, so these tests run
without the lists; test_benchmarks.py compares them with the loaders where the lists are there.
"""

import json
from pathlib import Path

import pandas as pd
import pytest

from l2rclip_lite.data.base import SPLITS
from l2rclip_lite.data.benchmarks import DATA_SETS

RESULTS = Path(__file__).parents[2] / "book" / "results"
COUNTS = pd.read_csv(RESULTS / "data_sets.csv", keep_default_na=False)
LEAKAGE = pd.DataFrame(json.loads((RESULTS / "data_sets.json").read_text())["leakage"])
LISTED = [name for name, facts in DATA_SETS.items() if facts.lists]


def images(name: str, protocol: str) -> list[int]:
    """Return the images of each fold or category of a protocol, all splits together."""
    table = COUNTS[(COUNTS["data"] == name) & (COUNTS["protocol"] == protocol)]
    sums = table.groupby(["category", "fold"], sort=False)[list(SPLITS)].sum().sum(axis=1)
    return [int(count) for count in sums]


@pytest.mark.parametrize("name", LISTED)
def test_every_protocol_fold_and_rank_is_counted(name: str) -> None:
    """One row a rank of the label space, for each category and fold that the loader offers."""
    facts = DATA_SETS[name]
    for protocol, cut in facts.protocols.items():
        table = COUNTS[(COUNTS["data"] == name) & (COUNTS["protocol"] == protocol)]
        cuts = max(1, len(facts.categories)) * max(1, len(cut.folds))
        assert len(images(name, protocol)) == cuts
        assert len(table) == cuts * len(facts.ranks)
        assert set(table["name"]) == set(facts.ranks.names)


def test_totals_are_those_of_the_cards() -> None:
    """Folds cut the same images; MORPH's protocols A and B take 5,492 and 21,000 of them."""
    assert images("morph", "rs-partial") == [5492] * 5
    assert images("morph", "three-fold") == [21000] * 2
    assert images("morph", "random") == images("morph", "subject-exclusive") == [55134] * 5
    assert images("adience", "") == [17470] * 5
    assert set(images("hci", "")) == {1325}
    assert images("clap2015", "test") == [4691]
    assert sum(images("aesthetics", "official")) == 13316


@pytest.mark.parametrize("name", ["morph", "clap2015", "adience", "hci", "aesthetics"])
def test_the_largest_protocol_takes_each_image_of_the_card_equally_often(name: str) -> None:
    """Once, or once in each fold."""
    largest = max(sum(images(name, protocol)) for protocol in DATA_SETS[name].protocols)
    total = int(DATA_SETS[name].images.split()[0].replace(",", ""))
    assert largest % total == 0


def test_the_official_letters_are_swapped_in_files_and_figures() -> None:
    """SettingC is random, so most people of its test are in training; settingD is by person."""
    protocols = DATA_SETS["morph"].protocols
    assert all("settingC" in file for file in protocols["random"].files)
    assert all("settingD" in file for file in protocols["subject-exclusive"].files)

    morph = LEAKAGE[LEAKAGE["data"] == "morph"].set_index("protocol")
    shared = morph["test_shared_subjects"]
    assert shared["random"].tolist() == [7137, 7102, 7215, 7154, 7151]
    assert shared["subject-exclusive"].tolist() == [82, 88, 72, 62, 61]


def test_validation_is_clean() -> None:
    """No file is on two sides; protocols by person validate on people who are not in training."""
    assert (LEAKAGE[["test_shared_files", "val_shared_files"]] == 0).all().all()
    by_person = LEAKAGE["protocol"].eq("subject-exclusive") | LEAKAGE["data"].eq("adience")
    assert by_person.sum() == 10
    assert (LEAKAGE[by_person]["val_shared_subjects"] == 0).all()
