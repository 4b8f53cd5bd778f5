"""`chapter-table`: every chapter with its title and the time that its page took, read from the executed pages."""

from __future__ import annotations

import json
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx import addnodes
from sphinx.application import Sphinx

HEAD = ("chapter", "time")


def title_of(page: dict[str, list[dict[str, str | list[str]]]]) -> str:
    """The first heading of a notebook."""
    source = page["cells"][0]["source"]
    lines = "".join(source).splitlines()
    return next(line.removeprefix("# ") for line in lines if line.startswith("# "))


class ChapterTable(Directive):
    """A row a chapter."""

    def run(self) -> list[nodes.Node]:
        """Build the table."""
        env = self.state.document.settings.env
        group = nodes.tgroup("", *(nodes.colspec(colwidth=width) for width in (70, 30)), cols=len(HEAD))
        head, body = nodes.thead(), nodes.tbody()
        head += nodes.row("", *(nodes.entry("", nodes.paragraph(text=text)) for text in HEAD))
        for path in sorted((Path(env.srcdir) / "book").glob("[0-9][0-9]_*.ipynb")):
            env.note_dependency(str(path))
            page = json.loads(path.read_text(encoding="utf-8"))
            stamp = page["metadata"]["l2rclip_lite"]
            link = addnodes.pending_xref(
                "", refdomain="std", reftype="doc", reftarget=path.stem, refexplicit=True, refdoc=env.docname
            )
            link += nodes.inline(text=f"{int(path.stem[:2])}. {title_of(page)}")
            where = stamp["device"].replace("CPU, threads: 1", "one CPU thread")
            cells = [link, nodes.Text(f"{stamp['seconds']}\u00a0s on {where}")]
            body += nodes.row("", *(nodes.entry("", nodes.paragraph("", "", cell)) for cell in cells))
        group += [head, body]
        return [nodes.table("", group)]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive with Sphinx."""
    app.add_directive("chapter-table", ChapterTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
