"""The checks of exercises: the right answer passes, a wrong one gets a sentence that leads on."""

import contextlib
import io
import os
import re
import symtable
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import chapters
import jupytext
import pytest
import torch
from nbformat import NotebookNode
from page_rules import tags
from stand_ins import STAND_INS

pytestmark = pytest.mark.slow

ANSWER = re.compile(r"<summary>Solution.*?^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
CALL = re.compile(r"^(?:print\()?check_.*", re.MULTILINE)
FILES = sorted((chapters.BOOK / "exercises").glob("*.toml"))


def wrong_answers(file: Path) -> Iterator[Any]:
    """Yield the number of a chapter, an answer's code, and words of what its reader gets."""
    answers = tomllib.loads(file.read_text(encoding="utf-8"))
    before = answers.get("before", "")
    for place, wrong in enumerate(answers["wrong"]):
        code = f"{before}\n{wrong['answer']}"
        yield pytest.param(file.stem, code, wrong["words"], id=f"{file.stem}-{place}")


WRONG = [answer for file in FILES for answer in wrong_answers(file)]


def global_names(table: symtable.SymbolTable) -> set[str]:
    """Return the names that code, or what is defined in it, takes from outside its functions."""
    is_module = table.get_type() == "module"
    names = set()
    for symbol in table.get_symbols():
        if symbol.is_referenced() and (is_module or symbol.is_global()):
            names.add(symbol.get_name())
    return names.union(*map(global_names, table.get_children()))


def code_of(cell: NotebookNode) -> str:
    """Return a cell's code at the smallest profile, without magics and results of studies."""
    code = re.sub(r"^%.*", "", cell.source, flags=re.MULTILINE)
    code = code.replace('PROFILE = "page"', 'PROFILE = "smoke"')
    return code.replace('RESULTS = ""', 'RESULTS = "nowhere"')


def needed(
    cells: list[NotebookNode], targets: list[NotebookNode], stand_ins: dict[str, Any]
) -> list[NotebookNode]:
    """Return the targets, and the cells on whose names, not among the stand-ins, they depend."""
    names: set[str] = set()
    kept = []
    for cell in reversed(cells):
        table = symtable.symtable(code_of(cell), "", "exec")
        defined = {
            symbol.get_name()
            for symbol in table.get_symbols()
            if symbol.is_assigned() or symbol.is_imported()
        } - set(stand_ins)
        if cell in targets or defined & names:
            names |= global_names(table)
            kept.append(cell)
    return kept[::-1]


def output_of(code: str, names: dict[str, Any]) -> str:
    """Return what a piece of code prints."""
    with contextlib.redirect_stdout(io.StringIO()) as output:
        exec(code, names)
    return output.getvalue()


def printed_answers(page: list[NotebookNode]) -> Iterator[str]:
    """Yield the answers in the text of a page, each with the call of its check."""
    call = ""
    for cell in page:
        if cell.cell_type == "code":
            call = "".join(CALL.findall(cell.source)[-1:]) or call
        else:
            for answer in ANSWER.findall(cell.source):
                whole = answer.startswith("check_")
                yield f"print({answer})" if whole else f"{answer}\n{call}"


@contextlib.contextmanager
def settings(precision: torch.dtype, *, has_gradients: bool, folder: Path | str) -> Iterator[None]:
    """Set what a chapter may change for all that comes after it; restore it at the end."""
    before = torch.get_default_dtype(), torch.is_grad_enabled(), Path.cwd()
    try:
        torch.set_default_dtype(precision)
        torch.set_grad_enabled(has_gradients)
        os.chdir(folder)
        torch.set_num_threads(1)  # after numba has started its own, torch takes them all
        yield
    finally:
        torch.set_default_dtype(before[0])
        torch.set_grad_enabled(before[1])
        os.chdir(before[2])


class Exercises:
    """The exercises of a chapter, after the cells that they need.

    `names` are those that the chapter defines; `solutions` and `drafts` are the verdicts of the
    checks on the answers that the page unfolds, and on those that it shows.
    """

    def __init__(self, number: str) -> None:
        page = jupytext.read(chapters.sources([number])[0]).cells
        start = next(i for i, cell in enumerate(page) if "## Exercises" in cell.source)
        cells = [cell for cell in page if cell.cell_type == "code"]
        judging = [
            cell
            for cell in page[start:]
            if CALL.search(cell.source) or re.search(r"^def check_", cell.source, re.MULTILINE)
        ]
        stand_ins = STAND_INS.get(number, dict)()

        self.names: dict[str, Any] = {"__name__": f"chapter {number}"} | stand_ins
        self.solutions: list[str] = []
        self.drafts: list[str] = []
        for cell in needed(cells, judging, stand_ins):
            verdict = output_of(code_of(cell), self.names)
            self.names |= stand_ins
            if not CALL.search(cell.source):
                continue
            if "hide-cell" in tags(cell):
                self.solutions.append(verdict)
            else:
                self.drafts.append(verdict)
        for answer in printed_answers(page[start:]):
            self.solutions.append(output_of(answer, dict(self.names)))
        self.settings = {
            "precision": torch.get_default_dtype(),
            "has_gradients": torch.is_grad_enabled(),
            "folder": Path.cwd(),
        }


@cache
def exercises(number: str) -> Exercises:
    """Return the exercises of a chapter, and leave the process as it was."""
    with settings(torch.float32, has_gradients=True, folder=Path.cwd()):
        return Exercises(number)


@pytest.fixture
def chapter(number: str) -> Iterator[Exercises]:
    """Return the chapter of a test, with its settings for as long as the test runs."""
    chapter = exercises(number)
    with settings(**chapter.settings):
        yield chapter


@pytest.mark.parametrize("number", [file.stem for file in FILES])
def test_the_books_answers_are_right_and_its_drafts_are_not(chapter: Exercises) -> None:
    """A page shows each exercise with a draft, and unfolds an answer."""
    assert len(chapter.solutions) >= 2
    for verdict in chapter.solutions:
        assert verdict.startswith("right")
    for verdict in chapter.drafts:
        assert verdict.startswith("not yet")


@pytest.mark.parametrize(("number", "answer", "lead"), WRONG)
def test_a_wrong_answer_is_refused_and_its_reader_led_on(
    chapter: Exercises, answer: str, lead: str
) -> None:
    """Also one with the right numbers, by a way that the exercise forbids."""
    verdict = output_of(answer, dict(chapter.names))
    assert verdict.startswith("not yet")
    assert lead in " ".join(verdict.split())
