"""The matrix of runs: what is planned, the table made of what was run, one unit as a notebook, and the Snakefile."""

from __future__ import annotations

import copy
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
import rerun
import yaml
from work import Work

from l2rclip_book.studies import Arm, reworded
from l2rclip_lite.baselines import BASELINES, check_baselines
from l2rclip_lite.config import Config
from l2rclip_lite.data import load_dataset

EXPERIMENTS, RESULTS = chapters.ROOT / "experiments", chapters.BOOK / "results" / "matrix.csv"
PROFILES = sorted((EXPERIMENTS / "profiles").glob("*/config.yaml"))
SNAKEMAKE = chapters.ROOT / ".snakemake-env" / "bin" / "snakemake"
UNIT = """\
{python} -m jupytext --quiet --to ipynb --output - experiments/matrix/unit.py | {python} -m papermill - {out}/unit.ipynb \
--kernel python3 --no-progress-bar -r STUDY {study} -r DATA leaves5 -r PRESET smoke -r CACHE {out}/features \
-r OUT {out}/rows.csv -r COMMIT 1234
"""


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """A data folder in which every real data set seems to be."""
    for name in ("bracol_severity", "retinamnist"):
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
                assert arm.method in (*BASELINES, "L2RCLIP", "median-rank"), (name, arm.name)
                if arm.method in BASELINES:
                    check_baselines([arm.method], config)
                if preset == "smoke":
                    assert (config.towers, max(config.epochs1, config.epochs2) <= 1) == ("tiny/random", True)
                seen.add((name, arm.name, config))
    assert len(seen) >= 200  # of a sweep exactly: 40 combinations times 5 seeds, no two alike
    assert len({config for *_, config in seen}) == 200 or preset != "sweep"


def test_smoke_leaves_nothing_out_and_every_condition_can_be_met(folders: Path) -> None:
    """One run of every study on each of its data sets, with all arms and conditions; what an arm leaves out stays out."""
    full, small = every_unit("page", folders), every_unit("smoke", None)
    assert small.keys() == {name for name in full if name.endswith("-0")}
    for name, unit in small.items():
        assert list(unit["arms"]) == list(full[name]["arms"])
        for arm, about in unit["arms"].items():
            real = full[name]["arms"][arm].get("settings", {})
            assert {k: v for k, v in real.items() if v == 0} == {
                k: v for k, v in about["settings"].items() if v == 0
            }
        data = load_dataset(**unit["load"])
        for (condition, _), (real_condition, _) in zip(
            unit["conditions"], full[name]["conditions"], strict=True
        ):
            assert condition.keys() == real_condition.keys()
            changed = reworded(data, **condition, seed=unit["seed"])
            assert (changed.protocol != data.protocol) == bool(set(condition) - {"template", "names"}), name


def test_runs_are_folds_or_seeds(folders: Path) -> None:
    """Run 0 of the coffee leaves is fold 1; on generated leaves another seed is other images; without a folder no unit."""
    units = every_unit("page", folders)
    assert [units[f"main/bracol-{run}"]["load"]["fold"] for run in range(5)] == [1, 2, 3, 4, 5]
    assert units["main/bracol-0"]["load"]["root"] == str(folders / "bracol_severity")
    assert [units[f"main/retinamnist-{run}"]["settings"]["seed"] for run in range(5)] == [0, 1, 2, 3, 4]
    one, same, other = (
        units[f"{name}"]["load"] for name in ("main/leaves5-0", "components/leaves5-0", "main/leaves5-1")
    )
    assert one == same != other
    drawn = {name for name in units if "leaves" in name}
    assert every_unit("page", None).keys() == drawn
    assert {name for name in drawn if name.startswith("components/leaves62")} == {
        "components/leaves62-0",
        "components/leaves62-1",
    }


def test_settings_merge_control_by_control() -> None:
    """A later setting wins; of the controls only the ones it names."""
    found = planning.merged({"a": 1, "controls": {"x": 1, "y": 1}}, {"a": 2}, {"controls": {"y": 2}})
    assert found == {"a": 2, "controls": {"x": 1, "y": 2}}


def test_a_longer_grid_runs_only_what_is_new() -> None:
    """A combination keeps its name and its meaning; two of one name are refused, and so is an unknown preset."""
    sweep = yaml.safe_load(planning.SWEEP.read_text(encoding="utf-8"))
    longer = copy.deepcopy(sweep)
    longer["grid"]["lambda2"].insert(0, 0.1)
    old, new = planning.grid(sweep)["studies"], planning.grid(longer)["studies"]
    assert (len(old), len(new)) == (40, 48)
    assert old.items() <= new.items()
    assert next(iter(old)) == "lr1-0p001-lr2-0p001-normalise-batch-lambda2-0p0"
    with pytest.raises(ValueError, match="two combinations are named towers-a-b"):
        planning.grid(sweep | {"grid": {"towers": ["a/b", "a_b"]}})
    with pytest.raises(ValueError, match="'full' is unknown; choose one of page, smoke, sweep"):
        planning.read("full")


# --- the table ------------------------------------------------------------------------------------------


def test_gather_keeps_every_digit_and_names_what_is_missing(tmp_path: Path, folders: Path) -> None:
    """Rows come out as they were written, in the order of the plan; a unit without its JSON file was cut off."""
    with pytest.raises(SystemExit, match=r"no finished unit in .*rows; run experiments/Snakefile first"):
        collect.gather(tmp_path, "page")
    rows = {"main/leaves5-1": "arm,mae\nNA,0.30000000000000004\n", "main/bracol-4": 'arm,mae\n"a, b",1e-05\n'}
    for name, text in (rows | {"main/leaves5-0": "arm,mae\ncut,1\n"}).items():
        file = tmp_path / "rows" / f"{name}.csv"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        made = {"commit": "abc", "versions": {"python": "3"}, "card": {"name": name}}
        file.with_suffix(".json").write_text(json.dumps(made), encoding="utf-8")
    (tmp_path / "rows/main/leaves5-0.json").unlink()
    table, about = collect.gather(tmp_path, "page")
    assert table.to_csv(index=False) == 'arm,mae\n"a, b",1e-05\nNA,0.30000000000000004\n'
    assert (about["units"], about["commits"]) == (2, ["abc"])
    assert set(about["missing"]) == every_unit("page", folders).keys() - rows.keys()
    assert about["data"]["leaves5"]["card"] == {"name": "main/leaves5-1"}


def test_the_best_combination_comes_first() -> None:
    """Means 2 and 1 over two seeds; spread √2 and 0."""
    rows = pd.DataFrame({"data": "leaves5", "arm": list("abab"), "mae": ["1.0", "1.0", "3.0", "1.0"]})
    expected = [["leaves5", "b", 1.0, 0.0, 2], ["leaves5", "a", 2.0, 1.414, 2]]
    assert collect.ranking(rows, "mae").round(3).values.tolist() == expected


@pytest.mark.slow
def test_the_smallest_rows_come_out_again() -> None:
    """Generated leaves of five ranks, seed 0: a classical model, a trained head, and two runs of L2RCLIP.

    The table was made by an earlier release, which rounded differently: errors agree within a tenth.
    """
    table = pd.read_csv(RESULTS, dtype={"level": str, "condition": str}, keep_default_na=False)
    table = table[(table["data"] == "leaves5") & (table["seed"] == 0)]
    for study, arms in (("main", ("ridge", "cross-entropy", "full")), ("components", ("shuffled weight",))):
        work = Work(planning.unit(planning.read(), study, "leaves5", 0, "page", None), "leaves5")
        for arm in arms:
            (new,) = work.rows(arm)
            (old,) = table[(table["study"] == study) & (table["arm"] == arm)].to_dict("records")
            assert new["mae_expected"] == pytest.approx(float(old["mae_expected"]), rel=0.1), arm
            assert set(new) <= set(old)


def test_a_row_that_differs_is_named() -> None:
    """One digit in one metric; seconds and commit may differ, and an empty cell equals one that is not there."""
    old = {"arm": "full", "mae": "0.25", "seconds": "3.1", "commit": "a", "text_gap": "", "level": "4"}
    new = {"arm": "full", "mae": 0.25, "seconds": 9.0, "commit": "b", "level": 4}
    assert rerun.differences(old, new) == []
    assert rerun.differences(old, new | {"mae": 0.25000001}) == ["mae: 0.25 in the table, 0.25000001 now"]
    assert rerun.differences(old, new | {"mae": 0.25000001}, tolerance=1e-6) == []


# --- units and Snakemake --------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_unit_is_a_notebook_and_a_file_of_rows(tmp_path: Path) -> None:
    """Every arm has a row; run again, with the features of the first time, it gives the same rows.

    A study that does not exist leaves a notebook that shows where, and no rows.
    """
    tables = []
    for name, study in (("one", "fine-tuned"), ("one", "fine-tuned"), ("two", "no-such-study")):
        command = UNIT.format(python=sys.executable, out=tmp_path / name, study=study)
        (tmp_path / name).mkdir(exist_ok=True)
        ended = subprocess.run(
            command, shell=True, cwd=chapters.ROOT, capture_output=True, text=True, check=False
        )
        assert (ended.returncode == 0) == (name == "one"), ended.stderr
        if name == "one":
            tables.append(pd.read_csv(tmp_path / name / "rows.csv", dtype=str).drop(columns="seconds"))
    pd.testing.assert_frame_equal(*tables)
    assert list(tables[0]["arm"]) == list(planning.read()["studies"]["fine-tuned"]["arms"])
    assert set(tables[0]["commit"]) == {"1234"}
    assert [file.name for file in (tmp_path / "two").iterdir()] == ["unit.ipynb"]
    assert "KeyError" in (tmp_path / "two" / "unit.ipynb").read_text(encoding="utf-8")


@pytest.mark.slow
def test_snakemake_plans_every_unit(tmp_path: Path) -> None:
    """A dry run: the units of the plan and their table; an unknown study is refused, and the choices are named."""
    if not SNAKEMAKE.exists():
        pytest.skip("there is no .snakemake-env; `make studies` makes it")
    command = [SNAKEMAKE, "-n", "-d", tmp_path, "-s", EXPERIMENTS / "Snakefile", "--config", "preset=smoke"]
    every, wrong = (
        subprocess.run([*command, *more], capture_output=True, text=True, check=False)
        for more in ([], ["only=contxt"])
    )
    units = len(planning.units(planning.read("smoke")))
    assert ["unit", str(units)] in [line.split() for line in (every.stdout + every.stderr).splitlines()]
    assert "there is no study contxt; the studies are main, " in wrong.stderr


@pytest.mark.parametrize("file", PROFILES, ids=lambda file: file.parent.name)
def test_a_profile_asks_for_what_a_unit_needs(file: Path) -> None:
    """It names its executor, goes on after a failure, resumes by file, gives one thread, and says what was not tried."""
    text = file.read_text(encoding="utf-8")
    given = yaml.safe_load(text)
    assert given["executor"] == file.parent.name in ("kubernetes", "slurm")
    assert given["keep-going"] is given["rerun-incomplete"] is True
    assert given["rerun-triggers"] == ["mtime", "params"]
    assert given["default-resources"]["cpus_per_task"] == 1
    assert "Not tried on a real cluster" in text
