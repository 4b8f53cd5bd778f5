"""The method stands alone: its modules and the towers import each other and the errors."""

import ast
from pathlib import Path

import pytest

import l2rclip_lite

ROOT = Path(l2rclip_lite.__file__).parent
FILES = [file for room in ("method", "towers") for file in sorted((ROOT / room).glob("*.py"))]
GROUND = ("errors", "method", "towers")
# What a model has beside the method: its settings, images, a head, and the file that it is kept in.
EXCEPTIONS = {
    "method/model.py": {
        "config",
        "data.image_lists",
        "data.images",
        "data.pixels",
        "heads.kernel",
        "runs.encoding",
        "runs.model_file",
        "runs.start",
    },
    "method/prompts.py": {"config"},
    "method/stage.py": {"config"},
    "method/stages.py": {"config"},
    "towers/base.py": {"data.images", "data.pixels"},
}


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_a_module_of_the_method_imports_nothing_else_of_ours(file: Path) -> None:
    """But for the exceptions above, each of which is still needed."""
    others = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [str(node.module)]
        for name in names:
            home = name.removeprefix("l2rclip_lite.")
            if name.startswith("l2rclip_lite") and not home.startswith(GROUND):
                others.add(home)

    assert others == EXCEPTIONS.get(f"{file.parent.name}/{file.name}", set())
