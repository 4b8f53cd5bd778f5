"""Joins the modules and the data of the playground to one plain script, and loads it on the pages that hold a part of it.

A browser that opens the book from a folder refuses modules and `fetch`; a plain script works
everywhere. The modules keep their place in `book/_static/playground`, where node tests them one by
one.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

PAGES = ("book/playground", "book/05_losses")
MODULES = (  # each imports from earlier ones only
    *("losses", "ordinality", "state", "dom"),
    *("circle", "curve", "loss_part"),
    *("panel", "words_part"),
    "playground",
)
IMPORT = re.compile(r"^import \{[^}]*\} from '\./\w+\.mjs';\n", re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:async )?function |const )", re.MULTILINE)


def bundle(folder: Path) -> str:
    """One script out of the modules and `words.json` of `folder`."""
    parts = []
    for name in MODULES:
        text = EXPORT.sub("", IMPORT.sub("", (folder / f"{name}.mjs").read_text(encoding="utf-8")))
        if left := re.search(r"^(?:import|export)\b.*", text, re.MULTILINE):
            raise ValueError(
                f"{name}.mjs: write {left[0]!r} as `import {{ … }} from './….mjs';` or `export function/const`"
            )
        parts.append(text)
    data = (folder / "words.json").read_text(encoding="utf-8")
    return "\n".join(["(() => {", "'use strict';", *parts, f"start({data.strip()});", "})();", ""])


def _load(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    """Write the script and name it, and D3, in the head of such a page."""
    if page not in PAGES or app.builder.format != "html":
        return
    out = Path(app.outdir) / "_static" / "playground" / "playground.js"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(bundle(Path(app.srcdir) / "book" / "_static" / "playground"), encoding="utf-8")
    for name in ("../d3/d3.min.js", "playground/playground.js"):
        app.add_js_file(name, loading_method="defer")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the hook with Sphinx."""
    app.connect("html-page-context", _load)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
