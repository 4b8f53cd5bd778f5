"""The built book: a page for each entry, the right links, nothing from another host."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import build
import chapters
import pytest
import yaml

PROJECT = tomllib.loads((chapters.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ADDRESS = PROJECT["urls"]["Repository"]


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The book, built from a clean state with warnings as errors."""
    return build.build(out=tmp_path_factory.mktemp("book"))


@pytest.mark.slow
def test_book_has_every_page_and_the_readers_buttons(html: Path) -> None:
    """Every entry of _toc.yml became a page; chapters link to their notebook here and in Colab."""
    assert chapters.missing_pages(html) == []
    for source in chapters.sources():
        page = (html / "book" / f"{source.stem}.html").read_text(encoding="utf-8")
        notebook = f"blob/main/book/{source.stem}.ipynb"
        assert (
            f"https://colab.research.google.com/github/{ADDRESS.removeprefix('https://github.com/')}/{notebook}"
            in page
        )
        assert f"{ADDRESS}/edit/main/book/{source.stem}.py" in page  # what the page is made from
        assert f'href="../_sources/book/{source.stem}.ipynb"' in page


@pytest.mark.slow
def test_pages_that_are_no_notebook_offer_no_colab(html: Path) -> None:
    """The button would open a Markdown file there."""
    for entry in chapters.toc_files():
        if (chapters.ROOT / f"{entry}.md").exists():
            page = (html / f"{entry}.html").read_text(encoding="utf-8")
            assert "btn-colab" not in page
            assert f"{ADDRESS}/edit/main/{entry}.md" in page


@pytest.mark.slow
def test_pages_load_nothing_from_another_host(html: Path) -> None:
    """Scripts, styles and images are local: the book opens without a network."""
    for page in html.rglob("*.html"):
        for tag in re.findall(
            r"<(?:script|img|link rel=\"(?:stylesheet|preload)\")[^>]*>", page.read_text("utf-8")
        ):
            assert not re.search(r"(?:src|href)=\"(?:https?:)?//", tag), f"{page.name}: {tag}"


def test_every_chapter_is_in_the_table_of_contents() -> None:
    """A chapter that is not in _toc.yml is invisible, an entry without a file breaks the build."""
    entries = set(chapters.toc_files())
    assert {f"book/{source.stem}" for source in chapters.sources()} <= entries
    for entry in entries:
        assert [s for s in (".md", ".ipynb") if (chapters.ROOT / f"{entry}{s}").exists()], entry


def test_a_missing_page_is_noticed(tmp_path: Path) -> None:
    """One page of three was not made."""
    toc = {
        "format": "jb-book",
        "root": "book/index",
        "parts": [{"chapters": [{"file": "book/a"}, {"file": "book/b"}]}],
    }
    (tmp_path / "_toc.yml").write_text(yaml.safe_dump(toc), encoding="utf-8")
    for name in ("index.html", "book/index.html", "book/a.html"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert chapters.missing_pages(tmp_path, tmp_path) == ["book/b.html"]


def test_jupyter_book_2_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would build nothing and exit 0."""
    monkeypatch.setattr(build.importlib.metadata, "version", lambda name: "2.1.7")
    with pytest.raises(SystemExit, match=r"needs jupyter-book 1, found 2\.1\.7"):
        build.require_jupyter_book_1()


@pytest.mark.slow
def test_a_warning_fails_the_build(tmp_path: Path) -> None:
    """An unknown reference is a warning for Sphinx and an error for us."""
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "index.md").write_text("# Title\n\n{ref}`nowhere`\n", encoding="utf-8")
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: book/index\n", encoding="utf-8")
    shutil.copy(chapters.ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "_config.yml").write_text(
        "title: Broken\nexecute: {execute_notebooks: 'off'}\n", encoding="utf-8"
    )
    with pytest.raises(subprocess.CalledProcessError):
        build.build(tmp_path)
