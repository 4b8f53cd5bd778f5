"""The recipes of CONTRIBUTING.md, applied to copies of the tree.

The command of a recipe passes, and fails where a line of the recipe is wrong.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import chapters
import nbformat
import page_rules
import pytest

pytestmark = pytest.mark.slow

TEXT = (chapters.ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
BELOW = ", below this line:"
ABOVE = ", above this line:"
TYPE_CHECKS = re.compile(r"^.*--jaxtyping-packages.*\n", re.MULTILINE)
FILES = ("pyproject.toml", "README.md", "_toc.yml")
FOLDERS = ("l2rclip_lite", "book", "tests", "tools", "experiments")
HEAVY = ("*.ipynb", "*.png", "*.npz", "*.gz", "_extra", "_static", "__pycache__")

# The recipe, and a mistake: a text of the recipe, and what is written in its place.
CASES: dict[str, tuple[str, tuple[str, str] | None]] = {
    "loss": ("A loss of L2RCLIP", None),
    "baseline loss": ("A baseline loss", None),
    "baseline loss with a wrong number": ("A baseline loss", ("0.7798", "0.7797")),
    "baseline": ("A baseline that is no loss", None),
    "data set": ("A data set", None),
}
GOOD = [case for case, (_, mistake) in CASES.items() if mistake is None]
WRONG = [case for case in CASES if case not in GOOD]


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

    # they take half of the time of so many short runs; whoever follows a recipe has them
    settings = root / "pyproject.toml"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(TYPE_CHECKS.sub("", text), encoding="utf-8")
    return root


def shell(command: str, root: Path) -> "subprocess.CompletedProcess[str]":
    """Run a command in a copy, whose packages come before the installed ones."""
    environment = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    environment |= {"PYTHONPATH": f"{root}:{root / 'book'}", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, shell=True, cwd=root, env=environment, capture_output=True, text=True
    )


def follow(case: str, root: Path) -> "subprocess.CompletedProcess[str]":
    """Apply a recipe to a copy of the tree, with its mistake if it has one, and run its command."""
    title, mistake = CASES[case]
    copy_of_the_tree(root)
    *edits, (language, command) = blocks(title)
    assert language == "bash"

    for _, block in edits:
        written = block
        if mistake is not None:
            written = block.replace(*mistake)
        write(written, root)

    stop_at_once = "" if mistake is None else " -x"
    return shell(command.rstrip() + stop_at_once, root)


@pytest.fixture(scope="module")
def runs(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Future["subprocess.CompletedProcess[str]"]]]:
    """Every case, two at a time."""
    folder = tmp_path_factory.mktemp("recipes")
    with ThreadPoolExecutor(2) as pool:
        yield {case: pool.submit(follow, case, folder / case.replace(" ", "-")) for case in CASES}


@pytest.mark.parametrize("case", GOOD)
def test_a_recipe_passes_its_own_command(
    case: str, runs: dict[str, Future["subprocess.CompletedProcess[str]"]]
) -> None:
    """As it is printed."""
    run = runs[case].result()
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("case", WRONG)
def test_the_command_finds_a_mistake(
    case: str, runs: dict[str, Future["subprocess.CompletedProcess[str]"]]
) -> None:
    """Exit status 1 of pytest: a test failed, and not the command."""
    assert runs[case].result().returncode == 1


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All recipes in one tree."""
    root = copy_of_the_tree(tmp_path_factory.mktemp("everything") / "tree")
    for case in GOOD:
        for _, block in blocks(CASES[case][0])[:-1]:
            write(block, root)
    return root


@pytest.mark.parametrize(
    ("command", "added"),
    [
        ("fit --help", ["--lambda-expectation FLOAT", "aesthetics or bananas."]),
        ("baselines --help", ["ridge, frequencies. On", "rps, focal; with -frozen"]),
        ("data bananas", ["Bananas by the day", "--fold 1 to 5: the fifth of bananas"]),
    ],
)
def test_the_command_line_names_what_was_added(
    command: str, added: list[str], everything: Path
) -> None:
    """Helps and cards read the registries."""
    run = shell(f".venv/bin/python -m l2rclip_lite {command}", everything)
    shown = " ".join(run.stdout.replace("│", " ").split())
    assert run.returncode == 0, run.stderr
    assert [text for text in added if text not in shown] == []


def test_what_was_added_is_written_as_the_linter_wants_it(everything: Path) -> None:
    """Order of imports, line lengths, docstrings."""
    headers = [
        block.partition("\n")[0] for case in GOOD for _, block in blocks(CASES[case][0])[:-1]
    ]
    files = {header.removeprefix("# ").partition(",")[0] for header in headers}
    names = " ".join(name for name in sorted(files) if name.endswith(".py"))

    ruff = ".venv/bin/python -m ruff"
    run = shell(f"{ruff} check -q {names} && {ruff} format -q --check {names}", everything)
    assert run.returncode == 0, run.stdout + run.stderr


def test_a_new_chapter_runs_and_breaks_no_rule(tmp_path: Path) -> None:
    """As the template has it: executed, in the table of contents, in the README."""
    root = copy_of_the_tree(tmp_path / "tree")
    (_, begin), (_, prove) = blocks("A chapter")
    number = f"{len(chapters.sources()) + 1:02}"
    assert prove == f"make execute CHAPTER={number} && make verify CHAPTER={number}\n"

    run = shell(f"{begin.strip()} && .venv/bin/python tools/execute.py {number}", root)
    assert run.returncode == 0, run.stdout + run.stderr

    source = root / "book" / f"{number}_calibration.py"
    page = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    assert chapters.stale(source) is None
    assert page_rules.problems(page) == []
    assert page_rules.broken_contract(page) == []
    assert page_rules.unbound_numbers(page) == []

    toc = (root / "_toc.yml").read_text(encoding="utf-8")
    before, after = toc.split(f"      - file: book/{source.stem}\n")
    assert before.splitlines()[-1] == f"      - file: book/{chapters.sources()[-1].stem}"
    assert "caption: Reference" in after
    readme = (root / "README.md").read_text(encoding="utf-8")
    assert f"{number}. [Honest probabilities](https://" in readme


def test_the_lines_of_the_guide_are_short() -> None:
    """A terminal of 120 columns shows them whole."""
    assert [line for line in TEXT.splitlines() if len(line) > 120] == []
