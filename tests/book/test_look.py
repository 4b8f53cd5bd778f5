"""What the local extensions write: heads of pages, redirects, the page for unknown addresses, buttons."""

from __future__ import annotations

import base64
import hashlib
import re
import struct
import subprocess
import sys
from pathlib import Path

import chapters
import pytest

sys.path.insert(0, str(chapters.ROOT / "book" / "_ext"))
import moved
import project
import security
import social
import theme_fixes
from docutils.core import publish_doctree
from sphinx.errors import ExtensionError

BASE = "https://someone.github.io/clip-book/"
CONF = f"""
import sys
sys.path.insert(0, {str(chapters.ROOT / "book" / "_ext")!r})
extensions = ["project", "social", "moved", "theme_fixes", "security"]
html_title = "A book & more"
html_theme = "basic"
html_theme_options = {{}}
"""
PYPROJECT = '[project]\nversion = "1.2.3"\nurls = {Repository = "https://github.com/someone/clip-book"}\n'


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pages, one of which has moved, built by Sphinx with our extensions."""
    root = tmp_path_factory.mktemp("book")
    (root / "conf.py").write_text(CONF, encoding="utf-8")
    (root / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    (root / "book").mkdir()
    (root / "index.rst").write_text(
        "Start\n=====\n\nFirst *words*.\n\n.. toctree::\n\n   book/new\n", "utf-8"
    )
    new = (
        "New & here\n==========\n\nText, `out <http://example.org/a>`_\n\nPart\n----\n\n.. raw:: html\n\n   "
    )
    new += (
        "<script>f('è');\n   g()</script><script src='x.js'></script><script type='text/plain'>no</script>\n"
    )
    (root / "book/new.rst").write_text(new, "utf-8")
    (root / "book/redirects.yml").write_text("old/page: book/new#part\n", encoding="utf-8")
    command = [sys.executable, "-m", "sphinx", "-q", "-b", "html", str(root), str(root / "html")]
    subprocess.run(command, check=True, timeout=120)
    return root / "html"


def test_the_book_is_published_where_pyproject_says() -> None:
    """The GitHub Pages address of the repository, unless `Documentation` names another one."""
    repository = {"Repository": "https://github.com/someone/clip-book"}
    assert project.book_address(repository) == BASE
    assert project.book_address({**repository, "Documentation": "https://x.org/b"}) == "https://x.org/b/"


def test_a_shared_page_shows_its_title_summary_and_card(html: Path) -> None:
    """Absolute addresses below the published one, and a picture that is in the repository at the size promised."""
    page = (html / "book/new.html").read_text(encoding="utf-8")
    assert f'<link rel="canonical" href="{BASE}book/new.html"' in page
    assert '<meta property="og:title" content="New &amp; here" />' in page
    assert '<meta property="og:site_name" content="A book &amp; more" />' in page
    assert '<meta property="og:description" content="Text, out" />' in page
    assert f'<meta property="og:url" content="{BASE}book/new.html" />' in page
    assert f'<meta property="og:image" content="{BASE}{social.CARD}" />' in page
    assert '<meta name="theme-color" content="#12161b" media="(prefers-color-scheme: dark)" />' in page
    assert "og:title" not in (html / "search.html").read_text(encoding="utf-8")
    head = (chapters.ROOT / social.CARD).read_bytes()[:24]
    assert struct.unpack(">II", head[16:24]) == (1200, 630)


def test_the_summary_is_the_first_running_text_cut_after_a_word() -> None:
    """Not the text of a note; 12 characters hold "one two" and a mark."""
    tree = publish_doctree("Title\n=====\n\n.. note:: aside\n\none two, three four\n")
    assert social.summary(tree) == "one two, three four"
    assert social.summary(tree, limit=12) == "one two …"
    assert social.summary(publish_doctree("")) == ""


def test_a_moved_page_sends_its_readers_on(html: Path) -> None:
    """Up one folder, to the anchor; one that the reader brings wins; canonical and card are the new page's."""
    page = (html / "old/page.html").read_text(encoding="utf-8")
    assert '<meta http-equiv="refresh" content="0; url=../book/new.html#part" />' in page
    assert 'location.replace("../book/new.html" + (location.hash || "#part"))' in page
    assert f'<link rel="canonical" href="{BASE}book/new.html" />' in page
    assert '<meta property="og:title" content="New &amp; here" />' in page


def test_every_page_has_a_policy_with_the_hashes_of_its_own_scripts(html: Path) -> None:
    """Before anything that loads; the hash is that of the text as the browser reads it; files and data have none."""
    for path in html.rglob("*.html"):
        page = path.read_text(encoding="utf-8")
        found = re.search(r'<meta http-equiv="Content-Security-Policy" content="([^"]+)" />', page)
        assert found
        assert not re.search(r"<(?:script|link|style|img)\b", page[: found.start()]), path
        assert "'unsafe-inline'" not in found[1].replace("style-src 'self' 'unsafe-inline'", "")
        assert "unsafe-eval" not in found[1]
    page = (html / "book/new.html").read_text(encoding="utf-8")
    script = hashlib.sha256("f('è');\ng()".encode()).digest()
    assert f"'sha256-{base64.b64encode(script).decode()}'" in page
    assert page.split("; style-src")[0].count("'sha256-") == len(
        set(re.findall(r"<script>(.*?)</script>", page, re.S))
    )
    assert '<a rel="noopener" class="reference external" href="https://example.org/a">out</a>' in page


def test_links_outwards_are_closed_and_nothing_runs_from_an_attribute() -> None:
    """Over https unless the host is listed; noopener beside what `rel` says; the theme's handlers are gone."""
    page = '<meta charset="utf-8"><button onclick="window.print()">P</button>'
    link = '<a rel="nofollow" href="//a.org/b">x</a><a href="c.html">y</a>'
    made = security.guarded(page + link, "a.html")
    assert '<button data-press="print">' in made
    assert made.endswith('<a rel="nofollow noopener" href="//a.org/b">x</a><a href="c.html">y</a>')
    with pytest.raises(ValueError, match=r"a\.html has no <meta charset>"):
        security.guarded("<p>text</p>", "a.html")


def test_an_unknown_address_gets_help_at_any_depth(html: Path) -> None:
    """Every link of 404.html is an absolute path below the book's own, and leads to a file."""
    page = (html / "404.html").read_text(encoding="utf-8")
    links = re.findall(r'(?:href|action)="([^"]*)"', page)
    assert "/clip-book/new.html" in links
    assert "/clip-book/search.html" in links
    for link in links:
        path = link.removeprefix("/clip-book/")
        assert path != link
        assert (html / path).exists() or (chapters.ROOT / path).exists(), link


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("book/a: book/b", "book/a is a page"),
        ("old: book/c#part", "old leads to book/c#part, which is no page"),
    ],
)
def test_a_wrong_redirect_stops_the_build(tmp_path: Path, line: str, message: str) -> None:
    """It would hide a page, or lead nowhere."""
    (tmp_path / "table.yml").write_text(line, encoding="utf-8")
    with pytest.raises(ExtensionError, match=message):
        moved.read_table(tmp_path / "table.yml", {"book/a", "book/b"})


def test_the_redirects_of_this_book_are_right() -> None:
    """Every line of book/redirects.yml leads from no page to a page, and the root leads to the first one."""
    table = moved.read_table(chapters.ROOT / moved.TABLE, set(chapters.toc_files()))
    assert table["index"] == "book/index"


def test_a_notebook_opens_in_colab_and_its_source_in_the_editor(tmp_path: Path) -> None:
    """One launch target needs no menu; who edits a chapter edits the .py from which it is made."""
    edit = {"label": "source-edit-button", "url": "https://host/edit/main/book/01_a.ipynb"}
    made = theme_fixes.for_readers(
        [
            {
                "type": "group",
                "label": "launch-buttons",
                "buttons": [{"type": "link", "text": "Colab", "url": "c"}],
            },
            {"type": "group", "label": "source-buttons", "buttons": [dict(edit)]},
        ],
        tmp_path / "01_a.ipynb",
    )
    colab = {"type": "link", "text": "Colab", "url": "c", "tooltip": "Open this page in Colab"}
    assert made[0] == {**colab, "label": "colab"}
    assert made[1]["buttons"] == [edit]  # nothing beside it to edit
    (tmp_path / "01_a.py").touch()
    theme_fixes.for_readers(made, tmp_path / "01_a.ipynb")
    assert made[1]["buttons"][0]["url"] == "https://host/edit/main/book/01_a.py"


def test_an_inline_equation_keeps_its_marks() -> None:
    """No line may begin with the full stop after a symbol, nor end with the bracket before it; alone it is left alone."""
    k = '<span class="math notranslate nohighlight">\\(k\\)</span>'
    assert theme_fixes.mended(f"of {k} and ({k}), {k} end") == (
        f'of {k} and <span class="together">({k}),</span> {k} end'
    )


def test_inline_scripts_are_kept_once() -> None:
    """Two with the same text are one; scripts without a text are all kept."""

    class Script:
        def __init__(self, **attributes: str) -> None:
            self.attributes = attributes

    scripts = [Script(body="a"), Script(src="x"), Script(body="a"), Script(src="x")]
    assert theme_fixes.once(scripts) == [scripts[0], scripts[1], scripts[3]]


def test_the_typefaces_are_here_with_their_licence() -> None:
    """Every file that the style sheet names exists, none is left over, and together they are small."""
    css = (chapters.ROOT / "book/_static/book.css").read_text(encoding="utf-8")
    fonts = chapters.ROOT / "book/_static/fonts"
    named = set(re.findall(r'url\("fonts/([^"]+)"\)', css))
    assert named == {path.name for path in fonts.glob("*.woff2")}
    assert "SIL OPEN FONT LICENSE" in (fonts / "LICENSE").read_text(encoding="utf-8")
    assert sum(path.stat().st_size for path in fonts.iterdir()) < 400_000
    assert not re.search(r"url\([\"']?(?:https?:)?//", css)
