"""The matrix of runs: its plan, the table of what was run, a unit as a notebook, the Snakefile."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
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

from l2rclip_book import recipe_search, tuned
from l2rclip_book.prototypes import PROTOTYPES
from l2rclip_book.recipe_search import chosen_recipes, relative_scores
from l2rclip_book.studies import Arm, reworded
from l2rclip_lite.baselines import BASELINES, check_baselines
from l2rclip_lite.config import Config, Controls
from l2rclip_lite.data import load_dataset

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
                start = unit["arms"][arm.name].get("start")
                check_baselines([arm.method], replace(config, start=start))
    assert len(arms) >= 50


def test_a_sweep_has_two_hundred_different_runs(folders: Path) -> None:
    """40 combinations times 5 seeds."""
    configs = set()
    for unit in every_unit("sweep", folders).values():
        configs.update(config for _, config in arms_of(unit))
    assert len(configs) == 200


def test_a_search_tries_every_recipe_with_every_method(folders: Path) -> None:
    """Four rates, two of them also with gradients as they are; all else is the default."""
    for name, unit in every_unit("search", folders).items():
        recipes = {(config.lr2, config.controls.clip) for _, config in arms_of(unit)}
        assert len(recipes) == 6, name
        others = Config(threads=1, image_size=96, seed=unit["seed"])
        for _, config in arms_of(unit):
            assert replace(config, lr2=None, controls=Controls()) == others


def test_the_page_names_what_the_plans_have() -> None:
    """A recipe, a set or a rival that is added appears on the page, too."""
    searched = planning.read("search")["studies"]
    assert list(searched) == list(recipe_search.METHODS)
    assert all(list(study["arms"]) == list(recipe_search.RECIPES) for study in searched.values())

    at_best = planning.read()["studies"][tuned.STUDY]
    assert set(at_best["data"]) == set(tuned.SETS)
    assert list(at_best["arms"]) == ["L2RCLIP", *tuned.RIVALS]


def test_smoke_is_one_run_of_every_study_with_all_its_arms(folders: Path) -> None:
    """On each of its data sets; a method is searched for on the first."""
    full = every_unit("page", folders)
    for name, unit in every_unit("search", folders).items():
        if name.endswith("/portraits-0"):
            full[name] = unit
    small = every_unit("smoke", None)
    assert small.keys() == {name for name in full if name.endswith("-0")}
    for name, unit in small.items():
        assert list(unit["arms"]) == list(full[name]["arms"])


def test_conditions_of_smoke_can_be_met() -> None:
    """Each changes the data set, if not only the words for it."""
    for name, unit in every_unit("smoke", None).items():
        data = load_dataset(**unit["load"])
        for condition, _ in unit["conditions"]:
            changed = reworded(data, **condition, seed=unit["seed"])
            only_words = set(condition) <= {"template", "names"}
            assert (changed.protocol == data.protocol) == only_words, name


def test_a_run_is_a_fold_and_a_repeat_deals_new_folds(folders: Path) -> None:
    """Run 0 of the coffee leaves is fold 1; run 5 of the lesion areas is fold 1 of other folds."""
    units = every_unit("page", folders)
    assert [units[f"tuned/bracol-{run}"]["load"]["fold"] for run in range(5)] == [1, 2, 3, 4, 5]
    assert units["tuned/bracol-0"]["load"]["root"] == str(folders / "bracol_severity")

    dealt = [units[f"main/bracol-area-{run}"]["load"] for run in (0, 4, 5, 9)]
    assert [(load["fold"], load["seed"]) for load in dealt] == [(1, 0), (5, 0), (1, 1), (5, 1)]


def test_a_run_of_leaves_is_a_seed_of_other_leaves() -> None:
    """And of another start."""
    unit = planning.unit(planning.read(), "others", "leaves5", 1, "page", None)
    assert unit["settings"]["seed"] == 1
    assert unit["load"]["seed"] == 1


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


def test_units_without_the_folder_of_a_relative_are_left_out(folders: Path) -> None:
    """The relative of pears by labels is trained on apples."""
    (folders / "apples81").rmdir()
    names = every_unit("page", folders)
    assert "words-new/pears-0" not in names
    assert "at-best/pears-0" in names


def test_a_method_of_a_search_keeps_its_own_settings() -> None:
    """A recipe adds to them."""
    searched = yaml.safe_load(planning.SEARCH.read_text(encoding="utf-8"))
    searched["methods"] = {"rps": {"method": "rps", "settings": {"epochs2": 3}}}
    arms = planning.search(searched)["studies"]["search-rps"]["arms"]
    assert arms["lr2 0.0001"]["settings"] == {"epochs2": 3, "lr2": 1e-4}


def test_units_without_their_folder_are_left_out(folders: Path) -> None:
    """Only the generated leaves are always there."""
    leaves = {name for name in every_unit("page", folders) if "leaves" in name}
    assert every_unit("page", None).keys() == leaves


def test_folders_that_are_not_there_are_named(folders: Path) -> None:
    """A set that is called otherwise on the disk would be left out in silence."""
    plan = planning.read()
    assert planning.missing_folders(plan, folders) == {}
    (folders / "bracol_severity").rename(folders / "bracol")
    assert planning.missing_folders(plan, folders) == {"bracol": folders / "bracol_severity"}


def test_later_settings_win_and_controls_are_merged_by_name() -> None:
    """A part that names one control leaves the others."""
    first = {"a": 1, "controls": {"x": 1, "y": 1}}
    merged = planning.merged(first, {"a": 2}, {"controls": {"y": 2}})
    assert merged == {"a": 2, "controls": {"x": 1, "y": 2}}


def test_a_longer_grid_runs_only_what_is_new() -> None:
    """A combination keeps its name and its meaning."""
    sweep = yaml.safe_load(planning.SWEEP.read_text(encoding="utf-8"))
    longer = sweep | {"grid": sweep["grid"] | {"lambda1": [0.1, *sweep["grid"]["lambda1"]]}}
    old = planning.grid(sweep)["studies"]
    new = planning.grid(longer)["studies"]
    assert len(old) == 40
    assert len(new) == 48
    assert old.items() <= new.items()


def test_two_combinations_of_one_name_are_refused() -> None:
    """A name in a path cannot hold every value."""
    sweep = yaml.safe_load(planning.SWEEP.read_text(encoding="utf-8"))
    with pytest.raises(ValueError, match="two combinations are named towers-a-b"):
        planning.grid(sweep | {"grid": {"towers": ["a/b", "a_b"]}})


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

    relative = relative_scores(table).set_index(["data", "arm"])["relative"]
    assert relative.to_dict() == pytest.approx(
        {("leaves", "a"): 1.2, ("leaves", "b"): 0.8, ("pears", "a"): 0.9, ("pears", "b"): 1.1}
    )
    chosen = chosen_recipes(table)
    assert chosen.loc["search-x"].to_dict() == {
        "all": "b",
        "without leaves": "a",
        "without pears": "b",
    }


def test_gather_keeps_every_digit_in_the_order_of_the_plan(tmp_path: Path) -> None:
    """Rows come out as they were written; their commits and cards are kept."""
    write_rows(tmp_path, "others/leaves5-0", "arm,mae,commit\nNA,0.30000000000000004,abc\n")
    write_rows(tmp_path, "tuned/bracol-4", 'arm,mae,commit\n"a, b",1e-05,def\n')

    table, origin = collect.gather(tmp_path, planning.read())
    lines = ["arm,mae,commit", '"a, b",1e-05,def', "NA,0.30000000000000004,abc"]
    assert table.to_csv(index=False).splitlines() == lines
    assert origin["units"] == 2
    assert origin["commits"] == ["abc", "def"]
    assert origin["data"]["leaves5"]["card"] == {"name": "others/leaves5-0"}


def test_gather_names_what_is_missing(tmp_path: Path, folders: Path) -> None:
    """A unit without its JSON file was cut off."""
    write_rows(tmp_path, "others/leaves5-0", "arm,mae,commit\na,1,abc\n")
    write_rows(tmp_path, "others/leaves20-0", "arm,mae,commit\ncut,1,cut\n").unlink()

    table, origin = collect.gather(tmp_path, planning.read())
    assert list(table["arm"]) == ["a"]
    assert set(origin["missing"]) == every_unit("page", folders).keys() - {"others/leaves5-0"}


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
# Options of snakemake 9 and of its plugins for Slurm, Kubernetes and a mounted file system.
OPTIONS = {
    *("executor", "jobs", "keep-going", "retries", "latency-wait", "default-resources"),
    *("rerun-incomplete", "rerun-triggers"),
    *("container-image", "default-storage-provider", "default-storage-prefix"),
    *("kubernetes-namespace", "kubernetes-persistent-volumes"),
}


def name_of(profile: Path | None) -> str:
    """Return the name of a profile, or that of this machine."""
    return profile.parent.name if profile else "here"


@pytest.mark.parametrize("profile", PROFILES, ids=name_of)
def test_a_profile_sets_options_that_there_are(profile: Path) -> None:
    """For a cluster of its own name; each unit asks for one thread, memory and two hours."""
    options = yaml.safe_load(profile.read_text(encoding="utf-8"))
    assert options["executor"] == profile.parent.name
    assert set(options) <= OPTIONS

    resources = options["default-resources"]
    assert resources["cpus_per_task"] == 1
    assert resources["mem_mb"] == 4000
    assert resources["runtime"] == 120
    assert set(options["rerun-triggers"]) == {"mtime", "params"}


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
