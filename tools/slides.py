"""Make slides of the main chapters: of each its title, one sentence, and its first three figures.

    python tools/slides.py      the pages of the repository -> _build/slides/index.html

Right and left go from chapter to chapter, down and up through its figures. The deck is a folder
that needs no network: Reveal.js comes from npm (`make slides`), the equations from the book's own
MathJax.
"""

from __future__ import annotations

import html
import itertools
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import chapters
import nbformat
import page_rules
from markdown_it import MarkdownIt
from nbformat import NotebookNode
from sphinx_external_toc.parsing import parse_toc_yaml

REVEAL = chapters.ROOT / ".node" / "node_modules" / "reveal.js" / "dist"
MATHJAX = chapters.BOOK / "_extra" / "mathjax"
FIGURES = 3  # of a chapter
LINK = re.compile(r"\[([^]]+)\]\([^)]+\)")
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<link rel="stylesheet" href="reveal/reveal.css">
<link rel="stylesheet" href="reveal/theme/white.css">
<style>
  .reveal {{ font-size: 30px }}
  .reveal h1, .reveal h2 {{ text-transform: none }}
  .reveal img {{ max-height: 60vh; margin: 0 }}
  .reveal figcaption {{ font-size: 0.6em; max-width: 60em; margin: 0.6em auto 0 }}
</style>
<div class="reveal"><div class="slides">
<section><h1>{title}</h1></section>
{sections}
</div></div>
<script>MathJax = {{ tex: {{ inlineMath: [['$', '$']] }} }}</script>
<script src="mathjax/tex-svg.js" defer></script>
<script src="reveal/reveal.js"></script>
<script>Reveal.initialize({{ hash: true, slideNumber: true }})</script>
</html>
"""


def text(markdown: str) -> str:
    """Return a line of Markdown as HTML, without its links, whose pages a deck lacks."""
    return str(MarkdownIt().renderInline(LINK.sub(r"\1", " ".join(markdown.split()))))


def figures_of(notebook: NotebookNode) -> Iterator[str]:
    """Yield each figure of a chapter as HTML, with its caption and its alternative text."""
    for cell, below in itertools.pairwise(notebook.cells):
        caption = page_rules.CAPTION.match(below.source)
        for output in cell.get("outputs", []):
            picture = output.get("data", {}).get("image/png")
            if picture is None or caption is None:
                continue
            alt = html.escape(cell.metadata["mystnb"]["image"]["alt"], quote=True)
            source = f"data:image/png;base64,{''.join(picture.split())}"
            shown = f"<figcaption>{text(caption[1])}</figcaption>"
            yield f'<figure><img src="{source}" alt="{alt}">{shown}</figure>'


def slides_of(page: Path) -> str:
    """Return the slides of a chapter, one below the other.

    Raises:
        SystemExit: It has no summary, whose first line is the sentence of the first slide.
    """
    notebook = nbformat.read(page, as_version=4)
    prose = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    opening = re.match(
        r"# (.+?)\n.*\n## Summary.*?^- (.+?)(?=\n- |\n\n|\Z)", prose, re.MULTILINE | re.DOTALL
    )
    if opening is None:
        raise SystemExit(f"slides: {page.name} has no summary")

    title, sentence = map(text, opening.groups())
    slides = [f"<h2>{title}</h2><p>{sentence}</p>", *list(figures_of(notebook))[:FIGURES]]
    return "<section>" + "\n".join(f"<section>{slide}</section>" for slide in slides) + "</section>"


def main() -> None:
    """Write the deck and what it needs."""
    out = chapters.ROOT / "_build" / "slides"
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(REVEAL, out / "reveal")
    shutil.copytree(MATHJAX, out / "mathjax")

    part = parse_toc_yaml(chapters.ROOT / "_toc.yml").root.subtrees[0]  # the main chapters
    pages = [chapters.ROOT / f"{entry}.ipynb" for entry in part.items]
    config = (chapters.ROOT / "_config.yml").read_text(encoding="utf-8")
    title = re.search(r"^title: (.*)$", config, flags=re.MULTILINE)
    assert title is not None
    sections = "\n".join(map(slides_of, pages))
    deck = PAGE.format(title=title[1], sections=sections)
    (out / "index.html").write_text(deck, encoding="utf-8")
    print(out / "index.html")


if __name__ == "__main__":
    main()
