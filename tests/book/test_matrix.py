"""The matrix of runs: what is planned, the table made of what was run, one unit as a notebook, and the Snakefile."""

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
import real_data
import rerun
import yaml
from work import Work

from l2rclip_book.studies import Arm, reworded
from l2rclip_lite.baselines import BASELINES, check_baselines
from l2rclip_lite.config import Config
from l2rclip_lite.data import load_dataset

EXPERIMENTS, RESULTS = chapters.ROOT / "experiments", chapters.BOOK / "results" / "matrix.csv"
SNAKEMAKE = chapters.ROOT / ".snakemake-env" / "bin" / "snakemake"
UNIT = """\
{python} -m jupytext --quiet --to ipynb --output - experiments/matrix/unit.py | {python} -m papermill - {out}/unit.ipynb \
--kernel python3 --no-progress-bar -r STUDY tuned -r DATA bracol -r PRESET smoke -r CACHE {out}/features \
-r OUT {out}/rows.csv -r COMMIT 1234
"""


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """A data folder in which every real data set seems to be."""
    for name in ("bracol_severity", "retinamnist", "bracol_area", "apples81", "hc18"):
        (tmp_path / name).mkdir()
    return tmp_path


def every_unit(preset: str, folder: Path | None) -> dict[str, dict[str, Any]]:
    """Everything that each unit needs to know, by its name."""
    plan = planning.read(preset)
    units = [
        (one, planning.unit(plan, **one, preset=preset, data_folder=folder))
        for one in planning.units(plan, folder)
    ]
    names = [f"{one['study']}/{one['data']}-{one['run']}" for one, _ in units]
    assert len({name.lower() for name in names}) == len(names), "two units share a file"
    return dict(zip(names, (unit for _, unit in units), strict=True))


# --- what is planned ------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", ["page", "smoke", "sweep"])
def test_settings_of_every_arm_are_valid(preset: str, folders: Path) -> None:
    """Those of the study, of the condition and of the arm together make a `Config`; a method is one that we have."""
    seen = set()
    for name, unit in every_unit(preset, folders).items():
        for _, own in unit["conditions"]:
            for arm in (Arm(key, **about) for key, about in unit["arms"].items()):
                config = arm.config(Config(**planning.merged(unit["settings"], own)))
                assert config.seed == unit["seed"], name
                assert arm.method in {*BASELINES, "L2RCLIP", "random-prototypes", "median-rank"}, (
                    name
                )
                if arm.method in BASELINES:
                    check_baselines([arm.method], config)
                seen.add((name, arm.name, config))
    assert len(seen) >= 170  # of a sweep exactly 200: 40 combinations times 5 seeds, no two alike
    assert len({config for *_, config in seen}) == 200 or preset != "sweep"


def test_smoke_is_one_run_of_every_study_whose_conditions_can_be_met(folders: Path) -> None:
    """On each of its data sets, with all arms; a condition changes the data set, if not only the words for it."""
    full, small = every_unit("page", folders), every_unit("smoke", None)
    assert small.keys() == {name for name in full if name.endswith("-0")}
    for name, unit in small.items():
        assert list(unit["arms"]) == list(full[name]["arms"])
        data = load_dataset(**unit["load"])
        for condition, _ in unit["conditions"]:
            changed = reworded(data, **condition, seed=unit["seed"])
            assert (changed.protocol != data.protocol) == bool(
                set(condition) - {"template", "names"}
            ), name


def test_runs_are_folds_or_seeds(folders: Path) -> None:
    """Run 0 of the coffee leaves is fold 1; a repeat deals new folds; another seed is other leaves; no folder, no unit.

    A later setting wins; of the controls only the ones it names.
    """
    units = every_unit("page", folders)
    assert [units[f"tuned/bracol-{run}"]["load"]["fold"] for run in range(5)] == [1, 2, 3, 4, 5]
    assert units["tuned/bracol-0"]["load"]["root"] == str(folders / "bracol_severity")
    dealt = [units[f"main/bracol-area-{run}"]["load"] for run in (0, 4, 5, 9)]
    assert [(load["fold"], load["seed"]) for load in dealt] == [(1, 0), (5, 0), (1, 1), (5, 1)]
    other = planning.unit(planning.read(), "others", "leaves5", 1, "page", None)
    assert (other["settings"]["seed"], other["load"]["seed"]) == (1, 1)
    assert every_unit("page", None).keys() == {name for name in units if "leaves" in name}
    found = planning.merged(
        {"a": 1, "controls": {"x": 1, "y": 1}}, {"a": 2}, {"controls": {"y": 2}}
    )
    assert found == {"a": 2, "controls": {"x": 1, "y": 2}}


def test_a_longer_grid_runs_only_what_is_new() -> None:
    """A combination keeps its name and its meaning; two of one name are refused."""
    sweep = yaml.safe_load(planning.SWEEP.read_text(encoding="utf-8"))
    longer = sweep | {"grid": sweep["grid"] | {"lambda1": [0.1, *sweep["grid"]["lambda1"]]}}
    old, new = planning.grid(sweep)["studies"], planning.grid(longer)["studies"]
    assert (len(old), len(new)) == (40, 48)
    assert old.items() <= new.items()
    with pytest.raises(ValueError, match="two combinations are named towers-a-b"):
        planning.grid(sweep | {"grid": {"towers": ["a/b", "a_b"]}})


# --- the table ------------------------------------------------------------------------------------------


def test_gather_keeps_every_digit_and_names_what_is_missing(tmp_path: Path, folders: Path) -> None:
    """Rows come out as they were written, in the order of the plan; a unit without its JSON file was cut off."""
    rows = {
        "others/leaves5-0": "arm,mae,commit\nNA,0.30000000000000004,abc\n",
        "tuned/bracol-4": 'arm,mae,commit\n"a, b",1e-05,def\n',
    }
    for name, text in (rows | {"others/leaves20-0": "arm,mae,commit\ncut,1,cut\n"}).items():
        file = tmp_path / "rows" / f"{name}.csv"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        made = {"versions": {"python": "3"}, "card": {"name": name}}
        file.with_suffix(".json").write_text(json.dumps(made), encoding="utf-8")
    (tmp_path / "rows/others/leaves20-0.json").unlink()
    table, about = collect.gather(tmp_path, "page")
    assert (
        table.to_csv(index=False)
        == 'arm,mae,commit\n"a, b",1e-05,def\nNA,0.30000000000000004,abc\n'
    )
    assert (about["units"], about["commits"]) == (2, ["abc", "def"])
    assert set(about["missing"]) == every_unit("page", folders).keys() - rows.keys()
    assert about["data"]["leaves5"]["card"] == {"name": "others/leaves5-0"}


@pytest.mark.slow
@pytest.mark.untyped  # it is long enough
def test_the_smallest_rows_come_out_again() -> None:
    """Lesion area of coffee leaves, the first fold: a classical model and the head that trusts the words."""
    folder = real_data.folder_of("bracol_area")
    if folder is None:
        pytest.skip(real_data.missing("bracol_area"))
    table = pd.read_csv(RESULTS, dtype={"level": str, "condition": str}, keep_default_na=False)
    table = table[
        (table["study"] == "main") & (table["data"] == "bracol-area") & (table["run"] == 0)
    ]
    unit = planning.unit(planning.read(), "main", "bracol-area", 0, "page", folder.parent)
    work = Work(unit, "bracol-area")
    for arm in ("cross-entropy", "words"):
        (new,) = work.rows(arm)
        (old,) = table[table["arm"] == arm].to_dict("records")
        assert new["rps"] == pytest.approx(float(old["rps"]), rel=1e-3), arm
        assert set(new) - {"images"} <= set(old)


def test_a_row_that_differs_is_named() -> None:
    """One digit in one metric; seconds and commit may differ, and an empty cell equals one that is not there."""
    old = {
        "arm": "full",
        "mae": "0.25",
        "seconds": "3.1",
        "commit": "a",
        "text_gap": "",
        "level": "4",
    }
    new = {"arm": "full", "mae": 0.25, "seconds": 9.0, "commit": "b", "level": 4}
    assert rerun.differences(old, new) == []
    assert rerun.differences(old, new | {"mae": 0.25000001}) == [
        "mae: 0.25 in the table, 0.25000001 now"
    ]
    assert rerun.differences(old, new | {"mae": 0.25000001}, tolerance=1e-6) == []


# --- units and Snakemake --------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_unit_is_a_notebook_and_a_file_of_rows(tmp_path: Path) -> None:
    """Every arm has a row, with the commit that made it; features are kept by data set, tower and image size."""
    command = UNIT.format(python=sys.executable, out=tmp_path)
    subprocess.run(command, shell=True, cwd=chapters.ROOT, capture_output=True, check=True)
    names = {"unit.ipynb", "rows.csv", "rows.images.csv", "rows.json"}
    assert {file.name for file in tmp_path.glob("*.*")} == names
    assert [file.name for file in tmp_path.glob("features/*")] == [
        "bracol-0-tiny-random-32.safetensors"
    ]
    rows = pd.read_csv(tmp_path / "rows.csv", dtype=str)
    assert list(rows["arm"]) == list(planning.read()["studies"]["tuned"]["arms"])
    assert set(rows["commit"]) == {"1234"}


PROFILES = sorted((EXPERIMENTS / "profiles").glob("*/config.yaml"))
# Options of snakemake 9 and of its plugins for Slurm, Kubernetes and a mounted file system that a profile may set.
KNOWN = {
    "executor",
    "jobs",
    "keep-going",
    "retries",
    "rerun-incomplete",
    "rerun-triggers",
    "latency-wait",
}
KNOWN |= {
    "default-resources",
    "container-image",
    "default-storage-provider",
    "default-storage-prefix",
}
KNOWN |= {"kubernetes-namespace", "kubernetes-persistent-volumes"}


@pytest.mark.parametrize("profile", PROFILES, ids=lambda file: file.parent.name)
def test_a_profile_sets_options_that_there_are(profile: Path) -> None:
    """For a cluster of its own name; each unit asks for one thread, memory and two hours."""
    options = yaml.safe_load(profile.read_text(encoding="utf-8"))
    assert options["executor"] == profile.parent.name
    assert set(options) <= KNOWN
    resources = options["default-resources"]
    assert (resources["cpus_per_task"], resources["mem_mb"], resources["runtime"]) == (1, 4000, 120)
    assert set(options["rerun-triggers"]) == {"mtime", "params"}


@pytest.mark.slow
@pytest.mark.parametrize("profile", [None, *PROFILES], ids=lambda file: file and file.parent.name)
def test_snakemake_plans_every_unit(tmp_path: Path, profile: Path | None) -> None:
    """A dry run names the units of the plan, on this machine and with each profile."""
    if not SNAKEMAKE.exists():
        pytest.skip("there is no .snakemake-env; `make studies` makes it")
    command = [str(SNAKEMAKE), "-n", "-d", str(tmp_path), "-s", str(EXPERIMENTS / "Snakefile")]
    if profile is not None:
        command += ["--workflow-profile", str(profile.parent)]
    command += ["--config", "preset=smoke", f"out={tmp_path}/out", "commit=1234"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=chapters.ROOT)
    units = len(planning.units(planning.read("smoke")))
    lines = (done.stdout + done.stderr).splitlines()
    assert ["unit", str(units)] in [line.split() for line in lines]
