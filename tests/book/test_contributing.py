"""The recipes of CONTRIBUTING.md, applied to copies of the tree.

The command of a recipe passes, and fails where a line of the recipe is wrong.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

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
HEAVY = ("*.ipynb", "*.png", "*.npz", "*.gz", "_extra", "_static")

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


class Done(NamedTuple):
    """Exit code of a command, and what it printed on both streams."""

    code: int
    output: str


def shell(command: str, root: Path) -> Done:
    """Run a command in a copy, whose packages come before the installed ones."""
    environment = clean_environment() | {"PYTHONPATH": f"{root}:{root / 'book'}"}
    done = subprocess.run(
        command,
        shell=True,
        cwd=root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return Done(done.returncode, done.stdout)


def clean_environment() -> dict[str, str]:
    """Return the environment without what this session of pytest has put there."""
    own = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    return own | {"OMP_NUM_THREADS": "1"}


# Runs `python -m MODULE WORDS` in a fork of a process that has imported what takes seconds: line by
# line it reads a folder, a file for the output, and words; it writes the exit code.
SERVER = """
import json, os, runpy, sys
import hypothesis, open_clip, pandas, pytest, scipy.stats, sklearn.linear_model

for line in sys.stdin:
    root, file, words = json.loads(line)
    child = os.fork()
    if child == 0:
        output = os.open(file, os.O_CREAT | os.O_WRONLY)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.chdir(root)
        sys.path[:0] = [root, f"{root}/book"]
        sys.argv = words
        code = 0
        try:
            runpy.run_module(words[0], run_name="__main__", alter_sys=True)
        except SystemExit as end:
            code = end.code
        sys.stdout.flush()
        os._exit(code)  # to clear up in order takes a second
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
"""
Server = subprocess.Popen[str]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """That process, in a folder of its own, without this tree on its path."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=tmp_path_factory.mktemp("server"),
        env=clean_environment() | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},  # no copy needs one
        text=True,
    ) as process:
        yield process


def python_m(command: str, root: Path, server: Server) -> Done:
    """Run a command that begins with `.venv/bin/python -m` in a copy, in a fork of the server."""
    python, option, *words = shlex.split(command.replace("\\\n", " "))
    assert (python, option) == (".venv/bin/python", "-m")

    file = root / "output"
    assert server.stdin is not None
    assert server.stdout is not None
    print(json.dumps([str(root), str(file), words]), file=server.stdin, flush=True)
    code = int(server.stdout.readline())
    return Done(code, file.read_text(encoding="utf-8"))


def follow(case: str, root: Path, server: Server) -> Done:
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
    return python_m(command.rstrip() + stop_at_once, root, server)


@pytest.mark.parametrize("case", GOOD)
def test_a_recipe_passes_its_own_command(case: str, tmp_path: Path, server: Server) -> None:
    """As it is printed."""
    done = follow(case, tmp_path / "tree", server)
    assert done.code == 0, done.output


@pytest.mark.parametrize("case", WRONG)
def test_the_command_finds_a_mistake(case: str, tmp_path: Path, server: Server) -> None:
    """A test failed, and not the command."""
    done = follow(case, tmp_path / "tree", server)
    assert done.code == 1, done.output
    assert "1 failed" in done.output, done.output


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
    command: str, added: list[str], everything: Path, server: Server
) -> None:
    """Helps and cards read the registries."""
    done = python_m(f".venv/bin/python -m l2rclip_lite {command}", everything, server)
    shown = " ".join(done.output.replace("│", " ").split())
    assert done.code == 0, done.output
    assert [text for text in added if text not in shown] == []


def test_what_was_added_is_written_as_the_linter_wants_it(everything: Path) -> None:
    """Order of imports, line lengths, docstrings."""
    headers = [
        block.partition("\n")[0] for case in GOOD for _, block in blocks(CASES[case][0])[:-1]
    ]
    files = {header.removeprefix("# ").partition(",")[0] for header in headers}
    names = " ".join(name for name in sorted(files) if name.endswith(".py"))

    ruff = ".venv/bin/python -m ruff"
    done = shell(f"{ruff} check -q {names} && {ruff} format -q --check {names}", everything)
    assert done.code == 0, done.output


def test_a_new_chapter_runs_and_breaks_no_rule(tmp_path: Path) -> None:
    """As the template has it: executed, in the table of contents, in the README."""
    root = copy_of_the_tree(tmp_path / "tree")
    (_, begin), (_, prove) = blocks("A chapter")
    number = f"{len(chapters.sources()) + 1:02}"
    chapter = f"CHAPTER={number}"
    assert prove == f"make execute {chapter} && make verify {chapter} FLAGS=--record\n"

    done = shell(f"{begin.strip()} && .venv/bin/python tools/execute.py {number}", root)
    assert done.code == 0, done.output

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
