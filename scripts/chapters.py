"""What scripts and tests know about chapters: files, hashes, provenance, page rules, table of contents."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import yaml
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "book"
STAMP = "l2rclip_lite"  # key in the notebook's metadata
FOOTER_TAG = "provenance"
SIZE_CAP = 4 * 2**20
HOME_PATH = re.compile(r"(?<![\w.:/])/(?:home|root|Users|tmp|work|private|mnt|opt|content)/\w|\b[A-Z]:\\\w")


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


def tags(cell: NotebookNode) -> list[str]:
    """A cell's tags."""
    return list(cell.metadata.get("tags", []))


def _texts(cell: NotebookNode) -> Iterator[str]:
    """Every text that a code cell shows (images are left out: base64 looks like a path now and then)."""
    for output in cell.get("outputs", []):
        if output.output_type == "stream":
            yield output.text
        for mime, value in output.get("data", {}).items():
            if mime.startswith("text/") or mime == "image/svg+xml":
                yield value if isinstance(value, str) else json.dumps(value)
        yield from output.get("traceback", [])


def _cell_problems(number: int, cell: NotebookNode) -> Iterator[str]:
    """The rules for one code cell."""
    where = f"code cell {number}"
    if "injected-parameters" in tags(cell):
        yield f"{where}: injected parameters were left in the page"
    if cell.source.strip() and cell.execution_count is None:
        yield f"{where}: was not executed"
    for output in cell.outputs:
        if output.output_type == "error":
            yield f"{where}: ends in {output.ename}"
        if output.output_type == "stream" and output.name == "stderr":
            yield f"{where}: prints on stderr: {output.text.strip()[:200]}"
    for text in _texts(cell):
        if match := HOME_PATH.search(text):
            yield f"{where}: shows a path of this machine: {text[match.start() :][:60]!r}"


def problems(page: NotebookNode) -> list[str]:
    """List what is wrong with an executed page; an empty list means it may be published."""
    found = []
    if page.metadata.get("kernelspec", {}).get("name") != "python3":
        found.append("the kernel is not python3")
    if (profile := page.metadata.get(STAMP, {}).get("profile")) != "page":
        found.append(f"the profile is {profile!r}, not 'page'")
    code = [cell for cell in page.cells if cell.cell_type == "code"]
    if not any(cell.outputs for cell in code):
        found.append("no cell has an output")
    for number, cell in enumerate(code, start=1):
        found += _cell_problems(number, cell)
    if (size := len(nbformat.writes(page))) > SIZE_CAP:
        found.append(f"{size / 2**20:.1f} MiB is more than the {SIZE_CAP // 2**20} MiB a page may have")
    return found


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
