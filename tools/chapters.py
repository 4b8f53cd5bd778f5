"""What scripts and tests know about chapters: files, hashes, provenance, table of contents."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import yaml
from page_rules import FOOTER_TAG, STAMP, tags

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "book"


def sources(names: Sequence[str] = (), book: Path = BOOK) -> list[Path]:
    """Find chapter sources `NN_name.py`, all of them or those whose number or name is given."""
    every = sorted(book.glob("[0-9][0-9]_*.py"))
    if not names:
        return every
    found = []
    for name in names:
        stem = Path(name).stem
        hits = [path for path in every if path.stem == stem or path.stem.split("_")[0] == stem]
        if not hits:
            raise SystemExit(
                f"no chapter {name!r} in {book.name}/; there are {[path.stem for path in every]}"
            )
        found += hits
    return found


def source_hash(source: Path) -> str:
    """SHA-256 of a chapter's source, independent of line ends."""
    return hashlib.sha256(source.read_bytes().replace(b"\r\n", b"\n")).hexdigest()


def package_hash(package: Path = ROOT / "l2rclip_lite") -> str:
    """SHA-256 over the names and contents of all files that the package ships."""
    digest = hashlib.sha256()
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


def seconds(source: Path) -> float:
    """How long the chapter's page took when it was made; endless where there is none."""
    path = source.with_suffix(".ipynb")
    if not path.exists():
        return float("inf")
    return float(nbformat.read(path, as_version=4).metadata.get(STAMP, {}).get("seconds", 0))


def toc_files(root: Path = ROOT) -> list[str]:
    """Documents named in _toc.yml, such as `book/05_two_stages`."""

    def walk(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            yield from (value for key, value in node.items() if key in {"root", "file"})
            for value in node.values():
                yield from walk(value)
        elif isinstance(node, list):
            for value in node:
                yield from walk(value)

    return list(walk(yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))))


def missing_pages(html: Path, root: Path = ROOT) -> list[str]:
    """Pages that the table of contents promises and `html` lacks, index.html included."""
    wanted = ["index.html", *(f"{name}.html" for name in toc_files(root))]
    return [name for name in wanted if not (html / name).is_file()]
