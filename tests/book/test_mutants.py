"""The book notices a broken package: one sign, one metric, one template, and a chapter turns red."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import chapters
import pytest

MUTANTS = [
    ("04", "losses.py", "return tightness - (rank_weights(", "return tightness + (rank_weights("),
    (
        "01",
        "metrics.py",
        "np.abs(score(y_true, y_pred, ranks).error)",
        "(score(y_true, y_pred, ranks).error)",
    ),
    ("02", "ranks.py", 'f"{words} {number_words(rest)}" if rest', 'f"{words}-{number_words(rest)}" if rest'),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("chapter", "module", "right", "wrong"), MUTANTS, ids=["a loss", "a metric", "a template"]
)
def test_a_mutant_turns_a_chapter_red(
    chapter: str, module: str, right: str, wrong: str, tmp_path: Path
) -> None:
    """The chapter's own checks stop it, at `smoke` already."""
    package = tmp_path / "l2rclip_lite"
    shutil.copytree(chapters.ROOT / package.name, package, ignore=shutil.ignore_patterns("__pycache__"))
    text = (package / module).read_text(encoding="utf-8")
    assert text.count(right) == 1
    (package / module).write_text(text.replace(right, wrong), encoding="utf-8")
    command = [sys.executable, str(chapters.ROOT / "tools" / "execute.py"), chapter]
    done = subprocess.run(
        [*command, "--profile", "smoke", "--out", str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},  # before the editable install
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "AssertionError" in done.stderr
