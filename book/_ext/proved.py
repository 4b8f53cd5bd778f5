"""A line at the foot of each chapter, and a table for the status page: in which runners it was proved.

`tools/verify.py --record` writes `book/results/proof.json`. A proof counts for the source that it was made with; a
chapter that was edited since says so.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

RUNNERS = {
    "papermill": "papermill",
    "nbval": "nbval",
    "book": "book",
    "colab": "Colab-like",
}


def _proofs(app: Sphinx) -> dict[str, Any]:
    """What is recorded; nothing if there is no record."""
    path = Path(app.srcdir) / "book" / "results" / "proof.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _current(app: Sphinx, stem: str, proof: dict[str, Any]) -> bool:
    """Whether the proof was made with the source as it is."""
    source = (Path(app.srcdir) / "book" / f"{stem}.py").read_bytes().replace(b"\r\n", b"\n")
    return proof["source"] == hashlib.sha256(source).hexdigest()


def sentence(app: Sphinx, stem: str) -> str:
    """What a reader should know of a chapter's proof."""
    proof = _proofs(app).get(stem)
    if proof is None or not _current(app, stem, proof):
        return "This version of the page has not been through the four runners yet; see {doc}`status`."
    passed = [title for name, title in RUNNERS.items() if proof["runners"].get(name, {}).get("ok")]
    failed = [title for title in RUNNERS.values() if title not in passed]
    text = f"Proved in {', '.join(passed) or 'no runner'} with package `{proof['package'][:12]}`"
    return f"{text}{'; it fails in ' + ', '.join(failed) if failed else ''}: see {{doc}}`status`."


def _add_line(app: Sphinx, name: str, content: list[str]) -> None:
    """Append the sentence to the footer of a chapter while it is read."""
    stem = name.removeprefix("book/")
    if not (Path(app.srcdir) / "book" / f"{stem}.py").exists() or not content[0].lstrip().startswith("{"):
        return
    page = json.loads(content[0])
    footer = page["cells"][-1]
    text = footer["source"] if isinstance(footer["source"], str) else "".join(footer["source"])
    footer["source"] = f"{text}\n\n*{sentence(app, stem)}*"
    content[0] = json.dumps(page)


class ProvedTable(Directive):
    """A row a chapter, a column a runner: OK with its seconds, or FAIL."""

    def run(self) -> list[nodes.Node]:
        """Build the table."""
        app = self.state.document.settings.env.app
        head = ["chapter", *RUNNERS.values(), "source"]
        rows = []
        for stem, proof in _proofs(app).items():
            cells = [f"{'OK' if r['ok'] else 'FAIL'}, {r['seconds']} s" if r else "not run"
                     for r in (proof["runners"].get(name) for name in RUNNERS)]  # fmt: skip
            state = "as proved" if _current(app, stem, proof) else "edited since"
            rows.append([stem.replace("_", " "), *cells, state])
        if not rows:
            return [nodes.paragraph(text="Nothing is recorded yet: run make verify.")]
        return [table(head, rows)]


def table(head: list[str], rows: list[list[str]]) -> nodes.table:
    """A docutils table of plain texts."""
    group = nodes.tgroup("", *(nodes.colspec(colwidth=1) for _ in head), cols=len(head))
    for kind, lines in ((nodes.thead, [head]), (nodes.tbody, rows)):
        part = kind()
        for line in lines:
            entries = [nodes.entry("", nodes.paragraph(text=text)) for text in line]
            part += nodes.row("", *entries)
        group += part
    return nodes.table("", group)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the hook and the directive with Sphinx."""
    app.connect("source-read", _add_line)
    app.add_directive("proved-table", ProvedTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
