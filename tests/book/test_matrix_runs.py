"""One unit of the matrix as a notebook, the Snakefile that runs all of them, and its profiles."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import chapters
import lock
import nbformat
import pandas as pd
import plan as planning
import pytest
import run
import yaml

EXPERIMENTS = chapters.ROOT / "experiments"
PROFILES = sorted((EXPERIMENTS / "profiles").glob("*/config.yaml"))
SNAKEMAKE = chapters.ROOT / ".snakemake-env" / "bin" / "snakemake"
PINS = {
    name: (chapters.ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    for name in ("snakemake", "snakemake-plugins")
}
each_profile = pytest.mark.parametrize("file", PROFILES, ids=lambda file: file.parent.name)
# What stands in for the project's interpreter: it writes the files of a unit, or fails like one.
STAND_IN = """\
#!{python}
import pathlib, sys
script, first, *rest = sys.argv[1:]
given = dict(zip(rest[1::3], rest[2::3])) if script.endswith("run.py") else {{"OUT": rest[-1]}}
if script.endswith("run.py"):
    pathlib.Path(first).write_text(given["COMMIT"])
    with open("started", "a") as file:
        print(given["STUDY"] + "/" + pathlib.Path(first).stem, file=file)
    if given["STUDY"] == "context" and not pathlib.Path("mended").exists():
        sys.exit("the unit fails")
for end in (".csv", ".json"):
    pathlib.Path(given["OUT"]).with_suffix(end).write_text("made")
"""


# --- one unit as a notebook -----------------------------------------------------------------------------


def execute(folder: Path, cwd: Path = chapters.ROOT, **parameters: Any) -> subprocess.CompletedProcess[str]:
    """Run `run.py` as the Snakefile does, in miniature; the notebook is unit.ipynb, the rows are rows.csv."""
    given = {"PRESET": "smoke", "RUN": 0, "OUT": folder / "rows.csv"} | parameters
    options = [text for name, value in given.items() for text in ("-p", name, str(value))]
    command = [sys.executable, "experiments/matrix/run.py", str(folder / "unit.ipynb"), *options]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_a_misspelt_parameter_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before any kernel is started."""
    command = ["run.py", str(tmp_path / "unit.ipynb"), "-p", "STUDY", "none", "-p", "SEEED", "1"]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit, match=r"unit\.py has no parameter SEEED"):
        run.main()
    assert not (tmp_path / "unit.ipynb").exists()


@pytest.mark.slow
def test_a_unit_that_fails_leaves_its_notebook_and_no_rows(tmp_path: Path) -> None:
    """The second condition cannot be met: the first one's result stands in the notebook, the error below it."""
    shutil.copytree(EXPERIMENTS / "matrix", tmp_path / "experiments" / "matrix")
    (tmp_path / "tools").mkdir()
    shutil.copy(chapters.ROOT / "tools" / "kernels.py", tmp_path / "tools")
    file = tmp_path / "experiments" / "matrix" / "studies.yaml"
    plan = yaml.safe_load(file.read_text(encoding="utf-8"))
    plan["studies"]["context"] |= {
        "conditions": [{"few_shot": 1}, {"few_shot": -1}],
        "arms": {"median-rank": None},
    }
    file.write_text(yaml.safe_dump(plan), encoding="utf-8")
    found = execute(tmp_path, tmp_path, STUDY="context", DATA="leaves5")
    assert found.returncode == 1
    assert "InputError: few_shot" in found.stderr
    assert f"the run up to there is in {tmp_path / 'unit.ipynb'}" in found.stderr
    assert not list(tmp_path.glob("rows*"))
    outputs = [
        one for cell in nbformat.read(tmp_path / "unit.ipynb", 4).cells for one in cell.get("outputs", [])
    ]
    assert any("few_shot=1 " in one.get("text", "") for one in outputs)
    assert [one["ename"] for one in outputs if one["output_type"] == "error"] == ["InputError"]


@pytest.mark.slow
def test_a_unit_run_again_gives_the_same_rows(tmp_path: Path) -> None:
    """With image features from the cache, too, and but for the seconds; every arm under every condition has a row."""
    tables = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        given = {"STUDY": "fine-tuned", "DATA": "leaves5", "CACHE": tmp_path / "features", "COMMIT": "'1234'"}
        found = execute(tmp_path / name, **given)
        assert found.returncode == 0, found.stderr
        tables.append(pd.read_csv(tmp_path / name / "rows.csv", dtype=str).drop(columns="seconds"))
    pd.testing.assert_frame_equal(*tables)
    assert [file.name for file in (tmp_path / "features").iterdir()] == ["leaves5-0.safetensors"]
    plan = planning.read("smoke")
    assert list(tables[0]["arm"]) == list(plan["studies"]["fine-tuned"]["arms"])
    assert set(tables[0]["commit"]) == {"1234"}
    assert (tmp_path / "one" / "rows.json").is_file()


# --- the Snakefile --------------------------------------------------------------------------------------


def snakemake(folder: Path, *options: str, **config: str) -> subprocess.CompletedProcess[str]:
    """Run Snakemake in a folder, or skip: it lives in its own environment, which `make snakemake` makes."""
    if not SNAKEMAKE.exists():
        pytest.skip("there is no .snakemake-env; `make snakemake` makes it")
    settings = [f"{name}={value}" for name, value in config.items()]
    return subprocess.run(
        [SNAKEMAKE, "-d", folder, "--rerun-triggers", "mtime", "params", *options, "--config", *settings],
        env=os.environ | {"XDG_CACHE_HOME": str(folder / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a copy of the matrix and an interpreter that only pretends."""
    shutil.copytree(EXPERIMENTS, tmp_path / "experiments", ignore=shutil.ignore_patterns("__pycache__"))
    stand_in = tmp_path / "python"
    stand_in.write_text(STAND_IN.format(python=sys.executable), encoding="utf-8")
    stand_in.chmod(0o755)
    return tmp_path


def start(project: Path, only: str = "unseen,context") -> tuple[int, Counter[str]]:
    """Run two studies of two units each; gives the exit status and how often each unit has been started so far."""
    file = project / "experiments" / "Snakefile"
    config = {"preset": "smoke", "only": only, "python": "./python", "commit": "1234", "out": "out"}
    found = snakemake(project, "-s", str(file), "-j", "2", "-k", **config)
    return found.returncode, Counter((project / "started").read_text(encoding="utf-8").split())


@pytest.mark.slow
def test_a_failure_stops_no_other_unit_and_is_made_up_for(project: Path) -> None:
    """The failed units leave notebooks, the others rows; the same command runs what is missing, then nothing."""
    status, times = start(project)
    every = {"unseen/leaves20-0": 1, "unseen/leaves62-0": 1, "context/bracol-0": 1}
    assert (status, times) == (1, every)
    assert {file.parent.name for file in (project / "out" / "rows").rglob("*.*")} == {"unseen"}
    notebooks = {file: file.read_text(encoding="utf-8") for file in (project / "out").rglob("*.ipynb")}
    assert {f"{file.parent.name}/{file.stem}" for file in notebooks} == set(every)
    assert set(notebooks.values()) == {"'1234'"}  # a text also where the commit has digits only
    assert not (project / "out" / "matrix.csv").exists()
    (project / "mended").touch()
    after = every | {"context/bracol-0": 2}
    assert start(project) == (0, after)
    assert (project / "out" / "matrix.csv").is_file()
    assert start(project) == (0, after)


@pytest.mark.slow
def test_a_study_that_changed_is_run_again(project: Path) -> None:
    """A new arm, as studies.yaml promises; the units of other studies stay, and so does one that lost nothing."""
    (project / "mended").touch()
    assert start(project)[0] == 0
    (project / "out" / "rows" / "unseen" / "leaves20-0.json").unlink()  # cut off between its two files
    file = project / "experiments" / "matrix" / "studies.yaml"
    plan = yaml.safe_load(file.read_text(encoding="utf-8"))
    plan["studies"]["context"]["arms"]["64"] = {"settings": {"context_length": 64}}
    file.write_text(yaml.safe_dump(plan, sort_keys=False), encoding="utf-8")
    times = {"unseen/leaves20-0": 2, "unseen/leaves62-0": 1, "context/bracol-0": 2}
    assert start(project) == (0, times)


@pytest.mark.slow
def test_a_longer_sweep_runs_only_what_is_new(project: Path) -> None:
    """Two units, then three: the table of the first two does not stand for the third."""
    config = {"preset": "sweep", "python": "./python", "commit": "1234", "out": "out"}
    for limit in ("2", "3"):
        file = project / "experiments" / "Snakefile"
        assert snakemake(project, "-s", str(file), "-j", "2", **config, limit=limit).returncode == 0
        started = Counter((project / "started").read_text(encoding="utf-8").split())
        assert sorted(started.values()) == [1] * int(limit)


@pytest.mark.slow
def test_an_unknown_study_is_refused(project: Path) -> None:
    """Nothing is run, and the choices are named."""
    found = snakemake(
        project, "-n", "-s", str(EXPERIMENTS / "Snakefile"), preset="smoke", only="context,contxt"
    )
    assert found.returncode != 0
    assert "there is no study contxt; the studies are main, " in found.stderr


# --- profiles and pins ----------------------------------------------------------------------------------


def test_both_kinds_of_cluster_have_a_profile() -> None:
    """As the Snakefile and README say."""
    assert [file.parent.name for file in PROFILES] == ["kubernetes", "slurm"]


@each_profile
def test_profile_asks_for_what_a_unit_needs(file: Path) -> None:
    """It parses, names its executor, goes on after a failure, resumes by file, and says what was not tried."""
    text = file.read_text(encoding="utf-8")
    given = yaml.safe_load(text)
    assert given["executor"] == file.parent.name
    assert f"snakemake-executor-plugin-{given['executor']}==" in PINS["snakemake-plugins"]
    assert given["keep-going"] is given["rerun-incomplete"] is True
    assert given["rerun-triggers"] == ["mtime", "params"]
    needs = given["default-resources"]
    assert needs["cpus_per_task"] == 1
    assert (needs["mem_mb"], needs["runtime"]) >= (2000, 60)
    assert min(given["jobs"], given["retries"], given["latency-wait"]) > 0
    assert f"--workflow-profile experiments/profiles/{file.parent.name}" in text
    assert "Not tried on a real cluster" in text


@pytest.mark.slow
@each_profile
def test_profile_plans_every_unit(file: Path, tmp_path: Path) -> None:
    """A dry run with the plugin: Snakemake knows every line of the profile, and its numbers reach the units."""
    for name in ("bracol_severity", "retinamnist"):
        (tmp_path / "data" / name).mkdir(parents=True)
    given = yaml.safe_load(file.read_text(encoding="utf-8"))
    plugin = f"snakemake_executor_plugin_{given['executor']}"
    if SNAKEMAKE.exists() and not list(SNAKEMAKE.parents[1].glob(f"lib/python*/site-packages/{plugin}")):
        pytest.skip(f"there is no {plugin} in .snakemake-env; requirements/snakemake-plugins.txt names it")
    found = snakemake(
        tmp_path,
        *("-n", "-s", str(EXPERIMENTS / "Snakefile"), "--workflow-profile", str(file.parent)),
        data=str(tmp_path / "data"),
        out="out",
    )
    assert found.returncode == 0, found.stderr[-2000:]
    units = planning.units(planning.read(), tmp_path / "data")
    said = (found.stdout + found.stderr).splitlines()
    assert ["unit", str(len(units))] in [line.split() for line in said]
    needs = [f"{name}={value}" for name, value in given["default-resources"].items()]
    lines = [line for line in said if line.strip().startswith("resources:")]
    assert len(lines) == len(units) + 1
    assert all(need in line for line in lines[:-1] for need in needs)


def test_environment_of_snakemake_is_pinned() -> None:
    """Plain pins, no package twice, Snakemake itself in the first file and only plugins' packages in the second."""
    pins = {
        name: [block.split()[0].split("==") for block in lock.blocks(text).values()]
        for name, text in PINS.items()
    }
    assert all(len(pin) == 2 and pin[1][0].isdigit() for file in pins.values() for pin in file)
    names = [name.lower() for file in pins.values() for name, _ in file]
    assert len(names) == len(set(names))
    assert "snakemake" in dict(pins["snakemake"])
    assert not {"pip", "setuptools"} & set(names)
