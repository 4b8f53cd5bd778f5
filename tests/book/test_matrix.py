"""The matrix of runs: its plan, the table of what was run, a unit as a notebook, the Snakefile."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import chapters
import collect
import pandas as pd
import plan as planning
import pytest
from real_data import real_folder
from studies import Arm
from study_parts import PROTOTYPES
from work import Work, folder_of

from l2rclip_lite.baselines import BASELINES
from l2rclip_lite.config import Config

EXPERIMENTS = chapters.ROOT / "experiments"
RESULTS = chapters.BOOK / "results" / "matrix.csv"
SNAKEMAKE = chapters.ROOT / ".snakemake-env" / "bin" / "snakemake"
PROFILES = sorted((EXPERIMENTS / "profiles").glob("*/config.yaml"))


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Return a data folder in which every real data set seems to be."""
    for preset in ("page", "search"):
        for data in planning.read(preset)["data"].values():
            (tmp_path / data.get("folder", "")).mkdir(exist_ok=True)
    return tmp_path


def every_unit(preset: str, folder: Path | None) -> dict[str, dict[str, Any]]:
    """Return everything that each unit needs to know, by its name."""
    plan = planning.read(preset)
    keys = planning.units(plan, folder)
    units = {}
    for key in keys:
        name = planning.name_of(key)
        units[name] = planning.unit(plan, **key, data_folder=folder)
    assert len({name.lower() for name in units}) == len(keys), "two units share a file"
    return units


# --- the plan -------------------------------------------------------------------------------------


METHODS = {*BASELINES, *PROTOTYPES, "L2RCLIP", "other-words", "own-numbers", "cut-points"}
METHODS |= {"nearest", "rank-axis", "median-rank", "learned-prototypes"}


@pytest.mark.parametrize("preset", planning.PRESETS)
def test_settings_of_every_arm_are_valid(preset: str, folders: Path) -> None:
    """Of the study, the condition and the arm together; a method is one that we have."""
    for name, unit in every_unit(preset, folders).items():
        for _, settings in unit["conditions"]:
            config = Config(**planning.merged(unit["settings"], settings))
            for arm_name, fields in unit["arms"].items():
                own = {key: value for key, value in fields.items() if key != "start"}
                arm = Arm(arm_name, **own)
                assert arm.config(config).seed == arm.settings.get("seed", unit["seed"]), name
                assert arm.method in METHODS, name
                assert fields.get("start", "") in ("", *unit["relatives"]), name
                assert (arm_name in BASELINES) <= (arm.method in BASELINES), f"{name} {arm_name}"


def test_units_are_those_whose_images_are_here(folders: Path) -> None:
    """Generated leaves always are; in miniature every study and set is, with all arms."""
    full = every_unit("page", folders) | every_unit("search", folders)
    small = every_unit("smoke", None)
    for part in (0, 1):
        first_runs = {name.split("/")[part] for name in full if name.endswith("-0")}
        assert {name.split("/")[part] for name in small} == first_runs
    for name, unit in small.items():
        assert list(unit["arms"]) == list(full[name]["arms"])

    assert all("leaves" in name for name in every_unit("page", None))
    (folders / "apples81").rmdir()  # on which the relative of pears by labels is trained
    names = every_unit("page", folders)
    assert "words-new/pears-0" not in names
    assert "at-best/pears-0" in names


def test_a_run_is_a_fold_and_a_repeat_deals_new_folds(folders: Path) -> None:
    """Run 3 of the coffee leaves is fold 4; run 9 of the lesion areas is fold 5 of other folds."""
    units = every_unit("page", folders)
    assert units["tuned/bracol-3"]["load"]["fold"] == 4
    assert units["tuned/bracol-3"]["load"]["root"] == str(folders / "bracol_severity")
    loads = [units[f"main/bracol-area-{run}"]["load"] for run in (4, 9)]
    assert [(load["fold"], load["seed"]) for load in loads] == [(5, 0), (5, 1)]


@pytest.mark.slow
def test_a_unit_is_the_same_text_in_every_process() -> None:
    """Or Snakemake would take it for another one, and run it again; sets have no order."""
    script = "import json, plan; p = plan.read('page'); "
    script += "print(json.dumps(plan.unit(p, 'words-few', 'pears', 0, None)))"
    texts = set()
    for seed in "012":
        environment = {"PYTHONHASHSEED": seed, "PYTHONPATH": str(EXPERIMENTS / "matrix")}
        texts.add(subprocess.check_output([sys.executable, "-c", script], env=environment))
    assert len(texts) == 1


# --- the table ------------------------------------------------------------------------------------


def test_gather_keeps_every_digit_in_the_order_of_the_plan(tmp_path: Path, folders: Path) -> None:
    """Rows come out as they were written; a unit without its JSON file was cut off, and is missing.

    The commits of the others are kept.
    """
    rows = {
        "others/leaves5-0": "NA,0.30000000000000004,abc",
        "tuned/bracol-4": '"a, b",0.250,def',
        "others/leaves20-0": "cut,1,cut",
    }
    for unit, row in rows.items():
        file = tmp_path / "rows" / f"{unit}.csv"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"arm,mae,commit\n{row}\n", encoding="utf-8")
        file.with_suffix(".images.csv").write_text("path,rps\na.png,1.50\n", encoding="utf-8")
        origin = {"versions": {}, "card": {"name": unit}}
        if row != "cut,1,cut":
            file.with_suffix(".json").write_text(json.dumps(origin), encoding="utf-8")

    table, images, origin = collect.gather(tmp_path, planning.read())
    assert images.to_csv(index=False).splitlines() == ["path,rps", *["a.png,1.50"] * 2]
    lines = ["arm,mae,commit", rows["tuned/bracol-4"], rows["others/leaves5-0"]]
    assert table.to_csv(index=False).splitlines() == lines
    assert origin["commits"] == ["abc", "def"]
    assert origin["data"]["leaves5"]["card"] == {"name": "others/leaves5-0"}
    here = {"others/leaves5-0", "tuned/bracol-4"}
    assert set(origin["missing"]) == every_unit("page", folders).keys() - here


@pytest.mark.slow
@pytest.mark.untyped  # it is long enough
def test_the_smallest_rows_come_out_again() -> None:
    """Lesion area of coffee leaves, the first fold: a classical model, and the head of words."""
    folder = real_folder("bracol_area")
    table = pd.read_csv(RESULTS, dtype={"level": str, "condition": str}, keep_default_na=False)
    stored = table.query("study == 'main' and data == 'bracol-area' and run == 0").set_index("arm")

    unit = planning.unit(planning.read(), "main", "bracol-area", 0, folder.parent)
    chosen = ("cross-entropy", "words", "nearest", "rank-axis")
    unit["arms"] = {arm: unit["arms"][arm] for arm in chosen}
    for row in Work(unit).rows():
        arm = row["arm"]
        assert row["rps"] == pytest.approx(float(stored.loc[arm, "rps"]), rel=1e-3), arm
        assert set(row) - {"images"} <= set(table)


# --- units and Snakemake --------------------------------------------------------------------------


def test_a_relative_is_trained_once_wherever_its_images_lie(tmp_path: Path) -> None:
    """Another method is another relative."""
    unit = planning.unit(planning.read("smoke"), "words-new", "pears", 0, None)
    apples = unit["relatives"]["words"]
    moved = apples | {"load": apples["load"] | {"root": "elsewhere"}}
    assert folder_of(moved, tmp_path) == folder_of(apples, tmp_path)
    assert folder_of(apples | {"method": "rps"}, tmp_path) != folder_of(apples, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("profile", [None, *PROFILES])
def test_snakemake_plans_every_unit(tmp_path: Path, profile: Path | None) -> None:
    """A dry run names the units of the plan, on this machine and with each profile."""
    if not SNAKEMAKE.exists():
        pytest.skip("there is no .snakemake-env; `make studies` makes it")
    command = [str(SNAKEMAKE), "-n", "-d", str(tmp_path), "-s", str(EXPERIMENTS / "Snakefile")]
    if profile is not None:
        command += ["--workflow-profile", str(profile.parent)]
    command += ["--config", "preset=smoke", f"out={tmp_path}/out", "commit=1234"]
    command += ["only=", "data="]  # as `make` gives what is not set
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=chapters.ROOT)

    n_units = len(planning.units(planning.read("smoke")))
    lines = (done.stdout + done.stderr).splitlines()
    assert ["unit", str(n_units)] in [line.split() for line in lines]
