"""`tools/collect_results.py`: a table of finished runs that keeps the other rows of an earlier table."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import collect_results
import pandas as pd
import pytest


def test_a_run_takes_the_place_of_an_earlier_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the same data set, fold, seed and method; the row of seed 0 stays."""
    table = tmp_path / "table.csv"
    table.write_text("data,fold,seed,method,mae\nx,2,0,L2RCLIP,0.25\nx,2,1,L2RCLIP,0.75\n", encoding="utf-8")
    made = {"dataset": {"name": "x", "source": {"fold": 2}}, "config": {"seed": 1}}
    (tmp_path / "config.json").write_text(json.dumps(made), encoding="utf-8")
    (tmp_path / "metrics.json").write_text(json.dumps({"test": {"mae": 0.5}}), encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["", str(tmp_path), "--add", str(table), "--out", str(table)])
    collect_results.main()
    assert pd.read_csv(table)[["seed", "mae"]].values.tolist() == [[0, 0.25], [1, 0.5]]
