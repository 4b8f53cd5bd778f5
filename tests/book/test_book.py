"""The built book: its pages, links and policies, and nothing from another host."""

import base64
import dataclasses
import hashlib
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import build
import chapters
import project
import pytest
from bs4 import BeautifulSoup
from in_node import first_hits
from PIL import Image

import l2rclip_lite
from l2rclip_lite.config import Config, Controls

PYPROJECT = tomllib.loads((chapters.ROOT / "pyproject.toml").read_text(encoding="utf-8"))
URLS = PYPROJECT["project"]["urls"]
ADDRESS = URLS["Repository"]
BASE = project.book_address(URLS)


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the book, built from a clean state with warnings as errors."""
    return build.build(out=tmp_path_factory.mktemp("book"))


def read(path: Path) -> str:
    """Return the text of a page."""
    return path.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_book_has_every_page_and_the_readers_buttons(html: Path) -> None:
    """Chapters link to their notebook here and in Colab; edit opens what people edit."""
    assert chapters.missing_pages(html) == []
    assert "btn-colab" not in read(html / "book" / "glossary.html")  # there is nothing to run
    repository = ADDRESS.removeprefix("https://github.com/")
    for source in chapters.sources():
        page = read(html / "book" / f"{source.stem}.html")
        notebook = f"{repository}/blob/main/book/{source.stem}.ipynb"
        assert f"https://colab.research.google.com/github/{notebook}" in page
        assert f"{ADDRESS}/edit/main/book/{source.stem}.py" in page
        assert f'href="../_sources/book/{source.stem}.ipynb"' in page


@pytest.mark.slow
def test_one_folded_bar_stands_before_the_first_figure(html: Path) -> None:
    """On the main path: set-up, parameters and the code of the figure are one."""
    for source in chapters.sources()[:11]:
        page = BeautifulSoup(read(html / "book" / f"{source.stem}.html"), "html.parser")
        figure = page.select_one("article .cell_output img, article figure img")
        assert figure is not None, source.stem
        (bar,) = figure.find_all_previous("details", class_="hide")
        assert "PROFILE = " in bar.get_text(), source.stem


def own_pages(html: Path) -> list[Path]:
    """Return the pages of the book, without those that lie in files of others."""
    return [path for path in html.rglob("*.html") if "_static" not in path.parts]


@pytest.mark.slow
def test_every_page_loads_nothing_foreign_and_runs_its_own_scripts_alone(html: Path) -> None:
    """A policy stands before anything that loads, with the hash of each inline script.

    Links outwards are https and closed by noopener; nothing runs from an attribute.
    """
    loads = r"<(?:script|img|link rel=\"(?:stylesheet|preload)\")[^>]*>"
    for path in own_pages(html):
        page = read(path)
        for tag in re.findall(loads, page):
            assert not re.search(r"(?:src|href)=\"(?:https?:)?//", tag), f"{path.name}: {tag}"
        for tag in re.findall(r"<a\b[^>]*href=\"(?:https?:)?//[^>]*>", page):
            assert "noopener" in tag, f"{path.name}: {tag}"
            assert 'href="http:' not in tag, f"{path.name}: {tag}"
        assert not re.search(r"<[a-z]+\b[^>]* on[a-z]+=", page), path.name

        meta = re.search(r'<meta http-equiv="Content-Security-Policy" content="([^"]+)" />', page)
        assert meta, path
        assert not re.search(r"<(?:script|link|style|img)\b", page[: meta.start()]), path

        policy = meta[1]
        assert "'unsafe-inline'" not in policy.replace("style-src 'self' 'unsafe-inline'", "")
        assert ("unsafe-eval" in policy) == (path.name == "browser.html")
        for script in re.findall(r"<script>(.*?)</script>", page, re.S):
            digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
            assert f"'sha256-{digest}'" in policy, path


def rows_left_as_text(page: str) -> list[str]:
    """Return lines that should be rows of a table: `| a | b |` outside tables, code, formulas."""
    article = BeautifulSoup(page, "html.parser").find("article")
    if article is None:  # the search, a redirect
        return []
    for element in article.select("table, pre, code, .math"):
        element.decompose()
    lines = article.get_text().splitlines()
    return [line for line in lines if re.fullmatch(r"\s*\|.*\|\s*", line)]


@pytest.mark.slow
def test_no_page_shows_a_row_of_a_table_as_text(html: Path) -> None:
    """A cell of a printed table that holds a line break would end the table there."""
    for path in (html / "book").glob("*.html"):
        assert rows_left_as_text(read(path)) == [], path.name


@pytest.mark.slow
def test_a_setting_is_one_row_however_many_lines_its_meaning_has(html: Path) -> None:
    """The tables of settings have a row for each field, and nothing else."""
    page = BeautifulSoup(read(html / "book" / "hyperparameters.html"), "html.parser")
    names = [row.find("td").get_text() for row in page.select("table.settings tbody tr")]
    fields = [field.name for field in dataclasses.fields(Config) + dataclasses.fields(Controls)]
    assert names == [name for name in fields if name != "controls"]


@pytest.mark.slow
def test_a_shared_page_shows_its_title_summary_and_card(html: Path) -> None:
    """Absolute addresses below the published one, and a card of the size that chats expect."""
    page = read(html / "book" / "glossary.html")
    assert f'<link rel="canonical" href="{BASE}book/glossary.html"' in page
    assert '<meta property="og:title" content="Glossary" />' in page
    assert f'<meta property="og:image" content="{BASE}_static/social.png" />' in page
    assert re.search(r'<meta property="og:description" content="\w.+" />', page)

    with Image.open(html / "_static" / "social.png") as card:
        assert card.size == (1200, 630)


@pytest.mark.slow
def test_the_root_leads_to_the_first_page(html: Path) -> None:
    """And keeps an anchor."""
    page = read(html / "index.html")
    assert '<meta http-equiv="refresh" content="0; url=book/index.html" />' in page
    assert 'location.replace("book/index.html" + location.hash)' in page


@pytest.mark.slow
def test_the_links_of_the_page_for_wrong_addresses_are_right_at_any_depth(html: Path) -> None:
    """They start at the root of the host."""
    root = urlsplit(BASE).path
    links = re.findall(r'(?:href|src)="([^"#]+)"', read(html / "404.html"))
    own = [link for link in links if not link.startswith("https://")]
    assert f"{root}book/glossary.html" in own
    assert [link for link in own if not link.startswith(root)] == []
    for link in own:
        assert (html / link.removeprefix(root).split("?")[0]).exists(), link


def test_the_typefaces_are_here_with_their_licence() -> None:
    """Every file that the style sheet names exists, none is left over, all are small."""
    css = read(chapters.BOOK / "_static" / "book.css")
    fonts = chapters.BOOK / "_static" / "fonts"
    named = set(re.findall(r'url\("fonts/([^"]+)"\)', css))
    assert named == {path.name for path in fonts.glob("*.woff2")}
    assert "SIL OPEN FONT LICENSE" in read(fonts / "LICENSE")
    assert sum(path.stat().st_size for path in fonts.iterdir()) < 400_000
    assert not re.search(r"url\([\"']?(?:https?:)?//", css)


FIRST = {  # what a reader asks the search, and the page that should come first
    "hyperparameters": "hyperparameters",
    "learning rate": "hyperparameters",
    "BatchNorm": "glossary",
    "input of RankFormer": "glossary",
    "CORAL": "glossary",
    "temperature": "glossary",
    "bootstrap": "glossary",
    "UMAP": "07_ordinal_embeddings",
    "CSV": "10_your_own_images",
    "resume": "02_two_stages",
}


@pytest.mark.slow
def test_the_search_finds_what_readers_ask_for(html: Path) -> None:
    """Ten questions; a word of the glossary leads to its meaning and from there to a chapter."""
    assert first_hits(html, list(FIRST)) == [f"book/{page}" for page in FIRST.values()]


@pytest.mark.slow
def test_names_and_settings_in_a_chapter_lead_to_their_reference(html: Path) -> None:
    """A setting to its row, a class to its docstring; that page has all that the package offers."""
    api = read(html / "book" / "api.html")
    for name in l2rclip_lite.__all__:
        assert re.search(rf'id="l2rclip_lite\.[a-z_.]+\.{name}"', api)

    losses = read(html / "book" / "05_losses.html")
    assert 'href="hyperparameters.html#config-lambda-tight"><code' in losses
    assert 'id="config-lambda-tight"' in read(html / "book" / "hyperparameters.html")
    assert '<span class="together">' in losses  # an equation and the full stop after it
    rankformer = read(html / "book" / "04_rankformer.html")
    assert 'href="api.html#l2rclip_lite.method.rankformer.RankFormer"' in rankformer


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of one page, but for that page."""
    (tmp_path / "book").mkdir()
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: book/index\n", encoding="utf-8")
    (tmp_path / "_config.yml").write_text("execute: {execute_notebooks: 'off'}\n", encoding="utf-8")
    shutil.copy(chapters.ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.slow
def test_a_chapter_that_fails_leaves_a_book_of_the_others(project: Path, tiny: Path) -> None:
    """`make book` builds, says what is missing, and fails; the tree keeps its page."""
    book = project / "book"
    shutil.copy(tiny, book)
    (book / "02_fails.py").write_text(f"{tiny.read_text()}\n# %%\n1 / 0\n", encoding="utf-8")
    stale = tiny.with_suffix(".ipynb").read_text(encoding="utf-8")
    (book / "02_fails.ipynb").write_text(stale, encoding="utf-8")
    (book / "index.md").write_text("# Title\n\n[](02_fails.ipynb#gone)\n", encoding="utf-8")
    names = "".join(f"- file: book/{name}\n" for name in ("01_tiny", "02_fails"))
    with (project / "_toc.yml").open("a", encoding="utf-8") as toc:
        toc.write(f"chapters:\n{names}")
    shutil.copy(chapters.ROOT / "Makefile", project)
    shutil.copytree(chapters.ROOT / "tools", project / "tools")
    (project / ".venv").symlink_to(chapters.ROOT / ".venv")

    command = ["make", "-o", ".venv/.made", "book"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True)
    assert done.returncode, done.stderr
    assert "FAIL 02_fails: " in done.stdout
    html = project / "_build" / "html" / "book"
    assert "steps 3" in read(html / "01_tiny.html")
    failed = read(html / "02_fails.html")
    assert "A chapter" in failed
    assert "steps 3" not in failed
    assert "_build/failed/02_fails.ipynb" in failed
    assert (project / "_build" / "failed" / "02_fails.ipynb").exists()
    assert read(book / "02_fails.ipynb") == stale


@pytest.mark.slow
def test_a_build_that_went_wrong_is_no_book(project: Path) -> None:
    """An unknown reference is a warning, and warnings are errors."""
    (project / "book" / "index.md").write_text("# Title\n\n{ref}`nowhere`\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="jupyter-book failed with status 1"):
        build.build(project)
