"""The smallest rows of `book/results/matrix.csv`, trained again, come out as they stand there."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import chapters
import pandas as pd
import pytest

MATRIX = chapters.ROOT / "experiments" / "matrix"
RESULTS = chapters.BOOK / "results" / "matrix.csv"
ROWS = (("main", "ridge"), ("main", "cross-entropy"), ("main", "full"), ("components", "shuffled weight"))


@pytest.fixture(scope="module")
def scripts() -> Any:
    """The scripts of the matrix, importable as they are when run."""
    sys.path.insert(0, str(MATRIX))
    try:
        import plan
        import rerun
        import work

        yield plan, rerun, work
    finally:
        sys.path.remove(str(MATRIX))


@pytest.mark.slow
def test_the_smallest_rows_come_out_again(scripts: Any, tmp_path: Path) -> None:
    """Drawn leaves of five ranks, seed 0: a classical model, a trained head, and two runs of L2RCLIP.

    The features' hash says whether this processor rounds as the one that made the table did. If so, every metric must be
    the same to twelve digits, since NumPy's linear algebra may still choose another kernel than it did there; if not, the
    errors must be close.
    """
    planning, rerun, working = scripts
    table = pd.read_csv(RESULTS, dtype={"level": str, "condition": str}, keep_default_na=False)
    table = table[(table["data"] == "leaves5") & (table["seed"] == 0)]
    stored = json.loads(RESULTS.with_suffix(".json").read_text(encoding="utf-8"))["features"]["leaves5-0"]
    work: Any = None
    for study, arm in ROWS:
        unit = planning.unit(planning.read(), study, "leaves5", 0, "page", None)
        work = working.Work(unit, "leaves5", tmp_path)
        (found,) = work.rows(arm)
        (old,) = table[(table["study"] == study) & (table["arm"] == arm)].to_dict("records")
        alike = hashlib.sha256((tmp_path / "leaves5-0.safetensors").read_bytes()).hexdigest() == stored
        if alike:
            assert rerun.differences(old, found, tolerance=1e-12) == [], arm
        else:
            assert found["mae_expected"] == pytest.approx(float(old["mae_expected"]), rel=0.1), arm


def test_a_row_that_differs_is_named(scripts: Any) -> None:
    """One digit in one metric; seconds and commit may differ, and an empty cell equals one that is not there."""
    _, rerun, _ = scripts
    old = {"arm": "full", "mae": "0.25", "seconds": "3.1", "commit": "a", "text_gap": "", "level": "4"}
    new = {"arm": "full", "mae": 0.25, "seconds": 9.0, "commit": "b", "level": 4}
    assert rerun.differences(old, new) == []
    assert rerun.differences(old, new | {"mae": 0.25000001}) == ["mae: 0.25 in the table, 0.25000001 now"]
    assert rerun.differences(old, new | {"mae": 0.25000001}, tolerance=1e-6) == []
    assert rerun.differences(old | {"text_gap": "0.5"}, new) == ["text_gap: 0.5 in the table,  now"]
