"""The checks of exercises: the right answer passes, a wrong one gets a sentence that leads on."""

import contextlib
import io
import re
import symtable
import tomllib
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path
from typing import Any

import chapters
import jupytext
import pytest
import torch
from nbformat import NotebookNode
from page_rules import tags
from stand_ins import STAND_INS

ANSWER = re.compile(r"<summary>Solution.*?^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
CALL = re.compile(r"^(?:print\()?check_.*", re.MULTILINE)
JUDGES = re.compile(r"^(?:print\(|def )?check_", re.MULTILINE)
FILES = sorted((chapters.BOOK / "exercises").glob("*.toml"))


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
            names = names - defined | global_names(table)
            kept.append(cell)
    return kept[::-1]


def output_of(code: str, names: dict[str, Any]) -> str:
    """Return what a piece of code prints."""
    with contextlib.redirect_stdout(io.StringIO()) as output:
        exec(code, names)
    return output.getvalue()


def unfolded_answers(page: list[NotebookNode]) -> Iterator[str]:
    """Yield the answers in the text of a page, each with the call of its check."""
    call = ""
    for cell in page:
        if cell.cell_type == "code":
            call = "".join(CALL.findall(cell.source)[-1:]) or call
        else:
            for answer in ANSWER.findall(cell.source):
                whole = answer.startswith("check_")
                yield f"print({answer})" if whole else f"{answer}\n{call}"


@pytest.fixture
def _as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Restore what a chapter may change for all that comes after it."""
    monkeypatch.chdir(Path.cwd())
    with torch.enable_grad():
        yield
    torch.set_default_dtype(torch.float32)
    torch.set_num_threads(1)  # after numba has started its own, torch takes them all


@pytest.mark.slow
@pytest.mark.usefixtures("_as_it_was")
@pytest.mark.parametrize("file", FILES, ids=attrgetter("stem"))
def test_right_answers_pass_and_wrong_ones_are_led_on(file: Path) -> None:
    """The book's answers and its drafts; wrong ones, also with right numbers in a forbidden way.

    Of a chapter, the cells run that its exercises need.
    """
    page = jupytext.read(chapters.sources([file.stem])[0]).cells
    start = next(i for i, cell in enumerate(page) if "## Exercises" in cell.source)
    cells = [cell for cell in page if cell.cell_type == "code"]
    judging = [cell for cell in cells if cell in page[start:] and JUDGES.search(cell.source)]

    stand_ins = STAND_INS.get(file.stem, dict)()
    names: dict[str, Any] = {"__name__": f"chapter {file.stem}"} | stand_ins
    solutions = []
    for cell in needed(cells, judging, stand_ins):
        verdict = output_of(code_of(cell), names)
        names |= stand_ins
        if "hide-cell" in tags(cell) and CALL.search(cell.source):
            solutions.append(verdict)
        elif CALL.search(cell.source):
            assert verdict.startswith("not yet"), cell.source

    solutions += [output_of(answer, dict(names)) for answer in unfolded_answers(page[start:])]
    assert solutions
    assert [verdict for verdict in solutions if not verdict.startswith("right")] == []

    answers = tomllib.loads(file.read_text(encoding="utf-8"))
    for wrong in answers["wrong"]:
        code = f"{answers.get('before', '')}\n{wrong['answer']}"
        verdict = " ".join(output_of(code, dict(names)).split())
        assert verdict.startswith("not yet"), code
        assert wrong["words"] in verdict, code
