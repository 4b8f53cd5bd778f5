"""The pages that are not executed: their numbers have a source, their sentences are real."""

import ast
import itertools
import json
import re
import shlex
from operator import attrgetter
from pathlib import Path
from shutil import copy

import api
import chapters
import front_figure
import pytest
import tables
from chapter_rules import NOT_PROSE, NUMBER
from drawn import make_fixture
from PIL import Image

from l2rclip_book.results import read_results
from l2rclip_book.targets import verdict_gains, verdict_table
from l2rclip_lite.__main__ import main

PAGES = sorted(chapters.BOOK.glob("*.md"))
README = (chapters.ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=attrgetter("stem"))
def test_a_number_on_a_page_that_is_not_executed_has_a_source(page: Path) -> None:
    """A result is read from `book/results` by a directive; what is typed is quoted.

    A citation in the paragraph or table, or in the one before, counts.
    """
    text = re.sub(r"\{cite:?[pt]?\}`[^`]*`", " CITED ", page.read_text(encoding="utf-8"))
    blocks = re.split(r"\n\s*\n", NOT_PROSE.sub(" ", text))
    for before, block in itertools.pairwise(["", *blocks]):
        assert "CITED" in before + block or not NUMBER.search(block), block


def test_troubleshooting_quotes_sentences_that_the_code_has() -> None:
    """Each message in a first column stands in the source; with … between its parts."""
    text = (chapters.BOOK / "troubleshooting.md").read_text(encoding="utf-8")
    quoted = []
    for first_column in re.findall(r"^\| ([^|]*)\|", text, re.MULTILINE):
        quoted += re.findall(r"`([^`]+)`", first_column)
    assert len(quoted) > 8

    files = []
    for room in ("l2rclip_lite", "tools", "book/_ext"):
        files += (chapters.ROOT / room).rglob("*.py")
    code = "\n".join(file.read_text(encoding="utf-8") for file in files)
    code = re.sub(r'"\s*\n\s*f?"', "", code)  # a sentence may go on in the next line
    assert [part for part in quoted if part not in code] == []


def test_a_proof_names_its_kernels_and_the_runner_that_failed(tmp_path: Path) -> None:
    """In the table of the status page; an edit since voids it."""
    (tmp_path / "results").mkdir()
    source = tmp_path / "01_x.py"
    source.write_text("# %%\n", encoding="utf-8")
    good = {"ok": True, "seconds": 2}
    made = {"source": chapters.source_hash(source), "package": "abcdef0123456789"}
    kinds = {
        "avx512": made | {"runners": dict.fromkeys(tables.RUNNERS, good)},
        "avx2": made | {"runners": {"papermill": good, "nbval": {"ok": False, "seconds": 1}}},
    }
    (tmp_path / "results" / "proof.json").write_text(json.dumps({"01_x": kinds}), encoding="utf-8")

    assert tables.proved_rows(tmp_path) == [
        ["01 x", "all four, 8\u00a0s", "FAIL: nbval", "not run"]
    ]
    source.write_text("# %%\n1\n", encoding="utf-8")
    assert tables.proved_rows(tmp_path) == [["01 x", "edited since", "edited since", "not run"]]


BOX = """
class Box:
    '''A box.

    Args:
        side: Its side,
            in metres.

    Example:
        >>> Box(2)
    '''

    def __init__(self, side: float = 1) -> None: ...

    @property
    def volume(self) -> float:
        '''Cubic metres.'''

    def _hidden(self):
        '''Nobody's business.'''
"""
DESCRIBED = """\
`````{py:class} Box(side: float=1)

A box.

**Arguments**

- `side`: Its side,
    in metres.

**Example**

```pycon
>>> Box(2)
```

````{py:property} volume

Cubic metres.
````
`````"""


def test_a_docstring_becomes_markdown_below_its_signature() -> None:
    """A list of arguments, an example as code, a method inside its class, nothing private."""
    (box,) = api.public(ast.parse(BOX))
    assert api.described(box) == DESCRIBED


# --- the README -----------------------------------------------------------------------------------


def test_links_of_the_readme_into_the_repository_lead_to_its_files() -> None:
    """A package index shows the README, so they are absolute; a picture comes as a file.

    Each chapter has a link to its page and one to what Colab opens.
    """
    repository = chapters.project()["urls"]["Repository"]
    name = repository.removeprefix("https://github.com/")
    colab = f"https://colab.research.google.com/github/{name}/blob/main/"
    places = {
        "": (f"{repository}/blob/main/", colab),
        "!": (f"https://raw.githubusercontent.com/{name}/main/",),
    }
    links = re.findall(r"(!?)\[[^\]]*\]\(([^)\s]+)\)", README)  # a picture starts with "!"
    for source in chapters.sources():
        copy = chapters.for_colab(source).relative_to(chapters.ROOT).as_posix()
        assert ("", f"{repository}/blob/main/book/{source.stem}.ipynb") in links
        assert ("", f"{colab}{copy}") in links

    for kind, link in links:
        assert link.startswith("https://"), link
        if name in link:
            (start,) = [start for start in places[kind] if link.startswith(start)]
            assert (chapters.ROOT / link.removeprefix(start)).is_file(), link


@pytest.mark.slow
def test_the_readme_prints_what_it_shows(capsys: pytest.CaptureFixture[str]) -> None:
    """Its lines of Python are run; the block below them is their output."""
    code, shown = re.findall(r"```python\n(.*?)```\s*```\n(.*?)```", README, re.DOTALL)[0]
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out == shown


@pytest.mark.slow
def test_the_commands_of_the_readme_do_what_they_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On drawn discs, with tiny towers and few epochs for the sake of time."""
    monkeypatch.chdir(tmp_path)
    make_fixture("csv", tmp_path / "photos")
    copy("photos/images/00.png", "photo.jpg")
    quick = ["--towers", "tiny/random", "--epochs1", "1", "--epochs2", "1", "--heads", "2"]

    (block,) = re.findall(r"```\n(l2rclip fit --dataset csv .*?)```", README, re.DOTALL)
    for line in block.replace("\\\n", " ").splitlines():
        _, *words = shlex.split(line, comments=True)
        if words[0] == "fit":
            words += quick
        assert main(words) == 0, capsys.readouterr().err
    assert Path("runs/mine/report.html").is_file()


@pytest.mark.slow
def test_the_verdict_of_the_readme_is_that_of_the_stored_rows() -> None:
    """As `tools/front_figure.py` wrote it; its picture carries the hash of the results."""
    verdict = front_figure.VERDICT.read_text(encoding="utf-8")
    assert verdict in README

    table, images, _ = read_results(str(front_figure.TABLE.parent))
    assert verdict_table(verdict_gains(table, images)) + "\n" == verdict
    with Image.open(front_figure.PICTURE) as picture:
        assert picture.info["Source"] == front_figure.table_hash(), "run tools/front_figure.py"
