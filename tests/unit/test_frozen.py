"""What is written once stays as it was checked: every record of the package is frozen."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import l2rclip_lite

GROWS = {"Snapshot"}  # a stage records its epochs in it


def thawed(source: str) -> list[str]:
    """The dataclasses whose fields may be set again."""
    found = []
    for part in ast.walk(ast.parse(source)):
        for mark in getattr(part, "decorator_list", []):
            if ast.unparse(mark).startswith("dataclass") and "frozen=True" not in ast.unparse(mark):
                found.append(getattr(part, "name", ""))
    return found


@pytest.mark.parametrize(
    ("mark", "found"),
    [("dataclass", ["A"]), ("dataclass(frozen=False)", ["A"]), ("dataclass(frozen=True)", [])],
)
def test_one_that_is_not_frozen_is_found(mark: str, found: list[str]) -> None:
    """Under each spelling."""
    assert thawed(f"@{mark}\nclass A:\n    x: int") == found


def test_every_record_is_frozen() -> None:
    """All but those that grow on purpose."""
    files = sorted(Path(l2rclip_lite.__file__).parent.rglob("*.py"))
    assert sum(text.count("@dataclass") for text in (file.read_text(encoding="utf-8") for file in files)) > 20
    assert {name for file in files for name in thawed(file.read_text(encoding="utf-8"))} == GROWS
