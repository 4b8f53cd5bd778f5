"""For `pytest --nbval book/NN_name.ipynb`: quiet kernels, and times that are not compared."""

import sys
import tempfile
from functools import partial
from pathlib import Path

import kernels
import nbval.kernel
import pytest

kernels.prepare_environment()
if sys.platform != "win32":  # which has no such sockets
    nbval.kernel.KernelManager = partial(
        nbval.kernel.KernelManager, **kernels.by_files(tempfile.mkdtemp())
    )
collect_ignore = ["colab"]  # copies without outputs to compare

MAY_DIFFER = Path(__file__).parents[1] / "tests" / "book" / "nbval.ini"


def pytest_configure(config: pytest.Config) -> None:
    """Name what may differ between two runs, where the command line names nothing."""
    if not config.getoption("nbval_sanitize_with"):
        config.option.nbval_sanitize_with = str(MAY_DIFFER)
