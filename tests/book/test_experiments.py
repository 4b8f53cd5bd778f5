"""The parameter files of chapter 08: each fits the chapter, the loaders and the counts."""

from operator import attrgetter
from pathlib import Path
from typing import Any

import chapters
import jupytext
import nbformat
import papermill
import pytest
import yaml
from drawn import make_fixture

from l2rclip_book.training_runs import NAMES, check_parameters
from l2rclip_lite import Config
from l2rclip_lite.baselines import check_baselines
from l2rclip_lite.data import load_dataset
from l2rclip_lite.data.benchmarks import DATA_SETS
from l2rclip_lite.errors import InputError

FILES = sorted((chapters.ROOT / "experiments").glob("*.yaml"))
LOAD_OPTIONS = ("PROTOCOL", "CATEGORY", "FOLD", "FEW_SHOT", "LABEL_SHIFT")
SETTINGS = ("TOWERS", "EPOCHS1", "EPOCHS2", "BATCH_SIZE", "PRECISION")
SCORES = {"accuracy", "accuracy_sd", "mae", "mae_sd", "auc", "epsilon_error"}


def read(file: Path) -> dict[str, Any]:
    """Return the parameters of a file."""
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def lower(parameters: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Return those of the parameters that are set, as the package spells them."""
    return {name.lower(): parameters[name] for name in names if name in parameters}


def test_a_parameter_that_the_chapter_does_not_have_is_refused(tmp_path: Path) -> None:
    """By `NAMES`, which are those of its parameters cell; the sentence names what there is."""
    notebook = tmp_path / "08.ipynb"
    nbformat.write(jupytext.read(chapters.BOOK / "08_training_runs.py"), notebook)
    assert set(NAMES) == set(papermill.inspect_notebook(notebook))
    with pytest.raises(InputError, match="PROFILE 'ful' is unknown; choose smoke, page, full"):
        check_parameters({"PROFILE": "ful"})


@pytest.mark.parametrize("file", FILES, ids=attrgetter("stem"))
def test_a_file_runs_all_of_the_chapter_on_data_that_can_be_loaded(
    file: Path, tmp_path: Path
) -> None:
    """Its settings are a config, its baselines exist; data from a drawn folder in their layout.

    A published number has a source. FOLDS are for a loop in a shell; the first of them is run.
    """
    parameters = read(file)
    check_parameters(parameters)
    check_baselines(parameters.get("BASELINES", ()))
    Config(**lower(parameters, SETTINGS), **parameters.get("SETTINGS", {}))
    assert parameters["PROFILE"] == "full"
    for row in parameters["PUBLISHED"]:
        scores = row.keys() - {"method", "source"}
        assert scores <= SCORES
        assert bool(scores) == (row["source"] != "not obtained")

    data_set = parameters["DATASET"]
    folds = DATA_SETS[data_set].protocols[parameters.get("PROTOCOL", "")].folds
    if len(folds) > 1:
        assert parameters["FOLDS"] == list(folds)
        assert parameters["FOLD"] == folds[0]
    else:
        assert "FOLD" not in parameters

    options = lower(parameters, LOAD_OPTIONS) | parameters.get("DATA_OPTIONS", {})
    if data_set == "retinamnist":  # only the published file will do
        return
    if data_set == "leaves":
        options["size"] = 60
    elif data_set != "coffee":
        options["root"] = make_fixture(data_set, tmp_path / "data")
    assert len(load_dataset(data_set, **options).test) > 0


def test_every_data_set_and_protocol_is_covered() -> None:
    """By one file at least."""
    every = [read(file) for file in FILES]
    covered = {(parameters["DATASET"], parameters.get("PROTOCOL", "")) for parameters in every}
    protocols = set()
    for name, facts in DATA_SETS.items():
        protocols.update((name, protocol) for protocol in facts.protocols)
    assert covered == protocols
