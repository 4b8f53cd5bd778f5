"""The environment that kernels inherit from scripts and pytest, and repeated starts."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")
STILLBORN = "Kernel died before replying"  # the error of jupyter_client


def prepare_environment() -> None:
    """Set one thread, no hub and no telemetry; drop what would change a page from the shell."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    # tqdm.auto, of the Hugging Face libraries, warns in every notebook that has no ipywidgets
    os.environ["PYTHONWARNINGS"] = "ignore:IProgress not found"
    os.environ.pop("MPLBACKEND", None)  # Agg would leave pages without figures


def started(run: Callable[[], Result], tries: int = 3) -> Result:
    """Call `run`, which starts a kernel, again where that kernel died before it took a cell.

    Jupyter finds five free ports, lets go of them and tells the kernel to take them. Another
    process may be quicker, and the more kernels start at the same time, the more often one is. The
    next kernel is given other ports.

    Raises:
        RuntimeError: what `run` raised (also a SystemExit) for any other reason, or in its last
            try.
    """
    for _ in range(tries - 1):
        try:
            return run()
        except (RuntimeError, SystemExit) as error:
            if STILLBORN not in str(error):
                raise
    return run()
