"""The recipes of CONTRIBUTING.md, applied to copies of the tree."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import chapter_rules
import chapters
import nbformat
import page_rules
import pytest

pytestmark = pytest.mark.slow

TEXT = (chapters.ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
BELOW = ", below this line:"
ABOVE = ", above this line:"
FILES = ("pyproject.toml", "README.md", "_toc.yml")
FOLDERS = ("l2rclip_lite", "book", "tests", "tools", "experiments")
HEAVY = ("*.ipynb", "*.png", "*.npz", "*.gz", "_extra", "_static")

RECIPES = ("A loss of L2RCLIP", "A baseline loss", "A baseline that is no loss", "A data set")


def blocks(title: str) -> list[tuple[str, str]]:
    """The fenced blocks of a recipe: language, and lines without the indent of their list."""
    section = re.split(r"\n###? ", TEXT.split(f"### {title}\n")[1])[0]
    fenced = []
    for indent, language, body in BLOCK.findall(section):
        lines = [line.removeprefix(indent) for line in body.splitlines()]
        fenced.append((language, "\n".join(lines) + "\n"))
    return fenced


def write(block: str, root: Path) -> None:
    """Write the lines of a block into its file, at the place that its header names."""
    header, _, body = block.partition("\n")
    name = header.removeprefix("# ")
    file = root / name.removesuffix(BELOW).removesuffix(ABOVE)

    if name.endswith((BELOW, ABOVE)):
        text = file.read_text(encoding="utf-8")
        anchor = body.splitlines()[0 if name.endswith(BELOW) else -1]
        assert text.splitlines().count(anchor) == 1, f"{file.name} has not one line {anchor!r}"
        file.write_text(text.replace(f"{anchor}\n", body), encoding="utf-8")
    elif file.exists():
        empty_lines = "\n\n" if file.suffix == ".py" else "\n"
        file.write_text(file.read_text(encoding="utf-8") + empty_lines + body, encoding="utf-8")
    else:
        file.write_text(body, encoding="utf-8")


def copy_of_the_tree(root: Path) -> Path:
    """Copy what the commands read; `.venv` leads to the environment of this test."""
    root.mkdir()
    for name in FILES:
        shutil.copy(chapters.ROOT / name, root)
    for name in FOLDERS:
        shutil.copytree(chapters.ROOT / name, root / name, ignore=shutil.ignore_patterns(*HEAVY))
    (root / ".venv").symlink_to(sys.prefix)

    return root


def shell(command: str, root: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a copy, whose packages come before the installed ones."""
    own = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    environment = own | {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{root}:{root / 'book'}"}
    return subprocess.run(
        command, shell=True, cwd=root, env=environment, capture_output=True, text=True
    )


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All recipes in one tree."""
    root = copy_of_the_tree(tmp_path_factory.mktemp("everything") / "tree")
    for title in RECIPES:
        for _, block in blocks(title)[:-1]:
            write(block, root)
    return root


@pytest.mark.parametrize("title", RECIPES)
def test_a_recipe_passes_its_own_command(title: str, everything: Path) -> None:
    """As it is printed."""
    language, command = blocks(title)[-1]
    done = shell(command, everything)
    assert language == "bash"
    assert done.returncode == 0, done.stdout


def test_what_was_added_is_written_as_the_linter_wants_it(everything: Path) -> None:
    """Order of imports, line lengths, docstrings."""
    ruff = ".venv/bin/python -m ruff"
    rooms = "l2rclip_lite tests"
    done = shell(f"{ruff} check -q {rooms} && {ruff} format -q --check {rooms}", everything)
    assert done.returncode == 0, done.stdout


def test_a_new_chapter_runs_and_breaks_no_rule(tmp_path: Path) -> None:
    """As the template has it: entered, executed, and fit to be published."""
    root = copy_of_the_tree(tmp_path / "tree")
    (_, begin), *entries, (_, prove) = blocks("A chapter")
    for _, block in entries:
        write(block, root)
    latest = chapters.sources()[-1].stem
    number = f"{int(latest[:2]) + 1:02}"
    chapter = f"CHAPTER={number}"
    assert prove == f"make execute {chapter} && make verify {chapter} FLAGS=--record\n"

    done = shell(f"set -e\n{begin}.venv/bin/python tools/execute.py {number}", root)
    assert done.returncode == 0, done.stdout + done.stderr

    source = root / "book" / f"{number}_calibration.py"
    page = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    assert page.cells[0].source.startswith("# Honest probabilities")
    assert chapters.stale(source) is None
    contract = (chapter_rules.broken_contract, chapter_rules.unbound_numbers)
    for rule in (page_rules.problems, *contract):
        assert rule(page) == []
