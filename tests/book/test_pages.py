"""The committed pages: complete, clean, and executed from the source that lies beside them."""

import base64
import io
import shutil
import socket
from pathlib import Path
from typing import Any

import chapters
import execute
import nbformat
import page_rules
import pytest
from nbformat import NotebookNode
from PIL import Image, PngImagePlugin

pytestmark = pytest.mark.slow
OWN = f"subprocess.run({page_rules.OWN_COMMAND}, 'predict'])"
FIGURE = {"image": {"alt": "Steps."}, "figure": {"caption": "Steps.", "name": "fig-01-steps"}}


@pytest.mark.parametrize("source", chapters.sources(), ids=lambda path: path.stem)
def test_committed_page_is_current_and_clean(source: Path) -> None:
    """Each chapter's page belongs to its source and breaks none of the rules for pages."""
    assert chapters.stale(source) is None
    page = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    assert page_rules.problems(page) == []
    assert page_rules.broken_contract(page) == []
    assert page_rules.unbound_numbers(page) == []


@pytest.fixture
def page(tiny: Path) -> NotebookNode:
    """A clean page; its third cell prints a line."""
    found = nbformat.read(tiny.with_suffix(".ipynb"), as_version=4)
    assert page_rules.problems(found) == []
    found.cells[2].metadata["mystnb"] = nbformat.from_dict(FIGURE)
    return found


def shown(mime: str, content: str) -> list[NotebookNode]:
    """The outputs of a cell that displays one thing."""
    return [nbformat.v4.new_output("display_data", {mime: content})]


def png(comment: str) -> str:
    """A figure with a comment in its file, as a notebook holds it."""
    texts = PngImagePlugin.PngInfo()
    texts.add_itxt("Comment", comment)
    Image.new("RGB", (1, 1)).save(file := io.BytesIO(), "PNG", pnginfo=texts)
    return base64.b64encode(file.getvalue()).decode()


@pytest.mark.parametrize(
    ("part", "content", "complaint"),
    [
        ("outputs", [], "no cell has an output"),
        ("execution_count", None, "code cell 2: was not executed"),
        ("metadata", {"tags": ["injected-parameters"]}, "injected parameters were left"),
        ("metadata", {"at": "/root/book/a.ipynb"}, "its metadata shows a path"),
        ("source", "%timeit\nsteps = 3", "the magic '%timeit'"),
        ("source", 'print("| a |\\n|---|")', "the bars of a table"),
        (
            "outputs",
            [nbformat.v4.new_output("stream", name="stderr", text="soon")],
            "prints on stderr",
        ),
        ("outputs", shown("text/plain", "x" * (page_rules.SIZE_CAP + 1)), "more than the 4 MiB"),
        ("outputs", shown("text/plain", f"on {socket.gethostname()}"), "name of this machine"),
        ("outputs", shown("text/plain", "me@box:~$ l2rclip train"), "this machine: 'me@box:~"),
        ("outputs", shown("text/html", "<script>f()</script>"), "its text/html runs or loads"),
        ("outputs", shown("application/javascript", "f()"), "its application/javascript runs"),
        ("outputs", shown("text/markdown", r"At $\alpha$ = 1"), r"'$\\alpha$' stays as it is"),
        ("outputs", shown("image/svg+xml", "<desc>/tmp/x</desc>"), "this machine: '/tmp/x<"),
        ("outputs", shown("image/svg+xml", "<dc:date>2026</dc:date>"), "its SVG carries the date"),
        ("outputs", shown("image/png", png("/tmp/x")), "this machine: '/tmp/x'"),
    ],
)
def test_a_cell_that_may_not_be_published_is_found(
    page: NotebookNode, part: str, content: Any, complaint: str
) -> None:
    """Without a result, not as the source says, noisy, too large, with a script, a path or the name of a machine."""
    page.cells[2][part] = nbformat.from_dict(content)
    (found,) = page_rules.problems(page)
    assert complaint in found


def test_a_page_is_executed_by_python3_at_the_profile_page_and_its_figures_are_described(
    page: NotebookNode,
) -> None:
    """Four faults at once: another kernel, another profile, a path, a figure without alt text."""
    page.metadata.kernelspec.name = "my-env"
    page.metadata[page_rules.STAMP].profile = "smoke"
    page.metadata["path"] = "/Users/me/a.ipynb"
    page.cells[2].outputs = shown("image/png", png("two steps"))
    page.cells[2].metadata.mystnb.image.alt = ""
    found = "\n".join(page_rules.problems(page))
    assert found.count("\n") == 3
    for complaint in (
        "not python3",
        "'smoke', not 'page'",
        "shows a path",
        "its figure has no alt text",
    ):
        assert complaint in found


@pytest.mark.parametrize(
    ("source", "tag", "started"),
    [
        ("steps = 3\n!pip install x", "other", ["!pip install x"]),
        ("import os\nos.popen('ls')", "other", ["os.popen"]),
        (OWN, "other", []),  # `l2rclip` itself, but not through a shell
        (OWN + ", shell=True", "other", ["subprocess.run"]),
        ("get_ipython().run_line_magic('pip', 'x')\n!ls", "setup", ["!ls"]),
    ],
)
def test_a_cell_starts_no_process(source: str, tag: str, started: list[str]) -> None:
    """But for the set-up cell, and one that calls `l2rclip` itself."""
    assert (
        page_rules.processes(nbformat.v4.new_code_cell(source, metadata={"tags": [tag]})) == started
    )


def chapter(*texts: str) -> NotebookNode:
    """A page of Markdown cells and of code cells; the latter start with `>`."""
    code = nbformat.v4.new_code_cell
    cells = [code(t[1:]) if t.startswith(">") else nbformat.v4.new_markdown_cell(t) for t in texts]
    return nbformat.v4.new_notebook(cells=cells)


def test_the_contract_of_a_chapter() -> None:
    """A whole chapter keeps it; each part taken out, or put out of order, is missed."""
    whole = chapter(
        "# Title\n\nWhat you will learn\n\n| you should know | x |\n\n**Time and hardware.** Seconds.",
        ">figure",
        "## First\n\n## Exercises\n\n**1. Half.** Halve it.",
        ">def check_it(): ...\ncheck_it()",
        ":::{dropdown} Solution\n:::\n\n## Summary\n\n## Sources",
    )
    whole.cells[1].metadata["mystnb"] = FIGURE
    assert page_rules.broken_contract(whole) == []
    whole.cells[3].source = "def check_it(): ..."
    whole.cells[1:3] = whole.cells[2:0:-1]
    lacking, late = page_rules.broken_contract(whole)
    assert lacking == "no function check_… judges exercise 1. Half."
    assert "first figure comes after 2 headings" in late


def test_numbers_in_prose_are_bound_to_the_page() -> None:
    """0.893 and 12 % are shown; 0.91 is not; code, formulas and links are no prose; quoted numbers need a source."""
    page = chapter(
        ">print(score)",
        "It scores 0.893, 12 % more: $s = 0.5$, `lr=3.5`, [x](a/1.5). The 5 ranks are counted.",
        "It scores 0.91.",
    )
    page.cells[0].outputs = [nbformat.v4.new_output("stream", text="0.893 and 12 %\n")]
    (found,) = page_rules.unbound_numbers(page)
    assert "shows 0.91" in found
    page.cells[2].metadata["tags"] = [page_rules.QUOTED_TAG]
    (found,) = page_rules.unbound_numbers(page)
    assert "names no source" in found
    page.cells[2].source += " See {cite:t}`wang2023learning`."
    assert page_rules.unbound_numbers(page) == []


def test_stale_and_edited_pages_are_noticed(tiny: Path, tmp_path: Path) -> None:
    """An edited source, an edited page and a missing page are told apart from a current one."""
    source, page = tmp_path / tiny.name, tmp_path / "01_tiny.ipynb"
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
    """The source's cells with outputs, a footer, nothing of papermill; a second run does not even rewrite the file."""
    path = tiny.with_suffix(".ipynb")
    assert page.cells[2].outputs[0].text == "steps 3\n"
    assert "papermill" not in path.read_text(encoding="utf-8").replace("tools/execute.py", "")
    stamp = page.metadata[page_rules.STAMP]
    assert (stamp["source"], stamp["package"]) == (
        chapters.source_hash(tiny),
        chapters.package_hash(),
    )
    assert stamp["source"][:12] in page.cells[-1].source
    before = path.read_bytes(), path.stat().st_mtime_ns
    execute.execute(tiny, path, {"PROFILE": "page"})
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_parameters_reach_the_chapter_and_a_failing_one_is_not_published(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`smoke` takes two steps in place of three; PROFIL is an error and not, as in papermill, a remark.

    After a failure the page of the last good run stays as it was.
    """
    page = execute.execute(tiny, tmp_path / "smoke.ipynb", {"PROFILE": "smoke"})
    assert page.cells[2].outputs[0].text == "steps 2\n"
    with pytest.raises(SystemExit, match="has no parameter PROFIL; it has PROFILE"):
        execute.execute(tiny, tmp_path / "no.ipynb", {"PROFILE": "smoke", "PROFIL": "page"})
    assert not (tmp_path / "no.ipynb").exists()
    monkeypatch.setattr(execute, "FAILED", tmp_path / "failed")
    source, page = tmp_path / tiny.name, tmp_path / "01_tiny.ipynb"
    source.write_text(f"{tiny.read_text()}\n# %%\n1 / 0\n", encoding="utf-8")
    page.write_text("the good one", encoding="utf-8")
    with pytest.raises(SystemExit, match="ZeroDivisionError"):
        execute.execute(source, page, {"PROFILE": "page"})
    assert page.read_text() == "the good one"
