"""The model in a run directory is the one that was trained there."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from run_files import refused, run

from l2rclip_lite.config import Config
from l2rclip_lite.data import OrdinalDataset
from l2rclip_lite.method.model import L2RCLIP
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.towers.load import load_towers
from l2rclip_lite.training import fit


def test_a_model_that_was_deleted_is_trained_again(
    folder: Path, leaves: OrdinalDataset, small: Config
) -> None:
    """As the sentence on a damaged one advises; the result is the same, bit for bit."""
    model = folder / "model.safetensors"
    before = model.read_bytes()
    model.unlink()
    fit(leaves, replace(small, image_side="kernel"), folder, quiet=True)
    assert model.read_bytes() == before


def test_the_model_of_another_run_is_not_scored(folder: Path, small: Config) -> None:
    """Its ranks are others, so its answers would be compared with labels that they do not mean."""
    towers = load_towers("tiny/random")
    ranks = Ranks(("fresh", "ripe", "over"), (0, 1, 2), template="a {rank} banana")
    other = L2RCLIP(towers, ranks, replace(small, image_side="kernel"))
    for place in (folder, folder / "baselines" / "ridge"):
        other.save_pretrained(place)
    refused(run("evaluate", folder), "is not the model of this run: another ranks")
    refused(run("compare", folder), "is not the model of this run: another ranks")
    of_ridge = run("evaluate", folder, "--method", "ridge")
    refused(of_ridge, "ridge/model.safetensors: is not the model")


@pytest.mark.parametrize("places", [(".", "baselines/ridge"), ("baselines/ridge", ".")])
def test_the_model_of_another_method_is_not_scored(folder: Path, places: tuple[str, str]) -> None:
    """Its ranks and settings are those of the run; a run of an earlier release has no digest."""
    source, target = (folder / place for place in places)
    shutil.copy(source / "model.safetensors", target)
    method = ["--method", "ridge"] if target != folder else []
    outcome = run("evaluate", folder, *method)
    refused(outcome, f"{target}/model.safetensors: is not the model of this run: another method")

    record = json.loads((target / "config.json").read_text())
    del record["model_sha256"]
    (target / "config.json").write_text(json.dumps(record))
    assert run("evaluate", folder, *method).code == 0
