"""The matrix of runs: its plan, the table of what was run, a unit as a notebook, the Snakefile."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chapters
import collect
import pandas as pd
import plan as planning
import pytest
import real_data
import yaml
from work import Work

from l2rclip_book import tuned
from l2rclip_book.studies import Arm
from l2rclip_book.study_parts import PROTOTYPES
from l2rclip_book.tuned import chosen_recipes
from l2rclip_lite.baselines import BASELINES, check_baselines
from l2rclip_lite.config import Config

EXPERIMENTS = chapters.ROOT / "experiments"
RESULTS = chapters.BOOK / "results" / "matrix.csv"
SNAKEMAKE = chapters.ROOT / ".snakemake-env" / "bin" / "snakemake"
UNIT = """\
{python} -m jupytext --quiet --to ipynb --output - experiments/matrix/unit.py |
{python} -m papermill - {out}/unit.ipynb --kernel python3 --no-progress-bar \
-r STUDY tuned -r DATA bracol -r PRESET smoke \
-r CACHE {out}/features -r OUT {out}/rows.csv -r COMMIT 1234
"""


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Return a data folder in which every real data set seems to be."""
    plans = [planning.read(preset) for preset in ("page", "search")]
    for plan in plans:
        for data in plan["data"].values():
            (tmp_path / data.get("folder", "")).mkdir(exist_ok=True)
    return tmp_path


def every_unit(preset: str, folder: Path | None) -> dict[str, dict[str, Any]]:
    """Return everything that each unit needs to know, by its name."""
    plan = planning.read(preset)
    keys = planning.units(plan, folder)
    units = {}
    for key in keys:
        name = f"{key['study']}/{key['data']}-{key['run']}"
        units[name] = planning.unit(plan, **key, preset=preset, data_folder=folder)
    assert len({name.lower() for name in units}) == len(keys), "two units share a file"
    return units


# --- the plan -------------------------------------------------------------------------------------


METHODS = {*BASELINES, *PROTOTYPES, "L2RCLIP", "other-words", "own-numbers", "cut-points"}
METHODS |= {"nearest", "median-rank"}


def arms_of(unit: dict[str, Any]) -> Iterator[tuple[Arm, Config]]:
    """Yield each arm of a unit under each of its conditions, with its settings."""
    for _, settings in unit["conditions"]:
        config = Config(**planning.merged(unit["settings"], settings))
        for name, fields in unit["arms"].items():
            own = {key: value for key, value in fields.items() if key != "start"}
            arm = Arm(name, **own)
            yield arm, arm.config(config)


@pytest.mark.parametrize("preset", planning.PRESETS)
def test_settings_of_every_arm_are_valid(preset: str, folders: Path) -> None:
    """Of the study, the condition and the arm together; a method is one that we have."""
    arms = set()
    for name, unit in every_unit(preset, folders).items():
        for arm, config in arms_of(unit):
            arms.add((name, arm.name, config))
            assert config.seed == unit["seed"], name
            assert arm.method in METHODS, name
            assert unit["arms"][arm.name].get("start", "") in ("", *unit["relatives"]), name
            assert (arm.name in BASELINES) <= (arm.method in BASELINES), f"{name} {arm.name}"
            if arm.method in BASELINES:
                check_baselines([arm.method])
    assert len(arms) >= 50


def test_the_page_names_what_the_plans_have() -> None:
    """A recipe, a set or a rival that is added appears on the page, too."""
    searched = planning.read("search")["studies"]
    assert list(searched) == list(tuned.METHODS)
    assert all(list(study["arms"]) == list(tuned.RECIPES) for study in searched.values())

    at_best = planning.read()["studies"][tuned.STUDY]
    assert set(at_best["data"]) == set(tuned.SETS)
    assert list(at_best["arms"]) == ["L2RCLIP", *tuned.RIVALS]


def test_smoke_is_one_run_of_every_study_with_all_its_arms(folders: Path) -> None:
    """On its first data set, and on those that no study before it has."""
    full = every_unit("page", folders) | every_unit("search", folders)
    small = every_unit("smoke", None)
    pairs = {tuple(name.split("/")) for name in full if name.endswith("-0")}
    smoke_pairs = {tuple(name.split("/")) for name in small}
    assert smoke_pairs <= pairs
    for part in (0, 1):
        assert {pair[part] for pair in smoke_pairs} == {pair[part] for pair in pairs}
    for name, unit in small.items():
        assert list(unit["arms"]) == list(full[name]["arms"])


def test_a_run_is_a_fold_and_a_repeat_deals_new_folds(folders: Path) -> None:
    """Run 0 of the coffee leaves is fold 1; run 5 of the lesion areas is fold 1 of other folds."""
    units = every_unit("page", folders)
    assert [units[f"tuned/bracol-{run}"]["load"]["fold"] for run in range(5)] == [1, 2, 3, 4, 5]
    assert units["tuned/bracol-0"]["load"]["root"] == str(folders / "bracol_severity")

    dealt = [units[f"main/bracol-area-{run}"]["load"] for run in (0, 4, 5, 9)]
    assert [(load["fold"], load["seed"]) for load in dealt] == [(1, 0), (5, 0), (1, 1), (5, 1)]


@pytest.mark.slow
def test_a_unit_is_the_same_text_in_every_process() -> None:
    """Or Snakemake would take it for another one, and run it again; sets have no order."""
    script = "import json, plan; p = plan.read('page'); "
    script += "print(json.dumps(plan.unit(p, 'words-few', 'pears', 0, 'page', None)))"
    texts = set()
    for seed in range(6):
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONHASHSEED": str(seed), "PYTHONPATH": str(EXPERIMENTS / "matrix")},
            capture_output=True,
            text=True,
            check=True,
        )
        texts.add(done.stdout)
    assert len(texts) == 1


def test_units_without_their_folder_are_left_out(folders: Path) -> None:
    """Only the generated leaves are always there."""
    leaves = {name for name in every_unit("page", folders) if "leaves" in name}
    assert every_unit("page", None).keys() == leaves

    (folders / "apples81").rmdir()  # on which the relative of pears by labels is trained
    names = every_unit("page", folders)
    assert "words-new/pears-0" not in names
    assert "at-best/pears-0" in names


# --- the table ------------------------------------------------------------------------------------


def write_rows(folder: Path, unit: str, text: str) -> Path:
    """Write the rows of a unit and the JSON file that is written last; return the latter."""
    file = folder / "rows" / f"{unit}.csv"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    origin = {"versions": {"python": "3"}, "card": {"name": unit}}
    file.with_suffix(".json").write_text(json.dumps(origin), encoding="utf-8")
    return file.with_suffix(".json")


def test_a_recipe_is_chosen_by_what_each_data_set_loses_with_it() -> None:
    """A data set with large errors has no louder voice; what it would choose alone stands beside.

    Of two recipes, `a` is 10 % of the mean better on pears (9 against 11) and `b` 20 % on leaves
    (1.2 against .8): together `b`. Without leaves it is `a`.
    """
    rows = [("pears", 0, "a", 9.0), ("pears", 0, "b", 11.0)]
    rows += [("leaves", 0, "a", 1.2), ("leaves", 0, "b", 0.8)]
    rows += [("leaves", 1, "a", 0.6), ("leaves", 1, "b", 0.4)]
    table = pd.DataFrame(rows, columns=["data", "run", "arm", "val_rps"]).assign(study="search-x")

    chosen = chosen_recipes(table)
    assert chosen.loc["search-x"].to_dict() == {
        "all": "b",
        "without leaves": "a",
        "without pears": "b",
    }


def test_gather_keeps_every_digit_in_the_order_of_the_plan(tmp_path: Path, folders: Path) -> None:
    """Rows come out as they were written; a unit without its JSON file was cut off, and is missing.

    The commits of the others are kept.
    """
    write_rows(tmp_path, "others/leaves5-0", "arm,mae,commit\nNA,0.30000000000000004,abc\n")
    write_rows(tmp_path, "tuned/bracol-4", 'arm,mae,commit\n"a, b",1e-05,def\n')
    write_rows(tmp_path, "others/leaves20-0", "arm,mae,commit\ncut,1,cut\n").unlink()

    table, origin = collect.gather(tmp_path, planning.read())
    lines = ["arm,mae,commit", '"a, b",1e-05,def', "NA,0.30000000000000004,abc"]
    assert table.to_csv(index=False).splitlines() == lines
    assert origin["commits"] == ["abc", "def"]
    assert origin["data"]["leaves5"]["card"] == {"name": "others/leaves5-0"}
    here = {"others/leaves5-0", "tuned/bracol-4"}
    assert set(origin["missing"]) == every_unit("page", folders).keys() - here


@pytest.mark.slow
@pytest.mark.untyped  # it is long enough
def test_the_smallest_rows_come_out_again() -> None:
    """Lesion area of coffee leaves, the first fold: a classical model, and the head of words."""
    folder = real_data.folder_of("bracol_area")
    if folder is None:
        pytest.skip(real_data.missing("bracol_area"))
    table = pd.read_csv(RESULTS, dtype={"level": str, "condition": str}, keep_default_na=False)
    table = table.query("study == 'main' and data == 'bracol-area' and run == 0")
    stored = table.set_index("arm")

    unit = planning.unit(planning.read(), "main", "bracol-area", 0, "page", folder.parent)
    work = Work(unit, "bracol-area")
    for arm in ("cross-entropy", "words"):
        (row,) = work.rows(arm)
        assert row["rps"] == pytest.approx(float(stored.loc[arm, "rps"]), rel=1e-3), arm
        assert set(row) - {"images"} <= set(table)


# --- units and Snakemake --------------------------------------------------------------------------


@pytest.mark.slow
def test_a_unit_is_a_notebook_and_a_file_of_rows(tmp_path: Path) -> None:
    """Every arm has a row and its commit; features are kept by data set, tower and image size."""
    command = UNIT.format(python=sys.executable, out=tmp_path)
    subprocess.run(command, shell=True, cwd=chapters.ROOT, capture_output=True, check=True)

    names = {"unit.ipynb", "rows.csv", "rows.images.csv", "rows.json"}
    assert {file.name for file in tmp_path.glob("*.*")} == names
    features = [file.name for file in tmp_path.glob("features/*")]
    assert features == ["bracol-0-tiny-random-32.safetensors"]

    rows = pd.read_csv(tmp_path / "rows.csv", dtype=str)
    assert list(rows["arm"]) == list(planning.read()["studies"]["tuned"]["arms"])
    assert set(rows["commit"]) == {"1234"}


PROFILES = sorted((EXPERIMENTS / "profiles").glob("*/config.yaml"))


def name_of(profile: Path | None) -> str:
    """Return the name of a profile, or that of this machine."""
    return profile.parent.name if profile else "here"


@pytest.mark.parametrize("profile", PROFILES, ids=name_of)
def test_a_unit_of_a_cluster_has_one_thread(profile: Path) -> None:
    """So that its rows do not depend on the machine."""
    options = yaml.safe_load(profile.read_text(encoding="utf-8"))
    assert options["executor"] == profile.parent.name
    assert options["default-resources"]["cpus_per_task"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("profile", [None, *PROFILES], ids=name_of)
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
