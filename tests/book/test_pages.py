"""The committed pages: complete, clean, and executed from the source that lies beside them."""

import itertools
import re
import shutil
from pathlib import Path
from typing import Any

import chapters
import execute
import jupytext
import nbformat
import page_rules
import pytest
from nbformat import NotebookNode

pytestmark = pytest.mark.slow
FIGURE = {"image": {"alt": "Steps."}}
MYST = re.compile(r"(?<!`)\{[a-z:]+\}`|^# ?(?::{3,}|\([a-z-]+\)=|```\{)", re.MULTILINE)


@pytest.mark.parametrize("source", chapters.sources(), ids=lambda path: path.stem)
def test_committed_page_is_current_and_clean(source: Path) -> None:
    """Each chapter's page belongs to its source and breaks none of the rules for pages."""
    assert chapters.stale(source) is None
    page = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    assert page.metadata[page_rules.STAMP].profile == "page"
    assert page_rules.problems(page) == []
    assert page_rules.broken_contract(page) == []
    assert page_rules.unbound_numbers(page) == []
    for cell in page.cells:  # what the book folds is folded in JupyterLab and Colab, too
        if page_rules.FOLDED & set(page_rules.tags(cell)):
            assert cell.metadata.cellView == "form"
            assert cell.metadata.jupyter.source_hidden


def labels(source: Path) -> list[list[str]]:
    """Return the numbers of a chapter's figures and those of its equations."""
    text = source.read_text(encoding="utf-8")
    return [re.findall(rf"{mark}(\d+\.\d+)", text) for mark in (r"(?m)^# \*\*Figure ", r"\\tag\{")]


@pytest.mark.parametrize("source", chapters.sources(), ids=lambda path: path.stem)
def test_a_chapter_is_plain_markdown_and_numbers_what_it_mentions(source: Path) -> None:
    """No role or directive, which only the book understands; figures and equations in order."""
    assert MYST.findall(source.read_text(encoding="utf-8")) == []
    for numbers in labels(source):
        assert numbers == [f"{int(source.stem[:2])}.{n + 1}" for n in range(len(numbers))]

    cells = jupytext.read(source).cells
    prose = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    mentioned = page_rules.LABEL.findall(re.sub(r"\$[^$]*\$|`[^`]*`", "", prose))
    for kind, labelled in enumerate(zip(*map(labels, chapters.sources()), strict=True)):
        assert {each[kind] for each in mentioned} <= {"", *itertools.chain(*labelled)}


@pytest.fixture
def page(tiny: Path) -> NotebookNode:
    """Return a clean page; its third cell prints a line."""
    page = nbformat.read(tiny.with_suffix(".ipynb"), as_version=4)
    assert page_rules.problems(page) == []
    page.cells[2].metadata["mystnb"] = nbformat.from_dict(FIGURE)
    return page


def shown(mime: str, content: str) -> list[NotebookNode]:
    """Return the outputs of a cell that displays one thing."""
    return [nbformat.v4.new_output("display_data", {mime: content})]


@pytest.mark.parametrize(
    ("part", "content", "complaint"),
    [
        ("execution_count", None, "code cell 2: was not executed"),
        ("source", "%timeit\nsteps = 3", "the magic '%timeit'"),
        (
            "outputs",
            [nbformat.v4.new_output("stream", name="stderr", text="soon")],
            "prints on stderr",
        ),
        ("outputs", shown("text/markdown", r"At $\alpha$ = 1"), r"'$\\alpha$' stays as it is"),
        ("outputs", shown("text/plain", "in\n/tmp/x"), "this machine: '/tmp/x'"),
    ],
)
def test_a_cell_that_may_not_be_published_is_named(
    page: NotebookNode, part: str, content: Any, complaint: str
) -> None:
    """Without a result, noisy, with a path of a machine."""
    page.cells[2][part] = nbformat.from_dict(content)
    (problem,) = page_rules.problems(page)
    assert complaint in problem


def test_a_page_tells_no_path_and_describes_its_figures(page: NotebookNode) -> None:
    """Two faults at once: a path in the metadata, a figure without alt text."""
    page.metadata["path"] = "/Users/me/a.ipynb"
    page.cells[2].outputs = shown("image/png", "0000")
    page.cells[2].metadata.mystnb.image.alt = ""
    of_page, of_cell = page_rules.problems(page)
    assert "shows a path of this machine: '/Users/me/a.ipynb'" in of_page
    assert of_cell == "code cell 2: its figure has no alt text"


def chapter(*texts: str) -> NotebookNode:
    """Return a page of Markdown cells and of code cells; the latter start with `>`."""
    cells = []
    for text in texts:
        if text.startswith(">"):
            cells.append(nbformat.v4.new_code_cell(text[1:]))
        else:
            cells.append(nbformat.v4.new_markdown_cell(text))
    return nbformat.v4.new_notebook(cells=cells)


WHOLE = (
    "# Title\n\nWhat you will learn\n\n| you should know | x |\n\n**Time and hardware.** Seconds.",
    ">figure",
    "**Figure 1.1.** Steps.\n\n## First\n\n## Exercises\n\n**1. Half.** Halve it.",
    ">def check_it(): ...\ncheck_it()",
    "<details>\n<summary>Solution</summary>\n\n</details>\n\n## Summary\n\n## Sources",
)


@pytest.mark.parametrize(
    ("part", "other", "complaint"),
    [
        ("\ncheck_it()", "", "no function check_… judges exercise 1. Half."),
        ("**Figure", "## First\n\n**Figure", "no caption below the figure of 'figure'"),
        ("Seconds.", "Seconds.\n\n## One\n\n## Two", "first figure comes after 2 headings"),
        ("## Sources", "", "it lacks sources"),
    ],
)
def test_a_part_that_a_chapter_lacks_is_named(part: str, other: str, complaint: str) -> None:
    """A check for each exercise, a caption for each figure, one figure on the first screen."""
    pages = (chapter(*WHOLE), chapter(*[text.replace(part, other) for text in WHOLE]))
    for page in pages:
        page.cells[1].metadata["mystnb"] = FIGURE
    whole, lacking = map(page_rules.broken_contract, pages)
    assert whole == []
    assert complaint in " ".join(lacking)


def test_numbers_in_prose_are_bound_to_the_page() -> None:
    """0.893 and 12 % are printed, 0.91 is not; code, formulas and links are no prose.

    A cell that is tagged as a quotation names its source.
    """
    page = chapter(
        ">print(score)",
        "It scores 0.893, 12 % more: $s = 0.5$, `lr=3.5`, [x](a/1.5). The 5 ranks are counted.",
        "Figure 1.2, (1.3) and ([2.1](02_two_stages.ipynb)) are labels.",
        "It scores 0.91.",
    )
    page.cells[0].outputs = [nbformat.v4.new_output("stream", text="0.893 and 12 %\n")]
    (problem,) = page_rules.unbound_numbers(page)
    assert "shows 0.91" in problem

    page.cells[-1].metadata["tags"] = [page_rules.QUOTED_TAG]
    (problem,) = page_rules.unbound_numbers(page)
    assert "names no source" in problem
    page.cells[-1].source += " See [Wang et al. (2023)](references.md)."
    assert page_rules.unbound_numbers(page) == []


def test_stale_and_edited_pages_are_noticed(tiny: Path, tmp_path: Path) -> None:
    """An edited source, an edited page and a missing page are told apart from a current one."""
    source = tmp_path / tiny.name
    page = tmp_path / "01_tiny.ipynb"
    shutil.copy(tiny, source)
    assert chapters.stale(source) == "01_tiny.ipynb is missing"
    shutil.copy(tiny.with_suffix(".ipynb"), page)
    assert chapters.stale(source) is None

    notebook = nbformat.read(page, as_version=4)
    notebook.cells[2].source += "\nprint('and more')"
    nbformat.write(notebook, page)
    assert chapters.stale(source) == "01_tiny.ipynb was edited by hand"

    source.write_text(source.read_text().replace("steps", "rounds"), encoding="utf-8")
    assert "another version of 01_tiny.py" in str(chapters.stale(source))


def test_a_page_carries_results_and_provenance_only(tiny: Path, page: NotebookNode) -> None:
    """The source's cells with outputs, a footer, nothing of papermill."""
    text = tiny.with_suffix(".ipynb").read_text(encoding="utf-8")
    assert page.cells[2].outputs[0].text == "steps 3\n"
    assert "papermill" not in text.replace("tools/execute.py", "")

    stamp = page.metadata[page_rules.STAMP]
    assert stamp["source"] == chapters.source_hash(tiny)
    assert stamp["package"] == chapters.package_hash()
    assert stamp["source"][:12] in page.cells[-1].source


def test_where_a_kernel_dies_its_page_stays_and_the_others_are_written(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As where it takes too much memory: a line says which, and the status is 1."""
    fails = tmp_path / "02_fails.py"
    fails.write_text(f"{tiny.read_text()}\n# %%\nimport os\n\nos._exit(1)\n", encoding="utf-8")
    fails.with_suffix(".ipynb").write_text("the good one", encoding="utf-8")
    status = execute.execute_side_by_side([fails, tiny], tmp_path, {"PROFILE": "page"}, jobs=2)
    lines = sorted(capsys.readouterr().out.splitlines())
    assert status == 1
    assert lines[0].startswith("01_tiny: ")
    assert lines[1] == "02_fails: Kernel died"
    assert (tmp_path / "01_tiny.ipynb").exists()
    assert fails.with_suffix(".ipynb").read_text() == "the good one"
