"""The pages that are not executed: their numbers have a source, their sentences are real."""

import ast
import itertools
import json
import re
import shlex
import tomllib
from operator import attrgetter
from pathlib import Path
from shutil import copy

import api
import chapters
import front_figure
import pytest
import tables
from drawn import make_fixture
from page_rules import NOT_PROSE, NUMBER
from PIL import Image

import l2rclip_lite
from l2rclip_lite.cli import main

PAGES = sorted(chapters.BOOK.glob("*.md"))


def blocks_without_source(text: str) -> list[str]:
    """Return paragraphs and tables that hold a decimal or a per cent and cite nobody.

    A citation in the paragraph before counts.
    """
    text = re.sub(r"\{cite:?[pt]?\}`[^`]*`", " CITED ", text)
    blocks = re.split(r"\n\s*\n", NOT_PROSE.sub(" ", text))

    without_source = []
    for before, block in itertools.pairwise(["", *blocks]):
        cited = "CITED" in before or "CITED" in block
        if NUMBER.search(block) and not cited:
            without_source.append(block.strip()[:80])
    return without_source


@pytest.mark.parametrize("page", PAGES, ids=attrgetter("stem"))
def test_a_number_on_a_page_that_is_not_executed_has_a_source(page: Path) -> None:
    """A result is read from `book/results` by a directive; what is typed is quoted."""
    assert blocks_without_source(page.read_text(encoding="utf-8")) == []


def test_troubleshooting_quotes_sentences_that_the_code_has() -> None:
    """Each message in a first column stands in the source; with … between its parts."""
    text = (chapters.BOOK / "troubleshooting.md").read_text(encoding="utf-8")
    quoted = []
    for line in text.splitlines():
        if line.startswith("| "):
            first_column = line.split("|")[1]
            quoted += re.findall(r"`([^`]+)`", first_column)
    assert len(quoted) > 8

    files = [*(chapters.ROOT / "l2rclip_lite").rglob("*.py")]
    files += (chapters.ROOT / "tools").rglob("*.py")
    files += (chapters.BOOK / "_ext").rglob("*.py")
    code = "\n".join(file.read_text(encoding="utf-8") for file in files)
    code = re.sub(r'"\s*\n\s*f?"', "", code)  # a sentence may go on in the next line
    assert [part for part in quoted if part not in code] == []


def test_a_proof_names_its_kernels_and_the_runner_that_failed(tmp_path: Path) -> None:
    """In the table of the status page; an edit since voids it."""
    (tmp_path / "results").mkdir()
    source = tmp_path / "01_x.py"
    source.write_text("# %%\n", encoding="utf-8")
    good = {"ok": True, "seconds": 2}
    bad = {"ok": False, "seconds": 1}
    made = {"source": chapters.source_hash(source), "package": "abcdef0123456789"}
    kinds = {
        "avx512": made | {"runners": dict.fromkeys(tables.RUNNERS, good)},
        "avx2": made | {"runners": {"papermill": good, "nbval": bad}},
    }
    (tmp_path / "results" / "proof.json").write_text(json.dumps({"01_x": kinds}), encoding="utf-8")
    assert tables.proved_rows(tmp_path) == [
        ["01 x", "all four, 8\u00a0s", "FAIL: nbval", "not run"]
    ]

    source.write_text("# %%\n1\n", encoding="utf-8")
    assert tables.proved_rows(tmp_path) == [["01 x", "edited since", "edited since", "not run"]]


def test_a_docstring_becomes_markdown_below_its_signature() -> None:
    """A list of arguments, an example as code, a method inside its class, nothing private."""
    source = """
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
    (box,) = api.public(ast.parse(source))
    assert api.described(box) == (
        "`````{py:class} Box(side: float=1)\n\n"
        "A box.\n\n"
        "**Arguments**\n\n"
        "- `side`: Its side,\n    in metres.\n\n"
        "**Example**\n\n"
        "```pycon\n>>> Box(2)\n```\n\n"
        "````{py:property} volume\n\n"
        "Cubic metres.\n"
        "````\n"
        "`````"
    )


def test_the_api_page_lists_what_the_package_itself_offers() -> None:
    """The names in its first paragraph are those of `__all__`."""
    opening = (chapters.BOOK / "api.md").read_text(encoding="utf-8").split("\n```python")[0]
    assert set(re.findall(r"`(\w+)`", opening)) == {"l2rclip_lite", *l2rclip_lite.__all__}


README = (chapters.ROOT / "README.md").read_text(encoding="utf-8")


LINKS = re.findall(r"(!?)\[[^\]]*\]\(([^)\s]+)\)", README)  # a picture starts with "!"
PYPROJECT = tomllib.loads((chapters.ROOT / "pyproject.toml").read_text(encoding="utf-8"))
REPOSITORY = PYPROJECT["project"]["urls"]["Repository"]
REPOSITORY_NAME = REPOSITORY.removeprefix("https://github.com/")


def test_links_of_the_readme_into_the_repository_lead_to_its_files() -> None:
    """A package index shows the README, so they are absolute; a picture comes as a file.

    Each chapter has a link to its page and a badge for the same file on Colab.
    """
    colab = f"https://colab.research.google.com/github/{REPOSITORY_NAME}/blob/main/"
    for source in chapters.sources():
        for start in (f"{REPOSITORY}/blob/main/", colab):
            assert ("", f"{start}book/{source.stem}.ipynb") in LINKS

    pages = (f"{REPOSITORY}/blob/main/", colab)
    pictures = (f"https://raw.githubusercontent.com/{REPOSITORY_NAME}/main/",)
    for picture, link in LINKS:
        assert link.startswith("https://"), link
        if REPOSITORY_NAME not in link:
            continue
        starts = [start for start in (pictures if picture else pages) if link.startswith(start)]
        assert starts, link
        assert (chapters.ROOT / link.removeprefix(starts[0])).is_file(), link


@pytest.mark.slow
def test_the_readme_prints_what_it_shows(capsys: pytest.CaptureFixture[str]) -> None:
    """Its lines of Python are run; the block below them is their output."""
    code, shown = re.findall(r"```python\n(.*?)```\s*```\n(.*?)```", README, re.DOTALL)[0]
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out == shown
    prose = re.sub(r"^\d+\. \[.*$", "", README, flags=re.MULTILINE)  # without its list of chapters
    assert len(prose.split()) <= 620


@pytest.mark.slow
def test_the_commands_of_the_readme_do_what_they_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On drawn discs, with tiny towers and few epochs for the sake of time."""
    monkeypatch.chdir(tmp_path)
    make_fixture("csv", tmp_path / "photos")
    copy(tmp_path / "photos/images/00.png", tmp_path / "photo.jpg")
    quick = ["--towers", "tiny/random", "--epochs1", "1", "--epochs2", "1", "--heads", "2"]

    block = re.findall(r"## Your own images\s*```\n(.*?)```", README, re.DOTALL)[0]
    for line in block.replace("\\\n", " ").splitlines():
        _, *words = shlex.split(line)
        if words[0] == "fit":
            words += quick
        assert main(words) == 0, capsys.readouterr().err
    assert Path("runs/mine/report.html").is_file()


def test_the_readme_shows_the_table_of_the_claims() -> None:
    """As `tools/front_figure.py` wrote it from the results."""
    assert front_figure.CLAIMS.read_text(encoding="utf-8") in README


@pytest.mark.parametrize("path", [front_figure.PICTURE, front_figure.WORDS])
def test_a_picture_on_the_front_page_was_drawn_from_todays_table(path: Path) -> None:
    """It carries the hash of the table; new rows without a new picture are noticed."""
    with Image.open(path) as picture:
        assert picture.info["Source"] == front_figure.table_hash(), "run tools/front_figure.py"
