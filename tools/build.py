"""Build the book from the executed pages: clean state, warnings as errors, a page for each _toc.yml entry."""

from __future__ import annotations

import argparse
import importlib.metadata
import shutil
import subprocess
import sys
from pathlib import Path

import chapters

LEFTOVERS = ("html", ".doctrees", ".jupyter_cache", "jupyter_execute")


def require_jupyter_book_1() -> None:
    """Refuse Jupyter Book 2, which reads no _config.yml, builds nothing and exits 0."""
    version = importlib.metadata.version("jupyter-book")
    if not version.startswith("1."):
        raise SystemExit(f"the book needs jupyter-book 1, found {version}: run `make install`")


def build(root: Path = chapters.ROOT, out: Path | None = None) -> Path:
    """Build the book of `root` into `out`/_build (default: `root`) and return the folder of its pages."""
    require_jupyter_book_1()
    out = out or root
    for name in LEFTOVERS:  # a doctree kept from a failed build would hide its warnings
        shutil.rmtree(out / "_build" / name, ignore_errors=True)
    command = [
        str(Path(sys.executable).parent / "jupyter-book"),
        "build",
        str(root),
        "--path-output",
        str(out),
    ]
    subprocess.run([*command, "-W", "-n", "--keep-going", "--all", "-q"], check=True)
    html = out / "_build" / "html"
    if missing := chapters.missing_pages(html, root):
        raise SystemExit(f"the build reported success but made no {', '.join(missing)}")
    return html


def main() -> None:
    """Parse the command line and build."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    try:
        html = build()
    except subprocess.CalledProcessError as error:
        raise SystemExit(
            f"jupyter-book failed with status {error.returncode}; see the warnings above"
        ) from None
    print(f"{len(chapters.toc_files())} pages -> {html / 'index.html'}")


if __name__ == "__main__":
    main()
