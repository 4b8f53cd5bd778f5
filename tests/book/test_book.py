"""The built book: its pages, links and policies, and nothing from another host."""

import base64
import hashlib
import re
from dataclasses import fields
from pathlib import Path
from urllib.parse import urlsplit

import build
import chapters
import project
import pytest
from bs4 import BeautifulSoup

import l2rclip_lite
from l2rclip_lite.config import Config, Controls

pytestmark = pytest.mark.slow
URLS = chapters.project()["urls"]
ADDRESS = URLS["Repository"]
BASE = project.book_address(URLS)


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the book, built from a clean state with warnings as errors."""
    return build.build(out=tmp_path_factory.mktemp("book"))


def read(path: Path) -> str:
    """Return the text of a page."""
    return path.read_text(encoding="utf-8")


def test_the_book_has_every_page_and_the_readers_buttons(html: Path) -> None:
    """Chapters link to their notebook here and in Colab; edit opens what people edit.

    On the main path set-up, parameters and the code of the first figure are one folded bar.
    """
    assert chapters.missing_pages(html) == []
    repository = ADDRESS.removeprefix("https://github.com/")
    for number, source in enumerate(chapters.sources()):
        text = read(html / "book" / f"{source.stem}.html")
        notebook = chapters.for_colab(source).relative_to(chapters.ROOT).as_posix()
        assert f"https://colab.research.google.com/github/{repository}/blob/main/{notebook}" in text
        assert f"{ADDRESS}/edit/main/book/{source.stem}.py" in text
        assert f'href="../_sources/book/{source.stem}.ipynb"' in text

        if number < 11:
            page = BeautifulSoup(text, "html.parser")
            figure = page.select_one("article .cell_output img, article figure img")
            assert figure is not None, source.stem
            (bar,) = figure.find_all_previous("details", class_="hide")
            assert "PROFILE = " in bar.get_text(), source.stem


def test_what_answers_a_bet_is_folded(html: Path) -> None:
    """A cell that says the bet has one fold; what comes before the next text lies in it."""
    for source in chapters.sources():
        page = BeautifulSoup(read(html / "book" / f"{source.stem}.html"), "html.parser")
        folds = [fold for fold in page.select("details") if "Show the answer" in fold.summary.text]
        assert len(folds) == source.read_text(encoding="utf-8").count('print(f"Your bet: ')
        for fold in folds:
            assert "No bet." in fold.text

    losses = BeautifulSoup(read(html / "book" / "05_losses.html"), "html.parser")
    shown = losses.find("details", class_=False)
    assert "pairwise, shuffled order" in shown.text
    assert len(shown.select("img")) == 1


def test_every_page_loads_nothing_foreign_and_runs_its_own_scripts_alone(html: Path) -> None:
    """A policy stands before anything that loads, with the hash of each inline script.

    Links outwards are https and closed by noopener.
    """
    loads = r"<(?:script|img|link rel=\"(?:stylesheet|preload)\")[^>]*>"
    own_pages = [path for path in html.rglob("*.html") if "_static" not in path.parts]
    for path in own_pages:
        page = read(path)
        for tag in re.findall(loads, page):
            assert not re.search(r"(?:src|href)=\"(?:https?:)?//", tag), f"{path.name}: {tag}"
        for tag in re.findall(r"<a\b[^>]*href=\"(?:https?:)?//[^>]*>", page):
            assert "noopener" in tag, f"{path.name}: {tag}"
            assert 'href="http:' not in tag, f"{path.name}: {tag}"

        meta = re.search(r'<meta http-equiv="Content-Security-Policy" content="([^"]+)" />', page)
        assert meta, path
        assert not re.search(r"<(?:script|link|style|img)\b", page[: meta.start()]), path

        policy = meta[1]
        assert "'unsafe-inline'" not in policy.replace("style-src 'self' 'unsafe-inline'", "")
        assert ("unsafe-eval" in policy) == (path.name == "browser.html")
        for script in re.findall(r"<script>(.*?)</script>", page, re.S):
            digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
            assert f"'sha256-{digest}'" in policy, path


API = "l2rclip_lite.method.rankformer.RankFormer"


@pytest.mark.parametrize(
    ("page", "part"),
    [
        ("index", '<meta http-equiv="refresh" content="0; url=book/index.html" />'),
        ("book/glossary", f'<link rel="canonical" href="{BASE}book/glossary.html"'),
        ("book/glossary", f'<meta property="og:image" content="{BASE}_static/social.png" />'),
        ("book/05_losses", 'href="hyperparameters.html#config-lambda-tight"><code'),
        ("book/05_losses", '<span class="together">'),  # an equation and the full stop after it
        ("book/04_rankformer", f'href="api.html#{API}"'),
    ],
)
def test_a_page_has_what_leads_on(page: str, part: str, html: Path) -> None:
    """To the first page, to what a chat shows, from a setting or a name to its reference."""
    assert part in read(html / f"{page}.html")


def test_the_reference_has_all_that_the_package_offers(html: Path) -> None:
    """Every public name, and one row for each setting, however many lines its meaning has."""
    api = read(html / "book" / "api.html")
    for name in l2rclip_lite.__all__:
        assert re.search(rf'id="l2rclip_lite\.[a-z_.]+\.{name}"', api), name

    page = read(html / "book" / "hyperparameters.html")
    rows = BeautifulSoup(page, "html.parser").select("table.settings tbody tr")
    names = [row.find("td").get_text() for row in rows]
    settings = [field.name for field in (*fields(Config), *fields(Controls))]
    settings.remove("controls")
    assert names == settings


def test_the_links_of_the_page_for_wrong_addresses_are_right_at_any_depth(html: Path) -> None:
    """They start at the root of the host."""
    root = urlsplit(BASE).path
    links = re.findall(r'(?:href|src)="([^"#]+)"', read(html / "404.html"))
    own = [link for link in links if not link.startswith("https://")]
    assert f"{root}book/glossary.html" in own
    for link in own:
        assert link.startswith(root)
        assert (html / link.removeprefix(root).split("?")[0]).exists(), link


def test_a_chapter_that_fails_leaves_a_book_of_the_others(tmp_path: Path) -> None:
    """Its page says so; the repository keeps its own."""
    pages = tmp_path / "pages"
    kept, failed = chapters.sources(["01", "03"])
    pages.mkdir()
    (pages / f"{kept.stem}.ipynb").write_text("new", encoding="utf-8")
    assert build.with_pages(pages, tmp_path / "copy", ["01", "03"]) == [failed.stem]
    assert (tmp_path / "copy/l2rclip_lite/runs/results.py").is_file()  # a page shows its docstrings
    assert read(tmp_path / "copy" / "book" / f"{kept.stem}.ipynb") == "new"
    assert "This chapter failed here" in read(tmp_path / "copy" / "book" / f"{failed.stem}.ipynb")


def test_a_build_that_went_wrong_is_no_book(tmp_path: Path) -> None:
    """An unknown reference is a warning, and warnings are errors."""
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "index.md").write_text("# Title\n\n{ref}`nowhere`\n", encoding="utf-8")
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: book/index\n", encoding="utf-8")
    (tmp_path / "_config.yml").write_text("execute: {execute_notebooks: 'off'}\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="jupyter-book failed with status 1"):
        build.build(tmp_path)
