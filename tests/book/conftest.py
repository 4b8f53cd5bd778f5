"""A chapter of three cells, executed once with the real runner."""

from pathlib import Path

import execute
import pytest

TINY = """\
# %% [markdown]
# # A chapter

# %% tags=["parameters"]
PROFILE = "page"

# %%
steps = {"smoke": 2, "page": 3}[PROFILE]
print("steps", steps)
"""


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source of the tiny chapter; its page, executed at `page`, lies beside it."""
    source = tmp_path_factory.mktemp("project") / "book" / "01_tiny.py"
    source.parent.mkdir()
    source.write_text(TINY, encoding="utf-8")
    execute.execute(source, source.with_suffix(".ipynb"), {"PROFILE": "page"})
    return source
