"""`tools/collect_results.py`: a table of finished runs, and one that keeps what an earlier table says."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import collect_results
import pandas as pd
import pytest


def finished(folder: Path, seed: int, mae: float) -> str:
    """The two files of a run that the tool reads."""
    folder.mkdir()
    made = {"dataset": {"name": "leaves", "source": {"fold": 2}}, "config": {"seed": seed}}
    (folder / "config.json").write_text(json.dumps(made), encoding="utf-8")
    (folder / "metrics.json").write_text(json.dumps({"test": {"mae": mae}}), encoding="utf-8")
    return str(folder)


def test_runs_become_rows_and_an_earlier_table_keeps_its_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seeds 0 and 1, then seed 1 again and an arm under another name."""
    out = tmp_path / "table.csv"
    runs = [finished(tmp_path / "a", 0, 0.25), finished(tmp_path / "b", 1, 0.75)]
    again, arm = finished(tmp_path / "c", 1, 0.5), finished(tmp_path / "d", 1, 1.0)
    for words in (runs, [again, "--add", str(out)], [arm, "--add", str(out), "--name", "random"]):
        monkeypatch.setattr(sys, "argv", ["collect_results.py", *words, "--out", str(out)])
        collect_results.main()
    table = pd.read_csv(out)
    assert list(table["mae"]) == [0.25, 0.5, 1.0]
    assert list(table["method"]) == ["L2RCLIP", "L2RCLIP", "random"]
