"""The source: imports go one way, the method stands alone, every public name is there."""

import ast
import graphlib
from pathlib import Path

import pytest

import l2rclip_book
import l2rclip_lite


def read_sources() -> dict[str, ast.Module]:
    """Return the modules of both packages, by name."""
    trees = {}
    for package in [*l2rclip_lite.__path__, *l2rclip_book.__path__]:
        folder = Path(package)
        for file in folder.rglob("*.py"):
            name = ".".join([folder.name, *file.relative_to(folder).with_suffix("").parts])
            tree = ast.parse(file.read_text(encoding="utf-8"))
            trees[name.removesuffix(".__init__")] = tree
    return trees


TREES = read_sources()
ROOT = Path(l2rclip_lite.__file__).parent
FILES = [file for room in ("method", "towers") for file in sorted((ROOT / room).glob("*.py"))]
GROUND = ("errors", "method", "towers")
# What a model has beside the method: its settings, images, a head, and the file that it is kept in.
EXCEPTIONS = {
    "method/model.py": {
        "config",
        "data.images",
        "data.reading",
        "heads",
        "runs.encoding",
        "runs.model_file",
    },
    "method/prompts.py": {"config"},
    "method/optimisation.py": {"training_data"},
    "method/stages.py": {"config", "training_data"},
    "towers/base.py": {"data.images"},
}


def imported_by(tree: ast.Module) -> set[str]:
    """Return the modules that a module imports, also within functions and for annotations alone."""
    modules = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        for alias in node.names:
            home = getattr(node, "module", alias.name)
            whole = f"{home}.{alias.name}"
            modules.add(whole if whole in TREES else home)
    return modules


def test_imports_go_one_way() -> None:
    """There is no cycle; the package imports nothing of the book, which it looks up."""
    graph = {name: imported_by(tree) for name, tree in TREES.items()}
    graphlib.TopologicalSorter(graph).prepare()  # raises where modules import each other
    assert "l2rclip_lite.runs.results" in graph["l2rclip_book.report"]
    for name, homes in graph.items():
        if name.startswith("l2rclip_lite"):
            assert not any(home.startswith("l2rclip_book") for home in homes), name


def test_every_public_name_is_there() -> None:
    """`__all__`, the lazy imports and tab completion agree."""
    for name in l2rclip_lite.__all__:
        assert getattr(l2rclip_lite, name).__name__ == name
        assert name in dir(l2rclip_lite)


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_a_module_of_the_method_imports_nothing_else_of_ours(file: Path) -> None:
    """But for the exceptions above, each of which is still needed."""
    name = f"l2rclip_lite.{file.parent.name}.{file.stem}".removesuffix(".__init__")
    others = set()
    for module in imported_by(TREES[name]):
        home = module.removeprefix("l2rclip_lite.")
        if module.startswith("l2rclip_lite") and not home.startswith(GROUND):
            others.add(home)
    assert others == EXCEPTIONS.get(f"{file.parent.name}/{file.name}", set())
