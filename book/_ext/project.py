"""Takes addresses and the version from pyproject.toml, the one place where they are written."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sphinx.application import Sphinx
from sphinx.config import Config


def book_address(urls: dict[str, str]) -> str:
    """Where the built book is published, with a slash at the end.

    It is the GitHub Pages address of `Repository` of `[project.urls]`.

    Example:
        >>> book_address({"Repository": "https://github.com/someone/clip-book"})
        'https://someone.github.io/clip-book/'
    """
    owner, name = urlsplit(urls["Repository"]).path.strip("/").split("/")
    return f"https://{owner}.github.io/{name}/"


def _fill_in(app: Sphinx, config: Config) -> None:
    """Set the addresses behind buttons, in heads and on 404.html, and the version in the footer."""
    text = (Path(app.srcdir) / "pyproject.toml").read_text(encoding="utf-8")
    project: dict[str, Any] = tomllib.loads(text)["project"]
    options = config.html_theme_options
    options["repository_url"] = project["urls"]["Repository"]
    options["extra_footer"] = options.get("extra_footer", "").replace(
        "{version}", project["version"]
    )
    config.html_baseurl = config.ogp_site_url = book_address(project["urls"])
    config.ogp_site_name = config.html_title
    config.notfound_urls_prefix = urlsplit(config.html_baseurl).path
    config.release = config.version = project["version"]


def setup(app: Sphinx) -> None:
    """Register the hook with Sphinx."""
    app.connect("config-inited", _fill_in)
