"""Slides of a chapter: its title, the first line of its summary, and no more than three figures."""

import re

import chapters
import pytest
import slides

MAIN = [source.with_suffix(".ipynb") for source in chapters.sources()[:11]]


@pytest.mark.parametrize("page", MAIN, ids=lambda page: page.stem)
def test_a_main_chapter_has_slides(page: chapters.Path) -> None:
    """Each figure with its caption and its alternative text; no link to a page of the book."""
    deck = slides.slides_of(page)
    figures = re.findall(r'<img src="data:image/png;base64,[^"]+" alt="[^"]+"><figcaption>.', deck)
    assert 2 <= len(figures) <= 3
    assert deck.count("<section>") == len(figures) + 2
    assert re.search(r"<h2>[^<]+</h2><p>.{20,}</p>", deck)
    assert "<a " not in deck


def test_a_link_to_another_page_is_left_out() -> None:
    """Its words stay."""
    assert slides.text("As in [chapter 5](05_losses.ipynb).") == "As in chapter 5."
