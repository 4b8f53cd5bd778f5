"""Make tables from files, so that no number is typed: results, chapters, proofs of chapters.

`results-table` gives means over runs from a CSV in `book/results`. `chapter-table` lists chapters
with the time their page took. `proved-table` lists what `tools/verify.py --record` wrote; each
chapter's last line says the same of that chapter.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
from docutils import nodes
from docutils.parsers.rst import Directive, directives
from sphinx import addnodes
from sphinx.application import Sphinx

RUNNERS = {"papermill": "papermill", "nbval": "nbval", "book": "book", "colab": "Colab-like"}
KERNELS = {"avx512": "AVX-512", "avx2": "AVX2", "sse": "SSE"}


Cell = str | nodes.Node | list[nodes.Node]


def table(head: Sequence[Cell], rows: list[list[Cell]]) -> nodes.table:
    """Return a docutils table.

    Args:
        head: The title of each column.
        rows: The cells of each row. A cell is a text, a node of text, or a list of paragraphs.
    """
    group = nodes.tgroup("", *(nodes.colspec(colwidth=1) for _ in head), cols=len(head))
    group += nodes.thead("", _row(head))
    group += nodes.tbody("", *map(_row, rows))
    return nodes.table("", group)


def _row(cells: Sequence[Cell]) -> nodes.row:
    """Return a row of a table."""
    row = nodes.row()
    for cell in cells:
        content = nodes.Text(cell) if isinstance(cell, str) else cell
        blocks = content if isinstance(content, list) else [nodes.paragraph("", "", content)]
        row += nodes.entry("", *blocks)
    return row


def summary(
    rows: pd.DataFrame, by: str, metrics: list[str], methods: list[str], digits: int
) -> list[list[str]]:
    """Return a row per method: name, number of runs, mean ± deviation (n − 1) of each metric.

    Raises:
        ValueError: the file has no such column or method.
    """
    lines = []
    for method in methods or list(dict.fromkeys(rows[by])):
        found = rows[rows[by] == method]
        if found.empty:
            raise ValueError(f"there is no {by} {method!r}; there are {sorted(set(rows[by]))}")
        cells = []
        for metric in metrics:
            mean = found[metric].mean()
            spread = found[metric].std()
            constant = len(found) == 1 or spread < 0.5 * 10**-digits
            cells.append(
                f"{mean:.{digits}f}" if constant else f"{mean:.{digits}f} ± {spread:.{digits}f}"
            )
        lines.append([method, str(len(found)), *cells])
    return lines


class ResultsTable(Directive):
    """The argument names a CSV below book/; options choose and name columns, methods and rows."""

    required_arguments = 1
    option_spec: ClassVar = {
        "metrics": directives.unchanged_required,  # column=title, column=title
        "methods": directives.unchanged,  # separated by semicolons; none means all
        "by": directives.unchanged,
        "where": directives.unchanged,  # a pandas query
        "digits": directives.nonnegative_int,
    }

    def run(self) -> list[nodes.Node]:
        """Build the table; a mean and its spread stay on one line."""
        env = self.state.document.settings.env
        path = Path(env.srcdir) / "book" / self.arguments[0]
        env.note_dependency(str(path))
        rows = pd.read_csv(path)
        if "where" in self.options:
            rows = rows.query(self.options["where"])
        titles = dict(pair.split("=") for pair in self.options["metrics"].split(", "))
        methods = [
            name.strip() for name in self.options.get("methods", "").split(";") if name.strip()
        ]
        by = self.options.get("by", "method")
        try:
            lines = summary(rows, by, list(titles), methods, self.options.get("digits", 3))
        except (KeyError, ValueError) as error:
            raise self.error(f"{self.arguments[0]}: {error}") from None
        whole = [[cell.replace(" ± ", "\u00a0±\u00a0") for cell in line] for line in lines]
        return [table(["method", "runs", *titles.values()], whole)]


class ChapterTable(Directive):
    """One row per chapter: a link with its title, and the time of its page."""

    def run(self) -> list[nodes.Node]:
        """Build the table from the executed pages."""
        env = self.state.document.settings.env
        rows: list[list[Cell]] = []
        for path in sorted((Path(env.srcdir) / "book").glob("[0-9][0-9]_*.ipynb")):
            env.note_dependency(str(path))
            page = json.loads(path.read_text(encoding="utf-8"))
            lines = "".join(page["cells"][0]["source"]).splitlines()
            title = next(line.removeprefix("# ") for line in lines if line.startswith("# "))
            link = addnodes.pending_xref(
                "",
                refdomain="std",
                reftype="doc",
                reftarget=path.stem,
                refexplicit=True,
                refdoc=env.docname,
            )
            link += nodes.inline(text=f"{int(path.stem[:2])}. {title}")
            time = "failed"
            if stamp := page["metadata"].get("l2rclip_lite"):
                where = stamp["device"].replace("CPU, threads: 1", "one CPU thread")
                time = f"{stamp['seconds']}\u00a0s on {where}"
            rows.append([link, time])
        return [table(["chapter", "time"], rows)]


def proofs(book: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Return what `tools/verify.py --record` wrote: chapter, kind of kernels, proof.

    Each proof is told whether today's source is the proved one.
    """
    path = book / "results" / "proof.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for stem, kinds in found.items():
        source = (book / f"{stem}.py").read_bytes().replace(b"\r\n", b"\n")
        for proof in kinds.values():
            proof["current"] = proof["source"] == hashlib.sha256(source).hexdigest()
    return found


def _titles(proof: dict[str, Any], ok: bool) -> str:
    """Name the runners that passed, or those that failed."""
    runners = proof["runners"]
    ends = {title: runners[name]["ok"] for name, title in RUNNERS.items() if name in runners}
    chosen = [title for title, end in ends.items() if end == ok]
    return "all four" if chosen == list(RUNNERS.values()) else ", ".join(chosen)


def sentence(book: Path, stem: str) -> str:
    """What a reader should know of a chapter's proof."""
    parts = []
    for kind, proof in proofs(book).get(stem, {}).items():
        if proof["current"]:
            passed = _titles(proof, True) or "no runner"
            failed = _titles(proof, False)
            kernels = f"{KERNELS.get(kind, kind)} (package `{proof['package'][:12]}`)"
            parts.append(f"{passed} on {kernels}{', but not ' + failed if failed else ''}")
    if not parts:
        return "This version of the page has not been through the runners yet; see {doc}`status`."
    return f"Proved in {'; in '.join(parts)}: see {{doc}}`status`."


def cell_of(proof: dict[str, Any] | None) -> str:
    """Return a cell of the table: the runners and their seconds, or those that failed."""
    if proof is None:
        return "not run"
    if not proof["current"]:
        return "edited since"
    failed = _titles(proof, False)
    seconds = sum(runner["seconds"] for runner in proof["runners"].values())
    return f"FAIL: {failed}" if failed else f"{_titles(proof, True)}, {seconds}\u00a0s"


class ProvedTable(Directive):
    """One row per chapter, one column per kind of kernels."""

    def run(self) -> list[nodes.Node]:
        """Build the table."""
        found = proofs(Path(self.state.document.settings.env.srcdir) / "book")
        kinds = list(
            dict.fromkeys([*KERNELS, *(kind for proof in found.values() for kind in proof)])
        )
        rows: list[list[Cell]] = [
            [stem.replace("_", " "), *(cell_of(proof.get(kind)) for kind in kinds)]
            for stem, proof in found.items()
        ]
        return [table(["chapter", *(KERNELS.get(kind, kind) for kind in kinds)], rows)]


def _add_proof(app: Sphinx, name: str, content: list[str]) -> None:
    """Append the sentence to the footer of a chapter while it is read."""
    book = Path(app.srcdir) / "book"
    stem = name.removeprefix("book/")
    if not (book / f"{stem}.py").exists():
        return
    page = json.loads(content[0])
    if "l2rclip_lite" not in page["metadata"]:  # it stands for a chapter that failed
        return
    footer = page["cells"][-1]
    footer["source"] = f"{''.join(footer['source'])}\n\n*{sentence(book, stem)}*"
    content[0] = json.dumps(page)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives and the hook with Sphinx."""
    app.add_directive("results-table", ResultsTable)
    app.add_directive("chapter-table", ChapterTable)
    app.add_directive("proved-table", ProvedTable)
    app.connect("source-read", _add_proof)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
