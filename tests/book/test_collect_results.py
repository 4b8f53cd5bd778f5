"""`tools/collect_results.py`: a table of finished runs, and one that keeps what an earlier table says."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import collect_results
import pandas as pd
import pytest

from l2rclip_lite import fit, load_dataset
from l2rclip_lite.config import Config

SMALL = {"towers": "tiny/random", "epochs1": 1, "epochs2": 0, "hidden": 32, "heads": 2}


def collect(monkeypatch: pytest.MonkeyPatch, out: Path, *words: object) -> pd.DataFrame:
    """Call the script; the table that it wrote."""
    monkeypatch.setattr(sys, "argv", ["collect_results.py", *map(str, words), "--out", str(out)])
    collect_results.main()
    return pd.read_csv(out)


def test_an_earlier_table_keeps_its_other_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Seeds 1 and 0 were made earlier; 0 is made anew, so its old rows go. Then its L2RCLIP is named as an arm, twice."""
    data = load_dataset("leaves", size=60, pixels=64)
    run = tmp_path / "run"
    fit(data, Config(**SMALL, seed=0), run, baselines=["ridge"], quiet=True)
    out = tmp_path / "table.csv"
    first = collect(monkeypatch, out, run)
    assert list(first["method"]) == ["L2RCLIP", "L2RCLIP, stage 1 only", "median-rank", "ridge"]
    assert first["fold"].isna().all()

    earlier = pd.concat([first.assign(seed=1, mae=0.25), first.assign(mae=0.5)])
    earlier.to_csv(out, index=False)
    table = collect(monkeypatch, out, run, "--add", out)
    assert list(table["seed"]) == [0] * 4 + [1] * 4
    pd.testing.assert_frame_equal(table[table["seed"] == 0], first)
    assert set(table.loc[table["seed"] == 1, "mae"]) == {0.25}
    made = json.loads(out.with_suffix(".json").read_text(encoding="utf-8"))
    assert made["config"]["seed"] == 0
    assert "earlier" not in made  # it is the same run
    assert "ridge" in capsys.readouterr().out

    other = tmp_path / "other"
    fit(data, Config(**SMALL, lambda1=0.0), other, quiet=True)
    named = collect(monkeypatch, out, other, "--add", out, "--name", "without order")
    assert list(named["method"]) == [*first["method"], "without order", *first["method"]]
    arm = named[named["method"] == "without order"]
    found = json.loads((other / "metrics.json").read_text(encoding="utf-8"))
    assert list(arm["rps"]) == [pytest.approx(found["test"]["rps"], abs=1e-6)]
    made = json.loads(out.with_suffix(".json").read_text(encoding="utf-8"))
    assert [one["config"]["lambda1"] for one in (made, *made["earlier"])] == [0.0, 1.0]
    assert collect(monkeypatch, out, other, "--add", out, "--name", "without order").equals(named)


def test_an_unfinished_run_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that was stopped has settings, but no figures."""
    run = tmp_path / "run"
    fit(load_dataset("leaves", size=60, pixels=64), Config(**SMALL), run, quiet=True)
    (run / "metrics.json").unlink()
    with pytest.raises(SystemExit, match="run: this run is not finished; give the same `l2rclip fit` again"):
        collect(monkeypatch, tmp_path / "table.csv", run)
    assert not (tmp_path / "table.csv").exists()
