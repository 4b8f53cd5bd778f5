"""The parameter files of chapter 07: each fits the chapter, the loaders and the counts, and owns up to its sources."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import chapters
import jupytext
import nbformat
import pandas as pd
import papermill
import pytest
import yaml

from l2rclip_lite import Config
from l2rclip_lite.baselines import check_baselines
from l2rclip_lite.data import load_dataset
from l2rclip_lite.data.catalogue import catalogue
from l2rclip_lite.data.fixtures import make_fixture

FILES = sorted((chapters.ROOT / "experiments").glob("*.yaml"))
OF_THE_PAPER = ("morph", "clap2015", "adience", "hci", "aesthetics")
FORWARD = 35.1e9  # operations of one picture in ViT-B/16; chapter 07 derives it
each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


def read(file: Path) -> dict[str, Any]:
    """The parameters of a file."""
    found = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def head(file: Path) -> str:
    """The comment lines of a file as one line."""
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    return " ".join(line.lstrip("# ") for line in lines)


def options(given: dict[str, Any]) -> dict[str, Any]:
    """What chapter 07 hands to `load_dataset`."""
    names = ("PROTOCOL", "CATEGORY", "FOLD", "FEW_SHOT", "LABEL_SHIFT")
    return {name.lower(): given[name] for name in names if name in given} | given.get("DATA_OPTIONS", {})


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names in the parameters cell of chapter 07."""
    plain = tmp_path_factory.mktemp("chapter") / "07.ipynb"
    nbformat.write(jupytext.read(chapters.BOOK / "07_training_runs.py"), plain)
    return set(papermill.inspect_notebook(plain))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, Any]]:
    """Gives the folder of a synthetic data set, made once."""
    folder = tmp_path_factory.mktemp("fixtures")

    def find(name: str) -> dict[str, Any]:
        if name == "leaves":
            return {}
        return {"root": folder / name if (folder / name).exists() else make_fixture(name, folder / name)}

    return find


@each_file
def test_file_fits_the_chapter_and_the_package(
    file: Path, known: set[str], root: Callable[[str], dict[str, Any]]
) -> None:
    """Every name is a parameter of chapter 07, every value one that loader, config and baselines take."""
    given = read(file)
    assert given.keys() <= known
    assert given["PROFILE"] == "full"
    check_baselines(given.get("BASELINES", ()))
    settings = ("TOWERS", "EPOCHS1", "EPOCHS2", "BATCH_SIZE", "PRECISION")
    Config(**{name.lower(): given[name] for name in settings if name in given}, **given.get("SETTINGS", {}))
    small = options(given) | ({"size": 60} if given["DATASET"] == "leaves" else {})
    assert len(load_dataset(given["DATASET"], **small, **root(given["DATASET"])).test) > 0


def test_a_misspelt_parameter_is_noticed(known: set[str]) -> None:
    """The comparison above is one with the real cell."""
    assert {"DATASET", "ROOT", "FOLD", "PUBLISHED"} <= known
    assert not {"DATASET": "hci", "EPOCH2": 60}.keys() <= known


def test_every_data_set_protocol_and_fold_is_covered() -> None:
    """One file at least for each protocol; FOLDS are all of its folds and FOLD is the first."""
    covered = {(given["DATASET"], given.get("PROTOCOL", "")) for given in map(read, FILES)}
    about = catalogue()
    assert covered == {(name, protocol) for name in about for protocol in about[name].folds}
    for file in FILES:
        given = read(file)
        folds = about[given["DATASET"]].folds[given.get("PROTOCOL", "")]
        assert tuple(given.get("FOLDS", ())) == (folds if len(folds) > 1 else ()), file.stem
        assert given.get("FOLD") == (folds[0] if len(folds) > 1 else None), file.stem


@each_file
def test_head_says_what_a_reader_must_know(file: Path) -> None:
    """Unit, command, published numbers, leakage and cost; the command names this file and loops over its folds."""
    text, given = head(file), read(file)
    assert re.search(r"Unit: .+Run: .+Published: .+Leakage: .+Cost \(", text)
    assert f"-f {'my' if file.stem == 'csv' else 'experiments/' + file.stem}.yaml" in text
    loops = re.findall(r"for fold in ([\d ]+); do", text)
    special = file.stem in ("morph_few-shot", "morph_label-shift")  # these loop over what is varied
    assert loops == ([" ".join(map(str, given["FOLDS"]))] if "FOLDS" in given and not special else [])


@each_file
def test_published_numbers_have_a_source(file: Path) -> None:
    """L2RCLIP's own number was seen for Adience and HCI only; elsewhere the file says so and gives none."""
    given = read(file)
    figures = {"accuracy", "accuracy_sd", "mae", "mae_sd", "auc", "epsilon_error"}
    for row in given["PUBLISHED"]:
        assert row["source"]
        numbers = {name: value for name, value in row.items() if name not in ("method", "source")}
        assert numbers.keys() <= figures
        assert bool(numbers) == (row["source"] != "not obtained")
        assert all(0 < value < (1 if name != "mae" else 5) for name, value in numbers.items())
    ours = [row for row in given["PUBLISHED"] if row["method"] == "L2RCLIP"]
    assert len(ours) == (given["DATASET"] in OF_THE_PAPER)
    seen = given["DATASET"] in ("adience", "hci")
    assert all((row["source"] != "not obtained") == seen for row in ours)


@each_file
def test_cost_follows_from_the_counts(file: Path) -> None:
    """Pictures, operations and memory in the head of a ViT-B/16 file are those of the counts and the epochs."""
    given = read(file)
    if given["TOWERS"] == "mini":
        assert given["DATASET"] not in OF_THE_PAPER
        return
    assert given["TOWERS"] == "ViT-B-16/openai"
    counts = pd.read_csv(chapters.BOOK / "results" / "data_sets.csv")
    for column, name in (
        ("data", "DATASET"),
        ("protocol", "PROTOCOL"),
        ("category", "CATEGORY"),
        ("fold", "FOLD"),
    ):
        counts = counts[counts[column] == given[name]] if name in given else counts
    train = sorted(counts["train"], reverse=True)
    if "FEW_SHOT" in given:
        train = [min(count, given["FEW_SHOT"]) for count in train]
    if "LABEL_SHIFT" in given:
        top, keep = given["LABEL_SHIFT"].split(":")
        train = [max(1, int(float(keep) * n)) if at < int(top) else n for at, n in enumerate(train)]
    n, v, m = sum(train), int(counts["val"].sum()), int(counts["test"].sum())
    assert "cross-entropy" in given["BASELINES"]
    work = FORWARD * (2 * given["EPOCHS2"] * (3 * n + v) + 2 * (n + v + m))
    text = head(file)
    assert f" {n:,} training pictures x {given['EPOCHS2']} epochs, for L2RCLIP and again for" in text
    stated = re.search(r"cross-entropy: ([\d.]+) PFLOP, .* Memory: ([\d.]+) GB", text)
    assert stated is not None
    assert float(stated[1]) == pytest.approx(work / 1e15, rel=0.01, abs=0.05)
    assert float(stated[2]) == pytest.approx((n + v + m) * 3 * 224**2 / 1e9, abs=0.051)
    assert "no GPU was at hand" in text
