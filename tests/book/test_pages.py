"""The committed pages: complete, clean, and executed from the source that lies beside them."""

from __future__ import annotations

import base64
import io
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import chapters
import execute
import nbformat
import page_leaks
import page_rules
import pytest
from nbformat import NotebookNode
from PIL import Image, PngImagePlugin

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("source", chapters.sources(), ids=lambda path: path.stem)
def test_committed_page_is_current_and_clean(source: Path) -> None:
    """Each chapter's page belongs to its source and breaks none of the rules for pages."""
    assert chapters.stale(source) is None
    page = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    assert page_rules.problems(page) == []
    assert page_rules.broken_contract(page) == []
    assert page_rules.unbound_numbers(page) == []


def _break_outputs(page: NotebookNode) -> None:
    for cell in page.cells:
        if cell.cell_type == "code":
            cell.outputs = []


def _show(kind: str, text: str) -> Callable[[NotebookNode], None]:
    return lambda page: page.cells[2].outputs.append(nbformat.v4.new_output("stream", name=kind, text=text))


MARKDOWN = nbformat.v4.new_output("display_data", {"text/markdown": r"At $\alpha$ = 1"})


def _draw(
    page: NotebookNode,
    svg: str = "<svg></svg>",
    alt: str = "Three steps.",
    caption: str = "Steps.",
    name: str = "fig-01-steps",
) -> None:
    """Give the tiny chapter a figure."""
    output = nbformat.v4.new_output("display_data", {"image/svg+xml": svg})
    page.cells[2].outputs.append(output)
    render = {"image": {"alt": alt}, "figure": {"caption": caption, "name": name}}
    page.cells[2].metadata["mystnb"] = nbformat.from_dict(render)


def _draw_png(page: NotebookNode, comment: str) -> None:
    """Give the tiny chapter a figure whose file says something that nobody sees."""
    _draw(page)
    texts = PngImagePlugin.PngInfo()
    texts.add_itxt("Comment", comment)
    Image.new("RGB", (1, 1)).save(file := io.BytesIO(), "PNG", pnginfo=texts)
    page.cells[2].outputs[-1].data = {"image/png": base64.b64encode(file.getvalue()).decode()}


def _display(mime: str, text: str) -> Callable[[NotebookNode], None]:
    return lambda page: page.cells[2].outputs.append(nbformat.v4.new_output("display_data", {mime: text}))


def _write(source: str) -> Callable[[NotebookNode], None]:
    return lambda page: page.cells[2].update(source=source)


BROKEN: list[tuple[str, Callable[[NotebookNode], object]]] = [
    ("no cell has an output", _break_outputs),
    ("was not executed", lambda page: page.cells[2].update(execution_count=None)),
    ("injected parameters", lambda page: page.cells[1].metadata.update(tags=["injected-parameters"])),
    ("prints on stderr", _show("stderr", "FutureWarning: soon")),
    ("shows a path or name of this machine: '/home/", _show("stdout", "saved to /home/someone/runs")),
    ("'site-packages/torch'", _show("stdout", "in lib/site-packages/torch")),
    (f"this machine: '{socket.gethostname()}'", _show("stdout", f"on {socket.gethostname()}")),
    ("this machine: 'me@box:~", _show("stdout", "me@box:~$ l2rclip train")),
    ("this machine: '/tmp/x<", lambda page: _draw(page, svg="<svg><desc>/tmp/x</desc></svg>")),
    ("this machine: '/tmp/x'", lambda page: _draw_png(page, "/tmp/x")),
    ("its metadata shows", lambda page: page.cells[2].metadata.update(at="/root/book/a.ipynb")),
    ("the metadata of the page shows", lambda page: page.metadata.update(path="/Users/me/a.ipynb")),
    ("its text/html runs or loads", _display("text/html", "<table onclick='f()'></table>")),
    ("its text/html runs or loads", _display("text/html", "<script>f()</script>")),
    ("its application/javascript runs", _display("application/javascript", "f()")),
    ("starts a process: '!pip install x'", _write("steps = 3\n!pip install x")),
    ("starts a process: '%%bash'", _write("%%bash\nls")),
    ("starts a process: '%system ls'", _write("%system ls")),
    ("starts a process: 'get_ipython().system'", _write("get_ipython().system('ls')")),
    ("starts a process: 'os.popen'", _write("import os\nos.popen('ls')")),
    ("starts a process: 'subprocess.run'", _write("subprocess.run(['ls'])")),
    ("starts a process: 'from subprocess import run'", _write("from subprocess import run")),
    ("the kernel is not python3", lambda page: page.metadata.kernelspec.update(name="my-env")),
    ("the profile is 'smoke'", lambda page: page.metadata[page_rules.STAMP].update(profile="smoke")),
    (r"'$\\alpha$' stays as it is", lambda page: page.cells[2].outputs.append(MARKDOWN)),
    ("MiB is more than", _show("stdout", "x" * (page_rules.SIZE_CAP + 1))),
    ("the magic '%timeit'", lambda page: page.cells[2].update(source="%timeit\nsteps = 3")),
    ("its figure has no alt text", lambda page: _draw(page, alt="")),
    ("its figure has no caption", lambda page: _draw(page, caption="")),
    ("its figure has no name", lambda page: _draw(page, name="steps")),
    ("its SVG carries the date", lambda page: _draw(page, svg="<svg><dc:date>2026</dc:date></svg>")),
    (
        "ends in ValueError",
        lambda page: page.cells[2].outputs.append(nbformat.v4.new_output("error", ename="ValueError")),
    ),
]


@pytest.mark.parametrize(("complaint", "spoil"), BROKEN, ids=[name for name, _ in BROKEN])
def test_each_rule_finds_a_page_that_breaks_it(
    tiny: Path, complaint: str, spoil: Callable[[NotebookNode], object]
) -> None:
    """A page that keeps every rule has no problem; spoilt in one way it has exactly that problem."""
    page = nbformat.read(tiny.with_suffix(".ipynb"), as_version=4)
    assert page_rules.problems(page) == []
    spoil(page)
    (found,) = page_rules.problems(page)
    assert complaint in found


def test_a_page_with_a_described_figure_is_clean(tiny: Path) -> None:
    """The figure of the broken examples above, whole."""
    page = nbformat.read(tiny.with_suffix(".ipynb"), as_version=4)
    _draw(page)
    assert page_rules.problems(page) == []


def _chapter(*texts: str) -> NotebookNode:
    """A page of Markdown cells and of code cells; the latter start with `>`."""
    code = nbformat.v4.new_code_cell
    cells = [code(t[1:]) if t.startswith(">") else nbformat.v4.new_markdown_cell(t) for t in texts]
    return nbformat.v4.new_notebook(cells=cells)


WHOLE = (
    "# Title\n\nWhat you will learn\n\n| you should know | x |\n\n**Time and hardware.** Seconds.",
    ">figure",
    "## First\n\n## Exercises",
    ">def check_it(): ...",
    ":::{dropdown} Solution\n:::\n\n## Summary\n\n## Sources",
)


def _whole() -> NotebookNode:
    page = _chapter(*WHOLE)
    page.cells[1].metadata["mystnb"] = {"figure": {"name": "fig-01-x"}}
    return page


def test_the_contract_of_a_chapter() -> None:
    """A whole chapter keeps it; each part taken out, or put out of order, is missed."""
    assert page_rules.broken_contract(_whole()) == []
    for cell, part, complaint in [
        (0, "What you will learn", "what the reader learns"),
        (0, "| you should know |", "a table of prerequisites"),
        (2, "## Exercises", "exercises"),
        (4, "## Summary", "a summary"),
        (3, "def check_it", "no exercise is judged"),
    ]:
        page = _whole()
        page.cells[cell].source = page.cells[cell].source.replace(part, "")
        (found,) = page_rules.broken_contract(page)
        assert complaint in found
    page = _whole()
    page.cells[1:3] = page.cells[2:0:-1]
    (found,) = page_rules.broken_contract(page)
    assert found == "its first figure comes after 2 headings, not within the first screen"
    page = _whole()
    page.cells[2].source, page.cells[4].source = page.cells[4].source, page.cells[2].source
    assert "it lacks a summary, or has it in another place" in page_rules.broken_contract(page)


def test_numbers_in_prose_are_bound_to_the_page() -> None:
    """0.893 and 12 % are shown; 0.91 is not; code, formulas and links are no prose; quoted numbers need a source."""
    page = _chapter(
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


def test_addresses_and_images_are_no_paths_of_this_machine() -> None:
    """A web address with /home/ in it, a division and a root are harmless."""
    for text in ("https://example.org/home/page", "a/home/b", "accuracy 0.51/tmp", "1 / 2", "a square root"):
        assert page_leaks.leak(text) is None
    for text in (r"see C:\Users\me", "~/data", "/var/folders/x", "file:///data/a.png"):
        assert page_leaks.leak(text)


def test_an_error_shows_no_path_either() -> None:
    """Its message and its traceback are read too, in a page that keeps it."""
    error = nbformat.v4.new_output("error", ename="E", evalue="no /tmp/a", traceback=["in /tmp/b"])
    page = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(outputs=[error])])
    assert [text.split(": ")[-1] for text in page_leaks.problems(page)] == ["'/tmp/a'"]
    error["evalue"] = ""
    assert [text.split(": ")[-1] for text in page_leaks.problems(page)] == ["'/tmp/b'"]


def test_who_may_start_a_process() -> None:
    """The setup cell, and a cell that calls `l2rclip` itself; neither through a shell."""
    own = f"subprocess.run({page_leaks.OWN_COMMAND}, 'predict'])"
    assert page_leaks.processes(nbformat.v4.new_code_cell(own)) == []
    assert page_leaks.processes(nbformat.v4.new_code_cell(own + ", shell=True")) == ["subprocess.run"]
    assert page_leaks.processes(nbformat.v4.new_code_cell(own + "\n!ls")) == ["!ls"]
    setup = nbformat.v4.new_code_cell("import subprocess\n!ls", metadata={"tags": ["setup"]})
    assert page_leaks.processes(setup) == ["!ls"]


def test_stale_and_edited_pages_are_noticed(tiny: Path, tmp_path: Path) -> None:
    """An edited source, an edited page and a missing page are told apart from a current one."""
    source = tmp_path / tiny.name
    shutil.copy(tiny, source)
    assert chapters.stale(source) == "01_tiny.ipynb is missing"
    shutil.copy(tiny.with_suffix(".ipynb"), source.with_suffix(".ipynb"))
    assert chapters.stale(source) is None
    page = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    page.cells[2].source += "\nprint('and more')"
    nbformat.write(page, source.with_suffix(".ipynb"))
    assert chapters.stale(source) == "01_tiny.ipynb was edited by hand"
    source.write_text(source.read_text().replace("steps", "rounds"), encoding="utf-8")
    assert "another version of 01_tiny.py" in str(chapters.stale(source))


def test_page_carries_results_and_provenance_only(tiny: Path) -> None:
    """The page has the source's cells with outputs, a footer, and nothing of papermill."""
    path = tiny.with_suffix(".ipynb")
    page = nbformat.read(path, as_version=4)
    assert [cell.cell_type for cell in page.cells] == ["markdown", "code", "code", "markdown"]
    assert page.cells[2].outputs[0].text == "steps 3\n"
    assert "papermill" not in path.read_text(encoding="utf-8").replace("tools/execute.py", "")
    stamp = page.metadata[page_rules.STAMP]
    assert stamp["source"] == chapters.source_hash(tiny)
    assert stamp["package"] == chapters.package_hash()
    footer = page.cells[-1].source
    assert all(
        text in footer for text in (stamp["source"][:12], stamp["package"][:12], "profile `page`", " s on ")
    )


def test_running_again_changes_nothing(tiny: Path) -> None:
    """A second run gives equal cell ids and outputs, so the file is not even rewritten."""
    path = tiny.with_suffix(".ipynb")
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


def test_commands_run_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each of two waits for the other's file, so one after the other would never end; what they say is kept."""
    script = (
        "import sys, time, pathlib; me, other = map(pathlib.Path, sys.argv[1:3]); me.touch()\n"
        "end = time.time() + 60\n"
        "while not other.exists() and time.time() < end: time.sleep(0.02)\n"
        "print('met', other.exists()); sys.exit(int(sys.argv[3]))"
    )
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    python = [sys.executable, "-c", script]
    done = execute.side_by_side({"good": [*python, a, b, "0"], "bad": [*python, b, a, "3"]}, jobs=2)
    assert done == {"good": True, "bad": False}
    assert capsys.readouterr().out == "met True\nmet True\n"
