"""The experiments of chapter 8: each fits the chapter, the loaders and the counts."""

from operator import attrgetter
from pathlib import Path
from typing import Any

import chapters
import pandas as pd
import pytest
from drawn import make_fixture

from l2rclip_book.training_runs import (
    command_line,
    missing_folds,
    read_experiment,
    settings_of,
    source_of,
)
from l2rclip_lite import Config
from l2rclip_lite.baselines import check_baselines
from l2rclip_lite.config import DataOptions
from l2rclip_lite.data import load_dataset
from l2rclip_lite.data.benchmarks import DATA_SETS
from l2rclip_lite.errors import InputError

FILES = sorted((chapters.ROOT / "experiments").glob("*.yaml"))
SCORES = {"accuracy", "accuracy_sd", "mae", "mae_sd", "auc", "epsilon_error"}


def read(file: Path) -> dict[str, Any]:
    """Return the options of a file."""
    return read_experiment("full", str(file), {})


@pytest.mark.parametrize(
    ("profile", "text", "complaint"),
    [
        ("ful", "dataset: csv", "PROFILE 'ful' is unknown; choose smoke, page, full"),
        ("full", "dataset: csv\n1: 3", "option 1 is unknown; an experiment has dataset"),
        ("full", "epochs1: 3", "names no data set"),
        ("full", "dataset = csv", "write an option a line"),
        ("full", "dataset: [csv", "mine.yaml: while parsing"),
    ],
)
def test_what_is_no_experiment_is_refused(
    profile: str, text: str, complaint: str, tmp_path: Path
) -> None:
    """The sentence names the fix."""
    file = tmp_path / "mine.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=complaint):
        read_experiment(profile, str(file), {})


def test_a_missing_file_is_refused() -> None:
    """By its name."""
    with pytest.raises(InputError, match=r"nowhere\.yaml"):
        read_experiment("full", "nowhere.yaml", {})


def test_changes_replace_options_and_smoke_replaces_both(tmp_path: Path) -> None:
    """So a smoke run is small, whatever the file says; what the page alone reads is no option."""
    file = tmp_path / "mine.yaml"
    file.write_text("dataset: hci\ntowers: ViT-B-16/openai\nepochs1: 120", encoding="utf-8")
    changes = {"epochs1": 7, "fold": 3, "out": "runs"}
    full = read_experiment("full", str(file), changes)
    assert (full["towers"], full["epochs1"], full["fold"]) == ("ViT-B-16/openai", 7, 3)
    smoke = read_experiment("smoke", str(file), changes)
    assert (smoke["towers"], smoke["epochs1"], smoke["fold"]) == ("mini", 2, 3)
    assert smoke["out"] is None  # else it would lie where the real run shall be
    assert "--out" not in command_line(full)


@pytest.mark.parametrize("file", FILES, ids=attrgetter("stem"))
def test_a_file_runs_all_of_the_chapter_on_data_that_can_be_loaded(
    file: Path, tmp_path: Path
) -> None:
    """Its settings are a config, its baselines exist; data from a drawn folder in their layout.

    A published number has a source. The loop at the top of a file runs all folds, of which the file
    has the first.
    """
    options = read(file)
    check_baselines(options["baselines"])
    assert all(Config(**settings_of(read_experiment(p, str(file), {}))) for p in ("smoke", "full"))
    for row in options["published"]:
        scores = row.keys() - {"method", "source"}
        assert scores <= SCORES
        assert bool(scores) == (row["source"] != "not obtained")

    data_set = options["dataset"]
    folds = DATA_SETS[data_set].protocols[options.get("protocol", "")].folds
    head = file.read_text(encoding="utf-8")
    if len(folds) > 1:
        assert options["fold"] == folds[0]
        assert f"for fold in {' '.join(map(str, folds))}; do" in head or "fold: $fold" not in head
    else:
        assert "fold" not in options

    if data_set == "retinamnist":  # only the published file will do
        return
    if data_set == "leaves":
        options["size"] = 60
    elif data_set != "coffee":
        options["root"] = str(make_fixture(data_set, tmp_path / "data"))
    source = source_of(options)
    assert source.keys() <= {"name", "seed", *DataOptions.__annotations__}
    assert len(load_dataset(**source).test) > 0


def test_missing_folds_are_those_of_the_protocol() -> None:
    """Of your own images those that you ask for; of a data set without folds, none."""
    runs = pd.Series(["csv_fold1_seed0", "csv_fold3_seed0"])
    assert missing_folds({"dataset": "csv", "folds": 3}, runs) == [2]
    assert missing_folds({"dataset": "coffee"}, pd.Series(["coffee_seed0"])) == []


def test_every_data_set_and_protocol_is_covered() -> None:
    """By one file at least."""
    every = [read(file) for file in FILES]
    covered = {(options["dataset"], options.get("protocol", "")) for options in every}
    protocols = set()
    for name, facts in DATA_SETS.items():
        protocols.update((name, protocol) for protocol in facts.protocols)
    assert covered == protocols
