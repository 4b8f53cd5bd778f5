"""The committed pages: complete, clean, and executed from the source that lies beside them."""

import re
import shutil
from operator import attrgetter
from pathlib import Path

import chapter_rules
import chapters
import nbformat
import page_rules
import pytest
from nbformat import NotebookNode

pytestmark = pytest.mark.slow
MYST = re.compile(
    r"\{[a-zA-Z:-]+\}`"  # a role, or what reads like one
    r"|^(?::{3,}|```\{|\([\w-]+\)=|\+{3}|%)"  # a directive, a label, a break, a comment
    r"|^\{[.#]|\]\{[.#]|\[\^\w",  # attributes, a footnote
    re.MULTILINE,
)
MARKS = (r"(?m)^# \*\*Figure ", r"\\tag\{")  # of a figure, of an equation
SOURCE = chapters.sources(["01"])[0]
PAGE = SOURCE.with_suffix(".ipynb")


def faults(page: NotebookNode) -> list[str]:
    """Return what every rule for pages says of one."""
    return [
        *page_rules.problems(page),
        *chapter_rules.broken_contract(page),
        *chapter_rules.unbound_numbers(page),
    ]


@pytest.mark.parametrize("source", chapters.sources(), ids=attrgetter("stem"))
def test_committed_page_is_current_and_clean(source: Path) -> None:
    """Each chapter's page belongs to its source and breaks none of the rules for pages."""
    assert chapters.stale(source) is None
    page = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    assert page.metadata[page_rules.STAMP].profile == "page"
    assert faults(page) == []
    for cell in page.cells:  # what the book folds is folded in JupyterLab and Colab, too
        if page_rules.FOLDED & set(page_rules.tags(cell)):
            assert cell.metadata.cellView == "form"
            assert cell.metadata.jupyter.source_hidden


def test_colab_opens_a_copy_that_answers_no_bet() -> None:
    """It is the page but for the outputs behind its first bet; without a bet, the page itself."""
    for source in chapters.sources():
        page = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
        copy = page_rules.without_answers(page)
        if copy is None:
            assert chapters.for_colab(source) == source.with_suffix(".ipynb")
            continue

        assert nbformat.read(chapters.for_colab(source), as_version=4) == copy, source.stem
        assert "Your bet: " in "".join(cell.source for cell in copy.cells)
        assert "No bet." not in str([cell.get("outputs") for cell in copy.cells])
        links = re.findall(r"\]\(([^):]+\.(?:ipynb|md))", str(copy.cells))
        for link in links:
            assert (chapters.BOOK / "colab" / link).is_file(), link


def markdown(source: Path) -> tuple[str, str]:
    """Return the Markdown that a chapter's page has, and the Markdown that its code prints."""
    written = []
    printed = []
    for cell in nbformat.read(source.with_suffix(".ipynb"), as_version=4).cells:
        if cell.cell_type == "markdown":
            written.append(cell.source)
        for output in cell.get("outputs", []):
            printed.append(output.get("data", {}).get("text/markdown", ""))
    return "\n\n".join(written), "\n\n".join(printed)


@pytest.mark.parametrize(
    "text",
    [
        "{doc}`06_from_scratch`",
        "one hole, `{rank}`. The package keeps it in `Ranks`",
        ":::{note}",
        "(here)=",
        "by 3.5\n% in the median",
        "a [word]{.red}",
        "as he says[^1]",
    ],
)
def test_what_is_not_plain_is_noticed(text: str) -> None:
    """What Jupyter and GitHub show as it stands, and a per cent sign that hides its line."""
    assert MYST.search(text)


def test_chapters_are_plain_markdown_and_number_what_they_mention() -> None:
    """Nothing that only the book understands, or leaves out; figures and equations in order."""
    labelled: list[set[str]] = [{""}, {""}]
    mentioned: list[set[str]] = [set(), set()]
    for source in chapters.sources():
        text = source.read_text(encoding="utf-8")
        for kind, mark in enumerate(MARKS):
            numbers = re.findall(rf"{mark}(\d+\.\d+)", text)
            in_order = [f"{int(source.stem[:2])}.{n + 1}" for n in range(len(numbers))]
            assert numbers == in_order, source.name
            labelled[kind].update(numbers)

        prose, printed = markdown(source)
        assert MYST.findall(f"{prose}\n\n{printed}") == [], source.name
        for label in chapter_rules.LABEL.findall(re.sub(r"\$[^$]*\$|`[^`]*`", "", prose)):
            for kind, number in enumerate(label):
                mentioned[kind].add(number)

    assert mentioned[0] <= labelled[0]
    assert mentioned[1] <= labelled[1]


SHOWN = '"text/plain": ['
FIRST = 'PROFILE = \\"page\\"'


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('"execution_count": 3', '"execution_count": null', "was not executed"),
        ('"alt": "', '"alt": "", "other": "', "no alt text"),
        ('"name": "stdout"', '"name": "stderr"', "prints on stderr"),
        (FIRST, f"%timeit\\n{FIRST}", "the magic '%timeit'"),
        (SHOWN, f'{SHOWN} "in\\n/tmp/x\\n",', "this machine: '/tmp/x'"),
        (SHOWN, f'"text/markdown": "$a$ = 1", {SHOWN}', "'$a$' stays as it is"),
        ('"kernelspec"', '"path": "/Users/me/a", "kernelspec"', "this machine: '/Users/me/a'"),
        ("print(check_", "print(see_", "no function check_… judges exercise 1. "),
        ("**Figure 1.1.**", "Figure 1.1", "no caption below the figure of"),
        ("# Ordered", "## One\\n## Two\\n# Ordered", "first figure comes after 2 headings"),
        ('"## Sources', '"## Origins', "it lacks sources"),
        ("Both are wrong", "12.345 are wrong", "no output and no code shows 12.345"),
        ('"metadata": {}', '"metadata": {"tags": ["quoted"]}', "names no source"),
    ],
)
def test_a_fault_of_a_page_is_named(old: str, new: str, complaint: str) -> None:
    """One change of the page of chapter 1, which has no fault."""
    text = PAGE.read_text(encoding="utf-8")
    page = nbformat.v4.reads(text.replace(old, new, 1))
    assert complaint in "\n".join(faults(page))


def test_stale_and_edited_pages_are_noticed(tmp_path: Path) -> None:
    """An edited source, an edited page and a missing page are told apart from a current one."""
    source = Path(shutil.copy(SOURCE, tmp_path))
    page = tmp_path / PAGE.name
    assert chapters.stale(source) == f"{page.name} is missing"
    shutil.copy(PAGE, page)
    assert chapters.stale(source) is None

    page.write_text(PAGE.read_text(encoding="utf-8").replace("Both are wrong", "Both"))
    assert chapters.stale(source) == f"{page.name} was edited by hand"
    source.write_text(f"{SOURCE.read_text(encoding='utf-8')}\n")
    assert f"another version of {source.name}" in str(chapters.stale(source))


def test_the_longest_chapter_runs_first(tmp_path: Path) -> None:
    """By the seconds of its page, whatever its number; one that never ran comes before all."""
    seconds = {"01_short": 3, "02_long": 120, "03_middle": 20}
    for name, taken in seconds.items():
        page = nbformat.v4.new_notebook(metadata={page_rules.STAMP: {"seconds": taken}})
        nbformat.write(page, tmp_path / f"{name}.ipynb")

    sources = [tmp_path / f"{name}.py" for name in (*seconds, "04_new")]
    in_order = [path.stem for path in chapters.longest_first(sources)]
    assert in_order == ["04_new", "02_long", "03_middle", "01_short"]


def test_a_page_carries_results_and_provenance_only(tiny: Path) -> None:
    """The source's cells with outputs, a footer, nothing of papermill."""
    text = tiny.with_suffix(".ipynb").read_text(encoding="utf-8")
    page = nbformat.v4.reads(text)
    assert page.cells[2].outputs[0].text == "steps 3\n"
    assert "papermill" not in text.replace("tools/execute.py", "")

    stamp = page.metadata[page_rules.STAMP]
    assert stamp["source"] == chapters.source_hash(tiny)
    assert stamp["package"] == chapters.package_hash()
    assert stamp["source"][:12] in page.cells[-1].source
