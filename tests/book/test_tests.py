"""Every test can fail: it asserts, expects an error, or calls a helper of the tests that does."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import chapters
import pytest

CHECKS = ("raises", "warns", "fail", "assert_close", "assert_allclose", "assert_array_equal", "check_call")


def called(node: ast.AST) -> Iterator[str]:
    """The last name of everything that is called below a node."""
    for part in ast.walk(node):
        if isinstance(part, ast.Call):
            yield part.func.attr if isinstance(part.func, ast.Attribute) else getattr(part.func, "id", "")


def checks(function: ast.FunctionDef, helpers: dict[str, ast.FunctionDef], seen: frozenset[str]) -> bool:
    """Whether a function, or a helper that it calls, can fail."""
    if any(isinstance(part, ast.Assert) for part in ast.walk(function)):
        return True
    names = set(called(function))
    return bool(names & set(CHECKS)) or any(
        checks(helpers[name], helpers, seen | {name}) for name in names & helpers.keys() - seen
    )


def that_only_execute(sources: dict[str, str]) -> list[str]:
    """The tests that nothing can turn red but a crash."""
    functions = [
        (file, part)
        for file, source in sources.items()
        for part in ast.walk(ast.parse(source))
        if isinstance(part, ast.FunctionDef)
    ]
    helpers = {part.name: part for _, part in functions if not part.name.startswith("test_")}
    return [
        f"{file}::{part.name}"
        for file, part in functions
        if part.name.startswith("test_") and not checks(part, helpers, frozenset())
    ]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("def test_a():\n    run()", ["f::test_a"]),
        ("def test_a():\n    assert run()", []),
        ("def test_a():\n    with pytest.raises(ValueError):\n        run()", []),
        ("def same(a):\n    assert a\ndef test_a():\n    same(run())", []),
        (
            "def same(a):\n    other(a)\ndef other(a):\n    same(a)\ndef test_a():\n    same(run())",
            ["f::test_a"],
        ),
    ],
)
def test_a_test_that_only_executes_is_found(source: str, found: list[str]) -> None:
    """Also behind helpers that call each other."""
    assert that_only_execute({"f": source}) == found


def test_no_test_only_executes() -> None:
    """Of this project's."""
    files = sorted((chapters.ROOT / "tests").rglob("*.py"))
    sources = {file.name: file.read_text(encoding="utf-8") for file in files}
    assert sum(source.count("def test_") for source in sources.values()) > 700
    assert that_only_execute(sources) == []
