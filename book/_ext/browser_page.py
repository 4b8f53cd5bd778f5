"""Loads the script of the page that grades the reader's own photo, on that page alone.

Jupyter Book puts every `.js` of `_static` into every page, so the source is called `.mjs`. It is a plain script all the
same: a browser that opens the book from a folder refuses modules, and the page is to say so.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

PAGE = "book/browser"
SCRIPT = "browser/browser.js"  # below _static


def _load(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    """Copy the script and name it in the head of the page."""
    if page != PAGE or app.builder.format != "html":
        return
    out = Path(app.outdir) / "_static" / SCRIPT
    out.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile((Path(app.srcdir) / "book" / "_static" / SCRIPT).with_suffix(".mjs"), out)
    app.add_js_file(SCRIPT, loading_method="defer")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the hook with Sphinx."""
    app.connect("html-page-context", _load)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
