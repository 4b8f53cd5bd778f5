"""The committed pages: complete, clean, and executed from the source that lies beside them."""

from __future__ import annotations

import base64
import copy
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
    return found


def test_a_page_without_results_is_not_published(page: NotebookNode) -> None:
    """Not executed, executed by another kernel, at another profile, with injected parameters, or too long."""
    for path, value, complaint in [
        (("cells", 1, "outputs"), [], ""),
        (("cells", 2, "outputs"), [], "no cell has an output"),
        (("cells", 2, "execution_count"), None, "code cell 2: was not executed"),
        (("cells", 1, "metadata", "tags"), ["injected-parameters"], "injected parameters were left"),
        (("metadata", "kernelspec", "name"), "my-env", "the kernel is not python3"),
        (("metadata", page_rules.STAMP, "profile"), "smoke", "the profile is 'smoke', not 'page'"),
        (("metadata", "path"), "/Users/me/a.ipynb", "the metadata of the page shows a path"),
        (("cells", 2, "metadata", "at"), "/root/book/a.ipynb", "its metadata shows a path"),
        (("cells", 2, "source"), "%timeit\nsteps = 3", "the magic '%timeit'"),
        (
            ("cells", 2, "outputs", 0, "text"),
            "x" * (page_rules.SIZE_CAP + 1),
            "4.0 MiB is more than the 4 MiB",
        ),
    ]:
        spoilt = copy.deepcopy(page)
        at: Any = spoilt
        for key in path[:-1]:
            at = at[key]
        at[path[-1]] = value
        assert [complaint in found for found in page_rules.problems(spoilt)] == ([True] if complaint else [])


OWN = f"subprocess.run({page_rules.OWN_COMMAND}, 'predict'])"


@pytest.mark.parametrize(
    ("source", "tag", "started"),
    [
        ("steps = 3\n!pip install x", "other", ["!pip install x"]),
        ("%%bash\nls", "other", ["%%bash"]),
        ("get_ipython().system('ls')", "other", ["get_ipython().system"]),
        ("import os\nos.popen('ls')", "other", ["os.popen"]),
        ("from subprocess import run", "other", ["from subprocess import run"]),
        (OWN, "other", []),  # `l2rclip` itself, but not through a shell
        (OWN + ", shell=True", "other", ["subprocess.run"]),
        ("get_ipython().run_line_magic('pip', 'x')\n!ls", "setup", ["!ls"]),
    ],
)
def test_a_cell_starts_no_process(source: str, tag: str, started: list[str]) -> None:
    """But for the set-up cell, and one that calls `l2rclip` itself."""
    assert page_rules.processes(nbformat.v4.new_code_cell(source, metadata={"tags": [tag]})) == started


@pytest.mark.parametrize(
    ("mime", "shown", "complaint"),
    [
        ("stderr", "FutureWarning: soon", "prints on stderr"),
        ("error", "ValueError", "ends in ValueError"),
        ("stdout", "saved to /home/someone/runs", "shows a path or name of this machine: '/home/"),
        ("stdout", f"on {socket.gethostname()}", f"this machine: '{socket.gethostname()}'"),
        ("stdout", "me@box:~$ l2rclip train", "this machine: 'me@box:~"),
        ("text/html", "<script>f()</script>", "its text/html runs or loads"),
        ("application/javascript", "f()", "its application/javascript runs"),
        ("text/markdown", r"At $\alpha$ = 1", r"'$\\alpha$' stays as it is"),
        ("image/svg+xml", "<svg><desc>/tmp/x</desc></svg>", "this machine: '/tmp/x<"),
        ("image/svg+xml", "<svg><dc:date>2026</dc:date></svg>", "its SVG carries the date"),
    ],
)
def test_an_output_that_may_not_be_shown_is_found(
    page: NotebookNode, mime: str, shown: str, complaint: str
) -> None:
    """Noise, errors, paths, scripts, and Markdown that would stay as it is."""
    output = nbformat.v4.new_output("display_data", {mime: shown})
    if mime in ("stdout", "stderr"):
        output = nbformat.v4.new_output("stream", name=mime, text=shown)
    elif mime == "error":
        output = nbformat.v4.new_output("error", ename=shown, evalue="", traceback=[])
    page.cells[2].outputs.append(output)
    page.cells[2].metadata["mystnb"] = nbformat.from_dict(FIGURE)
    (found,) = page_rules.problems(page)
    assert complaint in found


def test_a_figure_is_described_and_its_file_says_nothing_else(page: NotebookNode) -> None:
    """Alt text, caption and name; a comment inside a PNG is read too."""
    texts = PngImagePlugin.PngInfo()
    cell = page.cells[2]
    for comment, complaint in (("two steps", None), ("/tmp/x", "a path or name of this machine: '/tmp/x'")):
        texts.add_itxt("Comment", comment)
        Image.new("RGB", (1, 1)).save(file := io.BytesIO(), "PNG", pnginfo=texts)
        data = {"image/png": base64.b64encode(file.getvalue()).decode()}
        cell.outputs = [nbformat.v4.new_output("display_data", data)]
        cell.metadata["mystnb"] = nbformat.from_dict(FIGURE)
        assert [complaint in found for found in page_rules.problems(page)] == ([True] if complaint else [])
    cell.outputs = [nbformat.v4.new_output("display_data", {"image/svg+xml": "<svg></svg>"})]
    for part, key, complaint in (
        ("image", "alt", "alt text"), ("figure", "caption", "caption"), ("figure", "name", "name that starts")
    ):  # fmt: skip
        cell.metadata["mystnb"] = nbformat.from_dict(FIGURE)
        cell.metadata["mystnb"][part][key] = ""
        (found,) = page_rules.problems(page)
        assert f"its figure has no {complaint}" in found


def test_addresses_are_no_paths_of_this_machine() -> None:
    """A web address with /home/ in it, a division and a root are harmless."""
    for text in ("https://example.org/home/page", "a/home/b", "accuracy 0.51/tmp", "1 / 2", "a square root"):
        assert page_rules.leak(text) is None
    for text in (r"see C:\Users\me", "~/data", "/var/folders/x", "file:///data/a.png"):
        assert page_rules.leak(text)


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
        "## First\n\n## Exercises",
        ">def check_it(): ...",
        ":::{dropdown} Solution\n:::\n\n## Summary\n\n## Sources",
    )
    whole.cells[1].metadata["mystnb"] = FIGURE
    assert page_rules.broken_contract(whole) == []
    cases = [
        (0, "What you will learn", "what the reader learns"),
        (3, "def check_it", "no exercise is judged"),
    ]
    for cell, part, complaint in cases:
        page = copy.deepcopy(whole)
        page.cells[cell].source = page.cells[cell].source.replace(part, "")
        (found,) = page_rules.broken_contract(page)
        assert complaint in found
    page = copy.deepcopy(whole)
    page.cells[1:3] = page.cells[2:0:-1]
    (found,) = page_rules.broken_contract(page)
    assert found == "its first figure comes after 2 headings, not within the first screen"


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
    assert [cell.cell_type for cell in page.cells] == ["markdown", "code", "code", "markdown"]
    assert page.cells[2].outputs[0].text == "steps 3\n"
    assert "papermill" not in path.read_text(encoding="utf-8").replace("tools/execute.py", "")
    stamp = page.metadata[page_rules.STAMP]
    assert (stamp["source"], stamp["package"]) == (chapters.source_hash(tiny), chapters.package_hash())
    for text in (stamp["source"][:12], stamp["package"][:12], "profile `page`", " s on "):
        assert text in page.cells[-1].source
    before = path.read_bytes(), path.stat().st_mtime_ns
    execute.execute(tiny, path, {"PROFILE": "page"})
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_parameters_reach_the_chapter_and_misspelt_ones_are_refused(tiny: Path, tmp_path: Path) -> None:
    """`smoke` takes two steps in place of three; PROFIL is an error and not, as in papermill, a remark."""
    page = execute.execute(tiny, tmp_path / "smoke.ipynb", {"PROFILE": "smoke"})
    assert page.cells[2].outputs[0].text == "steps 2\n"
    with pytest.raises(SystemExit, match="has no parameter PROFIL; it has PROFILE"):
        execute.execute(tiny, tmp_path / "no.ipynb", {"PROFILE": "smoke", "PROFIL": "page"})
    assert not (tmp_path / "no.ipynb").exists()


@pytest.mark.parametrize(
    ("line", "complaint"),
    [("1 / 0", "ZeroDivisionError"), ("import sys; print('oh', file=sys.stderr)", "prints on stderr: oh")],
)
def test_a_failing_or_noisy_chapter_is_not_published(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, complaint: str
) -> None:
    """The page of the last good run stays as it was."""
    monkeypatch.setattr(execute, "FAILED", tmp_path / "failed")
    source, page = tmp_path / tiny.name, tmp_path / "01_tiny.ipynb"
    source.write_text(f"{tiny.read_text()}\n# %%\n{line}\n", encoding="utf-8")
    page.write_text("the good one", encoding="utf-8")
    with pytest.raises(SystemExit, match=complaint):
        execute.execute(source, page, {"PROFILE": "page"})
    assert page.read_text() == "the good one"
