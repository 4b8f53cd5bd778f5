"""Chapters for tools and tests: files, hashes, provenance, table of contents."""

from __future__ import annotations

import hashlib
import math
import re
import shutil
import subprocess
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from page_rules import FOOTER_TAG, STAMP, tags
from sphinx_external_toc.parsing import parse_toc_yaml

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "book"
SHIPPED = {".py", ".safetensors", ".toml", ".json", ".sha256", ".typed", ".jinja"}  # in the wheel


def sources(names: Sequence[str] = (), book: Path = BOOK) -> list[Path]:
    """Find chapter sources `NN_name.py`, all of them or those whose number or name is given."""
    every = sorted(book.glob("[0-9][0-9]_*.py"))
    if not names:
        return every

    chosen = []
    for name in names:
        matches = [path for path in every if Path(name).stem in (path.stem, path.stem[:2])]
        if not matches:
            stems = [path.stem for path in every]
            raise SystemExit(f"no chapter {name!r} in {book.name}/; there are {stems}")
        chosen += matches
    return chosen


def project() -> dict[str, Any]:
    """Return what pyproject.toml says of the project."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    table: dict[str, Any] = tomllib.loads(text)["project"]
    return table


def trained() -> list[Path]:
    """List the chapters that train: a cell of each, tagged `spread`, hands over its numbers."""
    tagged = re.compile(r'^# %%.* tags=\[.*"spread"', re.MULTILINE)
    return [source for source in sources() if tagged.search(source.read_text(encoding="utf-8"))]


def copy(parts: Sequence[str], folder: Path) -> None:
    """Copy files and folders of the project, named from its root, into a folder."""
    for part in parts:
        original = ROOT / part
        if original.is_dir():
            shutil.copytree(original, folder / part)
        else:
            folder.mkdir(exist_ok=True)
            shutil.copy(original, folder)


def short_commit() -> str:
    """Return the commit of the code, for the results that a script writes."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    return done.stdout.strip()


def source_hash(source: Path) -> str:
    """Return the SHA-256 of a chapter's source, independent of line ends."""
    return hashlib.sha256(source.read_bytes().replace(b"\r\n", b"\n")).hexdigest()


def package_hash() -> str:
    """Return the SHA-256 over names and contents of all files of the two packages in the wheel."""
    digest = hashlib.sha256()
    for package in (ROOT / "l2rclip_lite", BOOK / "l2rclip_book"):
        paths = [p for p in package.rglob("*") if p.suffix in SHIPPED and p.name != "ruff.toml"]
        for path in sorted(paths):
            digest.update(path.relative_to(package).as_posix().encode() + b"\0")
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def for_colab(source: Path) -> Path:
    """Return what Colab opens: the copy without answers, where the chapter has bets."""
    copy = source.parent / "colab" / f"{source.stem}.ipynb"
    return copy if copy.exists() else source.with_suffix(".ipynb")


def longest_first(paths: Sequence[Path]) -> list[Path]:
    """Sort sources by the seconds of their committed pages, so that none runs alone at last."""

    def seconds(source: Path) -> float:
        page = source.with_suffix(".ipynb")
        if not page.exists():
            return math.inf
        stamp = nbformat.read(page, as_version=4).metadata[STAMP]
        return float(stamp.seconds)

    return sorted(paths, key=seconds, reverse=True)


def stale(source: Path) -> str | None:
    """Return why the executed page beside `source` does not belong to it, or None if it does."""
    path = source.with_suffix(".ipynb")
    if not path.exists():
        return f"{path.name} is missing"

    page = nbformat.read(path, as_version=4)
    if page.metadata.get(STAMP, {}).get("source") != source_hash(source):
        return f"{path.name} was executed from another version of {source.name}"

    written = [cell.source for cell in jupytext.read(source).cells]
    shown = [cell.source for cell in page.cells if FOOTER_TAG not in tags(cell)]
    if shown != written:
        return f"{path.name} was edited by hand"
    return None


def missing_pages(html: Path, root: Path = ROOT) -> list[str]:
    """List the pages that _toc.yml promises and `html` lacks, index.html included."""
    wanted = ["index.html", *(f"{name}.html" for name in parse_toc_yaml(root / "_toc.yml"))]
    return [name for name in wanted if not (html / name).is_file()]
