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
# What users need not install, or need not wait for.
OPTIONAL = {"open_clip", "timm", "scipy.ndimage", "umap", "sklearn", "onnx", "onnxruntime"}


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


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_reads_as_the_design_asks(path: Path) -> None:
    """Commands may import late, so that `--help` answers at once."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert list(faults(tree, late_imports="commands" in path.parts)) == []
