"""Join the modules and the data of what moves on a page to one plain script.

A browser that opens the book from a folder refuses modules and `fetch`; a plain script works
everywhere. The modules keep their places in `book/_static`, where node tests them one by one.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

from sphinx.application import Sphinx


class Script(NamedTuple):
    """A script, its pages, its modules and its data.

    Args:
        pages: Which load it.
        modules: Under `book/_static`; each imports from earlier ones only. The last has `start`,
            which is called with the data.
        data: A file of JSON under `book`.
        libraries: Under `_static`, loaded first.
    """

    pages: tuple[str, ...]
    modules: tuple[str, ...]
    data: str
    libraries: tuple[str, ...] = ()


PLAYGROUND = "losses ordinality state dom circle curve loss_part panel words_part playground"
MOVING = ("playground/dom", "moving/figure")
SCRIPTS = {
    "playground/playground.js": Script(
        ("book/playground", "book/05_losses"),
        tuple(f"playground/{name}" for name in PLAYGROUND.split()),
        "_static/playground/words.json",
        ("../d3/d3.min.js",),
    ),
    "moving/attention.js": Script(
        ("book/04_rankformer",), (*MOVING, "moving/attention"), "results/attention.json"
    ),
    "moving/motion.js": Script(
        ("book/07_ordinal_embeddings",), (*MOVING, "moving/motion"), "results/motion.json"
    ),
}
IMPORT = re.compile(r"^import \{[^}]*\} from '\.\.?/(?:\w+/)?\w+\.mjs';\n", re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:async )?function |const )", re.MULTILINE)


def bundle(script: Script, book: Path) -> str:
    """One script out of modules and data in the folder `book`."""
    parts = []
    for name in script.modules:
        file = book / "_static" / f"{name}.mjs"
        parts.append(EXPORT.sub("", IMPORT.sub("", file.read_text(encoding="utf-8"))))
    data = (book / script.data).read_text(encoding="utf-8")
    return "\n".join(["(() => {", "'use strict';", *parts, f"start({data.strip()});", "})();", ""])


def _load(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    """Write the scripts of a page and name them, and their libraries, in its head."""
    for name, script in SCRIPTS.items():
        if page not in script.pages:
            continue
        out = Path(app.outdir) / "_static" / name
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(bundle(script, Path(app.srcdir) / "book"), encoding="utf-8")
        for address in (*script.libraries, name):
            app.add_js_file(address, loading_method="defer")


def setup(app: Sphinx) -> None:
    """Register the hook with Sphinx."""
    app.connect("html-page-context", _load)
