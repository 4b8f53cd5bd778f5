"""Takes the repository's address from pyproject.toml, the one place where it is written."""

from __future__ import annotations

import tomllib
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config


def _fill_in(app: Sphinx, config: Config) -> None:
    """Set the address behind the repository, issue, edit and Colab buttons, and the book's version."""
    project = tomllib.loads((Path(app.srcdir) / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    config.html_theme_options["repository_url"] = project["urls"]["Repository"]
    config.release = config.version = project["version"]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the hook with Sphinx."""
    app.connect("config-inited", _fill_in)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
