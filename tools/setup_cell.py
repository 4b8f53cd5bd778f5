"""Write the set-up cell into every chapter, which installs the package where it is missing.

    python tools/setup_cell.py

It is missing on Colab, say. Version and address come from pyproject.toml, so a chapter installs the
wheel of its own release, with the bounds of the package and nothing besides.
"""

from __future__ import annotations

import re

import chapters

OPENING = '# %% tags=["setup", "hide-input", "nbval-ignore-output"]\n'
EXISTING = re.compile(r'^# %% tags=\["setup"[^\n]*\n.*?(?=^# %%)', re.MULTILINE | re.DOTALL)
CELL = """\
import importlib.util

if importlib.util.find_spec("l2rclip_lite") is None:  # on Colab, say
    wheel = "l2rclip-lite[plots] @ {address}"
    get_ipython().run_line_magic("pip", f"install -q '{{wheel}}'")

"""


def address() -> str:
    """Return the address at which the wheel of this version is published."""
    project = chapters.project()
    version = project["version"]
    repository = project["urls"]["Repository"]
    return f"{repository}/releases/download/v{version}/l2rclip_lite-{version}-py3-none-any.whl"


def renew(source: str) -> str:
    """Return a chapter's source with the set-up cell of this release.

    Raises:
        SystemExit: the source has no cell tagged `setup`, or several.
    """
    cell = OPENING + CELL.format(address=address())
    new, n_cells = EXISTING.subn(lambda _: cell, source)
    if n_cells != 1:
        raise SystemExit(f'a chapter has one cell `# %% tags=["setup"]`; {n_cells} were found')
    return new


if __name__ == "__main__":
    for path in chapters.sources():
        path.write_text(renew(path.read_text(encoding="utf-8")), encoding="utf-8")
