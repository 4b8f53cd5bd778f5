"""The matrix of runs: what is planned, and the table made of what was run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import collect
import numpy as np
import pandas as pd
import plan as planning
import pytest

from l2rclip_lite.baselines import check_baselines
from l2rclip_lite.choices import BASELINES
from l2rclip_lite.config import Config
from l2rclip_lite.data import load_dataset
from l2rclip_lite.evidence import Arm, reworded

PRESETS = ("page", "smoke")
FOLDERS = ("bracol_severity", "retinamnist")
STUDIES: dict[str, Any] = planning.read()["studies"]


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """A data folder in which every real data set seems to be."""
    for name in FOLDERS:
        (tmp_path / name).mkdir()
    return tmp_path


def every_unit(preset: str, folder: Path | None) -> list[tuple[str, dict[str, Any]]]:
    """The name of every unit and everything that it needs to know."""
    plan = planning.read(preset)
    return [
        (
            f"{one['study']}/{one['data']}-{one['run']}",
            planning.unit(plan, **one, preset=preset, data_folder=folder),
        )
        for one in planning.units(plan, folder)
    ]


def first_units(preset: str, folder: Path | None) -> list[tuple[str, dict[str, Any]]]:
    """The first run of every study on every data set; the other runs differ in fold and seed only."""
    return [(name, unit) for name, unit in every_unit(preset, folder) if name.endswith("-0")]


def without(condition: dict[str, Any], *names: str) -> dict[str, Any]:
    """A condition without what smoke may change."""
    return {name: value for name, value in condition.items() if name not in names}


# --- what is planned ------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", PRESETS)
def test_settings_of_every_arm_are_valid(preset: str, folders: Path) -> None:
    """Those of the study, of the condition and of the arm together make a `Config`; a method is one that we have."""
    seen = 0
    for name, unit in first_units(preset, folders):
        for _, own in unit["conditions"]:
            shared = unit["settings"] | own
            assert Config(**shared).seed == unit["seed"], name
            for arm in (Arm(key, **about) for key, about in unit["arms"].items()):
                config = Config(**(shared | dict(arm.settings)))
                assert arm.method in (*BASELINES, "L2RCLIP", "median-rank"), (name, arm.name)
                if arm.method in BASELINES:
                    check_baselines([arm.method], config)
                seen += 1
    assert seen > 300


@pytest.mark.parametrize("preset", PRESETS)
def test_every_condition_can_be_met(preset: str) -> None:
    """Drawn leaves, as large as the study takes them: a long tail needs pictures, and says so itself."""
    pairs = 0
    for name, unit in first_units(preset, None):
        data = load_dataset(**unit["load"])
        for condition, _ in unit["conditions"]:
            found = reworded(data, **condition, seed=unit["seed"])
            assert len(found.test) > 0, name
            assert (found.protocol != data.protocol) == bool(set(condition) - {"template", "names"}), name
            pairs += 1
    assert pairs > 20


def test_every_condition_can_be_met_by_coffee_leaves(real_bracol: Path) -> None:
    """The long tail and the shift of the real data set, in its first fold."""
    units = dict(every_unit("page", real_bracol.parent))
    data = load_dataset(**units["main/bracol-0"]["load"])
    for name, unit in units.items():
        if name.endswith("/bracol-0"):
            for condition, _ in unit["conditions"]:
                assert len(reworded(data, **condition, seed=0).train) > 0, name


def test_names_of_units_are_unique(folders: Path) -> None:
    """And so are their files, also where upper and lower case are the same."""
    for preset in PRESETS:
        names = [name.lower() for name, _ in every_unit(preset, folders)]
        assert len(names) == len(set(names)) > 0


def test_folds_count_from_one_and_seeds_from_zero(folders: Path) -> None:
    """Run 0 of the coffee leaves is fold 1; the other data sets have no fold, and the run is the seed."""
    units = dict(every_unit("page", folders))
    assert [units[f"main/bracol-{run}"]["load"]["fold"] for run in range(5)] == [1, 2, 3, 4, 5]
    assert [units[f"main/bracol-{run}"]["fold"] for run in range(5)] == [1, 2, 3, 4, 5]
    assert units["main/bracol-0"]["load"]["root"] == str(folders / "bracol_severity")
    assert [units[f"main/retinamnist-{run}"]["settings"]["seed"] for run in range(5)] == [0, 1, 2, 3, 4]
    assert "seed" not in units["main/retinamnist-1"]["load"]
    assert units["main/leaves5-3"]["fold"] is None


def test_another_seed_is_another_picture() -> None:
    """Runs on drawn leaves differ in their pictures, not only in their start."""
    units = dict(every_unit("page", None))
    one, same, other = (
        load_dataset(**units[name]["load"]).train[0][0].tobytes()
        for name in ("main/leaves5-0", "components/leaves5-0", "main/leaves5-1")
    )
    assert one == same
    assert one != other


def test_what_is_not_there_is_left_out(tmp_path: Path) -> None:
    """A data set needs its folder; drawn leaves need none."""

    def names(folder: Path | None) -> set[str]:
        return {unit["data"] for unit in planning.units(planning.read(), folder)}

    drawn = {"leaves5", "leaves20", "leaves62"}
    assert names(None) == names(tmp_path) == drawn
    (tmp_path / "bracol_severity").mkdir()
    assert names(tmp_path) == drawn | {"bracol"}
    (tmp_path / "retinamnist").touch()  # no folder
    assert names(tmp_path) == drawn | {"bracol"}


def test_runs_are_limited_where_a_study_says_so() -> None:
    """By one number, by one for some data sets, and never beyond what the data set has."""
    about = {"load": {"name": "leaves"}, "run": "seed"}
    plan = {
        "data": {"a": about | {"runs": 2}, "b": about | {"runs": 3}},
        "groups": {"both": ["a", "b"]},
        "studies": {
            "x": {"data": "both"},
            "y": {"data": ["b"], "runs": 1},
            "z": {"data": "both", "runs": {"b": 2}},
            "v": {"data": ["a"], "runs": 9},
        },
    }
    found = [f"{unit['study']}{unit['data']}{unit['run']}" for unit in planning.units(plan)]
    assert found == ["xa0", "xa1", "xb0", "xb1", "xb2", "yb0", "za0", "za1", "zb0", "zb1", "va0", "va1"]


def test_smoke_leaves_nothing_out(folders: Path) -> None:
    """Without any folder it has one run of every study on each of its data sets, with all arms and conditions."""
    small, plan = planning.read("smoke"), planning.read()
    found = {(unit["study"], unit["data"]) for unit in planning.units(small)}
    assert found == {(unit["study"], unit["data"]) for unit in planning.units(plan, folders)}
    assert {study for study, _ in found} == set(STUDIES)
    assert len(planning.units(small)) == len(found)
    for study, data in found:
        one, what = planning.unit(small, study, data, 0, "smoke", None), STUDIES[study]
        assert list(one["arms"]) == list(what["arms"])
        conditions = [without(condition, "long_tail") for condition, _ in one["conditions"]]
        assert conditions == [
            without(condition, "settings", "long_tail") for condition in what.get("conditions", [{}])
        ]
        assert all(
            ("long_tail" in a) == ("long_tail" in b)
            for (a, _), b in zip(one["conditions"], what.get("conditions", [{}]), strict=True)
        )


def test_smoke_is_small_and_what_is_off_stays_off(folders: Path) -> None:
    """One epoch at most, random towers; no stage that an arm leaves out comes back, none that it has is lost."""
    full = dict(every_unit("page", folders))
    for name, unit in every_unit("smoke", None):
        assert unit["load"]["size"] <= 500
        for at, (_, own) in enumerate(unit["conditions"]):
            assert own.keys() == full[name]["conditions"][at][1].keys()
            for arm, about in unit["arms"].items():
                config = Config(**(unit["settings"] | own | about.get("settings", {})))
                real = full[name]["settings"] | full[name]["conditions"][at][1]
                real |= full[name]["arms"][arm].get("settings", {})
                assert config.towers == "tiny/random"
                assert config.epochs1 == min(real["epochs1"], 1), (name, arm)
                assert config.epochs2 == min(real["epochs2"], 1), (name, arm)


def test_an_unknown_preset_is_refused() -> None:
    """One sentence names the choices."""
    with pytest.raises(ValueError, match="'full' is unknown; choose one of page, smoke, sweep"):
        planning.read("full")


# --- the table ------------------------------------------------------------------------------------------


def finished(folder: Path, unit: str, table: pd.DataFrame) -> str:
    """Write the two files of a unit; gives the text of its rows."""
    file = folder / "rows" / f"{unit}.csv"
    file.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(file, index=False)
    made = {"commit": "abc", "versions": {"python": "3"}, "card": {"name": unit}}
    file.with_suffix(".json").write_text(json.dumps(made), encoding="utf-8")
    return file.read_text(encoding="utf-8")


def test_gather_keeps_every_row_and_every_bit(tmp_path: Path) -> None:
    """Numbers, texts and gaps come out as they were written, in the order of the plan."""
    random = np.random.default_rng(0)
    about = {"study": "main", "fold": 1, "level": "01", "arm": ["NA", "a, b", "α"], "n_train": 7}
    values = {
        name: random.random(3) * 10.0**power for name, power in (("mae", -5), ("qwk", 0), ("seconds", 20))
    }
    own = {"text_violations": [0.1 + 0.2, None, 1 / 3]}  # what only L2RCLIP has
    later = pd.DataFrame(about | {"fold": None} | values | own)
    first = pd.DataFrame(about | {name: value / 3 for name, value in values.items()})
    texts = [finished(tmp_path, "main/leaves5-1", later), finished(tmp_path, "main/bracol-4", first)]
    table, said = collect.gather(tmp_path, "page")
    out = table.to_csv(index=False).splitlines()
    assert out[1:4] == [line + "," for line in texts[1].splitlines()[1:]]
    assert sorted(out[4:]) == sorted(texts[0].splitlines()[1:])
    read = pd.read_csv(tmp_path / "rows/main/leaves5-1.csv")
    for name in values:
        assert [float(text) for text in table[name][:3]] == list(first[name])
        assert [float(text) for text in table[name][3:]] == list(later[name]) == list(read[name])
    assert said["units"] == 2


def test_gather_names_what_is_missing(tmp_path: Path, folders: Path) -> None:
    """Every unit of the plan is in the table or on the list; one without its JSON file was cut off."""
    finished(tmp_path, "main/leaves5-0", pd.DataFrame({"mae": [1.0]}))
    finished(tmp_path, "main/leaves5-1", pd.DataFrame({"mae": [2.0]}))
    (tmp_path / "rows/main/leaves5-1.json").unlink()
    table, said = collect.gather(tmp_path, "page")
    assert list(table["mae"]) == ["1.0"]
    assert set(said["missing"]) == {name for name, _ in every_unit("page", folders)} - {"main/leaves5-0"}
    assert (said["units"], said["commits"]) == (1, ["abc"])
    assert said["data"]["leaves5"]["card"] == {"name": "main/leaves5-0"}


def test_gather_refuses_an_empty_folder(tmp_path: Path) -> None:
    """One sentence says what to run."""
    with pytest.raises(SystemExit, match=r"no finished unit under .*rows; run experiments/Snakefile first"):
        collect.gather(tmp_path, "page")
