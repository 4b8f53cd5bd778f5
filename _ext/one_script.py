"""Sphinx 7.4 emits each inline script twice; the second `const` is then an error on every page."""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx


def _keep_first(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    """Drop inline scripts whose text came before on the same page."""
    seen: set[str] = set()
    kept = []
    for script in context.get("script_files", []):
        body = getattr(script, "attributes", {}).get("body")
        if body is None or body not in seen:
            kept.append(script)
        if body is not None:
            seen.add(body)
    context["script_files"] = kept


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the hook with Sphinx."""
    app.connect("html-page-context", _keep_first, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
