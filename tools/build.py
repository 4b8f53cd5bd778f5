"""Build the book from the executed pages: clean state, warnings as errors, a page for each _toc.yml entry."""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
from pathlib import Path

import chapters


def build(root: Path = chapters.ROOT, out: Path | None = None) -> Path:
    """Build the book of `root` into `out`/_build (default: `root`) and return the folder of its pages.

    Raises:
        SystemExit: Jupyter Book 2 is installed, which reads no _config.yml, builds nothing and exits 0; a warning; a
            page that _toc.yml promises is missing.
    """
    version = importlib.metadata.version("jupyter-book")
    if not version.startswith("1."):
        raise SystemExit(f"the book needs jupyter-book 1, found {version}: run `make install`")
    out = out or root
    for name in ("html", ".doctrees"):  # a doctree kept from a failed build would hide its warnings
        shutil.rmtree(out / "_build" / name, ignore_errors=True)
    command = [
        str(Path(sys.executable).parent / "jupyter-book"),
        "build",
        str(root),
        "--path-output",
        str(out),
    ]
    status = subprocess.run([*command, "-W", "-n", "--keep-going", "--all", "-q"]).returncode
    if status:
        raise SystemExit(f"jupyter-book failed with status {status}; see the warnings above")
    html = out / "_build" / "html"
    if missing := chapters.missing_pages(html, root):
        raise SystemExit(f"the build reported success but made no {', '.join(missing)}")
    return html


if __name__ == "__main__":
    print(build() / "index.html")
