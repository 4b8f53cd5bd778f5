"""Make tables from files, so that no number is typed: chapters, and proofs of chapters.

`chapter-table` lists chapters with the time their page took, `proved-table` what
`tools/verify.py --record` wrote.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from l2rclip_book.results import markdown_table

RUNNERS = {"papermill": "papermill", "nbval": "nbval", "book": "book", "colab": "Colab-like"}
KERNELS = {"avx512": "AVX-512", "avx2": "AVX2", "sse": "SSE"}


class ChapterTable(SphinxDirective):
    """One row per chapter: a link with its title, and the time of its page."""

    def run(self) -> list[nodes.Node]:
        """Build the table from the executed pages."""
        rows = []
        for path in sorted((Path(self.env.srcdir) / "book").glob("[0-9][0-9]_*.ipynb")):
            page = json.loads(path.read_text(encoding="utf-8"))
            title, _, _ = "".join(page["cells"][0]["source"]).partition("\n")
            link = f"[{int(path.stem[:2])}. {title.removeprefix('# ')}]({path.name})"
            time = "failed"
            if stamp := page["metadata"].get("l2rclip_lite"):
                where = stamp["device"].replace("CPU, threads: 1", "one CPU thread")
                time = f"{stamp['seconds']}\u00a0s on {where}"
            rows.append([link, time])
        return self.parse_text_to_nodes(markdown_table(["chapter", "time"], rows))


def proved_rows(book: Path) -> list[list[str]]:
    """Return what `tools/verify.py --record` wrote: a row per chapter, a cell per kind of kernels.

    Args:
        book: The folder of the chapters.
    """
    path = book / "results" / "proof.json"
    proofs: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    rows = []
    for stem, kinds in proofs.items():
        source = (book / f"{stem}.py").read_bytes().replace(b"\r\n", b"\n")
        today = hashlib.sha256(source).hexdigest()
        rows.append([stem.replace("_", " "), *(_cell(kinds.get(kind), today) for kind in KERNELS)])
    return rows


def _cell(proof: dict[str, Any] | None, today: str) -> str:
    """Return the runners of a proof and their seconds, or those that failed."""
    if proof is None:
        return "not run"
    if proof["source"] != today:
        return "edited since"

    results = [(title, proof["runners"].get(name)) for name, title in RUNNERS.items()]
    failed = [title for title, result in results if result and not result["ok"]]
    if failed:
        return f"FAIL: {', '.join(failed)}"
    passed = [title for title, result in results if result]
    titles = "all four" if len(passed) == len(RUNNERS) else ", ".join(passed)
    seconds = sum(result["seconds"] for result in proof["runners"].values())
    return f"{titles}, {seconds}\u00a0s"


class ProvedTable(SphinxDirective):
    """One row per chapter, one column per kind of kernels."""

    def run(self) -> list[nodes.Node]:
        """Build the table."""
        rows = proved_rows(Path(self.env.srcdir) / "book")
        return self.parse_text_to_nodes(markdown_table(["chapter", *KERNELS.values()], rows))


def setup(app: Sphinx) -> None:
    """Register the directives with Sphinx."""
    app.add_directive("chapter-table", ChapterTable)
    app.add_directive("proved-table", ProvedTable)
