"""What ruff cannot see: values assigned in a row, late imports, and names that say nothing."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = [
    path
    for room in ("l2rclip_lite", "book/l2rclip_book", "tools", "experiments", "tests")
    for path in sorted((ROOT / room).rglob("*.py"))
]
FILLERS = {"found", "said", "told", "given", "known", "often"}


def faults(tree: ast.Module, *, late_imports: bool) -> Iterator[str]:
    """Yield what is wrong with a file, each with its line."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Tuple()], value=ast.Tuple()):
                yield f"{node.lineno}: values assigned in a row"
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name) if name in FILLERS:
                yield f"{node.lineno}: {name}"
    for node in [] if late_imports else [child for each in functions for child in ast.walk(each)]:
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("l2rclip_lite"):
            yield f"{node.lineno}: {node.module} belongs to the top"


LATE = "def f():\n    from l2rclip_lite.method.ranks import Ranks"


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("a, b = 1, 2", "1: values assigned in a row"),
        ("\nsaid = 1", "2: said"),
        ("def f(often): ...", "1: often"),
        (LATE, "2: l2rclip_lite.method.ranks belongs to the top"),
    ],
)
def test_a_fault_is_named_with_its_line(source: str, fault: str) -> None:
    """Whoever meets it reads where and what."""
    assert list(faults(ast.parse(source), late_imports=False)) == [fault]
    assert list(faults(ast.parse(LATE), late_imports=True)) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_reads_as_the_design_asks(path: Path) -> None:
    """Of the package, the book's code, tools, experiments and tests."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert list(faults(tree, late_imports="commands" in path.parts)) == []
