"""What the tools and tests know about chapters: files, hashes, provenance, table of contents."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import jupytext
import nbformat
from page_rules import FOOTER_TAG, STAMP, tags
from sphinx_external_toc.parsing import parse_toc_yaml

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "book"


def sources(names: Sequence[str] = (), book: Path = BOOK) -> list[Path]:
    """Find chapter sources `NN_name.py`, all of them or those whose number or name is given."""
    every = sorted(book.glob("[0-9][0-9]_*.py"))
    chosen = []
    for name in names:
        hits = [path for path in every if Path(name).stem in (path.stem, path.stem.split("_")[0])]
        if not hits:
            raise SystemExit(
                f"no chapter {name!r} in {book.name}/; there are {[p.stem for p in every]}"
            )
        chosen += hits
    return chosen if names else every


def source_hash(source: Path) -> str:
    """SHA-256 of a chapter's source, independent of line ends."""
    return hashlib.sha256(source.read_bytes().replace(b"\r\n", b"\n")).hexdigest()


def package_hash(root: Path = ROOT) -> str:
    """SHA-256 over the names and contents of all files of the two packages in the wheel."""
    digest = hashlib.sha256()
    for package in (root / "l2rclip_lite", root / "book" / "l2rclip_book"):
        for path in sorted(p for p in package.rglob("*") if p.suffix in {".py", ".safetensors"}):
            digest.update(path.relative_to(package).as_posix().encode() + b"\0")
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def stale(source: Path) -> str | None:
    """Say why the executed page beside `source` does not belong to it, or None if it does."""
    path = source.with_suffix(".ipynb")
    if not path.exists():
        return f"{path.name} is missing"
    page = nbformat.read(path, as_version=4)
    if page.metadata.get(STAMP, {}).get("source") != source_hash(source):
        return f"{path.name} was executed from another version of {source.name}"
    written = [cell.source for cell in jupytext.read(source).cells]
    shown = [cell.source for cell in page.cells if FOOTER_TAG not in tags(cell)]
    return None if shown == written else f"{path.name} was edited by hand"


def slowest_first(found: Sequence[Path]) -> list[Path]:
    """Chapters by the seconds that their pages took; one without a page comes first."""

    def seconds(source: Path) -> float:
        path = source.with_suffix(".ipynb")
        if not path.exists():
            return float("inf")
        return float(nbformat.read(path, as_version=4).metadata.get(STAMP, {}).get("seconds", 0))

    return sorted(found, key=seconds, reverse=True)


def missing_pages(html: Path, root: Path = ROOT) -> list[str]:
    """Pages that _toc.yml promises and `html` lacks, index.html included."""
    wanted = ["index.html", *(f"{name}.html" for name in parse_toc_yaml(root / "_toc.yml"))]
    return [name for name in wanted if not (html / name).is_file()]
