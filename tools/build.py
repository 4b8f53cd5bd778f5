"""Build the book from the executed pages: from a clean state, with warnings as errors.

python tools/build.py                        the pages of the repository -> _build/html
python tools/build.py --pages _build/pages   pages of that folder in place of theirs

The second builds from a copy, so that the repository stays as it is. A chapter that is not in that
folder has failed: the book says so in its place, and the status is 1.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import chapters
import jupytext
import nbformat
import tyro

PARTS = ("_config.yml", "_toc.yml", "pyproject.toml", "book", "l2rclip_lite")  # of a book


def with_pages(pages: Path, copy: Path, names: Sequence[str]) -> list[str]:
    """Copy the book's sources, with executed notebooks for its own.

    Args:
        pages: A folder of notebooks.
        copy: Where the copy goes, in place of what is there.
        names: The chapters that were executed, by number or name; none means all. Another keeps
            the page it has.

    Returns:
        The chapters that were executed and have no page: the copy has a page that says so.
    """
    shutil.rmtree(copy, ignore_errors=True)
    chapters.copy(PARTS, copy)
    failed = []
    for source in chapters.sources(names, copy / "book"):
        page = source.with_suffix(".ipynb")
        if (pages / page.name).exists():
            shutil.copy(pages / page.name, page)
        else:
            failed.append(source.stem)
            title, *_ = jupytext.read(source).cells[0].source.splitlines()
            kept = f"the run is kept as `_build/failed/{source.stem}.ipynb`"
            apology = f"This chapter failed here; where an error stopped it, {kept}."
            cell = nbformat.v4.new_markdown_cell(f"{title}\n\n{apology}")
            nbformat.write(nbformat.v4.new_notebook(cells=[cell]), page)
    return failed


def build(root: Path = chapters.ROOT, out: Path | None = None, *, strict: bool = True) -> Path:
    """Build the book of `root` into `out`/_build and return the folder of its pages.

    Args:
        root: The project.
        out: Default: `root`.
        strict: Take warnings as errors.

    Raises:
        SystemExit: A warning, if `strict`; a page that _toc.yml promises is missing.
    """
    out = out or root
    for name in ("html", ".doctrees"):  # a doctree kept from a failed build would hide its warnings
        shutil.rmtree(out / "_build" / name, ignore_errors=True)

    jupyter_book = str(Path(sys.executable).parent / "jupyter-book")
    command = [jupyter_book, "build", str(root), "--path-output", str(out)]
    command += ["-n", "--all", "-q", *(["-W", "--keep-going"] if strict else [])]
    status = subprocess.run(command).returncode
    if status:
        raise SystemExit(f"jupyter-book failed with status {status}; see the warnings above")

    html = out / "_build" / "html"
    missing = chapters.missing_pages(html, root)
    if missing:
        raise SystemExit(f"the build reported success but made no {', '.join(missing)}")
    return html


def main(chapter: tuple[str, ...] = (), /, pages: Path | None = None) -> int:
    """Build; the status is 1 if an executed chapter has no page.

    Args:
        chapter: Number or name of those executed; none means all.
        pages: Folder of executed notebooks.
    """
    source = chapters.ROOT
    failed = []
    if pages:
        source = chapters.ROOT / "_build" / "source"
        failed = with_pages(pages, source, chapter)
    # links into a page that is not there are warnings
    print(build(source, chapters.ROOT, strict=not failed) / "index.html")
    if failed:
        print(f"FAIL {', '.join(failed)}: failed, and is not in this book")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(tyro.cli(main))
