"""Build the book from the executed pages: from a clean state, with warnings as errors.

python tools/build.py                        the pages of the repository -> _build/html
python tools/build.py --pages _build/pages   pages of that folder in place of theirs

The second builds from a copy, so that the repository stays as it is.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import shutil
import subprocess
import sys
from pathlib import Path

import chapters

APART = ("_build", "build", "dist", "mutants", "node_modules", "runs", "shared", "__pycache__")


def with_pages(pages: Path, copy: Path, root: Path = chapters.ROOT) -> Path:
    """Copy the sources of a book, with the executed notebooks of another folder for its own.

    Args:
        pages: A folder of notebooks; a chapter that is not in it keeps the page it has.
        copy: Where the copy goes, in place of what is there.
        root: The book to copy; environments and hidden folders stay behind.

    Returns:
        `copy`.
    """
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(root, copy, ignore=shutil.ignore_patterns(".*", *APART))
    for page in sorted(pages.glob("*.ipynb")):
        shutil.copy(page, copy / "book")
    return copy


def build(root: Path = chapters.ROOT, out: Path | None = None) -> Path:
    """Build the book of `root` into `out`/_build and return the folder of its pages.

    Args:
        root: The project.
        out: Default: `root`.

    Raises:
        SystemExit: Jupyter Book 2 is installed, which reads no _config.yml, builds nothing and
            exits 0; a warning; a page that _toc.yml promises is missing.
    """
    version = importlib.metadata.version("jupyter-book")
    if not version.startswith("1."):
        raise SystemExit(f"the book needs jupyter-book 1, found {version}: run `make install`")

    out = out or root
    for name in ("html", ".doctrees"):  # a doctree kept from a failed build would hide its warnings
        shutil.rmtree(out / "_build" / name, ignore_errors=True)

    jupyter_book = str(Path(sys.executable).parent / "jupyter-book")
    command = [jupyter_book, "build", str(root), "--path-output", str(out)]
    command += ["-W", "-n", "--keep-going", "--all", "-q"]
    status = subprocess.run(command).returncode
    if status:
        raise SystemExit(f"jupyter-book failed with status {status}; see the warnings above")

    html = out / "_build" / "html"
    missing = chapters.missing_pages(html, root)
    if missing:
        raise SystemExit(f"the build reported success but made no {', '.join(missing)}")
    return html


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pages", type=Path, help="folder of executed notebooks")
    pages = parser.parse_args().pages

    source = chapters.ROOT
    if pages:
        source = with_pages(pages, chapters.ROOT / "_build" / "source")
    print(build(source, chapters.ROOT) / "index.html")
