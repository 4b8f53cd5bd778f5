"""What ruff cannot see: values assigned in a row, late imports, and names that say nothing."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("l2rclip_lite", "book/l2rclip_book", "tools", "experiments", "tests")
FILLERS = {"found", "said", "told", "given", "known", "often"}


def faults(text: str, *, late_imports: bool) -> Iterator[str]:
    """Yield what is wrong with a file, each with its line."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Tuple()], value=ast.Tuple()):
                yield f"{node.lineno}: values assigned in a row"
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name) if name in FILLERS:
                yield f"{node.lineno}: {name}"
            case ast.FunctionDef() if not late_imports:
                for child in ast.walk(node):
                    home = str(getattr(child, "module", ""))
                    if isinstance(child, ast.ImportFrom) and home.startswith("l2rclip_lite"):
                        yield f"{child.lineno}: {home} belongs to the top"


def test_every_file_reads_as_the_design_asks() -> None:
    """Of the package, the book's code, tools, experiments and tests."""
    wrong = {}
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            late_imports = path.match("towers/__init__.py")  # `mini` does not wait for open_clip
            lines = list(faults(path.read_text(encoding="utf-8"), late_imports=late_imports))
            if lines:
                wrong[str(path)] = lines
    assert wrong == {}
