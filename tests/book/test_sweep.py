"""A sweep: a grid of settings times seeds as units of work, and its best combination."""

from __future__ import annotations

import copy
from typing import Any

import best
import pandas as pd
import plan as planning
import pytest
import yaml

from l2rclip_lite.config import Config

SWEEP: dict[str, Any] = yaml.safe_load(planning.SWEEP.read_text(encoding="utf-8"))


def names(plan: dict[str, Any]) -> list[str]:
    """Every unit, as its files are called."""
    return [f"{one['study']}/{one['data']}-{one['run']}" for one in planning.units(plan)]


def test_the_grid_is_two_hundred_different_runs() -> None:
    """40 combinations times 5 seeds, no two alike in name or in what they do, each a valid `Config`."""
    plan = planning.read("sweep")
    assert len(set(names(plan))) == len(names(plan)) == 200
    seen = set()
    for one in planning.units(plan):
        unit = planning.unit(plan, **one, preset="sweep", data_folder=None)
        (arm,) = unit["arms"].values()
        config = Config(**unit["settings"] | arm["settings"])
        assert config.seed == unit["load"]["seed"] == one["run"]
        assert config.image_side == "adapter"
        seen.add(config)
    assert len(seen) == 200


def test_another_value_leaves_every_name_and_what_it_means() -> None:
    """So a longer grid runs only what is new."""
    longer = copy.deepcopy(SWEEP)
    longer["grid"]["lambda2"].insert(0, 0.1)
    old, new = planning.grid(SWEEP), planning.grid(longer)
    assert len(names(new)) == 240
    assert set(names(old)) < set(names(new))
    for name, study in old["studies"].items():
        assert new["studies"][name] == study
    assert names(old)[0] == "lr1-0p001-lr2-0p001-normalise-batch-lambda2-0p0/leaves5-0"


def test_two_combinations_of_one_name_are_refused() -> None:
    """A file would hold the result of either."""
    with pytest.raises(ValueError, match="two combinations are named towers-a-b"):
        planning.grid(SWEEP | {"grid": {"towers": ["a/b", "a_b"]}})


def test_the_best_combination_comes_first() -> None:
    """Means 2 and 1 over two seeds; spread √2 and 0."""
    rows = pd.DataFrame({"data": "leaves5", "arm": ["a", "b", "a", "b"], "mae": [1.0, 1.0, 3.0, 1.0]})
    found = best.ranking(rows, "mae")
    assert found.round(3).values.tolist() == [["leaves5", "b", 1.0, 0.0, 2], ["leaves5", "a", 2.0, 1.414, 2]]
    assert best.ranking(rows, "mae", largest=True)["arm"].tolist() == ["a", "b"]
    with pytest.raises(SystemExit, match="no column rmse"):
        best.ranking(rows, "rmse")
