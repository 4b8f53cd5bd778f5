"""The parameter files of chapter 08: each fits the chapter, the loaders and the counts, and costs what it says."""

import re
from pathlib import Path
from typing import Any

import chapters
import jupytext
import nbformat
import pandas as pd
import papermill
import pytest
import yaml
from drawn import make_fixture

from l2rclip_book.training_runs import FORWARD, KNOWN, check_parameters, images_of
from l2rclip_lite import Config
from l2rclip_lite.baselines import check_baselines
from l2rclip_lite.data import load_dataset
from l2rclip_lite.data.benchmarks import DATA_SETS
from l2rclip_lite.errors import InputError

FILES = sorted((chapters.ROOT / "experiments").glob("*.yaml"))
each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


def read(file: Path) -> dict[str, Any]:
    """The parameters of a file."""
    return yaml.safe_load(file.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names in the parameters cell of chapter 08."""
    plain = tmp_path_factory.mktemp("chapter") / "07.ipynb"
    nbformat.write(jupytext.read(chapters.BOOK / "08_training_runs.py"), plain)
    return set(papermill.inspect_notebook(plain))


def test_the_chapter_names_its_parameters_and_no_others(known: set[str]) -> None:
    """What chapter 08 refuses follows from `KNOWN`; a profile must be one of three."""
    assert set(KNOWN) == known
    with pytest.raises(InputError, match="PROFILE 'ful' is unknown; choose smoke, page, full"):
        check_parameters({"PROFILE": "ful"})


@each_file
def test_file_fits_the_chapter_and_the_package(file: Path, known: set[str], tmp_path: Path) -> None:
    """Every name is a parameter of chapter 08, every value one that the package takes; numbers have a source."""
    given = read(file)
    assert given.keys() <= known
    assert given["PROFILE"] == "full"
    check_baselines(given.get("BASELINES", ()))
    settings = ("TOWERS", "EPOCHS1", "EPOCHS2", "BATCH_SIZE", "PRECISION")
    Config(
        **{name.lower(): given[name] for name in settings if name in given},
        **given.get("SETTINGS", {}),
    )
    names = ("PROTOCOL", "CATEGORY", "FOLD", "FEW_SHOT", "LABEL_SHIFT")
    load = {name.lower(): given[name] for name in names if name in given} | given.get(
        "DATA_OPTIONS", {}
    )
    name = given["DATASET"]
    if name == "retinamnist":  # only the published file will do
        assert not load
    else:
        load |= (
            {"size": 60} if name == "leaves" else {"root": make_fixture(name, tmp_path / "data")}
        )
        assert len(load_dataset(name, **load).test) > 0
    for row in given["PUBLISHED"]:
        numbers = row.keys() - {"method", "source"}
        assert numbers <= {"accuracy", "accuracy_sd", "mae", "mae_sd", "auc", "epsilon_error"}
        assert bool(numbers) == (row["source"] != "not obtained")


def test_every_data_set_protocol_and_fold_is_covered() -> None:
    """One file at least for each protocol; FOLDS are all of its folds and FOLD is the first."""
    covered = set()
    for given in map(read, FILES):
        covered.add((given["DATASET"], given.get("PROTOCOL", "")))
        folds = DATA_SETS[given["DATASET"]].protocols[given.get("PROTOCOL", "")].folds
        assert tuple(given.get("FOLDS", ())) == (tuple(folds) if len(folds) > 1 else ())
        assert given.get("FOLD") == (folds[0] if len(folds) > 1 else None)
    assert covered == {
        (name, protocol) for name, about in DATA_SETS.items() for protocol in about.protocols
    }


@each_file
def test_cost_follows_from_the_counts(file: Path) -> None:
    """Images and operations in the head of a ViT-B/16 file are those of the counts and the epochs."""
    given, text = read(file), " ".join(file.read_text(encoding="utf-8").replace("\n#", " ").split())
    if given["TOWERS"] == "mini":
        return
    counts = pd.read_csv(chapters.BOOK / "results" / "data_sets.csv")
    n, v, m = images_of(given, counts)
    work = FORWARD * (2 * given["EPOCHS2"] * (3 * n + v) + 2 * (n + v + m))
    assert f" {n:,} training images x {given['EPOCHS2']} epochs, for L2RCLIP and again for" in text
    stated = re.search(r"cross-entropy: ([\d.]+) PFLOP", text)
    assert float(stated[1]) == pytest.approx(work / 1e15, rel=0.01, abs=0.05)
